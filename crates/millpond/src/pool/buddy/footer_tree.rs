//! Finds the chunk in which an address lies: a search tree over the chunks, in their footers.
//!
//! The tree is a treap: ordered by address from left to right, and by rank from top to bottom. Larger chunks rank
//! higher, because most blocks lie in them. Among chunks of about the same size the rank is pseudo-random, so that the
//! tree stays shallow: finding, inserting and removing take an expected O(log chunks), and finding a block of the
//! largest chunk takes one step.
//!
//! Source: Seidel and Aragon, "Randomized Search Trees" (1996).

use super::footer::Footer;
use crate::base::address::recover;

/// A treap of footers.
///
/// # Invariants
///
/// * Every footer's `lower` subtree lies at lower addresses, its `higher` subtree at higher ones, and both rank below
///   it.
pub(super) struct FooterTree {
    root: usize,
}

/// Returns the rank of a footer: the higher one is nearer to the root.
fn rank(footer: &Footer) -> (u32, usize) {
    // Fibonacci hashing: the low bits of all starts are alike, and the high bits of the product depend on all the other
    // bits.
    (footer.size.ilog2(), footer.start.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as usize))
}

/// A link: where the address of a footer is stored.
#[derive(Clone, Copy)]
enum Link {
    Root,
    /// In the footer at this address.
    Lower(usize),
    Higher(usize),
}

impl Footer {
    /// Returns the link of this footer, which is at `address`, towards the chunk that begins at `start`, and the link's
    /// value.
    fn towards(&self, start: usize, address: usize) -> (Link, usize) {
        if start < self.start {
            (Link::Lower(address), self.lower)
        } else {
            (Link::Higher(address), self.higher)
        }
    }
}

impl FooterTree {
    pub(super) const EMPTY: Self = Self { root: 0 };

    /// Returns the footer at an address from a link; `None` for zero.
    #[inline(always)]
    fn at<'a>(address: usize) -> Option<&'a mut Footer> {
        // SAFETY: links are zero or addresses of footers in the tree, which are reached only through the owner of the
        // tree, by one reference at a time.
        unsafe { recover::<Footer>(address).as_mut() }
    }

    /// Returns the footer at an address from a sound footer; `None` for zero, and for a footer that was overwritten.
    fn sound<'a>(address: usize) -> Option<&'a mut Footer> {
        Self::at(address).filter(|footer| footer.is_sound())
    }

    /// Returns the chunk whose blocks lie around `address`.
    #[inline(always)]
    pub(super) fn find(&mut self, address: usize) -> Option<&mut Footer> {
        self.search(address, Self::at)
    }

    #[inline(always)]
    fn search<'a>(
        &self,
        address: usize,
        at: impl Fn(usize) -> Option<&'a mut Footer>,
    ) -> Option<&'a mut Footer> {
        let mut next = self.root;
        loop {
            let footer = at(next)?;
            if address < footer.first {
                next = footer.lower;
            } else if address >= footer.end {
                next = footer.higher;
            } else {
                return Some(footer);
            }
        }
    }

    /// Returns the same by shared reference, unless a footer on the way was overwritten.
    pub(super) fn around(&self, address: usize) -> Option<&Footer> {
        self.search(address, Self::sound).map(|footer| &*footer)
    }

    /// Sets a link. Its footer is sound before and afterwards.
    fn set(&mut self, link: Link, to: usize) {
        let (Link::Lower(of) | Link::Higher(of)) = link else {
            self.root = to;
            return;
        };
        if let Some(footer) = Self::at(of) {
            match link {
                Link::Lower(_) => footer.lower = to,
                _ => footer.higher = to,
            }
            footer.seal();
        }
    }

    /// Adds the footer at `address`, and returns it.
    ///
    /// # Safety
    ///
    /// A footer lies at `address`, in a chunk that does not overlap any other one in the tree.
    pub(super) unsafe fn insert(&mut self, address: usize) -> Option<&mut Footer> {
        let new = Self::at(address)?;
        let (start, rank_of_new) = (new.start, rank(new));
        let (mut link, mut rest) = (Link::Root, self.root);
        while let Some(here) = Self::sound(rest).filter(|here| rank(here) > rank_of_new) {
            (link, rest) = here.towards(start, rest);
        }
        self.set(link, address);
        // The subtree that was here goes below, to both sides.
        let (mut lower, mut higher) = (Link::Lower(address), Link::Higher(address));
        while let Some(&mut Footer { start: other, lower: left, higher: right, .. }) = Self::sound(rest) {
            if other < start {
                self.set(lower, rest);
                (lower, rest) = (Link::Higher(rest), right);
            } else {
                self.set(higher, rest);
                (higher, rest) = (Link::Lower(rest), left);
            }
        }
        self.set(lower, 0);
        self.set(higher, 0);
        Self::at(address)
    }

    /// Removes the footer of the chunk that begins at `start`, and returns it.
    pub(super) fn remove(&mut self, start: usize) -> Option<&mut Footer> {
        let (mut link, mut next) = (Link::Root, self.root);
        let gone = loop {
            let here = Self::sound(next)?;
            if here.start == start {
                break here;
            }
            (link, next) = here.towards(start, next);
        };
        let (mut lower, mut higher) = (gone.lower, gone.higher);
        while let (Some(left), Some(right)) = (Self::sound(lower), Self::sound(higher)) {
            if rank(left) > rank(right) {
                let next = left.higher;
                self.set(link, lower);
                (link, lower) = (Link::Higher(lower), next);
            } else {
                let next = right.lower;
                self.set(link, higher);
                (link, higher) = (Link::Lower(higher), next);
            }
        }
        // One of them is zero, or leads to a footer that was overwritten.
        self.set(link, if Self::sound(lower).is_some() { lower } else { higher });
        Some(gone)
    }

    /// Returns the first chunk that begins at `start` or later.
    pub(super) fn first_from(&self, start: usize) -> Option<&Footer> {
        self.next_from(start).map(|footer| &*footer)
    }

    fn next_from<'a>(&self, start: usize) -> Option<&'a mut Footer> {
        let (mut next, mut best) = (self.root, 0);
        while let Some(footer) = Self::sound(next) {
            if footer.start >= start {
                (best, next) = (next, footer.lower);
            } else {
                next = footer.higher;
            }
        }
        Self::sound(best)
    }

    /// Returns every chunk, lowest address first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Footer> {
        let mut start = 0;
        core::iter::from_fn(move || {
            let footer = self.first_from(start)?;
            start = footer.start + 1;
            Some(footer)
        })
    }

    /// Calls a function with every chunk, lowest address first. The links must not change.
    pub(super) fn for_each(&mut self, mut work: impl FnMut(&mut Footer)) {
        let mut start = 0;
        while let Some(footer) = self.next_from(start) {
            start = footer.start + 1;
            work(footer);
        }
    }

    /// Returns the chunk at the root.
    pub(super) fn top(&self) -> Option<&Footer> {
        Self::sound(self.root).map(|footer| &*footer)
    }

    /// Returns whether `address` lies in a chunk, including its bits and footer.
    pub(super) fn holds(&self, address: usize) -> bool {
        let mut next = self.root;
        while let Some(footer) = Self::sound(next) {
            if address.wrapping_sub(footer.start) < footer.size {
                return true;
            }
            next = if address < footer.start { footer.lower } else { footer.higher };
        }
        false
    }

    /// Returns whether every footer is sound and is found by its address, and no chunk overlaps the next.
    pub(super) fn is_ordered(&self) -> bool {
        let mut end = 0;
        let is_whole = self.root == 0 || self.top().is_some();
        is_whole
            && self.iter().all(|footer| {
                let apart = footer.start >= core::mem::replace(&mut end, footer.start + footer.size);
                let is_below = |child: &mut Footer| child.is_sound() && rank(child) < rank(footer);
                let placed = |child| Self::at(child).is_none_or(is_below);
                apart && placed(footer.lower) && placed(footer.higher)
            })
    }
}

#[cfg(test)]
mod tests {
    use std::{boxed::Box, collections::BTreeMap, vec::Vec};

    use super::*;

    /// Inserting and removing in any order, with chunks of all sizes, finds the same as a sorted list.
    #[test]
    fn random_operations_keep_the_order() {
        for seed in 0..100 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut tree = FooterTree::EMPTY;
            let mut inside: BTreeMap<usize, usize> = BTreeMap::new();
            let footers: Vec<*mut Footer> = (0..60)
                .map(|index| Box::into_raw(Box::new(Footer::of(10_000 * (index + 1), 1 << rng.usize(0..9)))))
                .collect();
            for _ in 0..400 {
                let footer = footers[rng.usize(0..footers.len())];
                // SAFETY: the footers live until the end of the test.
                let (start, end) = unsafe { ((*footer).start, (*footer).end) };
                if inside.remove(&start).is_some() {
                    assert_eq!(tree.remove(start).map(|gone| gone.start), Some(start));
                } else {
                    assert!(tree.remove(start).is_none());
                    // SAFETY: it is a footer, of a chunk that is not in the tree.
                    let new = unsafe { tree.insert(footer.expose_provenance()) };
                    assert_eq!(new.map(|new| new.start), Some(start));
                    inside.insert(start, end);
                }
                assert!(tree.is_ordered());
                let starts: Vec<usize> = tree.iter().map(|footer| footer.start).collect();
                assert_eq!(starts, inside.keys().copied().collect::<Vec<_>>());
                let address = if rng.bool() { rng.usize(9_000..620_000) } else { end };
                let around = inside.range(..=address).next_back().filter(|&(_, &end)| address < end);
                assert_eq!(tree.find(address).map(|footer| footer.start), around.map(|(&start, _)| start));
                let held = inside.range(..=address).next_back().is_some_and(|(_, &end)| address < end + 8);
                assert_eq!(tree.holds(address), held);
            }
            for footer in footers {
                // SAFETY: the footer came from a box, and the tree is no longer used.
                drop(unsafe { Box::from_raw(footer) });
            }
        }
    }
}
