//! A table that grows and in which nothing ever moves: segments, each twice as long as the one before.
//!
//! What is at a place is found in O(1): a place says which segment, and there is a pointer per segment. A table may grow while other threads look places up. At most half of the places are unused, and their memory is untouched if
//! the parent has memory that is zero already.
//!
//! Source: Dechev, Pirkelbauer and Stroustrup, "Lock-Free Dynamically Resizable Arrays" (2006), for the segments.

use core::{
    alloc::Layout,
    ptr::{self, NonNull},
};

use crate::{
    base::{
        AllocError,
        atomic::{AtomicPtr, Ordering},
    },
    contract::Allocator,
};

/// Places in the first segment.
const FIRST: u32 = 32;

/// How many bits of a place say where in its segment it is; those above say which segment.
const OFFSET_BITS: u32 = 27;

/// The most segments that there can be: the last is as long as an offset can say. So there are 2²⁸ − 32 places at most.
pub(crate) const MOST_SEGMENTS: usize = (OFFSET_BITS - FIRST.ilog2() + 1) as usize;

/// Where something is in a table of segments: which segment, and where in it. A word that is taken apart without a
/// logarithm.
///
/// # Invariants
///
/// The offset is below the segment's length; for the segment's end, which is no place of anything, it is that. So they are in
/// the order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Place(u32);

impl Place {
    /// So many segments can be told apart; there are never more than [`MOST_SEGMENTS`].
    pub(crate) const TELLABLE: usize = 1 << (u32::BITS - OFFSET_BITS);

    /// The first of all.
    pub(crate) const ZERO: Self = Self(0);

    /// The place that is this word; `None` if none is.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        let place = Self(bits);
        (place.segment() < MOST_SEGMENTS && place.offset() < length(place.segment())).then_some(place)
    }

    /// The place that is this word.
    ///
    /// # Panics
    ///
    /// Never, but checks in debug builds that one is.
    #[inline(always)]
    pub(crate) fn known(bits: u32) -> Self {
        debug_assert!(Self::from_bits(bits).is_some(), "no place has these bits");
        Self(bits)
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn segment(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    #[inline(always)]
    pub(crate) fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize
    }

    /// How many places come before.
    #[inline(always)]
    pub(crate) fn number(self) -> u32 {
        (FIRST << self.segment()) - FIRST + self.offset() as u32
    }

    /// The place after this one, or the end of its segment.
    #[inline(always)]
    pub(crate) fn step(self) -> Self {
        Self(self.0 + 1)
    }

    /// The end of a segment: its last place and a step.
    #[inline(always)]
    pub(crate) fn end(segment: usize) -> Self {
        Self(Self::start(segment).0 + length(segment) as u32)
    }

    /// The place after this one; after the last of a segment, the first of the next.
    #[inline(always)]
    pub(crate) fn next(self) -> Self {
        if self.offset() + 1 == length(self.segment()) {
            Self::start(self.segment() + 1)
        } else {
            self.step()
        }
    }

    /// The place before this one, which is not the first.
    pub(crate) fn previous(self) -> Self {
        match self.offset() {
            0 => Self(((self.segment() - 1) as u32) << OFFSET_BITS | (length(self.segment() - 1) - 1) as u32),
            _ => Self(self.0 - 1),
        }
    }

    /// The first of a segment, or where it would be.
    #[inline(always)]
    pub(crate) fn start(segment: usize) -> Self {
        Self((segment as u32) << OFFSET_BITS)
    }
}

/// How many places a segment has.
#[inline(always)]
pub(crate) fn length(segment: usize) -> usize {
    (FIRST as usize) << segment
}

/// Places that threads look up, as many as have come. All bytes of a place are zero at first.
///
/// # Invariants
///
/// `table[k]` is null, or points to a block of `parent` for `length(k)` places; those that are not null come first.
pub(crate) struct Segments<S, A: Allocator> {
    table: [AtomicPtr<S>; Place::TELLABLE],
    parent: A,
}

impl<S, A: Allocator> Segments<S, A> {
    pub(crate) const fn new(parent: A) -> Self {
        Self { table: [const { AtomicPtr::new(ptr::null_mut()) }; Place::TELLABLE], parent }
    }

    pub(crate) fn parent(&self) -> &A {
        &self.parent
    }

    /// What is at a place, if its segment has come.
    #[inline(always)]
    pub(crate) fn get(&self, place: Place) -> Option<NonNull<S>> {
        let start = NonNull::new(self.table[place.segment()].load(Ordering::Acquire))?;
        // SAFETY: the segment is that long.
        Some(unsafe { start.add(place.offset()) })
    }

    /// What is at a place whose segment has come, as this thread knows.
    ///
    /// # Safety
    ///
    /// It has: some [`grow`](Self::grow) made room for it, and that happened before.
    #[inline(always)]
    pub(crate) unsafe fn get_known(&self, place: Place) -> NonNull<S> {
        // SAFETY: the caller says that the segment is there, and it is that long.
        unsafe {
            NonNull::new_unchecked(self.table[place.segment()].load(Ordering::Relaxed)).add(place.offset())
        }
    }

    /// Makes room for one more segment than `have`, all of which have come, unless another thread has done so already.
    #[cold]
    #[inline(never)]
    pub(crate) fn grow(&self, have: usize) -> Result<(), AllocError> {
        let layout = (have < MOST_SEGMENTS).then(|| Layout::array::<S>(length(have)));
        let Some(Ok(layout)) = layout else { return Err(AllocError::Unsupported) };
        let places = self.parent.allocate_zeroed(layout)?.cast::<S>();
        let entry = &self.table[have];
        let published =
            entry.compare_exchange(ptr::null_mut(), places.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        if published.is_err() {
            // SAFETY: it was just handed out for this layout, and nobody has seen it.
            unsafe { self.parent.deallocate(places.cast(), layout) };
        }
        Ok(())
    }
}

impl<S, A: Allocator> Drop for Segments<S, A> {
    fn drop(&mut self) {
        for (segment, entry) in self.table.iter().enumerate() {
            if let (Some(start), Ok(layout)) =
                (NonNull::new(entry.load(Ordering::Acquire)), Layout::array::<S>(length(segment)))
            {
                // SAFETY: the segment was handed out for this layout, and nobody looks at its places any more.
                unsafe { self.parent.deallocate(start.cast(), layout) };
            }
        }
    }
}

#[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::source::Heap;

    #[test]
    fn numbers_and_places_are_one_to_one() {
        let segments = Segments::<u64, _>::new(Heap);
        assert!(segments.get(Place::ZERO).is_none());
        (0..8).for_each(|have| segments.grow(have).expect("the heap has room"));
        let end = Place::start(8);
        assert!(segments.get(end).is_none());
        let mut place = Place::ZERO;
        for number in 0..end.number() {
            assert_eq!((place.number(), Place::from_bits(place.bits())), (number, Some(place)));
            let word = segments.get(place).expect("its segment has come");
            // SAFETY: the place is this table's, and zero at first.
            unsafe { word.write(word.read() + u64::from(number) + 1) };
            assert!(place < place.next() && place.next().previous() == place);
            place = place.next();
        }
        assert_eq!(place, end);
        while place != Place::ZERO {
            place = place.previous();
            // SAFETY: the place was just written.
            assert_eq!(unsafe { segments.get_known(place).read() }, u64::from(place.number()) + 1);
        }
    }

    #[test]
    fn the_last_place_is_in_the_last_segment() {
        let end = Place::start(MOST_SEGMENTS);
        assert_eq!((end.number(), end.previous().segment()), ((1 << 28) - FIRST, MOST_SEGMENTS - 1));
        assert!(Place::from_bits(end.previous().bits()).is_some());
        assert_eq!([end.bits(), FIRST, u32::MAX].map(Place::from_bits), [None; 3]);
        assert_eq!(Segments::<u8, _>::new(Heap).grow(MOST_SEGMENTS), Err(AllocError::Unsupported));
    }

    /// Two threads that grow at once: one segment is kept, the other goes back.
    #[test]
    fn growing_twice_keeps_the_first_segment() {
        let segments = Segments::<u64, _>::new(Heap);
        assert_eq!(segments.grow(0), Ok(()));
        let before = segments.get(Place::ZERO);
        assert_eq!(segments.grow(0), Ok(()));
        assert_eq!(segments.get(Place::ZERO), before);
    }
}
