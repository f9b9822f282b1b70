//! The one hot path of the strategies *Magazine* and *Compact*: a small array of free blocks in front of a store.
//!
//! Freeing puts the block's address into the array and does not touch the block, which may be cold; allocating takes
//! the last one put there. A full array spills its older half into the store behind; an empty one is refilled from
//! there by half, or with fresh blocks, lowest address on top. The two strategies differ in the store alone.
//!
//! Allocate and free are O(1) amortised: a spill or a refill moves half an array.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001), here for one thread.

use core::ptr::NonNull;

use super::{Strategy, fresh::Fresh, strategy::Sealed};
use crate::{
    base::address::{prefetch_for_writing, recover},
    contract::Flaw,
    pool::chunks::Span,
};

/// Where freed blocks go that the array has no place for. All blocks are `size` bytes long.
pub trait Store: Sized {
    /// See [`Sealed::REGION`].
    const REGION: usize;

    /// The store without a single block.
    const EMPTY: Self;

    /// Takes free blocks, which nobody uses.
    ///
    /// # Safety
    ///
    /// Each is a block of this pool, free, and not here already.
    unsafe fn spill(&mut self, blocks: &[usize], size: usize);

    /// Gives blocks, as many as it has and `places` holds at most; the last one is used first.
    fn refill(&mut self, places: &mut [usize], size: usize) -> usize;

    /// Where something was overwritten that a refill with `most` blocks would follow, as far as the store follows what lies in
    /// free blocks.
    fn damage(&self, fresh: &Fresh, size: usize, most: usize) -> Option<usize> {
        let _ = (fresh, size, most);
        None
    }

    /// Readies a chunk that blocks are about to be cut from.
    ///
    /// # Safety
    ///
    /// The chunk is the pool's, and nothing in it is live or free.
    unsafe fn begin(&mut self, span: Span, size: usize);

    /// All blocks that are here, in no particular order, as far as they are found: see [`Sealed::free`].
    fn iter(&self, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize>;

    /// How many blocks are here.
    fn count(&self, fresh: &Fresh, size: usize) -> usize;

    /// Makes the chunks fresh again all of whose blocks are here, and forgets these. All free blocks are here. See
    /// [`Sealed::settle`].
    fn settle(&mut self, fresh: &mut Fresh, size: usize);

    /// The store's own invariants.
    fn check(&self, fresh: &Fresh, size: usize) -> Result<(), Flaw>;
}

/// A strategy that puts an array of `PLACES` words in front of a store: [`Magazine`](super::Magazine) or
/// [`Compact`](super::Compact).
///
/// # Invariants
///
/// * `places[1..=stored]` are the addresses of different free blocks, none of which is in the store.
/// * `places[0]` is zero, so that an allocation needs no comparison to find the array empty.
#[derive(Debug)]
pub struct Fronted<S, const PLACES: usize> {
    stored: usize,
    places: [usize; PLACES],
    store: S,
}

impl<S: Store, const PLACES: usize> Fronted<S, PLACES> {
    const HALF: usize = {
        assert!(PLACES >= 4, "the array in front has at least 4 places: choose more PLACES");
        PLACES / 2
    };

    #[cold]
    #[inline(never)]
    fn spill(&mut self, size: usize) {
        // SAFETY: what is in the array is free and not in the store.
        unsafe { self.store.spill(&self.places[1..=Self::HALF], size) };
        self.places.copy_within(1 + Self::HALF..=self.stored, 1);
        self.stored -= Self::HALF;
    }

    /// Puts everything into the store.
    pub(super) fn flush(&mut self, size: usize) {
        // SAFETY: what is in the array is free and not in the store.
        unsafe { self.store.spill(&self.places[1..=self.stored], size) };
        self.stored = 0;
    }

    /// Fills an empty array by half; false if there is nothing to fill it with.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, fresh: &mut Fresh, size: usize) -> bool {
        debug_assert_eq!(self.stored, 0, "only an empty array is refilled");
        self.stored = self.store.refill(&mut self.places[1..=Self::HALF], size);
        // All are written to soon, and were not touched since they were freed, if not for longer.
        self.places[1..=self.stored].iter().rev().for_each(|&block| prefetch_for_writing(block));
        if self.stored == 0 {
            // SAFETY: the chunk is about to be cut for the first time since it came or since the reset.
            let run = fresh.cut_some(Self::HALF, |span| unsafe { self.store.begin(span, size) });
            let mut block = run.end;
            while block > run.start {
                block -= size;
                self.stored += 1;
                self.places[self.stored] = block;
            }
        }
        self.stored != 0
    }
}

impl<S: Store, const PLACES: usize> Strategy for Fronted<S, PLACES> {}

impl<S: Store, const PLACES: usize> Sealed for Fronted<S, PLACES> {
    const REGION: usize = S::REGION;
    const EMPTY: Self = Self { stored: 0, places: [0; PLACES], store: S::EMPTY };

    #[inline(always)]
    fn first_freed(&self) -> usize {
        // SAFETY: `stored` is below `PLACES`: see `put`.
        unsafe { *self.places.get_unchecked(self.stored) }
    }

    #[inline(always)]
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        let block = NonNull::new(recover::<u8>(self.first_freed()))?;
        self.stored -= 1;
        Some(block)
    }

    #[inline(always)]
    fn take(&mut self, fresh: &mut Fresh, size: usize) -> Option<NonNull<u8>> {
        match self.take_freed() {
            Some(block) => Some(block),
            None if self.refill(fresh, size) => self.take_freed(),
            None => None,
        }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        if self.stored == PLACES - 1 {
            self.spill(size);
        }
        self.stored += 1;
        // SAFETY: `stored` was below `PLACES - 1`.
        unsafe { *self.places.get_unchecked_mut(self.stored) = block.addr().get() };
    }

    fn damage(&self, fresh: &Fresh, size: usize) -> Option<usize> {
        match self.first_freed() {
            0 => self.store.damage(fresh, size, Self::HALF),
            first => (!fresh.is_block(first)).then_some(first),
        }
    }

    fn clear(&mut self) {
        self.stored = 0;
        self.store = S::EMPTY;
    }

    fn free(&self, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize> {
        self.places[1..=self.stored].iter().copied().chain(self.store.iter(fresh, size))
    }

    fn count_free(&self, fresh: &Fresh, size: usize, most: usize) -> usize {
        (self.stored + self.store.count(fresh, size)).min(most)
    }

    fn settle(&mut self, fresh: &mut Fresh, size: usize) {
        self.flush(size);
        self.store.settle(fresh, size);
    }

    fn check(&self, fresh: &Fresh, size: usize) -> Result<(), Flaw> {
        if self.stored >= PLACES || self.places[0] != 0 {
            return Err(Flaw("the array in front has lost its bottom or its top"));
        }
        self.store.check(fresh, size)
    }
}
