//! Magazines: the free blocks that a thread has at hand.
//!
//! A magazine is an array of words whose length is a power of two, at an address aligned to its size in bytes. The last
//! words are the addresses of free blocks; the word below them is zero, the *bottom*. `top` points at the last block,
//! or at the bottom if there is none. One test therefore detects an empty magazine (the word at `top` is zero) and one
//! a full magazine (the word after `top` begins the next magazine), and neither needs to know where the magazine lies.
//!
//! A full magazine that waits in the depot keeps a link in its first word and its bottom in the second, so it holds two
//! blocks fewer than it has words.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001); the sentinels are ours.

use core::{marker::PhantomData, ptr::NonNull};

use super::config::{CacheConfig, MAX_WORDS};
use crate::base::address::{WORD, prefetch_for_writing};

/// Size of a cache line in bytes, on most processors.
const LINE: usize = 64;

/// A magazine without room for a block: empty and full at once, so its user takes the cold path. Its last words also
/// form a magazine of any smaller size.
#[repr(align(1024))]
struct Sentinel([usize; MAX_WORDS]);

static SENTINEL: Sentinel = Sentinel([0; MAX_WORDS]);

/// The top of the magazine that has no room for a block. It is never written to.
pub(super) const SENTINEL_TOP: *mut usize =
    (&raw const SENTINEL.0).cast::<usize>().wrapping_add(MAX_WORDS - 1).cast_mut();

/// A magazine of as many words as the configuration says.
///
/// # Invariants
///
/// * `bottom` and `top` lie in one magazine, with `bottom` not above `top`; or both are [`SENTINEL_TOP`].
/// * The word at `bottom` is zero, and those above it, up to `top`, are the addresses of distinct free blocks.
pub(super) struct Magazine<C> {
    pub(super) top: *mut usize,
    pub(super) bottom: *mut usize,
    config: PhantomData<fn() -> C>,
}

impl<C> Clone for Magazine<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Magazine<C> {}

impl<C: CacheConfig> Magazine<C> {
    /// Number of words in a magazine.
    pub(super) const WORDS: usize = {
        assert!(
            C::WORDS.is_power_of_two() && C::WORDS >= 4 && C::WORDS <= MAX_WORDS,
            "a magazine has 4, 8, 16, 32, 64 or 128 words"
        );
        C::WORDS
    };

    /// Size of a magazine in bytes, and its alignment.
    pub(super) const BYTES: usize = Self::WORDS * WORD;

    /// Maximum number of blocks in a magazine.
    pub(super) const MAX_BLOCKS: usize = Self::WORDS - 2;

    pub(super) const NONE: Self = Self::new(SENTINEL_TOP, SENTINEL_TOP);

    /// Returns the magazine with these two ends.
    pub(super) const fn new(top: *mut usize, bottom: *mut usize) -> Self {
        Self { top, bottom, config: PhantomData }
    }

    /// Returns an empty magazine at `base` with room for `limit` blocks.
    ///
    /// # Safety
    ///
    /// `base` is the start of an unused magazine, and `limit` is at most [`MAX_BLOCKS`](Self::MAX_BLOCKS).
    pub(super) unsafe fn empty(base: NonNull<usize>, limit: usize) -> Self {
        debug_assert!(limit <= Self::MAX_BLOCKS && base.addr().get().is_multiple_of(Self::BYTES));
        // SAFETY: the bottom lies above the first word of the magazine, which is the caller's.
        unsafe {
            let bottom = base.add(Self::WORDS - 1 - limit);
            bottom.write(0);
            Self::new(bottom.as_ptr(), bottom.as_ptr())
        }
    }

    /// Returns the same blocks, moved down so that there is room for `limit` in total. O(blocks).
    ///
    /// # Safety
    ///
    /// The magazine is the caller's and has at most `limit` blocks; `limit` is at most
    /// [`MAX_BLOCKS`](Self::MAX_BLOCKS).
    pub(super) unsafe fn expanded(self, limit: usize) -> Self {
        debug_assert!(self.count() <= limit && limit <= Self::MAX_BLOCKS, "the blocks have no room");
        // SAFETY: the bottom and the blocks above it lie in the magazine before and after the move.
        unsafe {
            let bottom = self.base().add(Self::WORDS - 1 - limit).as_ptr();
            bottom.copy_from(self.bottom, self.count() + 1);
            Self::new(bottom.add(self.count()), bottom)
        }
    }

    /// Prefetches the words that will be written to, all at once: otherwise the thread would wait for each cache line
    /// in turn.
    pub(super) fn fetch(self) {
        let base = self.base().addr().get();
        (self.bottom.addr()..base + Self::BYTES).step_by(LINE).for_each(prefetch_for_writing);
    }

    /// Returns the number of blocks for which there is room in total.
    pub(super) fn room(self) -> usize {
        Self::WORDS - 1 - self.bottom.addr() % Self::BYTES / WORD
    }

    /// Returns the address at which the magazine begins.
    pub(super) fn base(self) -> NonNull<usize> {
        // SAFETY: magazines lie in chunks, and no chunk begins at address zero.
        unsafe { NonNull::new_unchecked(self.top.map_addr(|top| top & !(Self::BYTES - 1))) }
    }

    pub(super) fn is_none(self) -> bool {
        self.top == SENTINEL_TOP
    }

    pub(super) fn is_empty(self) -> bool {
        self.top == self.bottom
    }

    #[inline(always)]
    pub(super) fn is_full(self) -> bool {
        is_end::<C>(self.top.wrapping_add(1))
    }

    /// Returns the number of blocks in the magazine.
    pub(super) fn count(self) -> usize {
        self.top.addr().saturating_sub(self.bottom.addr()) / WORD
    }

    /// Returns whether the word below the blocks is zero and none of the blocks is.
    pub(super) fn is_valid(self) -> bool {
        // SAFETY: the bottom is a word of the magazine.
        let bottom = unsafe { self.bottom.read() };
        bottom == 0 && self.bottom <= self.top && self.blocks().all(|block| block != 0)
    }

    /// Returns the addresses of the blocks, the next to be handed out first.
    pub(super) fn blocks(self) -> impl Iterator<Item = usize> {
        // SAFETY: the words above the bottom, up to the top, are addresses of blocks.
        (0..self.count()).map(move |index| unsafe { self.top.sub(index).read() })
    }
}

/// Returns whether a magazine ends before this word.
#[inline(always)]
pub(super) fn is_end<C: CacheConfig>(word: *mut usize) -> bool {
    word.addr() & (Magazine::<C>::BYTES - 1) == 0
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::{lock::SpinLock, oom::Fail, shell::CacheOptions};

    type Small = Magazine<CacheOptions<SpinLock, Fail, 16>>;

    #[repr(align(128))]
    struct Words([usize; 16]);

    #[test]
    fn expanding_keeps_the_blocks() {
        for (few, many) in [(1, 1), (1, 14), (3, 7), (7, 14), (13, 14)] {
            let mut words = Words([77; 16]);
            // SAFETY: the words belong to a magazine that nothing else uses, and live as long as the test.
            unsafe {
                let mut magazine = Small::empty(NonNull::from(&mut words.0[0]), few);
                assert_eq!((magazine.room(), magazine.count()), (few, 0));
                for block in 1..=few {
                    assert!(!magazine.is_full());
                    magazine.top = magazine.top.add(1);
                    magazine.top.write(block);
                }
                assert!(magazine.is_full() && magazine.is_valid());
                let wider = magazine.expanded(many);
                assert_eq!((wider.room(), wider.is_full()), (many, few == many));
                assert!(wider.is_valid() && wider.blocks().eq((1..=few).rev()), "{few} to {many}");
                assert_eq!(wider.base(), magazine.base());
                let beyond: Vec<usize> = words.0[..15 - many].to_vec();
                assert!(beyond.iter().all(|&word| word == 77), "nothing is written below the bottom");
            }
        }
    }
}
