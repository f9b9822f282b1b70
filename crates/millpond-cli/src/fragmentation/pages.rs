//! The pages on which live blocks lie.

use std::ops::Range;

use crate::replay::{Located, Resident};

/// Bytes of a page.
pub(super) const PAGE: u64 = 4096;

/// Whose blocks lie on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Blocks of one call site.
    Site(u32),
    /// Blocks of several.
    Several,
}

/// Pages side by side with equally many bytes in live blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) pages: Range<u64>,
    /// Bytes in live blocks on each of them.
    pub(super) used: u64,
    pub(super) owner: Owner,
}

/// The pages of a heap at a moment.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Pages with live blocks, ascending. If it is known which pages are resident, only these.
    pub(super) with_blocks: Vec<Run>,
    /// Resident pages without live blocks, ascending; `None` if they are unknown.
    pub(super) empty: Option<Vec<Range<u64>>>,
}

impl Pages {
    /// Sorts out the pages of these blocks; `site` returns the call site of a stack.
    pub(super) fn new(
        blocks: &[Located],
        site: impl Fn(u32) -> u32,
        resident: Option<&Resident<'_>>,
    ) -> Self {
        let mut blocks: Vec<_> = blocks.iter().filter(|block| block.usable > 0).collect();
        blocks.sort_unstable_by_key(|block| block.address);
        let mut pages = Self::default();
        for block in blocks {
            pages.place(block.address, block.address.saturating_add(block.usable), site(block.stack));
        }
        if let Some(Resident { now, before }) = resident {
            pages.with_blocks = resident_part(&pages.with_blocks, now);
            let taken = pages.with_blocks.iter().map(|run| run.pages.clone());
            let empty = without(now, taken);
            pages.empty = Some(without(&empty, before.iter().cloned()));
        }
        pages
    }

    /// Adds a block that begins where the one before does, or later.
    fn place(&mut self, start: u64, end: u64, site: u32) {
        let (first, last) = (start / PAGE, end.saturating_sub(1) / PAGE);
        if first == last {
            return self.add(first..first + 1, end - start, site);
        }
        self.add(first..first + 1, PAGE - start % PAGE, site);
        self.add(first + 1..last, PAGE, site);
        self.add(last..last + 1, (end - 1) % PAGE + 1, site);
    }

    /// Adds `used` bytes on each of these pages.
    fn add(&mut self, mut pages: Range<u64>, used: u64, site: u32) {
        if let Some(run) = self.with_blocks.last_mut() {
            if run.pages == pages {
                run.used = (run.used + used).min(PAGE);
                if run.owner != Owner::Site(site) {
                    run.owner = Owner::Several;
                }
                return;
            }
            // Only blocks of a damaged trace overlap.
            pages.start = pages.start.max(run.pages.end);
        }
        if !pages.is_empty() {
            self.with_blocks.push(Run { pages, used, owner: Owner::Site(site) });
        }
    }
}

/// Returns the part of runs that is on these pages.
fn resident_part(runs: &[Run], resident: &[Range<u64>]) -> Vec<Run> {
    let (mut part, mut rest) = (Vec::new(), resident);
    for run in runs {
        while let Some((range, after)) = rest.split_first() {
            let pages = run.pages.start.max(range.start)..run.pages.end.min(range.end);
            if !pages.is_empty() {
                part.push(Run { pages, ..run.clone() });
            }
            if range.end > run.pages.end {
                break;
            }
            rest = after;
        }
    }
    part
}

/// Returns the pages of ascending ranges that are in none of others, which ascend too.
fn without(ranges: &[Range<u64>], others: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let (mut left, mut others) = (Vec::new(), others.peekable());
    for range in ranges {
        let mut start = range.start;
        while let Some(other) = others.peek().filter(|other| other.start < range.end) {
            if other.start > start {
                left.push(start..other.start);
            }
            start = start.max(other.end);
            if other.end > range.end {
                break;
            }
            others.next();
        }
        if start < range.end {
            left.push(start..range.end);
        }
    }
    left
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn block(address: u64, usable: u64, stack: u32) -> Located {
        Located { stack, requested: usable, address, usable }
    }

    fn run(pages: Range<u64>, used: u64, owner: Owner) -> Run {
        Run { pages, used, owner }
    }

    #[test]
    fn blocks_are_divided_between_pages() {
        let blocks = [
            block(5 * PAGE, 10, 2),
            block(PAGE - 6, 3 * PAGE + 7, 1),
            block(PAGE - 16, 10, 1),
            block(7, 0, 9),
        ];
        let pages = Pages::new(&blocks, |stack| stack, None);
        let one = Owner::Site(1);
        let expected =
            [run(0..1, 16, one), run(1..4, PAGE, one), run(4..5, 1, one), run(5..6, 10, Owner::Site(2))];
        assert_eq!(pages.with_blocks, expected);
        assert_eq!(pages.empty, None);
        let shared = Pages::new(&[block(0, 10, 1), block(10, 20, 2), block(50, 1, 1)], |stack| stack, None);
        assert_eq!(shared.with_blocks, [run(0..1, 31, Owner::Several)]);
    }

    #[test]
    fn damaged_traces_end() {
        let blocks = [block(0, u64::MAX, 1), block(PAGE, PAGE, 2), block(u64::MAX - 1, u64::MAX, 2)];
        let pages = Pages::new(&blocks, |stack| stack, None);
        assert!(pages.with_blocks.iter().all(|run| run.used <= PAGE && !run.pages.is_empty()));
        assert!(pages.with_blocks.windows(2).all(|pair| pair[0].pages.end <= pair[1].pages.start));
    }

    #[test]
    fn resident_pages_are_full_or_empty() {
        let resident = Resident { now: vec![1..3, 4..9, 12..14], before: &[0..2, 8..9] };
        let blocks = [block(2 * PAGE, 4 * PAGE, 1), block(13 * PAGE, 5, 1), block(20 * PAGE, 5, 1)];
        let pages = Pages::new(&blocks, |stack| stack, Some(&resident));
        let one = Owner::Site(1);
        // The last page of the first block is its own, but no bytes are on the one after it.
        let expected =
            [run(2..3, PAGE, one), run(4..5, PAGE, one), run(5..6, PAGE, one), run(13..14, 5, one)];
        assert_eq!(pages.with_blocks, expected);
        assert_eq!(pages.empty, Some(vec![6..8, 12..13]));
    }
}
