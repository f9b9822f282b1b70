//! A table that grows and in which nothing ever moves: segments, each twice as long as the one before.
//!
//! The place of an index is found in O(1): the segment's number is a logarithm, and there is a pointer per segment. A table
//! may grow while other threads look places up. At most half of the places are unused, and their memory is untouched if
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

/// So many segments have all indices that are below [`MOST`].
const SEGMENTS: usize = (u32::BITS - FIRST.ilog2()) as usize;

/// The most places that there can be.
const MOST: u32 = u32::MAX - FIRST + 1;

/// The places `0..MOST`, as many as have come: `FIRST · (2ᵏ − 1)` after `k` segments. All bytes of a place are zero at first.
///
/// # Invariants
///
/// `table[k]` is null, or points to a block of `parent` for `FIRST · 2ᵏ` places; those that are not null come first.
pub(crate) struct Segments<S, A: Allocator> {
    table: [AtomicPtr<S>; SEGMENTS],
    parent: A,
}

/// Which segment has an index below [`MOST`], and where in it.
#[inline(always)]
fn locate(index: u32) -> (usize, usize) {
    let number = index + FIRST;
    let segment = number.ilog2() - FIRST.ilog2();
    (segment as usize, (number - (FIRST << segment)) as usize)
}

fn layout_of<S>(segment: usize) -> Option<Layout> {
    Layout::array::<S>((FIRST as usize).checked_shl(segment as u32)?).ok()
}

impl<S, A: Allocator> Segments<S, A> {
    pub(crate) const fn new(parent: A) -> Self {
        Self { table: [const { AtomicPtr::new(ptr::null_mut()) }; SEGMENTS], parent }
    }

    pub(crate) fn parent(&self) -> &A {
        &self.parent
    }

    /// The place of an index, if its segment has come.
    #[inline(always)]
    pub(crate) fn get(&self, index: u32) -> Option<NonNull<S>> {
        if index >= MOST {
            return None;
        }
        let (segment, offset) = locate(index);
        let start = NonNull::new(self.table.get(segment)?.load(Ordering::Acquire))?;
        // SAFETY: the segment has that many places.
        Some(unsafe { start.add(offset) })
    }

    /// The place of an index whose segment has come, as this thread knows.
    ///
    /// # Safety
    ///
    /// It has: `index` is less than some `have` that [`grow`](Self::grow) made room at, and that happened before.
    #[inline(always)]
    pub(crate) unsafe fn get_known(&self, index: u32) -> NonNull<S> {
        let (segment, offset) = locate(index);
        // SAFETY: the caller says that the segment is there, and so it has that many places.
        unsafe {
            NonNull::new_unchecked(self.table.get_unchecked(segment).load(Ordering::Relaxed)).add(offset)
        }
    }

    /// Makes room at the index `have`, where the next segment begins, unless another thread has done so already. Says how
    /// many places there are then.
    #[cold]
    #[inline(never)]
    pub(crate) fn grow(&self, have: u32) -> Result<u32, AllocError> {
        if have >= MOST {
            return Err(AllocError::Unsupported);
        }
        let (segment, _) = locate(have);
        let (Some(entry), Some(layout)) = (self.table.get(segment), layout_of::<S>(segment)) else {
            return Err(AllocError::Unsupported);
        };
        let places = self.parent.allocate_zeroed(layout)?.cast::<S>();
        let published =
            entry.compare_exchange(ptr::null_mut(), places.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        if published.is_err() {
            // SAFETY: it was just handed out for this layout, and nobody has seen it.
            unsafe { self.parent.deallocate(places.cast(), layout) };
        }
        Ok(have.saturating_add(FIRST << segment).min(MOST))
    }
}

impl<S, A: Allocator> Drop for Segments<S, A> {
    fn drop(&mut self) {
        for (segment, entry) in self.table.iter().enumerate() {
            if let (Some(start), Some(layout)) =
                (NonNull::new(entry.load(Ordering::Acquire)), layout_of::<S>(segment))
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
    fn indices_and_places_are_one_to_one() {
        let segments = Segments::<u64, _>::new(Heap);
        assert!(segments.get(0).is_none());
        let mut have = 0;
        while have < 5000 {
            let more = segments.grow(have).expect("the heap has room");
            assert!(segments.get(more).is_none(), "{more} is beyond the end");
            have = more;
        }
        for index in 0..have {
            let place = segments.get(index).expect("its segment has come");
            // SAFETY: the place is this table's, and zero at first.
            unsafe { place.write(place.read() + u64::from(index) + 1) };
        }
        for index in 0..have {
            // SAFETY: the place was just written.
            assert_eq!(unsafe { segments.get_known(index).read() }, u64::from(index) + 1);
        }
    }

    #[test]
    fn the_last_index_is_in_the_last_segment() {
        assert_eq!(locate(0), (0, 0));
        assert_eq!(locate(FIRST), (1, 0));
        let (segment, offset) = locate(MOST - 1);
        assert_eq!((segment, offset as u32), (SEGMENTS - 1, (FIRST << segment) - 1));
        assert!(Segments::<u8, _>::new(Heap).get(MOST).is_none());
        assert_eq!(Segments::<u8, _>::new(Heap).grow(MOST), Err(AllocError::Unsupported));
    }

    /// Two threads that grow at once: one segment is kept, the other goes back.
    #[test]
    fn growing_twice_keeps_the_first_segment() {
        let segments = Segments::<u64, _>::new(Heap);
        assert_eq!(segments.grow(0), Ok(FIRST));
        let place = segments.get(3);
        assert_eq!(segments.grow(0), Ok(FIRST));
        assert_eq!(segments.get(3), place);
    }
}
