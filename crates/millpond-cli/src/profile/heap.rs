//! How much memory the live blocks take, in a trace with addresses or usable sizes.

use std::ops::Range;

/// Bytes of a page.
const PAGE: u64 = 4096;

/// The live blocks when most bytes are live for the first time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heap {
    /// Number of blocks, and the bytes requested for them.
    pub(crate) blocks: u64,
    pub(crate) requested: u64,
    /// The bytes that may be used in them; `None` if that is not known for all of them.
    pub(crate) usable: Option<u64>,
    /// Bytes of the pages on which these bytes lie, or, where usable sizes are unknown, the requested ones; `None` if the
    /// address is not known for all of them.
    pub(crate) pages: Option<u64>,
}

/// A live block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    pub(super) requested: u64,
    pub(super) usable: Option<u64>,
    pub(super) address: Option<u64>,
}

impl Heap {
    /// Adds up blocks.
    pub(super) fn of(extents: impl Iterator<Item = Extent>) -> Self {
        let mut heap = Self { usable: Some(0), ..Self::default() };
        let mut pages = Some(Vec::new());
        for Extent { requested, usable, address } in extents {
            heap.blocks += 1;
            heap.requested = heap.requested.saturating_add(requested);
            heap.usable = heap.usable.zip(usable).map(|(sum, usable)| sum.saturating_add(usable));
            let length = usable.unwrap_or(requested).max(1);
            pages = pages.zip(address).map(|(mut pages, address)| {
                let last = address.saturating_add(length - 1) / PAGE;
                pages.push(address / PAGE..last.saturating_add(1));
                pages
            });
        }
        heap.pages = pages.map(|pages| union(pages).saturating_mul(PAGE));
        heap
    }
}

/// Returns the number of pages in the union of ranges.
fn union(mut ranges: Vec<Range<u64>>) -> u64 {
    ranges.sort_unstable_by_key(|range| range.start);
    let (mut count, mut end) = (0, 0);
    for range in ranges {
        count += range.end.saturating_sub(range.start.max(end));
        end = end.max(range.end);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_count_once() {
        let extent =
            |address, requested, usable| Extent { requested, usable: Some(usable), address: Some(address) };
        let blocks = [
            extent(8190, 1, 8),
            extent(8200, 90, 100),
            extent(4096 * 9, 4096, 4096),
            extent(4096 * 9 + 5, 1, 1),
        ];
        let heap = Heap { blocks: 4, requested: 4188, usable: Some(4205), pages: Some(3 * PAGE) };
        assert_eq!(Heap::of(blocks.into_iter()), heap);
        let unknown = Extent { requested: 5, ..Extent::default() };
        let heap = Heap { blocks: 5, requested: 4193, usable: None, pages: None };
        assert_eq!(Heap::of(blocks.into_iter().chain([unknown])), heap);
        assert_eq!(Heap::of([extent(u64::MAX, 1, u64::MAX)].into_iter()).pages, Some(PAGE));
    }
}
