//! Encoding of numbers and texts as bytes: variable-length integers (LEB128, seven bits per byte, lowest first) and
//! length-prefixed texts.

/// Appends a number.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a text: its length in bytes, then its bytes.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    put(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Encodes a signed number, so that small absolute values stay small: 0, -1, 1, -2 … become 0, 1, 2, 3 ….
pub(crate) fn fold(number: i64) -> u64 {
    (number as u64) << 1 ^ (number >> 63) as u64
}

/// Decodes a signed number: the inverse of [`fold`].
pub(crate) fn unfold(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads numbers and texts from the front of a slice. Every method returns `None` if the bytes do not encode the
/// requested value.
#[derive(Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    /// Returns whether everything has been read.
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Reads one byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// Reads a number.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        if first < 0x80 { Some(u64::from(first)) } else { self.long_number(first) }
    }

    /// Reads the rest of a number of more than one byte. Refuses numbers above 64 bits.
    fn long_number(&mut self, first: u8) -> Option<u64> {
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return None;
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Reads a number below 2³².
    pub(crate) fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    /// Reads bytes with their number in front.
    pub(crate) fn slice(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (slice, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(slice)
    }

    /// Reads a text.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.slice()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        for bits in 0..=64 {
            let high = if bits == 0 { 0 } else { u64::MAX >> (64 - bits) };
            for number in [high, high / 3, high ^ 1] {
                let mut out = Vec::new();
                put(&mut out, number);
                assert!(out.len() <= 10);
                let mut bytes = Bytes(&out);
                assert_eq!(bytes.number(), Some(number));
                assert!(bytes.is_empty());
                assert_eq!(Bytes(&out[..out.len() - 1]).number(), None);
                assert_eq!(unfold(fold(number as i64)), number as i64);
            }
        }
        assert_eq!([0, -1, 1, -2].map(fold), [0, 1, 2, 3]);
    }

    #[test]
    fn too_large_numbers_are_refused() {
        assert_eq!(Bytes(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).number(), None);
        assert_eq!(Bytes(&[0x80; 11]).number(), None);
        assert_eq!(Bytes(&[0x80, 0x80, 0x80, 0x80, 0x10]).small(), None);
    }

    #[test]
    fn texts_come_back() {
        let mut out = Vec::new();
        put_text(&mut out, "Mühle");
        assert_eq!(Bytes(&out).text(), Some("Mühle"));
        assert_eq!(Bytes(&out[..3]).text(), None);
        assert_eq!(Bytes(&[1, 0xff]).text(), None);
        assert_eq!(Bytes(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).text(), None);
    }
}
