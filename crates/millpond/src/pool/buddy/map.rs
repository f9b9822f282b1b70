//! Which chunk an address lies in: a search tree over the chunks, in their footers.
//!
//! A treap: ordered by address from left to right, and by rank from top to bottom. Larger chunks rank higher, since most
//! blocks lie in them, and among chunks of about the same size chance decides, so that the tree stays shallow: finding,
//! inserting and removing take an expected O(log chunks), and finding a block of the largest chunk takes one step.
//!
//! Source: Seidel and Aragon, "Randomized Search Trees" (1996).

use super::footer::Footer;
use crate::base::address::recover;

/// # Invariants
///
/// * Every footer's `lower` subtree lies at lower addresses, its `higher` subtree at higher ones, and both rank below it.
pub(super) struct Map {
    root: usize,
}

/// What decides who is further up.
fn rank(footer: &Footer) -> (u32, usize) {
    // Fibonacci hashing; the low bits of a start are all alike, and the product's high bits depend on all others.
    (footer.size.ilog2(), footer.start.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize))
}

impl Map {
    pub(super) const EMPTY: Self = Self { root: 0 };

    /// The footer at an address from a link; `None` for zero.
    #[inline(always)]
    fn at<'a>(address: usize) -> Option<&'a mut Footer> {
        // SAFETY: links are zero or addresses of footers in the map, which only the map's holder reaches, and through
        // one reference at a time.
        unsafe { recover::<Footer>(address).as_mut() }
    }

    /// The chunk whose blocks lie around `address`.
    #[inline(always)]
    pub(super) fn find(&mut self, address: usize) -> Option<&mut Footer> {
        self.search(address)
    }

    #[inline(always)]
    fn search<'a>(&self, address: usize) -> Option<&'a mut Footer> {
        let mut next = self.root;
        loop {
            let footer = Self::at(next)?;
            if address < footer.first {
                next = footer.lower;
            } else if address >= footer.end {
                next = footer.higher;
            } else {
                return Some(footer);
            }
        }
    }

    /// The same, to look at.
    pub(super) fn around(&self, address: usize) -> Option<&Footer> {
        self.search(address).map(|footer| &*footer)
    }

    /// Adds the footer at `address`, and returns it.
    ///
    /// # Safety
    ///
    /// It is a footer, in a chunk that overlaps no other one here.
    pub(super) unsafe fn insert(&mut self, address: usize) -> Option<&mut Footer> {
        let new = Self::at(address)?;
        let mut link = &mut self.root;
        while let Some(here) = Self::at(*link).filter(|here| rank(here) > rank(new)) {
            link = if new.start < here.start { &mut here.lower } else { &mut here.higher };
        }
        let mut rest = core::mem::replace(link, address);
        // What was here goes below, to both sides.
        let (mut lower, mut higher) = (&mut new.lower, &mut new.higher);
        while let Some(here) = Self::at(rest) {
            if here.start < new.start {
                *lower = rest;
                lower = &mut here.higher;
                rest = *lower;
            } else {
                *higher = rest;
                higher = &mut here.lower;
                rest = *higher;
            }
        }
        (*lower, *higher) = (0, 0);
        Some(new)
    }

    /// Takes out the footer of the chunk that begins at `start`.
    pub(super) fn remove(&mut self, start: usize) -> Option<&mut Footer> {
        let mut link = &mut self.root;
        let gone = loop {
            let here = Self::at(*link)?;
            if here.start == start {
                break here;
            }
            link = if start < here.start { &mut here.lower } else { &mut here.higher };
        };
        let (mut lower, mut higher) = (gone.lower, gone.higher);
        while let (Some(left), Some(right)) = (Self::at(lower), Self::at(higher)) {
            if rank(left) > rank(right) {
                *link = lower;
                link = &mut left.higher;
                lower = *link;
            } else {
                *link = higher;
                link = &mut right.lower;
                higher = *link;
            }
        }
        *link = lower | higher; // one of them is zero
        Some(gone)
    }

    /// The first chunk that begins at `start` or later.
    pub(super) fn first_from(&self, start: usize) -> Option<&Footer> {
        self.next_from(start).map(|footer| &*footer)
    }

    fn next_from<'a>(&self, start: usize) -> Option<&'a mut Footer> {
        let (mut next, mut best) = (self.root, 0);
        while let Some(footer) = Self::at(next) {
            if footer.start >= start {
                (best, next) = (next, footer.lower);
            } else {
                next = footer.higher;
            }
        }
        Self::at(best)
    }

    /// Every chunk, lowest address first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Footer> {
        let mut start = 0;
        core::iter::from_fn(move || {
            let footer = self.first_from(start)?;
            start = footer.start + 1;
            Some(footer)
        })
    }

    /// Does something with every chunk, lowest address first. The links must not change.
    pub(super) fn for_each(&mut self, mut work: impl FnMut(&mut Footer)) {
        let mut start = 0;
        while let Some(footer) = self.next_from(start) {
            start = footer.start + 1;
            work(footer);
        }
    }

    /// The chunk at the top.
    pub(super) fn top(&self) -> Option<&Footer> {
        Self::at(self.root).map(|footer| &*footer)
    }

    /// Whether `address` lies in a chunk, its bits and footer included.
    pub(super) fn holds(&self, address: usize) -> bool {
        let mut next = self.root;
        while let Some(footer) = Self::at(next) {
            if address.wrapping_sub(footer.start) < footer.size {
                return true;
            }
            next = if address < footer.start { footer.lower } else { footer.higher };
        }
        false
    }

    /// Whether every footer is found where its address says, and no chunk overlaps the next.
    pub(super) fn is_ordered(&self) -> bool {
        let mut end = 0;
        self.iter().all(|footer| {
            let apart = footer.start >= core::mem::replace(&mut end, footer.start + footer.size);
            let placed = |child| Self::at(child).is_none_or(|child| rank(child) < rank(footer));
            apart && placed(footer.lower) && placed(footer.higher)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{boxed::Box, collections::BTreeMap, vec::Vec};

    use super::*;

    /// Inserting and removing in any order, with chunks of all sizes, finds what a sorted list finds.
    #[test]
    fn any_order_of_operations_keeps_the_tree_in_order() {
        for seed in 0..100 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut map = Map::EMPTY;
            let mut inside: BTreeMap<usize, usize> = BTreeMap::new();
            let footers: Vec<*mut Footer> = (0..60)
                .map(|index| Box::into_raw(Box::new(Footer::of(10_000 * (index + 1), 1 << rng.usize(0..9)))))
                .collect();
            for _ in 0..400 {
                let footer = footers[rng.usize(0..footers.len())];
                // SAFETY: the footers live until the end of the test.
                let (start, end) = unsafe { ((*footer).start, (*footer).end) };
                if inside.remove(&start).is_some() {
                    assert_eq!(map.remove(start).map(|gone| gone.start), Some(start));
                } else {
                    assert!(map.remove(start).is_none());
                    // SAFETY: it is a footer, of a chunk that is not in the map.
                    let new = unsafe { map.insert(footer.expose_provenance()) };
                    assert_eq!(new.map(|new| new.start), Some(start));
                    inside.insert(start, end);
                }
                assert!(map.is_ordered());
                let starts: Vec<usize> = map.iter().map(|footer| footer.start).collect();
                assert_eq!(starts, inside.keys().copied().collect::<Vec<_>>());
                let address = if rng.bool() { rng.usize(9_000..620_000) } else { end };
                let around = inside.range(..=address).next_back().filter(|&(_, &end)| address < end);
                assert_eq!(map.find(address).map(|footer| footer.start), around.map(|(&start, _)| start));
                let held = inside.range(..=address).next_back().is_some_and(|(_, &end)| address < end + 8);
                assert_eq!(map.holds(address), held);
            }
            for footer in footers {
                // SAFETY: the footer came from a box, and the map is used no more.
                drop(unsafe { Box::from_raw(footer) });
            }
        }
    }
}
