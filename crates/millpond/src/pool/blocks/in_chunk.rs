//! A pool that lies in one of its own chunks, except for its freed blocks.
//!
//! An owner of many pools of which few are used, such as size classes, keeps a list of freed blocks and a word for
//! each. All other state is in the first chunk that is added, behind the header of the next older one, and moves when
//! that chunk is released.

use core::{alloc::Layout, mem, ptr::NonNull};

use super::{Blocks, Lifo, free_list::Sealed, uncarved::Uncarved};
use crate::base::address::recover;

/// The location of the cold part of a pool of blocks.
///
/// # Invariants
///
/// * `address` is zero while the pool has no chunk. Otherwise it is the address of a [`Blocks`] in the header of one of
///   its chunks, to which nothing else points. No block is freed to that pool: the owner of this value keeps the freed
///   blocks.
pub(in crate::pool) struct InChunkPool {
    address: usize,
}

impl Blocks {
    /// Creates a pool without chunks. Each of its chunks has room for the pool itself.
    const fn for_chunk(layout: Layout) -> Self {
        let mut pool = Self::of(layout);
        let (size, align) = (pool.block_layout.bytes(), pool.block_layout.alignment());
        pool.uncarved = Uncarved::with_room_for(size_of::<Self>(), size, align);
        pool
    }
}

impl InChunkPool {
    /// A pool without chunks.
    pub(in crate::pool) const NONE: Self = Self { address: 0 };

    /// Returns whether the pool has no chunk.
    pub(in crate::pool) fn is_none(&self) -> bool {
        self.address == 0
    }

    /// Returns whether no pool of a slice has a chunk, without a branch per pool.
    pub(in crate::pool) fn are_none(several: &[Self]) -> bool {
        several.iter().fold(0, |any, pool| any | pool.address) == 0
    }

    fn place(&self) -> Option<NonNull<Blocks>> {
        NonNull::new(recover(self.address))
    }

    /// Returns the pool, without its freed blocks, for functions that do not depend on them.
    pub(in crate::pool) fn get(&self) -> Option<&Blocks> {
        // SAFETY: `address` is that of a pool, which is only modified through `&mut self`.
        self.place().map(|place| unsafe { place.as_ref() })
    }

    /// Returns whether a block that has been carved begins at this address.
    pub(in crate::pool) fn has_block(&self, address: usize) -> bool {
        self.get().is_some_and(|pool| pool.uncarved.is_block(address))
    }

    /// Returns a copy of the pool for inspection; if it has no chunk, a pool without chunks for blocks of this layout.
    pub(in crate::pool) fn copy(&self, freed: &Lifo, layout: Layout) -> Blocks {
        match self.place() {
            Some(place) => {
                // SAFETY: `address` is that of a pool; it is plain data, and the copy is not modified.
                let pool = unsafe { place.read() };
                Blocks { free_list: *freed, ..pool }
            }
            None => Blocks::for_chunk(layout),
        }
    }

    /// Calls a function with the pool and its freed blocks. The function must not add or release chunks. Returns `None`
    /// if the pool has no chunk.
    pub(in crate::pool) fn with<R>(
        &mut self,
        freed: &mut Lifo,
        use_it: impl FnOnce(&mut Blocks) -> R,
    ) -> Option<R> {
        // SAFETY: `address` is that of a pool, which is borrowed for as long as `self`.
        let pool = unsafe { self.place()?.as_mut() };
        mem::swap(&mut pool.free_list, freed);
        let result = use_it(pool);
        mem::swap(&mut pool.free_list, freed);
        Some(result)
    }

    /// Calls a function that adds a chunk to the pool, of blocks of this layout, or releases one. The pool is moved out
    /// of its chunk meanwhile.
    pub(in crate::pool) fn change<R>(
        &mut self,
        freed: &mut Lifo,
        layout: Layout,
        change: impl FnOnce(&mut Blocks) -> R,
    ) -> R {
        let mut pool = self.copy(freed, layout);
        let result = change(&mut pool);
        *freed = mem::replace(&mut pool.free_list, Lifo::EMPTY);
        self.address = pool.uncarved.chunks.room_in_newest().unwrap_or(0);
        if let Some(place) = self.place() {
            // SAFETY: every chunk of this pool has room for it there, aligned to a word, that nothing else uses.
            unsafe { place.write(pool) };
        }
        result
    }
}
