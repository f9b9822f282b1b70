//! Where the slots of one owner lie: values by themselves, one behind the other, and their generations by themselves.
//!
//! A value of 64 bytes takes exactly a line of the processor's cache then, and whoever looks for values, or removes all,
//! reads four bytes a slot.

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

/// What segments are aligned to, at least: a line of the processor's cache.
const LINE: usize = 64;

/// The slots of a collection, in segments that are never moved.
///
/// # Invariants
///
/// * `count` segments have come: for each such `k` there is a block of `parent` with `lengths[k]` values and, behind them, as
///   many generations; `values[k]` and `generations[k]` are those of a [`Segment`]. Each has a slot at least, and as many as
///   `segment_len(k)` unless the parent had no room for them.
/// * If one has fewer and is not the last, it is among `completed`: its generations are in a block of their own, `segment_len(k)` of
///   them, and those of slots that have not come are retired. So every place before the end of the last segment has one.
pub(super) struct SlotTable<T, A: Allocator> {
    values: [*mut T; MAX_SEGMENTS],
    generations: [*mut u32; MAX_SEGMENTS],
    lengths: [u32; MAX_SEGMENTS],
    /// A bit for each segment.
    completed: u32,
    count: usize,
    parent: A,
}

/// Where the slots of one segment lie.
///
/// # Invariants
///
/// `values` is where its first value would be if places began at zero, not at the bits of its first place; likewise
/// `generations`. So a place is an index from there without being taken apart.
pub(super) struct Segment<T> {
    values: *mut T,
    generations: *mut u32,
}

impl<T> Segment<T> {
    /// No segment.
    pub(super) const NONE: Self = Self { values: ptr::null_mut(), generations: ptr::null_mut() };

    /// Where the value of a slot is, if there is one.
    ///
    /// # Safety
    ///
    /// The slot is in this segment, which has come.
    #[inline(always)]
    pub(super) unsafe fn value(&self, slot_index: SlotIndex) -> *mut T {
        let value = self.values.wrapping_add(index(slot_index));
        // SAFETY: nothing in a segment lies at zero. (Who makes a reference of this would look for that otherwise.)
        unsafe { assert_unchecked(!value.is_null()) };
        value
    }

    /// The generation of a slot.
    ///
    /// # Safety
    ///
    /// As for [`value`](Self::value).
    #[inline(always)]
    pub(super) unsafe fn generation(&self, slot_index: SlotIndex) -> *mut u32 {
        self.generations.wrapping_add(index(slot_index))
    }
}

/// Size and alignment of a segment of so many slots, and how far in its generations begin.
fn layout_of<T>(slots: usize) -> Option<(Layout, usize)> {
    let values = Layout::array::<T>(slots).ok()?.align_to(LINE).ok()?;
    values.extend(Layout::array::<u32>(slots).ok()?).ok()
}

/// The index of a place from where indices count from zero.
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

    /// How many segments have come.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How many slots a segment has; none if it has not come.
    pub(super) fn segment_len(&self, segment: usize) -> usize {
        self.lengths.get(segment).map_or(0, |&slots| slots as usize)
    }

    /// How many places of a segment have no slot.
    pub(super) fn missing(&self, segment: usize) -> usize {
        segment_len(segment) - self.segment_len(segment)
    }

    /// How many slots there are from a place on, which may be the end of a segment.
    pub(super) fn slots_from(&self, slot_index: SlotIndex) -> usize {
        let slots: usize = self.lengths[slot_index.segment()..].iter().map(|&slots| slots as usize).sum();
        slots - slot_index.offset()
    }

    /// The end of a segment that has come.
    pub(super) fn end(&self, segment: usize) -> SlotIndex {
        SlotIndex::start(segment).skip(self.lengths[segment])
    }

    /// Where the slots of a segment lie.
    pub(super) fn segment(&self, segment: usize) -> Segment<T> {
        Segment { values: self.values[segment], generations: self.generations[segment] }
    }

    /// Where the value of a slot is, if there is one.
    ///
    /// # Safety
    ///
    /// The slot's segment has come.
    #[inline(always)]
    pub(super) unsafe fn value(&self, slot_index: SlotIndex) -> *mut T {
        // SAFETY: a segment that has come is one of those that there can be.
        unsafe {
            let values = *self.values.get_unchecked(slot_index.segment());
            Segment { values, ..Segment::NONE }.value(slot_index)
        }
    }

    /// The generation of a slot.
    ///
    /// # Safety
    ///
    /// The slot's segment has come.
    #[inline(always)]
    pub(super) unsafe fn generation(&self, slot_index: SlotIndex) -> *mut u32 {
        // SAFETY: as above.
        unsafe {
            let generations = *self.generations.get_unchecked(slot_index.segment());
            Segment::<T> { generations, ..Segment::NONE }.generation(slot_index)
        }
    }

    /// The generations of so many slots, those that were never written included.
    ///
    /// # Safety
    ///
    /// The slots are in one segment, which has come.
    pub(super) unsafe fn generations(&mut self, first: SlotIndex, count: usize) -> &mut [MaybeUninit<u32>] {
        // SAFETY: the caller's promise, and they are borrowed mutably with the table.
        unsafe { slice::from_raw_parts_mut(self.generation(first).cast(), count) }
    }

    /// For each segment that has come, where its memory is, and where its values are in it: addresses.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + Clone {
        (0..self.count).filter_map(|segment| {
            let (layout, values) =
                (layout_of::<T>(self.segment_len(segment))?.0, size_of::<T>() * self.segment_len(segment));
            // SAFETY: the segment has come.
            let start = unsafe { self.value(SlotIndex::start(segment)) }.addr();
            Some((start..start + layout.size(), start..start + values))
        })
    }

    /// Where generations lie that have blocks of their own: addresses.
    pub(super) fn completions(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        (0..self.count).filter(|&segment| self.is_completed(segment)).map(|segment| {
            // SAFETY: the segment has come.
            let start = unsafe { self.generation(SlotIndex::start(segment)) }.addr();
            start..start + size_of::<u32>() * segment_len(segment)
        })
    }

    /// How many slots the next segment could have at most, if the parent has memory for them and for so many bytes more, and
    /// `per_slot` for each slot. It is asked for a block to find that out.
    ///
    /// # Errors
    ///
    /// Why there are too few: less than a sixteenth of what the segment is to have. Segments are few, and so none is
    /// spent on less.
    pub(super) fn slots_to_be_had(&self, more: usize, per_slot: usize) -> Result<usize, AllocError> {
        let whole = segment_len(self.count);
        let fewest = (whole / 16).max(1);
        let layout_of = |slots| layout_of::<T>(slots).ok_or(AllocError::Unsupported);
        let (least, all) = (layout_of(fewest)?.0, layout_of(whole)?.0.size());
        let preferred = all.saturating_add(more).saturating_add(per_slot * whole);
        let block = self.parent.allocate_between(least, preferred)?;
        // SAFETY: the block was just handed out; its whole length fits it.
        unsafe {
            let whole = Layout::from_size_align_unchecked(block.len(), least.align());
            self.parent.deallocate(block.cast(), whole);
        }
        // Padding and what the parent needs for itself.
        let bytes = block.len().saturating_sub(more + 4 * LINE);
        let slots = (bytes / (size_of::<T>() + size_of::<u32>() + per_slot)).min(whole);
        if slots < fewest { Err(AllocError::Exhausted) } else { Ok(slots) }
    }

    /// Takes one more segment of so many slots from the parent. Nothing in it has been written.
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
        // SAFETY: the generations are in the block.
        let generations = unsafe { block.add(generations).cast::<u32>() };
        self.generations[segment] = generations.as_ptr().wrapping_sub(first);
        self.lengths[segment] = slots as u32;
        self.count += 1;
        Ok(())
    }

    /// Returns the last segments to the parent, so that so many are left. No slot in them is in use.
    pub(super) fn shrink_to(&mut self, count: usize) {
        while self.count > count {
            let segment = self.count - 1;
            if self.is_completed(segment) {
                self.undo_completion(segment);
            }
            // SAFETY: the segment has come.
            let start = unsafe { self.value(SlotIndex::start(segment)) };
            if let (Some(start), Some((layout, _))) =
                (NonNull::new(start), layout_of::<T>(self.segment_len(segment)))
            {
                // SAFETY: the segment was handed out for this layout, and begins with its first value.
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

    /// Gives every place of a segment a generation.
    fn complete(&mut self, segment: usize) -> Result<(), AllocError> {
        let layout = Layout::array::<u32>(segment_len(segment)).map_err(|_| AllocError::Unsupported)?;
        let block = self.parent.allocate(layout)?.cast::<u32>();
        let slot_index = SlotIndex::start(segment);
        // SAFETY: the block is as long; so many generations are there, written or not.
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

    /// Puts the generations of a segment back behind its values. None of a segment behind it is in use.
    fn undo_completion(&mut self, segment: usize) {
        let slot_index = SlotIndex::start(segment);
        let layouts = (layout_of::<T>(self.segment_len(segment)), Layout::array::<u32>(segment_len(segment)));
        let (Some((_, generations)), Ok(layout)) = layouts else { return };
        // SAFETY: the segment has come, and its generations lie so far in; the block was handed out for this layout.
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
