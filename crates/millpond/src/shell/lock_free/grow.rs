//! How a [`LockFree`](super::LockFree) grows: chunks that are requested from the parent, one after another or many in
//! advance.
//!
//! Segments whose blocks were returned are filled first, then new ones are added. The first segment is one chunk; each
//! other needs two, its blocks and their table. If the parent has no memory for the table, the blocks are returned, and
//! as many are requested as leave room for the table. Segments are few, so none except the first is created with less
//! than a sixteenth of its planned blocks.

use core::{alloc::Layout, ptr::NonNull};

use super::{numbered::Numbered, segment::Segment, segments::discard};
use crate::{
    base::AllocError,
    sync::{growth_barrier::return_chunk, ordering::Orderings, treiber_stack::INDEX_BITS},
    traits::Allocator,
};

/// Memory that has come from the parent and is not published yet.
enum Arrival {
    /// A new segment.
    New(NonNull<Segment>),
    /// Blocks for an existing segment.
    Again(usize, NonNull<[u8]>),
}

/// The next request to the parent.
#[derive(Default)]
struct Next {
    /// For an existing segment: at this index or a later one.
    again: usize,
    /// Or for a new segment: at this index or a later one.
    new: usize,
}

impl<T: Orderings> Numbered<T> {
    /// Requests blocks from the parent.
    pub(super) fn grow<A: Allocator>(&self, parent: &A, block: Layout) -> Result<(), AllocError> {
        self.growth_barrier
            .request(|| {
                let (arrival, _) = self.request_blocks(parent, block, &mut Next::default(), 1)?;
                self.publish(parent, block, arrival);
                Ok(())
            })
            .map(drop)
    }

    /// Grows the pool until at least `count` blocks are free.
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

    /// Requests the blocks of one segment from the parent: at least `wanted`, unless fewer are planned. Returns the
    /// arrival and the number of blocks.
    fn request_blocks<A: Allocator>(
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
        // Not the sum of the published segments and those of this reservation: if another thread publishes the first
        // segment meanwhile, that of this reservation is put away, and its others get lower indices.
        let index = self.segments.count().max(next.new);
        let planned = self.segments.planned(index).ok_or(AllocError::Exhausted)? as usize;
        let segment = if index == 0 {
            whole_segment(parent, block, wanted.min(planned), planned)?
        } else {
            new_segment(parent, block, wanted.max(planned / 16).min(planned), planned)?
        };
        next.new = index + 1;
        // SAFETY: the segment is not published yet.
        Ok((Arrival::New(segment), unsafe { segment.as_ref() }.count as usize))
    }

    /// Publishes the arrival; returns it to the parent if other threads were faster and it is not needed.
    fn publish<A: Allocator>(&self, parent: &A, block: Layout, arrival: Arrival) {
        let is_used = match arrival {
            Arrival::New(segment) => self.segments.publish(segment),
            Arrival::Again(index, blocks) => self.segments.recall(index, blocks),
        };
        if !is_used {
            // SAFETY: the arrival came from this parent for such blocks, and was not published.
            unsafe { put_away(arrival, parent, block) };
        }
    }
}

/// Allocates a segment in one chunk, with `max_blocks` blocks or as many as the parent has room for, but at least
/// `least`.
fn whole_segment<A: Allocator>(
    parent: &A,
    block: Layout,
    least: usize,
    max_blocks: usize,
) -> Result<NonNull<Segment>, AllocError> {
    let layout = Segment::whole(least, block).ok_or(AllocError::Exhausted)?;
    let preferred = Segment::whole(max_blocks, block).map_or(layout.size(), |layout| layout.size());
    let memory = parent.allocate_between(layout, preferred)?;
    // SAFETY: the parent has just handed out the chunk, as requested.
    Ok(unsafe { Segment::carve(memory, block.size(), max_blocks) })
}

/// Allocates a segment of `max_blocks` blocks, or as many as the parent has room for, but at least `least`.
fn new_segment<A: Allocator>(
    parent: &A,
    block: Layout,
    least: usize,
    mut max_blocks: usize,
) -> Result<NonNull<Segment>, AllocError> {
    loop {
        let layout = Segment::blocks(least, block).ok_or(AllocError::Exhausted)?;
        let preferred = max_blocks.saturating_mul(block.size());
        let blocks = parent.allocate_between(layout, preferred)?;
        let count = (blocks.len() / block.size()).min(max_blocks);
        let table =
            Segment::table(count).ok_or(AllocError::Exhausted).and_then(|table| parent.allocate(table));
        match table {
            // SAFETY: the parent has just handed out both chunks, as requested.
            Ok(table) => return Ok(unsafe { Segment::write(table.cast(), blocks, count as u32, false) }),
            Err(error) => {
                // SAFETY: the parent has just handed out the blocks.
                unsafe { return_chunk(parent, blocks, block.align()) };
                max_blocks = Segment::room(blocks.len(), block.size()).min(count - 1);
                if max_blocks < least {
                    return Err(error);
                }
            }
        }
    }
}

/// Returns an arrival to the parent.
///
/// # Safety
///
/// The arrival came from this parent, for such blocks, and was not published.
unsafe fn put_away<A: Allocator>(arrival: Arrival, parent: &A, block: Layout) {
    // SAFETY: the arrival came from this parent, for such blocks, and was not published, as the caller guarantees.
    unsafe {
        match arrival {
            Arrival::New(segment) => {
                discard(segment, parent, block.align());
            }
            Arrival::Again(_, blocks) => return_chunk(parent, blocks, block.align()),
        }
    }
}

/// Memory for a reservation that is not published yet: either all of it is published or all is returned.
struct Reservation<'a, T: Orderings, A: Allocator> {
    pool: &'a Numbered<T>,
    parent: &'a A,
    block: Layout,
    /// Each segment is added once.
    chunks: [Option<Arrival>; INDEX_BITS as usize],
    next: Next,
    /// Number of blocks.
    blocks: usize,
}

impl<T: Orderings, A: Allocator> Reservation<'_, T, A> {
    /// Adds one more chunk, unless the request of another thread has succeeded meanwhile. At least one block is
    /// missing.
    fn grow(&mut self, missing: usize) -> Result<(), AllocError> {
        let Self { pool, parent, block, next, .. } = self;
        let place = self.chunks.iter_mut().find(|place| place.is_none()).ok_or(AllocError::Exhausted)?;
        if let Some((arrival, blocks)) =
            pool.growth_barrier.request(|| pool.request_blocks(*parent, *block, next, missing))?
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
            // SAFETY: the arrival came from the parent, and was not published.
            unsafe { put_away(arrival, self.parent, self.block) };
        }
    }
}
