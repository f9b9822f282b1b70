//! The hot path that [`Magazine`](super::Magazine) and [`AddressOrdered`](super::AddressOrdered) share: a small array
//! of free blocks, the *free cache*, in front of a *backing*.
//!
//! Freeing stores the address of the block in the array and does not access the block, which may not be in the
//! processor's cache. Allocating takes the address that was stored last. A full array spills its older half into the
//! backing; an empty array is refilled from there by half, or with uncarved blocks, lowest address on top. Only the
//! backing differs between the two.
//!
//! Allocate and free are amortised O(1): a spill or a refill moves half an array.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001), here for one thread.

use core::ptr::NonNull;

use super::{FreeList, free_list::Sealed, uncarved::Uncarved};
use crate::{
    base::address::{prefetch_for_writing, recover},
    pool::chunks::Span,
    traits::InvariantError,
};

/// Where freed blocks are kept when the array has no room for them. All blocks are `size` bytes long.
pub trait Backing: Sized {
    /// See [`Sealed::REGION`].
    const REGION: usize;

    /// The backing without blocks.
    const EMPTY: Self;

    /// Takes free blocks.
    ///
    /// # Safety
    ///
    /// Each is a free block of this pool that is not used and not in the backing already.
    unsafe fn spill(&mut self, blocks: &[usize], size: usize);

    /// Fills `places` with as many blocks as it has and as fit; returns their number. The last one is used first.
    fn refill(&mut self, places: &mut [usize], size: usize) -> usize;

    /// Returns an overwritten address that a refill with `most` blocks would follow, as far as the backing follows
    /// contents of free blocks.
    fn damage(&self, uncarved: &Uncarved, size: usize, most: usize) -> Option<usize> {
        let _ = (uncarved, size, most);
        None
    }

    /// Prepares a chunk from which blocks are about to be carved.
    ///
    /// # Safety
    ///
    /// The chunk belongs to the pool, and nothing in it is live or free.
    unsafe fn begin(&mut self, span: Span, size: usize);

    /// Returns all blocks of the backing, in no particular order, as far as they can be found: see [`Sealed::free`].
    fn iter(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize>;

    /// Returns the number of blocks in the backing.
    fn count(&self, uncarved: &Uncarved, size: usize) -> usize;

    /// Makes those chunks reusable whose blocks are all here, and forgets these blocks. All free blocks of the pool are
    /// here. See [`Sealed::collect_empty`].
    fn collect_empty(&mut self, uncarved: &mut Uncarved, size: usize);

    /// Checks the invariants of the backing.
    fn check(&self, uncarved: &Uncarved, size: usize) -> Result<(), InvariantError>;
}

/// A free list that puts an array of `PLACES` words in front of a backing: [`Magazine`](super::Magazine) or
/// [`AddressOrdered`](super::AddressOrdered).
///
/// # Invariants
///
/// * `places[1..=len]` are the addresses of distinct free blocks, none of which is in the backing.
/// * `places[0]` is zero, so that an allocation detects an empty array without a comparison of `len`.
#[derive(Debug)]
pub struct FreeCache<S, const PLACES: usize> {
    len: usize,
    places: [usize; PLACES],
    backing: S,
}

impl<S: Backing, const PLACES: usize> FreeCache<S, PLACES> {
    const HALF: usize = {
        assert!(PLACES >= 4, "the array in front has at least 4 places: choose more PLACES");
        PLACES / 2
    };

    #[cold]
    #[inline(never)]
    fn spill(&mut self, size: usize) {
        debug_assert_eq!(self.len, PLACES - 1, "only a full array is spilled");
        // SAFETY: the blocks in the array are free and not in the backing.
        unsafe { self.backing.spill(&self.places[1..=Self::HALF], size) };
        self.places.copy_within(1 + Self::HALF..=self.len, 1);
        self.len -= Self::HALF;
    }

    /// Moves all blocks to the backing.
    pub(super) fn flush(&mut self, size: usize) {
        // SAFETY: the blocks in the array are free and not in the backing.
        unsafe { self.backing.spill(&self.places[1..=self.len], size) };
        self.len = 0;
    }

    /// Fills an empty array by half; returns false if there are no blocks to fill it with.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, uncarved: &mut Uncarved, size: usize) -> bool {
        debug_assert_eq!(self.len, 0, "only an empty array is refilled");
        self.len = self.backing.refill(&mut self.places[1..=Self::HALF], size);
        // All of them will be written to soon, and were not accessed since they were freed, or longer.
        self.places[1..=self.len].iter().rev().for_each(|&block| prefetch_for_writing(block));
        if self.len == 0 {
            // SAFETY: blocks are carved from the chunk for the first time since it was added or since the last reset,
            // so nothing in it is live or free.
            let run = uncarved.carve_up_to(Self::HALF, |span| unsafe { self.backing.begin(span, size) });
            let mut block = run.end;
            while block > run.start {
                block -= size;
                self.len += 1;
                self.places[self.len] = block;
            }
        }
        self.len != 0
    }
}

impl<S: Backing, const PLACES: usize> FreeList for FreeCache<S, PLACES> {}

impl<S: Backing, const PLACES: usize> Sealed for FreeCache<S, PLACES> {
    const REGION: usize = S::REGION;
    const EMPTY: Self = Self { len: 0, places: [0; PLACES], backing: S::EMPTY };

    #[inline(always)]
    fn first_freed(&self) -> usize {
        // SAFETY: `len` is less than `PLACES`: see `put`.
        unsafe { *self.places.get_unchecked(self.len) }
    }

    #[inline(always)]
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        debug_assert_eq!(self.places[0], 0, "the array has lost its bottom");
        let block = NonNull::new(recover::<u8>(self.first_freed()))?;
        self.len -= 1;
        Some(block)
    }

    #[inline(always)]
    fn take(&mut self, uncarved: &mut Uncarved, size: usize) -> Option<NonNull<u8>> {
        match self.take_freed() {
            Some(block) => Some(block),
            None if self.refill(uncarved, size) => self.take_freed(),
            None => None,
        }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        debug_assert_ne!(self.first_freed(), block.addr().get(), "freed a block that is free");
        if self.len == PLACES - 1 {
            self.spill(size);
        }
        self.len += 1;
        // SAFETY: `len` was less than `PLACES - 1`.
        unsafe { *self.places.get_unchecked_mut(self.len) = block.addr().get() };
    }

    fn damage(&self, uncarved: &Uncarved, size: usize) -> Option<usize> {
        match self.first_freed() {
            0 => self.backing.damage(uncarved, size, Self::HALF),
            first => (!uncarved.is_block(first)).then_some(first),
        }
    }

    fn clear(&mut self) {
        self.len = 0;
        self.backing = S::EMPTY;
    }

    fn free(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        self.places[1..=self.len].iter().copied().chain(self.backing.iter(uncarved, size))
    }

    fn count_free(&self, uncarved: &Uncarved, size: usize, most: usize) -> usize {
        (self.len + self.backing.count(uncarved, size)).min(most)
    }

    fn collect_empty(&mut self, uncarved: &mut Uncarved, size: usize) {
        self.flush(size);
        self.backing.collect_empty(uncarved, size);
    }

    fn check(&self, uncarved: &Uncarved, size: usize) -> Result<(), InvariantError> {
        if self.len >= PLACES || self.places[0] != 0 {
            return Err(InvariantError("the bottom or the top of the free cache was overwritten"));
        }
        self.backing.check(uncarved, size)
    }
}
