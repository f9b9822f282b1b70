//! A table of places that threads look up while others let it grow: a pointer per segment. At most half of the places are unused,
//! and their memory is untouched if the parent has memory that is zero already.

use core::{
    alloc::Layout,
    ptr::{self, NonNull},
};

use super::places::{MOST_SEGMENTS, Place, length};
use crate::{
    base::{
        AllocError,
        atomic::{AtomicPtr, Ordering},
    },
    contract::{Allocator, AtFork, at_fork},
};

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

    /// The segments that have come, from the first on: where each begins.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<S>> {
        self.table.iter().map_while(|entry| NonNull::new(entry.load(Ordering::Acquire)))
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

    /// Two threads that grow at once: one segment is kept, the other goes back.
    #[test]
    fn growing_twice_keeps_the_first_segment() {
        let segments = Segments::<u64, _>::new(Heap);
        assert_eq!(segments.grow(0), Ok(()));
        let before = segments.get(Place::ZERO);
        assert_eq!(segments.grow(0), Ok(()));
        assert_eq!(segments.get(Place::ZERO), before);
        assert_eq!(segments.grow(MOST_SEGMENTS), Err(AllocError::Unsupported));
    }
}

at_fork!([S, A: Allocator + AtFork] Segments<S, A>: parent);
