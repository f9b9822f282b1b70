//! The slots of a collection with one owner. In each segment, the values are contiguous, and so are the generations.
//!
//! A value of 64 bytes thus takes exactly one cache line, and iterating over or removing all values reads four bytes
//! per slot to find them.

use core::{
    alloc::Layout,
    hint::assert_unchecked,
    mem::MaybeUninit,
    ops::Range,
    ptr::{self, NonNull},
    slice,
};

use crate::{
    base::AllocError,
    sync::{MAX_SEGMENTS, SlotIndex, segment_len},
    traits::Allocator,
};

/// The minimum alignment of segments: a cache line.
const LINE: usize = 64;

/// The slots of a collection, in segments that never move.
///
/// # Invariants
///
/// * `count` segments exist. For each segment `k` there is a block of `parent` with `lengths[k]` values followed by
///   as many generations; `values[k]` and `generations[k]` are those of a [`Segment`]. Each segment has at least one
///   slot, and `segment_len(k)` slots unless the parent did not have enough memory.
/// * A segment that has fewer slots and is not the last one is in `completed`: it has `segment_len(k)` generations in
///   a block of their own, and those without a slot are retired. So every slot index below the end of the last
///   segment has a generation.
pub(super) struct SlotTable<T, A: Allocator> {
    values: [*mut T; MAX_SEGMENTS],
    generations: [*mut u32; MAX_SEGMENTS],
    lengths: [u32; MAX_SEGMENTS],
    /// A bit for each segment.
    completed: u32,
    count: usize,
    parent: A,
}

/// The addresses of the slots of one segment.
///
/// # Invariants
///
/// `values` is the address that the value of slot index 0 would have if the segment began there, and `generations`
/// likewise. So the bits of a slot index are an offset from these addresses.
pub(super) struct Segment<T> {
    values: *mut T,
    generations: *mut u32,
}

impl<T> Segment<T> {
    /// The value for no segment.
    pub(super) const NONE: Self = Self { values: ptr::null_mut(), generations: ptr::null_mut() };

    /// Returns the address of the value of a slot, whether the slot is occupied or not.
    ///
    /// # Safety
    ///
    /// The slot must be in this segment, and the segment must exist.
    #[inline(always)]
    pub(super) unsafe fn value(&self, slot_index: SlotIndex) -> *mut T {
        let value = self.values.wrapping_add(index(slot_index));
        // SAFETY: no value of a segment is at address zero. Without this, converting the result to a reference would
        // involve a null check.
        unsafe { assert_unchecked(!value.is_null()) };
        value
    }

    /// Returns the address of the generation of a slot.
    ///
    /// # Safety
    ///
    /// Same as for [`value`](Self::value).
    #[inline(always)]
    pub(super) unsafe fn generation(&self, slot_index: SlotIndex) -> *mut u32 {
        self.generations.wrapping_add(index(slot_index))
    }
}

/// Returns the layout of a segment with `slots` slots, and the offset of its generations.
fn layout_of<T>(slots: usize) -> Option<(Layout, usize)> {
    let values = Layout::array::<T>(slots).ok()?.align_to(LINE).ok()?;
    values.extend(Layout::array::<u32>(slots).ok()?).ok()
}

/// Returns the offset of a slot from the addresses in a [`Segment`].
#[inline(always)]
fn index(slot_index: SlotIndex) -> usize {
    slot_index.bits() as usize
}

impl<T, A: Allocator> SlotTable<T, A> {
    pub(super) const fn new(parent: A) -> Self {
        Self {
            values: [ptr::null_mut(); _],
            generations: [ptr::null_mut(); _],
            lengths: [0; _],
            completed: 0,
            count: 0,
            parent,
        }
    }

    pub(super) fn parent(&self) -> &A {
        &self.parent
    }

    /// Returns the number of segments.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the number of slots of a segment, or 0 if the segment does not exist.
    pub(super) fn segment_len(&self, segment: usize) -> usize {
        self.lengths.get(segment).map_or(0, |&slots| slots as usize)
    }

    /// Returns the number of slot indices in a segment that have no slot.
    pub(super) fn missing(&self, segment: usize) -> usize {
        segment_len(segment) - self.segment_len(segment)
    }

    /// Returns the number of slots from an index on, which may be the end of a segment.
    pub(super) fn slots_from(&self, slot_index: SlotIndex) -> usize {
        let slots: usize = self.lengths[slot_index.segment()..].iter().map(|&slots| slots as usize).sum();
        slots - slot_index.offset()
    }

    /// Returns the end of an existing segment.
    pub(super) fn end(&self, segment: usize) -> SlotIndex {
        SlotIndex::start(segment).skip(self.lengths[segment])
    }

    /// Returns the addresses of the slots of a segment.
    pub(super) fn segment(&self, segment: usize) -> Segment<T> {
        Segment { values: self.values[segment], generations: self.generations[segment] }
    }

    /// Returns the address of the value of a slot, whether the slot is occupied or not.
    ///
    /// # Safety
    ///
    /// The segment of the slot must exist.
    #[inline(always)]
    pub(super) unsafe fn value(&self, slot_index: SlotIndex) -> *mut T {
        // SAFETY: the segment exists, so its index is less than `MAX_SEGMENTS`.
        unsafe {
            let values = *self.values.get_unchecked(slot_index.segment());
            Segment { values, ..Segment::NONE }.value(slot_index)
        }
    }

    /// Returns the address of the generation of a slot.
    ///
    /// # Safety
    ///
    /// The segment of the slot must exist.
    #[inline(always)]
    pub(super) unsafe fn generation(&self, slot_index: SlotIndex) -> *mut u32 {
        // SAFETY: the segment exists, so its index is less than `MAX_SEGMENTS`.
        unsafe {
            let generations = *self.generations.get_unchecked(slot_index.segment());
            Segment::<T> { generations, ..Segment::NONE }.generation(slot_index)
        }
    }

    /// Returns the generations of `count` slots, including those that were never written.
    ///
    /// # Safety
    ///
    /// The slots must be in one segment, and the segment must exist.
    pub(super) unsafe fn generations(&mut self, first: SlotIndex, count: usize) -> &mut [MaybeUninit<u32>] {
        // SAFETY: the caller guarantees that the slots are in one existing segment. The generations are mutably
        // borrowed with the table.
        unsafe { slice::from_raw_parts_mut(self.generation(first).cast(), count) }
    }

    /// Returns the range of addresses of each segment, and that of the values in it.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + Clone {
        (0..self.count).filter_map(|segment| {
            let (layout, values) =
                (layout_of::<T>(self.segment_len(segment))?.0, size_of::<T>() * self.segment_len(segment));
            // SAFETY: the segment exists.
            let start = unsafe { self.value(SlotIndex::start(segment)) }.addr();
            Some((start..start + layout.size(), start..start + values))
        })
    }

    /// Returns the ranges of addresses of generations in blocks of their own.
    pub(super) fn completions(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        (0..self.count).filter(|&segment| self.is_completed(segment)).map(|segment| {
            // SAFETY: the segment exists.
            let start = unsafe { self.generation(SlotIndex::start(segment)) }.addr();
            start..start + size_of::<u32>() * segment_len(segment)
        })
    }

    /// Returns the maximum number of slots of the next segment for which the parent has memory, in addition to `more`
    /// bytes, and `per_slot` bytes for each slot. Allocates and frees a block to find out.
    ///
    /// # Errors
    ///
    /// Returns an error if the parent has memory for less than a sixteenth of the regular length of the segment. The
    /// number of segments is limited, so none is used for fewer slots.
    pub(super) fn slots_to_be_had(&self, more: usize, per_slot: usize) -> Result<usize, AllocError> {
        let whole = segment_len(self.count);
        let fewest = (whole / 16).max(1);
        let layout_of = |slots| layout_of::<T>(slots).ok_or(AllocError::Unsupported);
        let (least, all) = (layout_of(fewest)?.0, layout_of(whole)?.0.size());
        let preferred = all.saturating_add(more).saturating_add(per_slot * whole);
        let block = self.parent.allocate_between(least, preferred)?;
        // SAFETY: the block was just allocated, and its whole length fits it.
        unsafe {
            let whole = Layout::from_size_align_unchecked(block.len(), least.align());
            self.parent.deallocate(block.cast(), whole);
        }
        // Subtracts padding and what the parent needs for itself.
        let bytes = block.len().saturating_sub(more + 4 * LINE);
        let slots = (bytes / (size_of::<T>() + size_of::<u32>() + per_slot)).min(whole);
        if slots < fewest { Err(AllocError::Exhausted) } else { Ok(slots) }
    }

    /// Allocates one more segment with `slots` slots. Nothing in it is initialized.
    pub(super) fn grow(&mut self, slots: usize) -> Result<(), AllocError> {
        let segment = self.count;
        let (layout, generations) = layout_of::<T>(slots).ok_or(AllocError::Unsupported)?;
        let last = segment.checked_sub(1).filter(|&last| self.missing(last) != 0 && !self.is_completed(last));
        if let Some(last) = last {
            self.complete(last)?;
        }
        let block = match self.parent.allocate(layout) {
            Ok(block) => block.cast::<u8>(),
            Err(error) => {
                last.into_iter().for_each(|last| self.undo_completion(last));
                return Err(error);
            }
        };
        let first = index(SlotIndex::start(segment));
        self.values[segment] = block.cast::<T>().as_ptr().wrapping_sub(first);
        // SAFETY: the offset of the generations is within the block.
        let generations = unsafe { block.add(generations).cast::<u32>() };
        self.generations[segment] = generations.as_ptr().wrapping_sub(first);
        self.lengths[segment] = slots as u32;
        self.count += 1;
        Ok(())
    }

    /// Returns segments to the parent, the last ones first, until `count` are left. Their slots must not be in use.
    pub(super) fn shrink_to(&mut self, count: usize) {
        while self.count > count {
            let segment = self.count - 1;
            if self.is_completed(segment) {
                self.undo_completion(segment);
            }
            // SAFETY: the segment exists.
            let start = unsafe { self.value(SlotIndex::start(segment)) };
            if let (Some(start), Some((layout, _))) =
                (NonNull::new(start), layout_of::<T>(self.segment_len(segment)))
            {
                // SAFETY: the segment was allocated with this layout and begins with its first value.
                unsafe { self.parent.deallocate(start.cast(), layout) };
            }
            (self.count, self.lengths[segment]) = (segment, 0);
        }
        if let Some(last) = count.checked_sub(1).filter(|&last| self.is_completed(last)) {
            self.undo_completion(last);
        }
    }

    fn is_completed(&self, segment: usize) -> bool {
        self.completed >> segment & 1 == 1
    }

    /// Gives every slot index of a segment a generation, in a block of their own.
    fn complete(&mut self, segment: usize) -> Result<(), AllocError> {
        let layout = Layout::array::<u32>(segment_len(segment)).map_err(|_| AllocError::Unsupported)?;
        let block = self.parent.allocate(layout)?.cast::<u32>();
        let slot_index = SlotIndex::start(segment);
        // SAFETY: the block has room for all generations of the segment. The old generations exist, initialized or
        // not.
        unsafe {
            let old = self.generation(slot_index).cast::<MaybeUninit<u32>>();
            block
                .cast::<MaybeUninit<u32>>()
                .as_ptr()
                .copy_from_nonoverlapping(old, self.segment_len(segment));
            block.add(self.segment_len(segment)).write_bytes(0, self.missing(segment));
        }
        const { assert!(super::RETIRED == 0, "zeros are retired generations") };
        self.generations[segment] = block.as_ptr().wrapping_sub(index(slot_index));
        self.completed |= 1 << segment;
        Ok(())
    }

    /// Moves the generations of a segment back behind its values. No later segment may be in use.
    fn undo_completion(&mut self, segment: usize) {
        let slot_index = SlotIndex::start(segment);
        let layouts = (layout_of::<T>(self.segment_len(segment)), Layout::array::<u32>(segment_len(segment)));
        let (Some((_, generations)), Ok(layout)) = layouts else { return };
        // SAFETY: the segment exists, `generations` is the offset of its generations, and the block was allocated
        // with `layout`.
        unsafe {
            let behind = self.value(slot_index).cast::<u8>().add(generations).cast::<u32>();
            let block = self.generation(slot_index);
            behind
                .cast::<MaybeUninit<u32>>()
                .copy_from_nonoverlapping(block.cast(), self.segment_len(segment));
            self.generations[segment] = behind.wrapping_sub(index(slot_index));
            if let Some(block) = NonNull::new(block.cast::<u8>()) {
                self.parent.deallocate(block, layout);
            }
        }
        self.completed &= !(1 << segment);
    }
}

impl<T, A: Allocator> Drop for SlotTable<T, A> {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}
