//! The memory behind the live blocks, as far as a trace has addresses and usable sizes.

use std::collections::BTreeSet;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// What the live blocks take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Bytes that the program may use, if known of all blocks.
    pub(crate) usable: Option<u64>,
    /// Bytes of the pages on which blocks lie, if the addresses of all are known.
    pub(crate) touched: Option<u64>,
}

/// Where a block lies, and the bytes that the program may use; `None` if unknown.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) address: Option<u64>,
    pub(super) usable: Option<u64>,
}

/// Adds up live blocks: where they lie, and their sizes.
pub(super) fn pages(blocks: impl Iterator<Item = (Place, u64)>) -> Pages {
    let mut pages = BTreeSet::new();
    let mut sum = Pages { usable: Some(0), touched: Some(0) };
    for (Place { address, usable }, size) in blocks {
        sum.usable = sum.usable.zip(usable).map(|(sum, more)| sum.saturating_add(more));
        match address {
            Some(address) if sum.touched.is_some() => {
                let last = address.saturating_add(usable.unwrap_or(size).max(1) - 1);
                add(&mut pages, address / PAGE, last / PAGE);
            }
            _ => sum.touched = None,
        }
    }
    let count: u64 = pages.iter().map(|(first, last)| last - first + 1).sum();
    sum.touched = sum.touched.map(|_| count.saturating_mul(PAGE));
    sum
}

/// Adds a range of pages to ranges that do not overlap.
fn add(pages: &mut BTreeSet<(u64, u64)>, mut first: u64, mut last: u64) {
    while let Some(&range) = pages.range(..=(last, u64::MAX)).next_back().filter(|range| range.1 >= first) {
        if range.0 <= first && last <= range.1 {
            return;
        }
        pages.remove(&range);
        (first, last) = (first.min(range.0), last.max(range.1));
    }
    pages.insert((first, last));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_count_once() {
        let block = |address, usable| (Place { address: Some(address), usable: Some(usable) }, usable - 8);
        let blocks =
            [block(100, 24), block(200, 24), block(4090, 24), block(40_000, 20_000), block(45_000, 24)];
        let sum = pages(blocks.into_iter());
        assert_eq!(sum, Pages { usable: Some(20_096), touched: Some((2 + 6) * PAGE) });
        let unknown = (Place::default(), 8);
        assert_eq!(pages([block(0, 24), unknown].into_iter()), Pages::default());
    }
}
