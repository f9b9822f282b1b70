//! Memory with a cursor through it: what the sources of bounded size have in common.

use core::{alloc::Layout, ptr::NonNull};

use super::cursor::Cursor;
use crate::{
    base::AllocError,
    traits::{Allocation, Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats},
};

/// A piece of memory whose blocks are carved at a cursor.
#[derive(Clone, Copy)]
pub(super) struct Space<'a> {
    pub(super) memory: NonNull<[u8]>,
    /// The cursor of this memory.
    pub(super) cursor: &'a Cursor,
}

// SAFETY: the cursor hands out every byte at most once, aligned, and takes back only what ends at it.
unsafe impl Allocator for Space<'_> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.cursor.take(self.memory, layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.cursor.give_back(self.memory, block, layout.size());
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let fits = old.size() != 0 && block.addr().get().is_multiple_of(new.align());
        if fits && self.cursor.extend(self.memory, block, old.size(), new.size()) {
            Ok(NonNull::slice_from_raw_parts(block, new.size()))
        } else {
            Err(AllocError::InPlace)
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if new.size() == 0 || !block.addr().get().is_multiple_of(new.align()) {
            return Err(AllocError::InPlace);
        }
        // SAFETY: the new size is at most the old one, so the tail is a part of the block.
        let tail = unsafe { block.add(new.size()) };
        self.cursor.give_back(self.memory, tail, old.size() - new.size());
        Ok(NonNull::slice_from_raw_parts(block, new.size()))
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        self.cursor.take(self.memory, least, preferred)
    }
}

impl Inspect for Space<'_> {
    /// Returns the statistics. Everything up to the end of the last live block counts as live.
    fn stats(&self) -> PoolStats {
        let (held, live) = (self.memory.len(), self.cursor.used());
        PoolStats { chunks: 1, held, live, free: held - live }
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let start = self.memory.addr().get();
        let (used, end) = (start + self.cursor.used(), start + self.memory.len());
        builder.chunk(start..end, start..end, None);
        builder.live(start..used);
        builder.fresh(used..end);
    }

    fn owns(&self, address: *const u8) -> bool {
        address.addr().wrapping_sub(self.memory.addr().get()) < self.memory.len()
    }

    fn check(&self) -> Result<(), InvariantError> {
        if self.cursor.used() <= self.memory.len() {
            Ok(())
        } else {
            Err(InvariantError("the cursor is beyond the end of its memory"))
        }
    }
}
