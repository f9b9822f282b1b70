//! An entry of `.eh_frame`: which code it is about, and the instructions for its frames.
//!
//! The format is that of the Linux Standard Base, "Exception Frames", which extends the section `.debug_frame` of DWARF.

use super::cursor::Cursor;

/// The column of the return address on x86-64.
pub(super) const RA: u64 = 16;

/// The common part of several entries.
#[derive(Clone, Copy, Debug)]
struct Common<'a> {
    /// What advances of the location are multiplied by.
    code_factor: u64,
    /// What offsets are multiplied by.
    data_factor: i64,
    /// How addresses of code are encoded.
    encoding: u8,
    /// Whether entries have augmentation data, whose length is given.
    is_augmented: bool,
    is_signal: bool,
    instructions: Cursor<'a>,
}

/// An entry with its common part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) start: u64,
    length: u64,
    pub(super) code_factor: u64,
    pub(super) data_factor: i64,
    /// The code is what signal handlers return to.
    pub(super) is_signal: bool,
    /// How a location is encoded in the instructions.
    pub(super) encoding: u8,
    /// The instructions of the common part, and those of the entry.
    pub(super) initial: Cursor<'a>,
    pub(super) own: Cursor<'a>,
}

impl<'a> Entry<'a> {
    /// Reads the entry at `offset` of bytes that begin with its common part, at an address. `None` if it is damaged or
    /// encoded in a way that compilers for x86-64 do not use.
    pub(super) fn read(bytes: &'a [u8], address: u64, offset: usize) -> Option<Self> {
        let common = Common::read(body(&mut Cursor::new(bytes, address))?)?;
        let mut at = Cursor::new(bytes, address);
        at.bytes(offset)?;
        let mut rest = body(&mut at)?;
        // The distance to the common part.
        rest.u32()?;
        let start = pointer(&mut rest, common.encoding)?;
        let length = pointer(&mut rest, common.encoding & FORMAT)?;
        if common.is_augmented {
            rest.block()?;
        }
        let Common { code_factor, data_factor, encoding, is_signal, instructions: initial, .. } = common;
        Some(Self { start, length, code_factor, data_factor, is_signal, encoding, initial, own: rest })
    }

    /// Returns whether the entry is about the code at an address.
    pub(super) const fn contains(&self, pc: u64) -> bool {
        pc.wrapping_sub(self.start) < self.length
    }
}

impl<'a> Common<'a> {
    fn read(mut rest: Cursor<'a>) -> Option<Self> {
        let (id, version) = (rest.u32()?, rest.u8()?);
        if id != 0 || !matches!(version, 1 | 3) {
            return None;
        }
        let letters = text(&mut rest)?;
        let (code_factor, data_factor) = (rest.unsigned()?, rest.signed()?);
        let ra = if version == 1 { rest.u8()?.into() } else { rest.unsigned()? };
        if ra != RA {
            return None;
        }
        let mut common = Self {
            code_factor,
            data_factor,
            encoding: 0,
            is_augmented: false,
            is_signal: false,
            instructions: rest,
        };
        if let [b'z', letters @ ..] = letters {
            common.is_augmented = true;
            let length = rest.unsigned()?;
            let data = rest.part(length.try_into().ok()?)?;
            common.augment(letters, data)?;
        } else if !letters.is_empty() {
            return None;
        }
        Some(Self { instructions: rest, ..common })
    }

    /// Reads the augmentation data: a letter says what each part of it is.
    fn augment(&mut self, letters: &[u8], mut data: Cursor<'_>) -> Option<()> {
        for letter in letters {
            match letter {
                b'R' => self.encoding = data.u8()?,
                b'S' => self.is_signal = true,
                b'L' => drop(data.u8()?),
                b'P' => {
                    let encoding = data.u8()?;
                    pointer(&mut data, encoding & FORMAT)?;
                }
                _ => return None,
            }
        }
        Some(())
    }
}

/// Reads a length, and returns as many bytes.
fn body<'a>(at: &mut Cursor<'a>) -> Option<Cursor<'a>> {
    let length = at.u32()?;
    at.part(length.try_into().ok()?)
}

/// Reads a text that ends with a zero.
fn text<'a>(rest: &mut Cursor<'a>) -> Option<&'a [u8]> {
    let mut ahead = *rest;
    let mut length = 0;
    while ahead.u8()? != 0 {
        length += 1;
    }
    let text = rest.bytes(length)?;
    rest.u8()?;
    Some(text)
}

/// The bits of an encoding that say how a number is written; the others say what it is relative to.
const FORMAT: u8 = 0x0f;
/// Relative to the address of the number itself.
const TO_ITSELF: u8 = 0x10;

/// Reads an address.
pub(super) fn pointer(rest: &mut Cursor<'_>, encoding: u8) -> Option<u64> {
    let base = match encoding & !FORMAT {
        0 => 0,
        TO_ITSELF => rest.address(),
        _ => return None,
    };
    let offset = match encoding & FORMAT {
        0x00 | 0x04 | 0x0c => rest.u64()?,
        0x02 => rest.u16()?.into(),
        0x03 => rest.u32()?.into(),
        0x0a => i64::from(rest.u16()? as i16) as u64,
        0x0b => i64::from(rest.u32()? as i32) as u64,
        _ => return None,
    };
    Some(base.wrapping_add(offset))
}
