//! The instructions of an entry, executed up to an address: where the registers of the caller are saved.
//!
//! Only what a [`Rule`](crate::rule::Rule) is made of is kept: the frame address, rbp and the return address. The
//! instructions are those of DWARF 5, section 6.4.2, with the extensions of GNU.

use super::{
    RBP,
    cursor::Cursor,
    entry::{Entry, RA, pointer},
};

/// Rows that are remembered at the same time, at most. Code that needs more has no rule.
const MOST: usize = 4;

/// How the canonical frame address is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cfa<'a> {
    /// The register with this number, and an offset from its value.
    Register(u64, i64),
    Expression(&'a [u8]),
}

/// Where the caller's value of a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// Still in the register; nothing was said about it.
    Same,
    /// There is none.
    Undefined,
    /// At an offset from the frame address.
    Offset(i64),
    /// At an address that is computed.
    Expression(&'a [u8]),
    /// Elsewhere.
    Other,
}

/// What is known about the frames of the code from one address to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) cfa: Cfa<'a>,
    pub(super) bp: Place<'a>,
    pub(super) ra: Place<'a>,
}

impl<'a> Row<'a> {
    /// Returns the row for an address that the entry contains.
    pub(super) fn at(entry: &Entry<'a>, pc: u64) -> Option<Self> {
        let start = Self { cfa: Cfa::Register(u64::MAX, 0), bp: Place::Same, ra: Place::Same };
        let mut program = Program {
            entry,
            code: entry.initial,
            row: start,
            initial: None,
            location: entry.start,
            remembered: [start; MOST],
            depth: 0,
        };
        program.run(u64::MAX)?;
        (program.code, program.initial) = (entry.own, Some(program.row));
        program.run(pc)?;
        Some(program.row)
    }

    /// Returns where a register is, if that is of interest.
    fn place(&mut self, register: u64) -> Option<&mut Place<'a>> {
        match register {
            RBP => Some(&mut self.bp),
            RA => Some(&mut self.ra),
            _ => None,
        }
    }

    fn set(&mut self, register: u64, place: Place<'a>) {
        if let Some(known) = self.place(register) {
            *known = place;
        }
    }
}

/// Instructions that are being executed.
struct Program<'e, 'a> {
    entry: &'e Entry<'a>,
    code: Cursor<'a>,
    row: Row<'a>,
    /// The row that the common part makes, unless that is being executed.
    initial: Option<Row<'a>>,
    location: u64,
    /// The rows that are remembered, `depth` of them.
    remembered: [Row<'a>; MOST],
    depth: usize,
}

impl<'a> Program<'_, 'a> {
    /// Executes the instructions for code up to `pc`; `None` if they are damaged or unknown.
    fn run(&mut self, pc: u64) -> Option<()> {
        while !self.code.is_at_end() {
            let instruction = self.code.u8()?;
            match instruction {
                // advance_loc, set_loc, advance_loc1, advance_loc2, advance_loc4
                0x40..=0x7f | 0x01..=0x04 => {
                    self.location = self.next_location(instruction)?;
                    if self.location > pc {
                        break;
                    }
                }
                // remember_state
                0x0a => {
                    *self.remembered.get_mut(self.depth)? = self.row;
                    self.depth += 1;
                }
                // restore_state
                0x0b => {
                    self.depth = self.depth.checked_sub(1)?;
                    self.row = *self.remembered.get(self.depth)?;
                }
                0x0c..=0x0f | 0x12 | 0x13 => self.row.cfa = self.cfa(instruction)?,
                _ => self.register(instruction)?,
            }
        }
        Some(())
    }

    fn next_location(&mut self, instruction: u8) -> Option<u64> {
        let delta: u64 = match instruction {
            0x01 => return pointer(&mut self.code, self.entry.encoding),
            0x02 => self.code.u8()?.into(),
            0x03 => self.code.u16()?.into(),
            0x04 => self.code.u32()?.into(),
            _ => (instruction & 0x3f).into(),
        };
        Some(self.location.wrapping_add(delta.wrapping_mul(self.entry.code_factor)))
    }

    /// Executes an instruction about the frame address.
    fn cfa(&mut self, instruction: u8) -> Option<Cfa<'a>> {
        let (register, offset) = match self.row.cfa {
            Cfa::Register(register, offset) => (Some(register), Some(offset)),
            Cfa::Expression(_) => (None, None),
        };
        Some(match instruction {
            // def_cfa
            0x0c => Cfa::Register(self.code.unsigned()?, self.code.unsigned()?.try_into().ok()?),
            // def_cfa_register
            0x0d => Cfa::Register(self.code.unsigned()?, offset?),
            // def_cfa_offset
            0x0e => Cfa::Register(register?, self.code.unsigned()?.try_into().ok()?),
            // def_cfa_sf
            0x12 => Cfa::Register(self.code.unsigned()?, self.signed_offset()?),
            // def_cfa_offset_sf
            0x13 => Cfa::Register(register?, self.signed_offset()?),
            // def_cfa_expression
            _ => Cfa::Expression(self.code.block()?),
        })
    }

    /// Executes an instruction about a register.
    fn register(&mut self, instruction: u8) -> Option<()> {
        let code = &mut self.code;
        let register = match instruction {
            // nop
            0x00 => return Some(()),
            // GNU_args_size
            0x2e => return code.unsigned().map(drop),
            0x80..=0xff => u64::from(instruction & 0x3f),
            _ => code.unsigned()?,
        };
        let place = match instruction {
            // offset, offset_extended
            0x80..=0xbf | 0x05 => Place::Offset(self.offset()?),
            // restore, restore_extended
            0xc0..=0xff | 0x06 => *self.initial?.place(register).unwrap_or(&mut Place::Other),
            // undefined
            0x07 => Place::Undefined,
            // same_value
            0x08 => Place::Same,
            // expression
            0x10 => Place::Expression(self.code.block()?),
            // offset_extended_sf
            0x11 => Place::Offset(self.signed_offset()?),
            // GNU_negative_offset_extended
            0x2f => Place::Offset(self.offset()?.checked_neg()?),
            // register, val_offset, val_offset_sf
            0x09 | 0x14 | 0x15 => {
                self.code.unsigned()?;
                Place::Other
            }
            // val_expression
            0x16 => {
                self.code.block()?;
                Place::Other
            }
            _ => return None,
        };
        self.row.set(register, place);
        Some(())
    }

    /// Reads an offset without sign.
    fn offset(&mut self) -> Option<i64> {
        i64::try_from(self.code.unsigned()?).ok()?.checked_mul(self.entry.data_factor)
    }

    /// Reads an offset with a sign.
    fn signed_offset(&mut self) -> Option<i64> {
        self.code.signed()?.checked_mul(self.entry.data_factor)
    }
}
