//! A pool that lies in one of its own chunks, but for its freed blocks.
//!
//! Who has many pools of which few are used, as size classes are, keeps a list of freed blocks and a word for each. All else
//! is in the first chunk that comes, behind the record of the next older one, and moves on when that chunk goes.

use core::{alloc::Layout, mem, ptr::NonNull};

use super::{Blocks, Lifo, fresh::Fresh, strategy::Sealed};
use crate::base::address::recover;

/// Where the cold part of a pool of blocks is.
///
/// # Invariants
///
/// * `home` is zero as long as the pool has no chunk; else a [`Blocks`] lies there, in the header of one of its chunks,
///   that nothing else points to. No block is freed to it: who has this has the freed blocks, too.
pub(in crate::pool) struct Housed {
    home: usize,
}

impl Blocks {
    /// A pool without chunks. Each of its chunks has room for the pool itself.
    const fn to_be_housed(layout: Layout) -> Self {
        let mut pool = Self::of(layout);
        let (size, align) = (pool.shape.bytes(), pool.shape.alignment());
        pool.fresh = Fresh::with_room_for(size_of::<Self>(), size, align);
        pool
    }
}

impl Housed {
    /// A pool without chunks.
    pub(in crate::pool) const NONE: Self = Self { home: 0 };

    /// Whether it has no chunk.
    pub(in crate::pool) fn is_none(&self) -> bool {
        self.home == 0
    }

    /// Whether none of several has one. (Without a branch for each.)
    pub(in crate::pool) fn are_none(several: &[Self]) -> bool {
        several.iter().fold(0, |any, pool| any | pool.home) == 0
    }

    fn place(&self) -> Option<NonNull<Blocks>> {
        NonNull::new(recover(self.home))
    }

    /// The pool, without its freed blocks, to be asked what these do not matter for.
    pub(in crate::pool) fn get(&self) -> Option<&Blocks> {
        // SAFETY: the pool lies there, and is changed through `&mut self` alone.
        self.place().map(|place| unsafe { place.as_ref() })
    }

    /// Whether a block that has been cut begins at this address.
    pub(in crate::pool) fn has_block(&self, address: usize) -> bool {
        self.get().is_some_and(|pool| pool.fresh.is_block(address))
    }

    /// A copy of the pool to be looked at, or of one without chunks, for blocks of this layout.
    pub(in crate::pool) fn copy(&self, freed: &Lifo, layout: Layout) -> Blocks {
        match self.place() {
            Some(place) => {
                // SAFETY: the pool lies there; it is plain data, and the copy is not changed.
                let pool = unsafe { place.read() };
                Blocks { strategy: *freed, ..pool }
            }
            None => Blocks::to_be_housed(layout),
        }
    }

    /// Lets the pool be used with its freed blocks, to anything but taking or giving up chunks; `None` if it has no chunk.
    pub(in crate::pool) fn with<R>(
        &mut self,
        freed: &mut Lifo,
        use_it: impl FnOnce(&mut Blocks) -> R,
    ) -> Option<R> {
        // SAFETY: the pool lies there, and is borrowed as this is.
        let pool = unsafe { self.place()?.as_mut() };
        mem::swap(&mut pool.strategy, freed);
        let result = use_it(pool);
        mem::swap(&mut pool.strategy, freed);
        Some(result)
    }

    /// Lets the pool, of blocks of this layout, take or give up a chunk: meanwhile it lies elsewhere.
    pub(in crate::pool) fn change<R>(
        &mut self,
        freed: &mut Lifo,
        layout: Layout,
        change: impl FnOnce(&mut Blocks) -> R,
    ) -> R {
        let mut pool = self.copy(freed, layout);
        let result = change(&mut pool);
        *freed = mem::replace(&mut pool.strategy, Lifo::EMPTY);
        self.home = pool.fresh.chunks.room_in_newest().unwrap_or(0);
        if let Some(place) = self.place() {
            // SAFETY: every chunk of this pool has room for it there, that nobody else uses, aligned to a word.
            unsafe { place.write(pool) };
        }
        result
    }
}
