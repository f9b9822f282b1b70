//! How a [`LockFree`](super::LockFree) grows: chunks that the parent is asked for, one after the other or many ahead.
//!
//! Segments whose blocks have gone come first, then new ones. The first is one chunk; each other needs two, its blocks and their table.
//! Where the parent has nothing more for the table, the blocks go back, and as many are asked for as leave room for it. Segments are
//! few: so none but the first is spent on less than a sixteenth of its blocks.

use core::{alloc::Layout, ptr::NonNull};

use super::{numbered::Numbered, segment::Segment, segments::discard};
use crate::{
    base::AllocError,
    sync::{growth_barrier::return_chunk, ordering::Orderings, treiber_stack::INDEX_BITS},
    traits::Allocator,
};

/// What has come from the parent, and nobody has seen yet.
enum Arrival {
    /// A segment.
    New(NonNull<Segment>),
    /// Blocks for a segment that was there before.
    Again(usize, NonNull<[u8]>),
}

/// What the parent is asked for next.
#[derive(Default)]
struct Next {
    /// For a segment that was there before: this one, or one behind it.
    again: usize,
    /// Or for a new segment, so many behind the first new one.
    new: usize,
}

impl<T: Orderings> Numbered<T> {
    /// Asks the parent for blocks.
    pub(super) fn grow<A: Allocator>(&self, parent: &A, block: Layout) -> Result<(), AllocError> {
        self.growth_barrier
            .request(|| {
                let (arrival, _) = self.fetch_chunk(parent, block, &mut Next::default(), 1)?;
                self.publish(parent, block, arrival);
                Ok(())
            })
            .map(drop)
    }

    /// Lets `count` blocks be free, or more.
    pub(super) fn reserve<A: Allocator>(
        &self,
        parent: &A,
        block: Layout,
        count: usize,
    ) -> Result<(), AllocError> {
        while self.free_blocks() < count {
            let chunks = [const { None }; INDEX_BITS as usize];
            let mut reservation =
                Reservation { pool: self, parent, block, chunks, next: Next::default(), blocks: 0 };
            while let Some(missing) = count.checked_sub(self.free_blocks() + reservation.blocks)
                && missing != 0
            {
                reservation.grow(missing)?;
            }
            reservation.publish();
        }
        Ok(())
    }

    /// Asks the parent for the blocks of one segment, `wanted` at least unless it is planned for less. Says how many came.
    fn fetch_chunk<A: Allocator>(
        &self,
        parent: &A,
        block: Layout,
        next: &mut Next,
        wanted: usize,
    ) -> Result<(Arrival, usize), AllocError> {
        while let Some((index, segment)) = self.segments.gone(next.again) {
            next.again = index + 1;
            let count = segment.count as usize;
            let layout = Segment::blocks(count, block).ok_or(AllocError::Exhausted)?;
            if let Ok(blocks) = parent.allocate(layout) {
                return Ok((Arrival::Again(index, blocks), count));
            }
        }
        let index = self.segments.count() + next.new;
        let planned = self.segments.planned(index).ok_or(AllocError::Exhausted)? as usize;
        let segment = if index == 0 {
            whole_segment(parent, block, wanted.min(planned), planned)?
        } else {
            new_segment(parent, block, wanted.max(planned / 16).min(planned), planned)?
        };
        next.new += 1;
        // SAFETY: nobody else has seen the segment.
        Ok((Arrival::New(segment), unsafe { segment.as_ref() }.count as usize))
    }

    /// Lets everybody find what has come; returns it, if others were faster and there is no use for it.
    fn publish<A: Allocator>(&self, parent: &A, block: Layout, arrival: Arrival) {
        let is_used = match arrival {
            Arrival::New(segment) => self.segments.publish(segment),
            Arrival::Again(index, blocks) => self.segments.recall(index, blocks),
        };
        if !is_used {
            // SAFETY: it came from this parent for such blocks, and was not published.
            unsafe { put_away(arrival, parent, block) };
        }
    }
}

/// A segment in one chunk, of `max_segments` blocks, or of as many as the parent has, `least` at least.
fn whole_segment<A: Allocator>(
    parent: &A,
    block: Layout,
    least: usize,
    max_segments: usize,
) -> Result<NonNull<Segment>, AllocError> {
    let layout = Segment::whole(least, block).ok_or(AllocError::Exhausted)?;
    let preferred = Segment::whole(max_segments, block).map_or(layout.size(), |layout| layout.size());
    let memory = parent.allocate_between(layout, preferred)?;
    // SAFETY: the parent has just handed the chunk out, as it was asked for.
    Ok(unsafe { Segment::cut(memory, block.size(), max_segments) })
}

/// A segment of `max_segments` blocks, or of as many as the parent has, `least` at least.
fn new_segment<A: Allocator>(
    parent: &A,
    block: Layout,
    least: usize,
    mut max_segments: usize,
) -> Result<NonNull<Segment>, AllocError> {
    loop {
        let layout = Segment::blocks(least, block).ok_or(AllocError::Exhausted)?;
        let preferred = max_segments.saturating_mul(block.size());
        let blocks = parent.allocate_between(layout, preferred)?;
        let count = (blocks.len() / block.size()).min(max_segments);
        let table =
            Segment::table(count).ok_or(AllocError::Exhausted).and_then(|table| parent.allocate(table));
        match table {
            // SAFETY: the parent has just handed both out, as they were asked for.
            Ok(table) => return Ok(unsafe { Segment::write(table.cast(), blocks, count as u32, false) }),
            Err(error) => {
                // SAFETY: the parent has just handed them out.
                unsafe { return_chunk(parent, blocks, block.align()) };
                max_segments = Segment::room(blocks.len(), block.size()).min(count - 1);
                if max_segments < least {
                    return Err(error);
                }
            }
        }
    }
}

/// # Safety
///
/// It came from this parent, for such blocks, and nobody has seen it.
unsafe fn put_away<A: Allocator>(arrival: Arrival, parent: &A, block: Layout) {
    // SAFETY: the caller's promises.
    unsafe {
        match arrival {
            Arrival::New(segment) => {
                discard(segment, parent, block.align());
            }
            Arrival::Again(_, blocks) => return_chunk(parent, blocks, block.align()),
        }
    }
}

/// What has come for a reservation and is not published yet: all of it is, or all goes back.
struct Reservation<'a, T: Orderings, A: Allocator> {
    pool: &'a Numbered<T>,
    parent: &'a A,
    block: Layout,
    /// Each segment is brought once.
    chunks: [Option<Arrival>; INDEX_BITS as usize],
    next: Next,
    /// How many blocks that will be.
    blocks: usize,
}

impl<T: Orderings, A: Allocator> Reservation<'_, T, A> {
    /// Takes one more chunk, unless others have been given something meanwhile. At least one block is missing.
    fn grow(&mut self, missing: usize) -> Result<(), AllocError> {
        let Self { pool, parent, block, next, .. } = self;
        let place = self.chunks.iter_mut().find(|place| place.is_none()).ok_or(AllocError::Exhausted)?;
        if let Some((arrival, blocks)) =
            pool.growth_barrier.request(|| pool.fetch_chunk(*parent, *block, next, missing))?
        {
            *place = Some(arrival);
            self.blocks += blocks;
        }
        Ok(())
    }

    fn publish(mut self) {
        for arrival in core::mem::take(&mut self.chunks).into_iter().flatten() {
            self.pool.publish(self.parent, self.block, arrival);
        }
    }
}

impl<T: Orderings, A: Allocator> Drop for Reservation<'_, T, A> {
    fn drop(&mut self) {
        for arrival in core::mem::take(&mut self.chunks).into_iter().flatten() {
            // SAFETY: it came from the parent, and nobody has seen it.
            unsafe { put_away(arrival, self.parent, self.block) };
        }
    }
}
