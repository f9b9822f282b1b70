//! Reading of numbers from a part of `.eh_frame`.

/// A position in bytes, and their address in memory. Reading beyond the end returns `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// The address of the next byte.
    address: u64,
}

impl<'a> Cursor<'a> {
    /// Returns the start of bytes that are at an address.
    pub(super) const fn new(rest: &'a [u8], address: u64) -> Self {
        Self { rest, address }
    }

    pub(super) const fn address(&self) -> u64 {
        self.address
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads bytes.
    #[inline]
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        self.address += count as u64;
        Some(bytes)
    }

    /// Splits off a part that begins here.
    pub(super) fn part(&mut self, length: usize) -> Option<Self> {
        let address = self.address;
        Some(Self { rest: self.bytes(length)?, address })
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// Reads groups of seven bits, the lowest first. Returns them, their number of bits, and the last group.
    #[inline]
    fn groups(&mut self) -> Option<(u64, u32, u8)> {
        let (mut value, mut bits) = (0, 0);
        loop {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(bits)?;
            bits += 7;
            if byte < 0x80 {
                return Some((value, bits, byte));
            }
        }
    }

    /// Reads an unsigned number of variable length (ULEB128).
    #[inline]
    pub(super) fn unsigned(&mut self) -> Option<u64> {
        self.groups().map(|(value, ..)| value)
    }

    /// Reads a signed number of variable length (SLEB128).
    #[inline]
    pub(super) fn signed(&mut self) -> Option<i64> {
        let (value, bits, last) = self.groups()?;
        let above = if last & 0x40 != 0 { u64::MAX.checked_shl(bits).unwrap_or(0) } else { 0 };
        Some((value | above) as i64)
    }

    /// Reads a number of bytes, and then as many bytes.
    pub(super) fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.unsigned()?;
        self.bytes(length.try_into().ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_variable_length() {
        let signed = |bytes: &[u8]| Cursor::new(bytes, 0).signed();
        let found =
            [&[0x08_u8][..], &[0x3f], &[0x70], &[0x7f], &[0x80], &[0x80, 0x7f], &[0xff, 0x00]].map(signed);
        assert_eq!(found, [Some(8), Some(63), Some(-16), Some(-1), None, Some(-128), Some(127)]);
        assert_eq!(Cursor::new(&[0xe5, 0x8e, 0x26], 0).unsigned(), Some(624_485));
        assert_eq!(Cursor::new(&[0xff; 11], 0).unsigned(), None);
        let mut lowest = [0x80; 10];
        lowest[9] = 0x7f;
        assert_eq!(signed(&lowest), Some(i64::MIN));
    }

    #[test]
    fn parts_know_their_addresses() {
        let mut cursor = Cursor::new(&[1, 2, 0, 2, 9, 8], 100);
        assert_eq!((cursor.u8(), cursor.u16(), cursor.address()), (Some(1), Some(2), 103));
        assert_eq!(cursor.block(), Some(&[9, 8][..]));
        assert!(cursor.is_at_end() && cursor.u8().is_none());
    }
}
