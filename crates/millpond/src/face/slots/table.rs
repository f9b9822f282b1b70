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
    contract::Allocator,
    share::{MOST_SEGMENTS, Place, length},
};

/// What segments are aligned to, at least: a line of the processor's cache.
const LINE: usize = 64;

/// The slots of a collection, in segments that are never moved.
///
/// # Invariants
///
/// `count` segments have come: for each such `k` there is a block of `parent` with `length(k)` values and, behind them, as
/// many generations; `values[k]` and `generations[k]` are those of a [`Segment`].
pub(super) struct Table<T, A: Allocator> {
    values: [*mut T; MOST_SEGMENTS],
    generations: [*mut u32; MOST_SEGMENTS],
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
    pub(super) unsafe fn value(&self, place: Place) -> *mut T {
        let value = self.values.wrapping_add(index(place));
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
    pub(super) unsafe fn generation(&self, place: Place) -> *mut u32 {
        self.generations.wrapping_add(index(place))
    }
}

/// Size and alignment of a segment, and how far in its generations begin.
fn layout_of<T>(segment: usize) -> Option<(Layout, usize)> {
    let values = Layout::array::<T>(length(segment)).ok()?.align_to(LINE).ok()?;
    values.extend(Layout::array::<u32>(length(segment)).ok()?).ok()
}

/// The index of a place from where indices count from zero.
#[inline(always)]
fn index(place: Place) -> usize {
    place.bits() as usize
}

impl<T, A: Allocator> Table<T, A> {
    pub(super) const fn new(parent: A) -> Self {
        Self { values: [ptr::null_mut(); _], generations: [ptr::null_mut(); _], count: 0, parent }
    }

    pub(super) fn parent(&self) -> &A {
        &self.parent
    }

    /// How many segments have come.
    pub(super) fn count(&self) -> usize {
        self.count
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
    pub(super) unsafe fn value(&self, place: Place) -> *mut T {
        // SAFETY: a segment that has come is one of those that there can be.
        unsafe {
            let values = *self.values.get_unchecked(place.segment());
            Segment { values, ..Segment::NONE }.value(place)
        }
    }

    /// The generation of a slot.
    ///
    /// # Safety
    ///
    /// The slot's segment has come.
    #[inline(always)]
    pub(super) unsafe fn generation(&self, place: Place) -> *mut u32 {
        // SAFETY: as above.
        unsafe {
            let generations = *self.generations.get_unchecked(place.segment());
            Segment::<T> { generations, ..Segment::NONE }.generation(place)
        }
    }

    /// The generations of so many slots, those that were never written included.
    ///
    /// # Safety
    ///
    /// The slots are in one segment, which has come.
    pub(super) unsafe fn generations(&mut self, first: Place, count: usize) -> &mut [MaybeUninit<u32>] {
        // SAFETY: the caller's promise, and they are borrowed mutably with the table.
        unsafe { slice::from_raw_parts_mut(self.generation(first).cast(), count) }
    }

    /// For each segment that has come, where its memory is, and where its values are in it: addresses.
    pub(super) fn spans(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> + Clone {
        (0..self.count).filter_map(|segment| {
            let (layout, values) = (layout_of::<T>(segment)?.0, size_of::<T>() * length(segment));
            // SAFETY: the segment has come.
            let start = unsafe { self.value(Place::start(segment)) }.addr();
            Some((start..start + layout.size(), start..start + values))
        })
    }

    /// Takes one more segment from the parent. Nothing in it has been written.
    pub(super) fn grow(&mut self) -> Result<(), AllocError> {
        let segment = self.count;
        let layout = if segment < MOST_SEGMENTS { layout_of::<T>(segment) } else { None };
        let (layout, generations) = layout.ok_or(AllocError::Unsupported)?;
        let block = self.parent.allocate(layout)?.cast::<u8>();
        let first = index(Place::start(segment));
        self.values[segment] = block.cast::<T>().as_ptr().wrapping_sub(first);
        // SAFETY: the generations are in the block.
        let generations = unsafe { block.add(generations).cast::<u32>() };
        self.generations[segment] = generations.as_ptr().wrapping_sub(first);
        self.count += 1;
        Ok(())
    }
}

impl<T, A: Allocator> Drop for Table<T, A> {
    fn drop(&mut self) {
        for segment in 0..self.count {
            // SAFETY: the segment has come.
            let start = unsafe { self.value(Place::start(segment)) };
            if let (Some(start), Some((layout, _))) = (NonNull::new(start), layout_of::<T>(segment)) {
                // SAFETY: the segment was handed out for this layout, and begins with its first value.
                unsafe { self.parent.deallocate(start.cast(), layout) };
            }
        }
    }
}
