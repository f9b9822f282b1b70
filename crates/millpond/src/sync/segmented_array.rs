//! A table of places that threads look up while others let it grow: a pointer per segment. At most half of the places are unused,
//! and their memory is untouched if the parent has memory that is zero already. Where the parent has not enough for a segment,
//! a shorter one comes.

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
    traits::{Allocator, AtFork, at_fork},
};

/// Places that threads look up, as many as have come. All bytes of a place are zero at first.
///
/// # Invariants
///
/// * `table[k]` is null, or points to places in a block of `parent`, behind a [`SegmentHeader`] that says how many they are: at most
///   `segment_len(k)`. Those that are not null come first.
/// * `lengths[k]` is zero, or says the same; it is not zero once [`grow`](Self::grow) has said that the segment is there.
pub(crate) struct SegmentedArray<S, A: Allocator> {
    table: [AtomicPtr<S>; SlotIndex::ADDRESSABLE_SEGMENTS],
    lengths: [AtomicU32; SlotIndex::ADDRESSABLE_SEGMENTS],
    parent: A,
}

/// What lies in front of the places of a segment.
#[derive(Clone, Copy)]
struct SegmentHeader {
    slots: u32,
    /// Bytes of the block.
    bytes: usize,
}

/// The head of a segment whose places begin there.
fn header<S>(start: NonNull<S>) -> *mut SegmentHeader {
    start.as_ptr().cast::<SegmentHeader>().wrapping_sub(1)
}

impl<S, A: Allocator> SegmentedArray<S, A> {
    /// What segments are aligned to.
    const ALIGN: usize = if align_of::<S>() > align_of::<SegmentHeader>() {
        align_of::<S>()
    } else {
        align_of::<SegmentHeader>()
    };

    /// How far into a segment its places begin.
    const HEADER_SIZE: usize = size_of::<SegmentHeader>().next_multiple_of(Self::ALIGN);

    pub(crate) const fn new(parent: A) -> Self {
        let table = [const { AtomicPtr::new(ptr::null_mut()) }; SlotIndex::ADDRESSABLE_SEGMENTS];
        Self { table, lengths: [const { AtomicU32::new(0) }; SlotIndex::ADDRESSABLE_SEGMENTS], parent }
    }

    pub(crate) fn parent(&self) -> &A {
        &self.parent
    }

    /// What is at a place, if its segment has come.
    #[inline(always)]
    pub(crate) fn get(&self, index: SlotIndex) -> Option<NonNull<S>> {
        // Acquire: with its length, the segment is there.
        if index.offset() >= self.lengths[index.segment()].load(Ordering::Acquire) as usize {
            return None;
        }
        // SAFETY: the segment has come, and is that long.
        Some(unsafe { self.get_unchecked(index) })
    }

    /// Size and alignment of a segment of so many places.
    fn layout_of(slots: usize) -> Result<Layout, AllocError> {
        let bytes = size_of::<S>().checked_mul(slots).and_then(|bytes| bytes.checked_add(Self::HEADER_SIZE));
        let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, Self::ALIGN).ok());
        layout.ok_or(AllocError::Unsupported)
    }

    /// How many places a segment has that has come.
    pub(crate) fn segment_len(&self, segment: usize) -> usize {
        self.lengths[segment].load(Ordering::Acquire) as usize
    }

    /// What is at a place whose segment has come, as this thread knows.
    ///
    /// # Safety
    ///
    /// It has: some [`grow`](Self::grow) made room for it, and that happened before.
    #[inline(always)]
    pub(crate) unsafe fn get_unchecked(&self, index: SlotIndex) -> NonNull<S> {
        // SAFETY: the caller says that the segment is there, and it is that long.
        unsafe {
            NonNull::new_unchecked(self.table[index.segment()].load(Ordering::Relaxed)).add(index.offset())
        }
    }

    /// The segments that have come, from the first on: where the places of each begin, and how many they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NonNull<S>, usize)> + Clone {
        self.table.iter().map_while(|entry| {
            let start = NonNull::new(entry.load(Ordering::Acquire))?;
            // SAFETY: it is the start of a segment.
            Some((start, unsafe { header(start).read() }.slots as usize))
        })
    }

    /// Where the blocks of the segments are: addresses.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.iter().map(|(start, _)| {
            let header = header(start);
            // SAFETY: it is the start of a segment.
            header.addr()..header.addr() + unsafe { header.read() }.bytes
        })
    }

    /// Takes a segment from the parent, all of its places zero: as many as are planned, or as the parent has room for, but no
    /// fewer than a sixteenth. Segments are few, and so none is spent on less.
    fn allocate_segment(&self, planned: usize) -> Result<NonNull<S>, AllocError> {
        let (layout, fewest) = (Self::layout_of(planned)?, Self::layout_of((planned / 16).max(1))?);
        let block = self.parent.allocate_zeroed(layout).or_else(|_| {
            let block = self.parent.allocate_between(fewest, layout.size())?;
            // SAFETY: the block was just handed out, and is as long.
            unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
            Ok::<_, AllocError>(block)
        })?;
        let bytes = block.len();
        let room = (bytes - Self::HEADER_SIZE).checked_div(size_of::<S>()).unwrap_or(planned);
        // SAFETY: there is room for the head in front of the places, and for so many of these.
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
    /// It came from there, and nobody uses it.
    unsafe fn deallocate_segment(&self, start: NonNull<S>) {
        // SAFETY: the caller's promise; the block was returned as that long, for this alignment.
        unsafe {
            let block = start.cast::<u8>().sub(Self::HEADER_SIZE);
            let layout = Layout::from_size_align_unchecked(header(start).read().bytes, Self::ALIGN);
            self.parent.deallocate(block, layout);
        }
    }

    /// Makes room for one more segment than `have`, all of which have come, unless another thread has done so already.
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
                // SAFETY: it was just taken, and nobody has seen it.
                unsafe { self.deallocate_segment(start) };
                NonNull::new(other).ok_or(AllocError::Exhausted)?
            }
        };
        // Whoever was first: its length is known before anybody says that it is there.
        // SAFETY: it is the start of a segment.
        self.lengths[have].store(unsafe { header(first).read() }.slots, Ordering::Release);
        Ok(())
    }
}

impl<S, A: Allocator> Drop for SegmentedArray<S, A> {
    fn drop(&mut self) {
        for entry in &self.table {
            if let Some(start) = NonNull::new(entry.load(Ordering::Acquire)) {
                // SAFETY: the segment came from the parent, and nobody looks at its places any more.
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
    fn positions_and_indices_are_one_to_one() {
        let segments = SegmentedArray::<u64, _>::new(Heap);
        assert!(segments.get(SlotIndex::ZERO).is_none());
        (0..8).for_each(|have| segments.grow(have).expect("the heap has room"));
        let end = SlotIndex::start(8);
        assert!(segments.get(end).is_none());
        let mut index = SlotIndex::ZERO;
        for position in 0..end.position() {
            assert_eq!((index.position(), SlotIndex::from_bits(index.bits())), (position, Some(index)));
            let word = segments.get(index).expect("its segment has come");
            // SAFETY: the place is this table's, and zero at first.
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

    /// Two threads that grow at once: one segment is kept, the other goes back.
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

at_fork!([S, A: Allocator + AtFork] SegmentedArray<S, A>: parent);
