//! The encoding of protocol buffers, as far as profiles need it: a message is a sequence of fields, each of them a number
//! or a sequence of bytes. Crates for it come with a compiler or a derive macro, for seven messages that do not change.

use std::io::{self, Write};

/// Wire types.
const NUMBER: u64 = 0;
const BYTES: u64 = 2;

/// A message, or the value of a field that is a sequence of numbers.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Adds a field that is a number; 0 is the default and left out.
    pub(super) fn number(mut self, field: u64, number: u64) -> Self {
        if number != 0 {
            put(&mut self.0, field << 3 | NUMBER);
            put(&mut self.0, number);
        }
        self
    }

    /// Adds a field that is a message.
    pub(super) fn message(mut self, field: u64, message: &Self) -> Self {
        put_bytes(&mut self.0, field, &message.0);
        self
    }

    /// Adds a field that is a sequence of numbers.
    pub(super) fn numbers(self, field: u64, numbers: impl IntoIterator<Item = u64>) -> Self {
        let mut packed = Self::default();
        for number in numbers {
            put(&mut packed.0, number);
        }
        self.message(field, &packed)
    }

    /// Writes the message as a field of the outermost one.
    pub(super) fn write(&self, field: u64, out: &mut dyn Write) -> io::Result<()> {
        write_bytes(field, &self.0, out)
    }

    /// Writes the fields of the message as those of the outermost one.
    pub(super) fn write_fields(&self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.0)
    }
}

/// Writes bytes as a field of the outermost message.
pub(super) fn write_bytes(field: u64, bytes: &[u8], out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(bytes.len() + 12);
    put_bytes(&mut buffer, field, bytes);
    out.write_all(&buffer)
}

fn put_bytes(buffer: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put(buffer, field << 3 | BYTES);
    put(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// Appends a number: seven bits in each byte, the lowest first; all bytes but the last have the eighth bit set.
fn put(buffer: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        buffer.push(number as u8 | 0x80);
        number >>= 7;
    }
    buffer.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_encoded_as_the_documentation_of_the_format_says() {
        let message = Message::default().number(1, 150).number(2, 0);
        assert_eq!(message.0, [0x08, 0x96, 0x01]);
        assert_eq!(Message::default().message(3, &message).0, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let packed = Message::default().numbers(6, [3, 270, 86_942]);
        assert_eq!(packed.0, [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
        let mut out = Vec::new();
        write_bytes(2, b"testing", &mut out).unwrap();
        assert_eq!(out, *b"\x12\x07testing");
    }
}
