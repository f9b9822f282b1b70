//! The optional facts about allocations and resizes. Each column has a number per allocation or resize of its block, or
//! is missing. 0 stands for what is unknown.

use super::DETAILS;
use crate::file::{
    Detail,
    bytes::{Bytes, fold, put, unfold},
};

/// Number of these columns.
const COLUMNS: usize = 3;

/// Details that have not been written yet.
#[derive(Default)]
pub(super) struct DetailWriter {
    /// Number of details in each column.
    counts: [usize; COLUMNS],
    /// The last address.
    address: u64,
}

impl DetailWriter {
    /// Adds the detail of the allocation or resize with this number, counted from 0, which has `size` bytes.
    pub(super) fn push(&mut self, columns: &mut [Vec<u8>], number: usize, size: u64, detail: Detail) {
        let address = detail.address.map(|address| {
            let distance = fold(address.wrapping_sub(self.address) as i64);
            self.address = address;
            distance
        });
        let usable = detail.usable.and_then(|usable| usable.checked_sub(size));
        for (at, value) in [address, usable, detail.weight].into_iter().enumerate() {
            if let Some(value) = value.and_then(|value| value.checked_add(1)) {
                self.pad(&mut columns[DETAILS + at], at, number);
                put(&mut columns[DETAILS + at], value);
                self.counts[at] += 1;
            }
        }
    }

    /// Ends a block with this many allocations and resizes.
    pub(super) fn end(&mut self, columns: &mut [Vec<u8>], number: usize) {
        for at in 0..COLUMNS {
            if self.counts[at] > 0 {
                self.pad(&mut columns[DETAILS + at], at, number);
            }
        }
        *self = Self::default();
    }

    /// Notes that the details up to this number are unknown.
    fn pad(&mut self, column: &mut Vec<u8>, at: usize, number: usize) {
        column.resize(column.len() + number.saturating_sub(self.counts[at]), 0);
        self.counts[at] = self.counts[at].max(number);
    }
}

/// Reads the details of a block of at most `count` events; `usable` is still without the size requested. Returns `None`
/// if the columns are of different lengths or unreadable.
pub(super) fn take(columns: &[Vec<u8>], count: usize, details: &mut Vec<Detail>) -> Option<()> {
    details.clear();
    let Some(columns) =
        columns.get(DETAILS..).filter(|columns| columns.iter().any(|column| !column.is_empty()))
    else {
        return Some(());
    };
    let mut length = None;
    for (at, column) in columns.iter().enumerate().filter(|(_, column)| !column.is_empty()) {
        let (mut bytes, mut address, mut number) = (Bytes(column), 0_u64, 0);
        while !bytes.is_empty() {
            if number == details.len() {
                if number == count || length.is_some() {
                    return None;
                }
                details.push(Detail::default());
            }
            let value = bytes.number()?.checked_sub(1);
            let detail = &mut details[number];
            match at {
                0 => {
                    detail.address = value.map(|distance| {
                        address = address.wrapping_add(unfold(distance) as u64);
                        address
                    });
                }
                1 => detail.usable = value,
                _ => detail.weight = value,
            }
            number += 1;
        }
        if length.is_some_and(|length| length != number) {
            return None;
        }
        length = Some(number);
    }
    Some(())
}
