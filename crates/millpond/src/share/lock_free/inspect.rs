//! Looking into a [`LockFree`], and getting memory back from it.

use super::{
    LockFree,
    list::{HALF, List, follow},
};
use crate::{
    contract::{Allocator, Canvas, Flaw, Inspect, Reclaim, Snapshot},
    pool::Shape,
};

impl<S: Shape, A: Allocator> LockFree<S, A> {
    /// Blocks that were ever handed out.
    fn cut(&self) -> usize {
        self.segments
            .iter()
            .enumerate()
            .map(|(index, segment)| self.segments.cut(index, segment) as usize)
            .sum()
    }
}

impl<S: Shape, A: Allocator> Inspect for LockFree<S, A> {
    /// O(free blocks). While others are at work it is a guess.
    fn stats(&self) -> Snapshot {
        let (cut, size) = (self.cut(), self.shape.size());
        let listed = self.free.0.walk(&self.segments).take(cut).count();
        let all: usize = self.segments.iter().map(|segment| segment.count() as usize).sum();
        Snapshot {
            chunks: self.segments.iter().count(),
            held: self.segments.iter().map(|segment| segment.bytes_held()).sum(),
            live: (cut - listed) * size,
            free: (all.saturating_sub(cut) + listed) * size,
        }
    }

    /// O(blocks). While others are at work it is a guess.
    fn paint(&self, canvas: &mut Canvas<'_>) {
        let size = self.shape.size();
        for (index, segment) in self.segments.iter().enumerate() {
            let start = segment.start();
            let end = start + segment.count() as usize * size;
            canvas.chunk(start..start + segment.bytes_held(), start..end, Some(size));
            let cut = self.segments.cut(index, segment) as usize;
            for (turn, block) in segment.in_turn().enumerate() {
                let block = start + block as usize * size;
                if turn < cut { canvas.live(block..block + size) } else { canvas.fresh(block..block + size) }
            }
        }
        let cut = self.cut();
        let free = self.free.0.walk(&self.segments).take(cut);
        for block in free.filter_map(|number| self.segments.block(number, size)) {
            let block = block.addr().get();
            canvas.free(block..block + size);
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        self.segments.number_of(address.addr(), self.shape.size()).is_some()
    }

    /// To be asked while nobody else is at work.
    fn check(&self) -> Result<(), Flaw> {
        let mut left = self.cut();
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
}

impl<S: Shape, A: Allocator> Reclaim for LockFree<S, A> {
    fn reset(&mut self) {
        self.reset();
    }

    fn trim(&mut self) -> usize {
        self.trim()
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
        self.free.0.clear();
        self.segments.forget(0);
    }

    /// Returns chunks to the parent, from the newest on, up to the first in which a block is live: numbers go by the order of
    /// chunks. Says how many bytes that were. O(free blocks).
    ///
    /// It has the pool for itself, because a thread that was stopped in the midst of an `allocate` may yet read the link of a
    /// block that has long been freed, and links lie in the chunks.
    ///
    /// Returns nothing while [`check`](Inspect::check) fails, as after a block was freed twice.
    pub fn trim(&mut self) -> usize {
        if self.check().is_err() {
            // The list of free blocks leads around in a circle.
            return 0;
        }
        let mut free = [0; HALF as usize];
        for index in self.free.0.walk(&self.segments).filter_map(|number| self.segments.index_of(number)) {
            free[index] += 1;
        }
        let is_spare = |(index, segment)| free[index] == self.segments.cut(index, segment);
        let spare = self.segments.iter().enumerate().map(is_spare);
        let spare = spare.fold(0, |spare, this_too| if this_too { spare + 1 } else { 0 });
        let kept = self.segments.iter().count() - spare;
        let list = List::new();
        while let Some(number) = self.free.0.take(&self.segments, Some) {
            if number < self.segments.number(kept) {
                list.put(&self.segments, number);
            }
        }
        self.free.0 = list;
        self.segments.forget(kept);
        let align = self.shape.align();
        // SAFETY: all blocks in these segments are free, and this is their parent.
        unsafe { self.segments.release(kept, &self.parent, align) }
    }
}
