//! The lines of a file, which may be compressed.

use std::io::{self, BufRead, BufReader, Read};

use anyhow::{Context, Result, ensure};
use flate2::read::MultiGzDecoder;

/// The first bytes of compressed files.
const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// Max bytes of a line.
const LONGEST: u64 = 1 << 20;

/// The lines of a file.
pub(super) struct Lines {
    input: Box<dyn BufRead>,
    line: Vec<u8>,
    /// The number of the current line, from 1.
    number: u64,
}

impl Lines {
    /// Begins to read a file.
    pub(super) fn new(mut input: impl BufRead + 'static) -> io::Result<Self> {
        let beginning = input.fill_buf()?;
        let input: Box<dyn BufRead> = if beginning.starts_with(GZIP) {
            Box::new(BufReader::new(MultiGzDecoder::new(input)))
        } else if beginning.starts_with(ZSTD) {
            Box::new(BufReader::new(zstd::Decoder::with_buffer(input)?))
        } else {
            Box::new(input)
        };
        Ok(Self { input, line: Vec::new(), number: 0 })
    }

    /// Returns some of the bytes that come next.
    pub(super) fn beginning(&mut self) -> Result<&[u8]> {
        self.input.fill_buf().context("it cannot be decompressed")
    }

    /// Returns all that was not read yet.
    pub(super) fn rest(&mut self) -> impl Read {
        &mut self.input
    }

    /// Returns the number of the current line; 0 before the first.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns the next line without its end; `None` after the last. What is not UTF-8 is replaced.
    pub(super) fn next(&mut self) -> Result<Option<String>> {
        self.line.clear();
        let mut limited = (&mut self.input).take(LONGEST);
        let count = limited.read_until(b'\n', &mut self.line).context("the file is damaged")?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.ends_with(b"\n") {
            self.line.pop();
        } else {
            ensure!((count as u64) < LONGEST, "a line of more than a mebibyte");
        }
        Ok(Some(String::from_utf8_lossy(&self.line).into_owned()))
    }
}

/// The fields of a line that are separated by spaces.
pub(super) struct Fields<'a>(pub(super) &'a str);

impl<'a> Fields<'a> {
    /// Returns the next field; `None` after the last.
    pub(super) fn word(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        if text.is_empty() {
            return None;
        }
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        self.0 = rest;
        Some(word)
    }

    /// Returns the next field as a hexadecimal number, with or without `0x`.
    pub(super) fn hex(&mut self) -> Result<u64> {
        let word = self.word().context("a number is missing")?;
        hex(word)
    }

    /// Does the same; `None` after the last field.
    pub(super) fn next_hex(&mut self) -> Result<Option<u64>> {
        self.word().map(hex).transpose()
    }

    /// Returns a text that is preceded by its length in bytes, a hexadecimal number.
    pub(super) fn sized_text(&mut self) -> Result<&'a str> {
        let length = usize::try_from(self.hex()?)?;
        let (text, rest) = self.0.split_at_checked(length).context("a text is shorter than it says")?;
        self.0 = rest;
        Ok(text)
    }
}

/// Reads a hexadecimal number.
pub(super) fn hex(word: &str) -> Result<u64> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    u64::from_str_radix(digits, 16).with_context(|| format!("{word:?} is no hexadecimal number"))
}
