//! A heap at a moment, in figures.

use std::{cmp::Reverse, collections::HashMap};

use foldhash::fast::FixedState;

use super::pages::{Owner, PAGE, Pages};
use crate::replay::Located;

/// The site of a stack that has none.
pub(super) const UNKNOWN: u32 = u32::MAX;
/// A page with more bytes in live blocks is not nearly empty: two thirds. Where a page is filled with blocks, headers take
/// at most a quarter.
const MOST_PINNED: u64 = PAGE * 2 / 3;
/// How many sites that pin pages are kept.
const SITES: usize = 8;

/// Bytes of a heap at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Number of live blocks, and the bytes requested for them.
    pub(crate) blocks: u64,
    pub(crate) requested_bytes: u64,
    /// Bytes of pages with live blocks, and those of them in the blocks. If it is known which pages are resident, only of
    /// these.
    pub(crate) page_bytes: u64,
    pub(crate) block_bytes: u64,
    /// Bytes that are free on pages that are at most two thirds full.
    pub(crate) pinned_bytes: u64,
    /// Of these, the bytes on pages with blocks of several sites,
    pub(crate) shared_bytes: u64,
    /// and on pages with blocks of one site only, by site; of those with the most bytes, these first.
    pub(crate) by_site: Vec<(u32, u64)>,
    /// Bytes of resident pages without live blocks; `None` if they are unknown.
    pub(crate) empty_bytes: Option<u64>,
}

impl State {
    pub(super) fn new(blocks: &[Located], pages: &Pages) -> Self {
        let mut state = Self { blocks: blocks.len() as u64, ..Self::default() };
        let mut by_site: HashMap<u32, u64, FixedState> = HashMap::default();
        for block in blocks {
            state.requested_bytes = state.requested_bytes.saturating_add(block.requested);
        }
        for run in &pages.with_blocks {
            let count = run.pages.end - run.pages.start;
            let free = count.saturating_mul(PAGE - run.used);
            state.page_bytes = state.page_bytes.saturating_add(count.saturating_mul(PAGE));
            state.block_bytes = state.block_bytes.saturating_add(count.saturating_mul(run.used));
            if run.used > MOST_PINNED {
                continue;
            }
            state.pinned_bytes = state.pinned_bytes.saturating_add(free);
            match run.owner {
                Owner::Site(site) => *by_site.entry(site).or_default() += free,
                Owner::Several => state.shared_bytes += free,
            }
        }
        state.by_site = by_site.into_iter().collect();
        state.by_site.sort_unstable_by_key(|&(site, bytes)| (Reverse(bytes), site));
        state.by_site.truncate(SITES);
        let empty = pages.empty.as_ref();
        state.empty_bytes =
            empty.map(|ranges| ranges.iter().map(|range| (range.end - range.start) * PAGE).sum());
        state
    }

    /// Returns the bytes of all pages that are known: with live blocks, and resident ones without.
    pub(crate) fn all_bytes(&self) -> u64 {
        self.page_bytes.saturating_add(self.empty_bytes.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::pages::tests::block, *};

    #[test]
    fn sites_pin_pages_on_which_they_are_alone() {
        let full = |page: u64| block(page * PAGE, PAGE, 7);
        let small = |page: u64, stack| block(page * PAGE + 100 * u64::from(stack), 16, stack);
        let blocks = [full(0), small(1, 1), small(2, 1), small(2, 1 + 1), small(4, 3), small(5, 3), full(6)];
        let blocks = [&blocks[..], &[block(8 * PAGE, MOST_PINNED + 1, 9)]].concat();
        let state = State::new(&blocks, &Pages::new(&blocks, |stack| stack, None));
        let free = PAGE - 16;
        assert_eq!(state.by_site, [(3, 2 * free), (1, free)]);
        assert_eq!(state.shared_bytes, PAGE - 32);
        assert_eq!(
            state.pinned_bytes,
            3 * free + PAGE - 32,
            "more than two thirds of the last page are used"
        );
        assert_eq!((state.page_bytes, state.empty_bytes, state.blocks), (7 * PAGE, None, 8));
        assert_eq!(state.block_bytes, state.requested_bytes);
        assert_eq!(state.requested_bytes, 2 * PAGE + 5 * 16 + MOST_PINNED + 1);
    }
}
