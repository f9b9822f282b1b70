//! Finds the chunk in which an address lies, without reading that address or the chunks.

use super::Span;
use crate::base::address::WORD;

/// The maximum number of spans that are distinguished. Chunks double in size up to 64 MiB, so these are gigabytes.
const MOST: usize = 128;

/// Spans, sorted by address. Finding the span in which an address lies: O(log spans).
///
/// If there are more than [`MOST`], the spans that are nearest to each other are merged.
#[derive(Clone, Copy)]
pub(in crate::pool) struct Spans {
    /// Has room for one more than are distinguished.
    sorted: [Span; MOST + 1],
    count: usize,
    /// Whether spans were merged.
    merged: bool,
}

impl Spans {
    /// Creates a value of the non-empty spans among `spans`. O(spans · [`MOST`]).
    pub(in crate::pool) fn of(spans: impl Iterator<Item = Span>) -> Self {
        let mut these = Self { sorted: [Span::EMPTY; MOST + 1], count: 0, merged: false };
        for span in spans.filter(|span| span.start < span.end) {
            let at = these.as_slice().partition_point(|other| other.start < span.start);
            these.sorted.copy_within(at..these.count, at + 1);
            these.sorted[at] = span;
            these.count += 1;
            if these.count > MOST {
                these.merge_nearest();
            }
        }
        these
    }

    fn as_slice(&self) -> &[Span] {
        &self.sorted[..self.count]
    }

    /// Merges the two spans with the smallest gap between them, or that overlap because one of them has been merged.
    fn merge_nearest(&mut self) {
        let gap = |&second: &usize| self.sorted[second].start.saturating_sub(self.sorted[second - 1].end);
        let Some(second) = (1..self.count).min_by_key(gap) else { return };
        self.sorted[second - 1].end = self.sorted[second - 1].end.max(self.sorted[second].end);
        self.sorted.copy_within(second + 1..self.count, second);
        self.count -= 1;
        self.merged = true;
    }

    /// Returns the number and the start of the span in which an address lies, if there is one.
    #[inline]
    pub(in crate::pool) fn find(&self, address: usize) -> Option<(usize, usize)> {
        let sorted = self.as_slice();
        let number = sorted.partition_point(|span| span.start <= address).checked_sub(1)?;
        let span = sorted[number];
        span.contains(address).then_some((number, span.start))
    }

    /// Returns whether blocks of `size` bytes that tile each span from its start include one at an address. If spans
    /// were merged, returns whether the address lies in a remaining span, on a word boundary.
    #[inline]
    pub(in crate::pool) fn have_block(&self, address: usize, size: usize) -> bool {
        self.find(address).is_some_and(|(_, start)| {
            if self.merged { address.is_multiple_of(WORD) } else { (address - start).is_multiple_of(size) }
        })
    }
}

/// How many addresses lie in each span, and their sum, which reveals whether one address was counted twice in place of
/// another.
pub(in crate::pool) struct SpanCounts {
    spans: Spans,
    counts: [usize; MOST],
    /// A bit for each span of which every block was counted.
    full: u128,
}

impl SpanCounts {
    /// Counts the addresses of blocks of `size` bytes; `None` if spans were merged. Counting stops at an address that
    /// is not a block, and no span is full then.
    pub(in crate::pool) fn of(
        spans: Spans,
        size: usize,
        addresses: impl Iterator<Item = usize>,
    ) -> Option<Self> {
        if spans.merged {
            return None;
        }
        let mut these = Self { spans, counts: [0; MOST], full: 0 };
        let mut sums = [0usize; MOST];
        for address in addresses {
            match these.spans.find(address) {
                Some((number, start)) if (address - start).is_multiple_of(size) => {
                    these.counts[number] += 1;
                    sums[number] = sums[number].wrapping_add(address - start);
                }
                _ => return Some(these),
            }
        }
        for (number, span) in these.spans.as_slice().iter().enumerate() {
            let count = (span.end - span.start) / size;
            let sum = (1..count).fold(0, |sum: usize, number| sum.wrapping_add(number * size));
            if these.counts[number] == count && sums[number] == sum {
                these.full |= 1 << number;
            }
        }
        Some(these)
    }

    /// Returns whether as many addresses were counted in the span that contains this one as it has blocks.
    #[inline]
    pub(in crate::pool) fn is_full(&self, address: usize) -> bool {
        self.spans.find(address).is_some_and(|(number, _)| self.is_full_span(number))
    }

    #[inline]
    fn is_full_span(&self, number: usize) -> bool {
        self.full >> number & 1 == 1
    }

    /// Returns how many addresses were counted.
    pub(in crate::pool) fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Returns how many addresses lie in spans that are not full.
    pub(in crate::pool) fn outside(&self) -> usize {
        let others = (0..self.spans.count).filter(|&number| !self.is_full_span(number));
        others.map(|number| self.counts[number]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a span of 64 bytes for each number, in shuffled order.
    fn spans(count: usize) -> Spans {
        Spans::of((0..count).map(|number| {
            let start = 4096 + (number * 37 % count) * 128;
            Span { start, end: start + 64 }
        }))
    }

    #[test]
    fn address_is_found_in_its_span_only() {
        for count in [0, 1, 2, 7, MOST] {
            let spans = spans(count);
            assert!(!spans.merged);
            for address in 4000..4200 + count * 128 {
                let expected =
                    address.checked_sub(4096).is_some_and(|offset| offset % 128 < 64 && offset / 128 < count);
                assert_eq!(spans.find(address).is_some(), expected, "{address} of {count}");
                let is_block = expected && (address - 4096).is_multiple_of(16);
                assert_eq!(spans.have_block(address, 16), is_block, "{address} of {count}");
            }
            assert!(!spans.have_block(0, 16) && !spans.have_block(usize::MAX, 16));
        }
    }

    #[test]
    fn too_many_spans_merge_the_nearest() {
        let near =
            [Span { start: 64, end: 128 }, Span { start: 136, end: 192 }, Span { start: 200, end: 256 }];
        let far = (1..MOST).map(|number| Span { start: number * 4096, end: number * 4096 + 64 });
        let spans = Spans::of(far.chain(near));
        assert!(spans.merged && spans.count == MOST);
        assert!((64..256).step_by(WORD).all(|address| spans.have_block(address, 16)));
        assert!((1..MOST).all(|number| spans.have_block(number * 4096, 16)), "those that are far are kept");
        assert!(![56, 65, 256, 4088, 4160, 8184].iter().any(|&address| spans.have_block(address, 16)));
        assert!(SpanCounts::of(spans, 16, core::iter::empty()).is_none());
    }

    #[test]
    fn span_is_full_when_all_blocks_are_counted() {
        let free = [4096, 4112, 4128, 4144, 4224, 4352, 4352, 4384, 4400];
        let these = SpanCounts::of(spans(3), 16, free.into_iter()).expect("there are three");
        assert_eq!((these.total(), these.outside()), (9, 5));
        assert!(these.is_full(4096) && !these.is_full(4224) && !these.is_full(4352));
        let strays = [4097, 4160, 64];
        for stray in strays {
            let these =
                SpanCounts::of(spans(3), 16, free.into_iter().chain([stray])).expect("there are three");
            assert_eq!(these.outside(), these.total(), "no span is full where {stray} is said to be a block");
        }
    }
}
