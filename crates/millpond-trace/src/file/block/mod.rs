//! A block of events: columns of bytes that compress well, described in [`format`](mod@crate::format).

mod decode;
mod details;
mod encode;

pub(crate) use decode::{Bounds, Decoder, StackNumbers};
pub(crate) use encode::Encoder;

use super::{Shape, Verb};

/// Number of columns in a block.
pub(crate) const COLUMNS: usize = 14;
/// Number of columns in a block of version 1, which are the first of these, with addresses instead of stacks.
pub(crate) const COLUMNS_V1: usize = 10;

/// First column of the table of shapes: operations, stacks and sizes.
const VERBS: usize = 0;
const STACKS: usize = 1;
const SIZES: usize = 2;
/// The column of threads, in runs.
const THREADS: usize = 3;
/// Columns with one number per event, or per free or resize. The column after each of these has the numbers that do not
/// fit into a byte.
const SHAPES: usize = 4;
const TIMES: usize = 6;
const NAMES: usize = 8;
/// Another column of the table of shapes: the functions called. Missing if all are those of C.
const CALLS: usize = 10;
/// First column of the details of allocations and resizes: addresses, usable bytes and weights. Each of them may be
/// missing.
const DETAILS: usize = 11;

/// Stands in a column of bytes for a number of at least 255; the next column has the number less 255.
const LONG: u8 = u8::MAX;

/// Number of shapes whose number fits into a byte; the most frequent shapes get these numbers.
const SHORT_SHAPES: usize = LONG as usize;

impl Verb {
    /// Encodes the operation: 0 free, 1 resize, from 2 on allocate: even numbers for uninitialised memory, odd ones for
    /// zeroed memory, in pairs for no alignment, 1, 2, 4 ….
    fn to_byte(self) -> u8 {
        match self {
            Self::Free => 0,
            Self::Resize => 1,
            Self::Allocate { align, zeroed } => {
                let power = if align == 0 { 0 } else { align.trailing_zeros() as u8 + 1 };
                2 + 2 * power + u8::from(zeroed)
            }
        }
    }

    /// Decodes an operation: the inverse of [`to_byte`](Self::to_byte).
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Free,
            1 => Self::Resize,
            _ => {
                let power = u32::from(byte - 2) / 2;
                let align = if power == 0 { 0 } else { 1_u32.checked_shl(power - 1)? };
                Self::Allocate { align, zeroed: byte % 2 == 1 }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_come_back() {
        let known: Vec<Verb> = (0..=u8::MAX).map_while(Verb::from_byte).collect();
        assert_eq!(known.len(), 2 + 2 * 33);
        assert_eq!((known.len() as u8..=u8::MAX).find_map(Verb::from_byte), None);
        for (byte, verb) in known.iter().enumerate() {
            assert_eq!(usize::from(verb.to_byte()), byte);
        }
        assert!(known.contains(&Verb::Allocate { align: 1 << 31, zeroed: true }));
    }
}
