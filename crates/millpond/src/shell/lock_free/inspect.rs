//! Inspection of a [`LockFree`], and reclaiming memory from it.

use core::ptr::NonNull;

use super::{LockFree, numbered::Numbered};
use crate::{
    base::events,
    pool::BlockLayout,
    sync::{ordering::Orderings, treiber_stack::follow},
    traits::{Allocator, HeapMapBuilder, Inspect, InvariantError, PoolStats, Reclaim},
};

impl<T: Orderings> Numbered<T> {
    /// Returns the number of blocks that were handed out since their segments came.
    pub(super) fn had(&self) -> usize {
        self.segments.iter().enumerate().map(|(index, _)| self.segments.had(index) as usize).sum()
    }

    /// Returns the number of blocks whose memory is present.
    fn here(&self) -> usize {
        self.segments.iter().map(|segment| segment.here() as usize).sum()
    }

    /// Returns how many of `had` blocks were freed. O(free blocks).
    pub(super) fn listed(&self, had: usize) -> usize {
        self.free.0.walk(&self.segments).take(had).count()
    }

    /// Checks that each block in the list was handed out, and is there once. No other thread uses the pool.
    pub(in crate::shell) fn check(&self) -> Result<(), InvariantError> {
        let mut left = self.had();
        let mut next = self.free.0.first();
        while let Some(number) = next {
            if self.segments.index_of(number).is_none() {
                return Err(InvariantError("a free block was never handed out"));
            }
            if left == 0 {
                return Err(InvariantError("a free block is in the list twice"));
            }
            left -= 1;
            next = follow(&self.segments, number);
        }
        Ok(())
    }

    /// Returns the number of free blocks. O(free blocks).
    pub(super) fn free_blocks(&self) -> usize {
        let had = self.had();
        self.here().saturating_sub(had) + self.listed(had)
    }
}

impl<S: BlockLayout, A: Allocator> Inspect for LockFree<S, A> {
    /// O(free blocks). An estimate while other threads use the pool.
    fn stats(&self) -> PoolStats {
        let (had, size) = (self.pool.had(), self.block_layout.size());
        let listed = self.pool.listed(had);
        let chunks = || self.pool.segments.iter().flat_map(|segment| segment.chunks());
        PoolStats {
            chunks: chunks().count(),
            held: chunks().map(|chunk| chunk.len()).sum(),
            live: (had - listed) * size,
            free: (self.pool.here().saturating_sub(had) + listed) * size,
        }
    }

    /// O(blocks). An estimate while other threads use the pool.
    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let (size, segments) = (self.block_layout.size(), &self.pool.segments);
        for (index, segment) in segments.iter().enumerate() {
            let span = |chunk: NonNull<[u8]>| chunk.addr().get()..chunk.addr().get() + chunk.len();
            if let Some(table) = segment.table_apart() {
                builder.chunk(span(table), span(table).end..span(table).end, None);
            }
            let Some(memory) = segment.blocks_here() else { continue };
            let start = memory.addr().get();
            let end = start + segment.count as usize * size;
            builder.chunk(span(memory), start..end, Some(size));
            let had = segments.had(index) as usize;
            for (turn, block) in segment.in_turn().enumerate() {
                let block = start + block as usize * size;
                if turn < had {
                    builder.live(block..block + size)
                } else {
                    builder.fresh(block..block + size)
                }
            }
        }
        let free = self.pool.free.0.walk(segments).take(self.pool.had());
        let here = free.filter(|&number| segments.index_of(number).is_some());
        for block in here.filter_map(|number| segments.block(number, size)) {
            let block = block.addr().get();
            builder.free(block..block + size);
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.pool.segments.number_of(address.addr(), self.block_layout.size()).is_some()
    }

    /// To be called only while no other thread uses the pool.
    fn check(&self) -> Result<(), InvariantError> {
        self.pool.check()
    }
}

impl<S: BlockLayout, A: Allocator> Reclaim for LockFree<S, A> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        let align = self.block_layout.align();
        Self::trim(self) + self.pool.release_gone(&self.parent, align)
    }
}

impl<S: BlockLayout, A: Allocator> LockFree<S, A> {
    /// Returns how much memory the pool has and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Inspect::stats(self)
    }

    /// Declares every block dead and keeps every chunk for reuse.
    pub fn reset(&mut self) {
        self.pool.reset();
    }

    /// Returns the chunks without live blocks to the parent and returns their total size in bytes. O(free blocks).
    ///
    /// Live blocks stay where they are, and other threads may allocate and free meanwhile. For a moment, the blocks
    /// that might be returned are unavailable: a thread that finds no other block calls the parent and, if that
    /// refuses, waits for the end of the trim; a signal handler that interrupts the trim waits for a tenth of a second.
    /// If another thread is already trimming the pool, this does nothing.
    ///
    /// The first chunk stays. So do the links of blocks, four bytes each, since a thread that was stopped in the middle
    /// of an `allocate` may still read one; they are reused when the blocks come back. [`Reclaim::trim`], which has
    /// exclusive access to the pool, returns the links too, from the newest chunk to the first one that has live
    /// blocks.
    ///
    /// Returns no chunks while [`check`](Inspect::check) fails, for example after a block was freed twice.
    pub fn trim(&self) -> usize {
        let bytes = self.pool.trim(&self.parent, self.block_layout());
        events::trimmed(bytes);
        bytes
    }
}
