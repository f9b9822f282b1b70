//! A table of places that threads look up while others let it grow: a pointer per segment. At most half of the places are unused,
//! and their memory is untouched if the parent has memory that is zero already. Where the parent has not enough for a segment,
//! a shorter one comes.

use core::{
    alloc::Layout,
    ops::Range,
    ptr::{self, NonNull},
};

use super::places::{MOST_SEGMENTS, Place, length};
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
/// * `table[k]` is null, or points to places in a block of `parent`, behind a [`Head`] that says how many they are: at most
///   `length(k)`. Those that are not null come first.
/// * `lengths[k]` is zero, or says the same; it is not zero once [`grow`](Self::grow) has said that the segment is there.
pub(crate) struct Segments<S, A: Allocator> {
    table: [AtomicPtr<S>; Place::TELLABLE],
    lengths: [AtomicU32; Place::TELLABLE],
    parent: A,
}

/// What lies in front of the places of a segment.
#[derive(Clone, Copy)]
struct Head {
    places: u32,
    /// Bytes of the block.
    bytes: usize,
}

/// The head of a segment whose places begin there.
fn head<S>(start: NonNull<S>) -> *mut Head {
    start.as_ptr().cast::<Head>().wrapping_sub(1)
}

impl<S, A: Allocator> Segments<S, A> {
    /// What segments are aligned to.
    const ALIGN: usize =
        if align_of::<S>() > align_of::<Head>() { align_of::<S>() } else { align_of::<Head>() };

    /// How far into a segment its places begin.
    const FRONT: usize = size_of::<Head>().next_multiple_of(Self::ALIGN);

    pub(crate) const fn new(parent: A) -> Self {
        let table = [const { AtomicPtr::new(ptr::null_mut()) }; Place::TELLABLE];
        Self { table, lengths: [const { AtomicU32::new(0) }; Place::TELLABLE], parent }
    }

    pub(crate) fn parent(&self) -> &A {
        &self.parent
    }

    /// What is at a place, if its segment has come.
    #[inline(always)]
    pub(crate) fn get(&self, place: Place) -> Option<NonNull<S>> {
        // Acquire: with its length, the segment is there.
        if place.offset() >= self.lengths[place.segment()].load(Ordering::Acquire) as usize {
            return None;
        }
        // SAFETY: the segment has come, and is that long.
        Some(unsafe { self.get_known(place) })
    }

    /// Size and alignment of a segment of so many places.
    fn layout_of(places: usize) -> Result<Layout, AllocError> {
        let bytes = size_of::<S>().checked_mul(places).and_then(|bytes| bytes.checked_add(Self::FRONT));
        let layout = bytes.and_then(|bytes| Layout::from_size_align(bytes, Self::ALIGN).ok());
        layout.ok_or(AllocError::Unsupported)
    }

    /// How many places a segment has that has come.
    pub(crate) fn length(&self, segment: usize) -> usize {
        self.lengths[segment].load(Ordering::Acquire) as usize
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

    /// The segments that have come, from the first on: where the places of each begin, and how many they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NonNull<S>, usize)> + Clone {
        self.table.iter().map_while(|entry| {
            let start = NonNull::new(entry.load(Ordering::Acquire))?;
            // SAFETY: it is the start of a segment.
            Some((start, unsafe { head(start).read() }.places as usize))
        })
    }

    /// Where the blocks of the segments are: addresses.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.iter().map(|(start, _)| {
            let head = head(start);
            // SAFETY: it is the start of a segment.
            head.addr()..head.addr() + unsafe { head.read() }.bytes
        })
    }

    /// Takes a segment from the parent, all of its places zero: as many as are planned, or as the parent has room for, but no
    /// fewer than a sixteenth. Segments are few, and so none is spent on less.
    fn take(&self, planned: usize) -> Result<NonNull<S>, AllocError> {
        let (layout, fewest) = (Self::layout_of(planned)?, Self::layout_of((planned / 16).max(1))?);
        let block = self.parent.allocate_zeroed(layout).or_else(|_| {
            let block = self.parent.allocate_between(fewest, layout.size())?;
            // SAFETY: the block was just handed out, and is as long.
            unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
            Ok::<_, AllocError>(block)
        })?;
        let bytes = block.len();
        let room = (bytes - Self::FRONT).checked_div(size_of::<S>()).unwrap_or(planned);
        // SAFETY: there is room for the head in front of the places, and for so many of these.
        unsafe {
            let start = block.cast::<u8>().add(Self::FRONT).cast::<S>();
            head(start).write(Head { places: room.min(planned) as u32, bytes });
            Ok(start)
        }
    }

    /// Returns a segment to the parent.
    ///
    /// # Safety
    ///
    /// It came from there, and nobody uses it.
    unsafe fn give_back(&self, start: NonNull<S>) {
        // SAFETY: the caller's promise; the block was returned as that long, for this alignment.
        unsafe {
            let block = start.cast::<u8>().sub(Self::FRONT);
            let layout = Layout::from_size_align_unchecked(head(start).read().bytes, Self::ALIGN);
            self.parent.deallocate(block, layout);
        }
    }

    /// Makes room for one more segment than `have`, all of which have come, unless another thread has done so already.
    #[cold]
    #[inline(never)]
    pub(crate) fn grow(&self, have: usize) -> Result<(), AllocError> {
        if have >= MOST_SEGMENTS {
            return Err(AllocError::Unsupported);
        }
        let start = self.take(length(have))?;
        let entry = &self.table[have];
        let published =
            entry.compare_exchange(ptr::null_mut(), start.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
        let first = match published {
            Ok(_) => start,
            Err(other) => {
                // SAFETY: it was just taken, and nobody has seen it.
                unsafe { self.give_back(start) };
                NonNull::new(other).ok_or(AllocError::Exhausted)?
            }
        };
        // Whoever was first: its length is known before anybody says that it is there.
        // SAFETY: it is the start of a segment.
        self.lengths[have].store(unsafe { head(first).read() }.places, Ordering::Release);
        Ok(())
    }
}

impl<S, A: Allocator> Drop for Segments<S, A> {
    fn drop(&mut self) {
        for entry in &self.table {
            if let Some(start) = NonNull::new(entry.load(Ordering::Acquire)) {
                // SAFETY: the segment came from the parent, and nobody looks at its places any more.
                unsafe { self.give_back(start) };
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
