//! A table of places that threads look up while others let it grow, with one pointer per segment.
//!
//! At most half of the places are unused, and their memory is untouched if the parent provides zeroed memory. If the
//! parent does not have enough memory for a planned segment, a shorter one is used.

use core::{
    alloc::Layout,
    ops::Range,
    ptr::{self, NonNull},
};

use super::slot_index::{MAX_SEGMENTS, SlotIndex, segment_len};
use crate::{
    base::{
        AllocError,
        atomic::{AtomicPtr, AtomicU32, Ordering},
    },
    traits::{Allocator, AtFork},
};

/// A growing array of places that threads can look up. All bytes of a place are zero at first.
///
/// # Invariants
///
/// * `table[k]` is null, or points to places in a block of `parent`, behind a [`SegmentHeader`] with their number,
///   which is at most `segment_len(k)`. The entries that are not null come first.
/// * `lengths[k]` is zero or equal to that number; it is not zero once [`grow`](Self::grow) has reported the segment as
///   present.
pub(crate) struct SegmentedArray<S, A: Allocator> {
    table: [AtomicPtr<S>; SlotIndex::ADDRESSABLE_SEGMENTS],
    lengths: [AtomicU32; SlotIndex::ADDRESSABLE_SEGMENTS],
    parent: A,
}

/// The header that precedes the places of a segment.
#[derive(Clone, Copy)]
struct SegmentHeader {
    slots: u32,
    /// Size of the block in bytes.
    bytes: usize,
}

/// Returns the header of a segment, given the start of its places.
fn header<S>(start: NonNull<S>) -> *mut SegmentHeader {
    start.as_ptr().cast::<SegmentHeader>().wrapping_sub(1)
}

impl<S, A: Allocator> SegmentedArray<S, A> {
    /// The alignment of a segment.
    const ALIGN: usize = if align_of::<S>() > align_of::<SegmentHeader>() {
        align_of::<S>()
    } else {
        align_of::<SegmentHeader>()
    };

    /// Offset of the places in a segment.
    const HEADER_SIZE: usize = size_of::<SegmentHeader>().next_multiple_of(Self::ALIGN);

    pub(crate) const fn new(parent: A) -> Self {
        let table = [const { AtomicPtr::new(ptr::null_mut()) }; SlotIndex::ADDRESSABLE_SEGMENTS];
        Self { table, lengths: [const { AtomicU32::new(0) }; SlotIndex::ADDRESSABLE_SEGMENTS], parent }
    }

    pub(crate) fn parent(&self) -> &A {
        &self.parent
    }

    /// Returns the place at `index`, if its segment exists.
    #[inline(always)]
    pub(crate) fn get(&self, index: SlotIndex) -> Option<NonNull<S>> {
        // Acquire: if the length is visible, so is the segment.
        if index.offset() >= self.lengths[index.segment()].load(Ordering::Acquire) as usize {
            return None;
        }
        // SAFETY: the segment exists and is that long.
        Some(unsafe { self.get_unchecked(index) })
    }

    /// Returns size and alignment of a segment with this number of places.
    fn layout_of(slots: usize) -> Result<Layout, AllocError> {
        let bytes = size_of::<S>().checked_mul(slots).and_then(|bytes| bytes.checked_add(Self::HEADER_SIZE));
        let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, Self::ALIGN).ok());
        layout.ok_or(AllocError::Unsupported)
    }

    /// Returns the number of places of an existing segment.
    pub(crate) fn segment_len(&self, segment: usize) -> usize {
        self.lengths[segment].load(Ordering::Acquire) as usize
    }

    /// Returns the place at an index whose segment is known by this thread to exist.
    ///
    /// # Safety
    ///
    /// The segment exists: a call of [`grow`](Self::grow) that made room for it happened before.
    #[inline(always)]
    pub(crate) unsafe fn get_unchecked(&self, index: SlotIndex) -> NonNull<S> {
        // SAFETY: the caller guarantees that the segment exists, and the index is within its length.
        unsafe {
            NonNull::new_unchecked(self.table[index.segment()].load(Ordering::Relaxed)).add(index.offset())
        }
    }

    /// Returns the existing segments in order: the start of the places of each, and their number.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NonNull<S>, usize)> + Clone {
        self.table.iter().map_while(|entry| {
            let start = NonNull::new(entry.load(Ordering::Acquire))?;
            // SAFETY: the pointer is the start of a segment's places.
            Some((start, unsafe { header(start).read() }.slots as usize))
        })
    }

    /// Returns the address ranges of the segments' blocks.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.iter().map(|(start, _)| {
            let header = header(start);
            // SAFETY: the pointer is the start of a segment's places.
            header.addr()..header.addr() + unsafe { header.read() }.bytes
        })
    }

    /// Allocates a segment from the parent with all places zeroed: as many as planned, or as many as the parent has
    /// room for, but at least a sixteenth of the plan. Segments are few, so none is spent on fewer.
    fn allocate_segment(&self, planned: usize) -> Result<NonNull<S>, AllocError> {
        let (layout, fewest) = (Self::layout_of(planned)?, Self::layout_of((planned / 16).max(1))?);
        let block = self.parent.allocate_zeroed(layout).or_else(|_| {
            let block = self.parent.allocate_between(fewest, layout.size())?;
            // SAFETY: the block was just handed out and has this length.
            unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
            Ok::<_, AllocError>(block)
        })?;
        let bytes = block.len();
        let room = (bytes - Self::HEADER_SIZE).checked_div(size_of::<S>()).unwrap_or(planned);
        // SAFETY: there is room for the header in front of the places, and for this number of places.
        unsafe {
            let start = block.cast::<u8>().add(Self::HEADER_SIZE).cast::<S>();
            header(start).write(SegmentHeader { slots: room.min(planned) as u32, bytes });
            Ok(start)
        }
    }

    /// Returns a segment to the parent.
    ///
    /// # Safety
    ///
    /// The segment came from this parent and is not in use.
    unsafe fn deallocate_segment(&self, start: NonNull<S>) {
        // SAFETY: the caller guarantees that the segment came from this parent and is not in use; the parent returned
        // the block with this length, for this alignment.
        unsafe {
            let block = start.cast::<u8>().sub(Self::HEADER_SIZE);
            let layout = Layout::from_size_align_unchecked(header(start).read().bytes, Self::ALIGN);
            self.parent.deallocate(block, layout);
        }
    }

    /// Adds a segment to the `have` existing ones, unless another thread has already done so.
    #[cold]
    #[inline(never)]
    pub(crate) fn grow(&self, have: usize) -> Result<(), AllocError> {
        if have >= MAX_SEGMENTS {
            return Err(AllocError::Unsupported);
        }
        let start = self.allocate_segment(segment_len(have))?;
        let entry = &self.table[have];
        let published =
            entry.compare_exchange(ptr::null_mut(), start.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        let first = match published {
            Ok(_) => start,
            Err(other) => {
                // SAFETY: the segment was just allocated and is not visible to other threads.
                unsafe { self.deallocate_segment(start) };
                NonNull::new(other).ok_or(AllocError::Exhausted)?
            }
        };
        // Whichever thread was first: the length is stored before any thread reports that the segment exists.
        // SAFETY: the pointer is the start of a segment's places.
        self.lengths[have].store(unsafe { header(first).read() }.slots, Ordering::Release);
        Ok(())
    }
}

impl<S, A: Allocator> Drop for SegmentedArray<S, A> {
    fn drop(&mut self) {
        for entry in &self.table {
            if let Some(start) = NonNull::new(entry.load(Ordering::Acquire)) {
                // SAFETY: the segment came from the parent, and its places are no longer accessed.
                unsafe { self.deallocate_segment(start) };
            }
        }
    }
}

#[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::source::Heap;

    #[test]
    fn positions_match_indices() {
        let segments = SegmentedArray::<u64, _>::new(Heap);
        assert!(segments.get(SlotIndex::ZERO).is_none());
        (0..8).for_each(|have| segments.grow(have).expect("the heap has room"));
        let end = SlotIndex::start(8);
        assert!(segments.get(end).is_none());
        let mut index = SlotIndex::ZERO;
        for position in 0..end.position() {
            assert_eq!((index.position(), SlotIndex::from_bits(index.bits())), (position, Some(index)));
            let word = segments.get(index).expect("its segment has come");
            // SAFETY: the place belongs to this table, and is zero at first.
            unsafe { word.write(word.read() + u64::from(position) + 1) };
            assert!(index < index.next() && index.next().previous() == index);
            index = index.next();
        }
        assert_eq!(index, end);
        while index != SlotIndex::ZERO {
            index = index.previous();
            // SAFETY: the place was just written.
            assert_eq!(unsafe { segments.get_unchecked(index).read() }, u64::from(index.position()) + 1);
        }
    }

    /// Two threads grow the table at once: one segment is kept, the other is returned.
    #[test]
    fn growing_twice_keeps_the_first_segment() {
        let segments = SegmentedArray::<u64, _>::new(Heap);
        assert_eq!(segments.grow(0), Ok(()));
        let before = segments.get(SlotIndex::ZERO);
        assert_eq!(segments.grow(0), Ok(()));
        assert_eq!(segments.get(SlotIndex::ZERO), before);
        assert_eq!(segments.grow(MAX_SEGMENTS), Err(AllocError::Unsupported));
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<S, A: Allocator + AtFork> AtFork for SegmentedArray<S, A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.parent);
    }
}
