//! Looking into a [`LockFree`], and getting memory back from it.

use core::ptr::NonNull;

use super::{
    LockFree,
    list::{Terms, follow},
    numbered::Numbered,
};
use crate::{
    base::events,
    contract::{Allocator, Canvas, Flaw, Inspect, Reclaim, Snapshot},
    pool::Shape,
};

impl<T: Terms> Numbered<T> {
    /// How many blocks were handed out since they came.
    pub(super) fn had(&self) -> usize {
        self.segments.iter().enumerate().map(|(index, _)| self.segments.had(index) as usize).sum()
    }

    /// How many blocks are here.
    fn here(&self) -> usize {
        self.segments.iter().map(|segment| segment.here() as usize).sum()
    }

    /// How many of `had` blocks were freed. O(free blocks).
    pub(super) fn listed(&self, had: usize) -> usize {
        self.free.0.walk(&self.segments).take(had).count()
    }

    /// Whether each block in the list was handed out, and is there once. Nobody else is at work.
    pub(in crate::share) fn check(&self) -> Result<(), Flaw> {
        let mut left = self.had();
        let mut next = self.free.0.first();
        while let Some(number) = next {
            if self.segments.index_of(number).is_none() {
                return Err(Flaw("a free block was never handed out"));
            }
            if left == 0 {
                return Err(Flaw("a free block is in the list twice"));
            }
            left -= 1;
            next = follow(&self.segments, number);
        }
        Ok(())
    }

    /// How many blocks are free. O(free blocks).
    pub(super) fn free_blocks(&self) -> usize {
        let had = self.had();
        self.here().saturating_sub(had) + self.listed(had)
    }
}

impl<S: Shape, A: Allocator> Inspect for LockFree<S, A> {
    /// O(free blocks). While others are at work it is a guess.
    fn stats(&self) -> Snapshot {
        let (had, size) = (self.pool.had(), self.shape.size());
        let listed = self.pool.listed(had);
        let chunks = || self.pool.segments.iter().flat_map(|segment| segment.chunks());
        Snapshot {
            chunks: chunks().count(),
            held: chunks().map(|chunk| chunk.len()).sum(),
            live: (had - listed) * size,
            free: (self.pool.here().saturating_sub(had) + listed) * size,
        }
    }

    /// O(blocks). While others are at work it is a guess.
    fn paint(&self, canvas: &mut Canvas<'_>) {
        let (size, segments) = (self.shape.size(), &self.pool.segments);
        for (index, segment) in segments.iter().enumerate() {
            let span = |chunk: NonNull<[u8]>| chunk.addr().get()..chunk.addr().get() + chunk.len();
            if let Some(table) = segment.table_apart() {
                canvas.chunk(span(table), span(table).end..span(table).end, None);
            }
            let Some(memory) = segment.blocks_here() else { continue };
            let start = memory.addr().get();
            let end = start + segment.count as usize * size;
            canvas.chunk(span(memory), start..end, Some(size));
            let had = segments.had(index) as usize;
            for (turn, block) in segment.in_turn().enumerate() {
                let block = start + block as usize * size;
                if turn < had { canvas.live(block..block + size) } else { canvas.fresh(block..block + size) }
            }
        }
        let free = self.pool.free.0.walk(segments).take(self.pool.had());
        let here = free.filter(|&number| segments.index_of(number).is_some());
        for block in here.filter_map(|number| segments.block(number, size)) {
            let block = block.addr().get();
            canvas.free(block..block + size);
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.pool.segments.number_of(address.addr(), self.shape.size()).is_some()
    }

    /// To be asked while nobody else is at work.
    fn check(&self) -> Result<(), Flaw> {
        self.pool.check()
    }
}

impl<S: Shape, A: Allocator> Reclaim for LockFree<S, A> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        let align = self.shape.align();
        Self::trim(self) + self.pool.release_gone(&self.parent, align)
    }
}

impl<S: Shape, A: Allocator> LockFree<S, A> {
    /// What the pool holds, and how much of it is live: see [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> Snapshot {
        Inspect::stats(self)
    }

    /// Declares every block dead and keeps every chunk for the next ones.
    pub fn reset(&mut self) {
        self.pool.reset();
    }

    /// Returns the chunks in which no block is live to the parent; says how many bytes that were. O(free blocks).
    ///
    /// What is live stays where it is, and others may allocate and free meanwhile. For a moment the blocks that might go are nobody's;
    /// a thread that finds no other asks the parent, and if that refuses, waits for the end of the trim; a signal handler that
    /// interrupts the trim waits for a tenth of a second. If another thread is trimming the pool already, this does nothing.
    ///
    /// The first chunk stays. So do the links of blocks, four bytes each, since a thread that was stopped in the midst of an
    /// `allocate` may yet read one; they serve again when the blocks come back. [`Reclaim::trim`], which has the pool for itself,
    /// returns these too, from the newest on up to the first chunk of blocks in which one is live.
    ///
    /// Returns nothing while [`check`](Inspect::check) fails, as after a block was freed twice.
    pub fn trim(&self) -> usize {
        let bytes = self.pool.trim(&self.parent, self.block_layout());
        events::trimmed(bytes);
        bytes
    }
}
