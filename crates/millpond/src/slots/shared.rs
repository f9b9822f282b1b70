//! The collection that threads share.

use core::{cell::UnsafeCell, marker::PhantomData, mem::ManuallyDrop, ops::Deref};

use lock_api::RawMutex;

use super::{
    Key,
    inspect::{SlotUse, outline, paint_segment},
    iter::SlotIndices,
};
use crate::{
    base::AllocError,
    shell::{SpinLock, out_of_memory},
    source::{DEFAULT_PARENT, DefaultParent},
    sync::{BATCH_SIZE, FreeLink, SegmentedArray, SlotFreeLists, SlotIndex, SlotState, SlotStorage},
    traits::{Allocator, AtFork, HeapMapBuilder, Inspect, InvariantError, PoolStats, Report, at_fork},
    typed::TryAllocError,
};

/// A [`Slots`](crate::Slots) that threads share: any of them inserts, reads and removes, through a shared reference.
///
/// Reading takes no lock: [`get`](Self::get) counts the reader in, and the [`SlotRef`] that it returns counts it out. A value that
/// is removed while somebody reads it is gone for everybody else at once, and dropped by the last of its readers.
///
/// Nor do inserting and removing, mostly: each thread has a few vacant slots at hand, and one operation in 32 at most takes a
/// lock, for a few instructions, to exchange some with those of all threads. Growing holds no lock.
///
/// ```
/// use millpond::SharedSlots;
///
/// static SESSIONS: SharedSlots<String> = SharedSlots::new();
///
/// let key = SESSIONS.insert(String::from("a session"));
/// std::thread::scope(|scope| {
///     scope.spawn(|| assert_eq!(SESSIONS.get(key).as_deref().map(String::len), Some(9)));
/// });
/// let read = SESSIONS.get(key).expect("it is there");
/// assert!(SESSIONS.remove(key));
/// assert!(SESSIONS.get(key).is_none());
/// assert_eq!(*read, "a session");
/// ```
///
/// Values are read by many threads and dropped by any:
///
/// ```compile_fail,E0277
/// use std::cell::Cell;
///
/// let slots = millpond::SharedSlots::<Cell<u32>>::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| slots.len()); // error: a `Cell` cannot be shared between threads
/// #     // instead: scope.spawn(|| millpond::SharedSlots::<u32>::new().len());
/// });
/// ```
///
/// An entry does not outlive its collection:
///
/// ```compile_fail,E0597
/// let entry;
/// {
///     let slots = millpond::SharedSlots::new();
///     entry = slots.get(slots.insert(1)); // error: `slots` does not live long enough
/// #     // instead: entry = slots.get(slots.insert(1)).map(|entry| *entry);
/// }
/// drop(entry);
/// ```
///
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: `T` or a word, eight more, and what alignment adds. A thread that inserts or
/// removes takes 128 more, which the next thread with its number inherits; at most as many are taken in advance.
///
/// # What is held back
///
/// At most [`CACHED_PER_THREAD`](Self::CACHED_PER_THREAD) vacant slots for each thread that has inserted or removed. What a thread held that has
/// ended is inherited by the next one that starts; and when the parent has nothing more, whoever inserts takes what ended
/// threads have left, unless their numbers belong to threads by now that do not use this collection. Without the feature
/// `std`, and after its thread-locals are gone, a thread holds nothing, and takes the lock each time.
///
/// # Threads
///
/// * *Not for signal handlers*: one that interrupts an insertion would find a half-changed list, or wait for a lock that only the
///   interrupted thread can release.
/// * *Fork*: in the child, the slots that other threads held are lost until the collection goes. If another thread had the
///   lock at that moment, the child waits for ever as soon as it takes it.
///
/// # Invariants
///
/// * Slots below the `used` of `free_lists` were given out. One whose occupancy says so holds a value; the others are among
///   `free_lists`, unless they are being filled or emptied, or are retired.
pub struct SharedSlots<T, A: Allocator = DefaultParent, L: RawMutex = SpinLock> {
    free_lists: SlotFreeLists<L>,
    segments: SegmentedArray<Slot<T>, A>,
    owns: PhantomData<Slot<T>>,
}

struct Slot<T> {
    occupancy: SlotState,
    content: UnsafeCell<Content<T>>,
}

union Content<T> {
    _value: ManuallyDrop<T>,
    _link: ManuallyDrop<FreeLink>,
}

// SAFETY: a slot that is vacant has a link, and nobody else reads or writes what is in it.
unsafe impl<T, A: Allocator> SlotStorage for SegmentedArray<Slot<T>, A> {
    type Parent = A;

    fn parent(&self) -> &A {
        self.parent()
    }

    #[inline(always)]
    unsafe fn link(&self, slot_index: SlotIndex) -> *mut FreeLink {
        // SAFETY: the caller's promise.
        unsafe { self.get_unchecked(slot_index).as_ref() }.content.get().cast()
    }

    fn segment_len(&self, segment: usize) -> usize {
        self.segment_len(segment)
    }

    fn grow(&self, have: usize) -> Result<(), AllocError> {
        self.grow(have)
    }
}

// SAFETY: threads that share the collection share its values and drop one another's; slots are given out under a lock, and
// their occupancy says who may read and who empties them.
unsafe impl<T: Send + Sync, A: Allocator + Sync, L: RawMutex + Sync> Sync for SharedSlots<T, A, L> {}

impl<T> SharedSlots<T> {
    /// An empty collection, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }
}

impl<T, A: Allocator, L: RawMutex> SharedSlots<T, A, L> {
    /// Bytes per slot.
    pub const SLOT_SIZE: usize = size_of::<Slot<T>>();

    /// The most vacant slots that a thread has at hand, which others do not get as long as it lives.
    pub const CACHED_PER_THREAD: usize = 2 * BATCH_SIZE as usize;

    /// An empty collection, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self { free_lists: SlotFreeLists::new(), segments: SegmentedArray::new(parent), owns: PhantomData }
    }

    /// How many values there are; those that are removed while they are read do not count. O(threads that use the collection).
    /// While others insert and remove, it is near that.
    #[must_use]
    pub fn len(&self) -> usize {
        self.free_lists.live()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        self.segments.parent()
    }

    /// Returns what is held, live and free: as [`Inspect::stats`]. O(slots ever used at a time).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Inspect::stats(self)
    }

    /// Puts a value in. A collection without memory ends the program.
    pub fn insert(&self, value: T) -> Key<T> {
        match self.free_lists.pop(&self.segments) {
            Ok(slot_index) => self.fill(slot_index, value),
            Err(error) => out_of_memory(core::alloc::Layout::new::<Slot<T>>(), error),
        }
    }

    /// As [`insert`](Self::insert), or says why there is no room.
    ///
    /// # Errors
    ///
    /// What the parent says, or [`AllocError::Unsupported`] beyond 2²⁸ − 4 slots; and the value.
    pub fn try_insert(&self, value: T) -> Result<Key<T>, TryAllocError<T>> {
        match self.free_lists.pop(&self.segments) {
            Ok(slot_index) => Ok(self.fill(slot_index, value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Fills a slot that this thread has taken.
    fn fill(&self, slot_index: SlotIndex, value: T) -> Key<T> {
        // SAFETY: the slot was just taken. One that was never used is all zero, which is a vacant one.
        let slot = unsafe { self.segments.get_unchecked(slot_index).as_ref() };
        let generation = slot.occupancy.next_generation();
        // SAFETY: nobody else reads or fills it: it is not open.
        unsafe { slot.content.get().cast::<T>().write(value) };
        slot.occupancy.publish(generation);
        Key::new(slot_index, generation)
    }

    /// The slot of a key, whatever is in it now.
    #[inline]
    fn slot(&self, key: Key<T>) -> Option<&Slot<T>> {
        // SAFETY: a slot whose segment has come is all zero or was filled, and its occupancy is atomic.
        self.segments.get(key.slot_index()).map(|slot| unsafe { slot.as_ref() })
    }

    /// The value of a key, if it is still there. As long as the entry is, so is the value.
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key<T>) -> Option<SlotRef<'_, T, A, L>> {
        let slot = self.slot(key)?;
        slot.occupancy.begin_read(key.generation()).then(|| SlotRef {
            slots: self,
            slot,
            slot_index: key.slot_index(),
        })
    }

    /// Whether the value of a key is there at this moment.
    #[must_use]
    pub fn contains(&self, key: Key<T>) -> bool {
        self.slot(key).is_some_and(|slot| slot.occupancy.generation() == Some(key.generation()))
    }

    /// Removes a value; false if it was gone. Its key, and every copy of it, is good for nothing from now on. It is dropped
    /// now, or by the last of those that read it.
    pub fn remove(&self, key: Key<T>) -> bool {
        let Some(slot) = self.slot(key) else { return false };
        let closed = slot.occupancy.begin_removal(key.generation());
        match closed {
            Some(true) => self.empty(key.slot_index(), slot, true),
            Some(false) => self.free_lists.count_removal(),
            None => {}
        }
        closed.is_some()
    }

    /// Drops the value of a slot that is closed and has no readers, and vacates the slot, also if the destructor unwinds.
    /// The value still counts, or does not count any more.
    #[inline(always)]
    fn empty(&self, slot_index: SlotIndex, slot: &Slot<T>, is_counted: bool) {
        /// Vacates the slot.
        struct Vacate<'a, T, A: Allocator, L: RawMutex>(
            &'a SharedSlots<T, A, L>,
            SlotIndex,
            &'a Slot<T>,
            bool,
        );

        impl<T, A: Allocator, L: RawMutex> Drop for Vacate<'_, T, A, L> {
            fn drop(&mut self) {
                let Self(slots, slot_index, slot, is_counted) = *self;
                if slot.occupancy.vacate() {
                    // SAFETY: the slot is vacant, and this thread has emptied it.
                    unsafe { slots.free_lists.push(&slots.segments, slot_index, is_counted) };
                } else if is_counted {
                    slots.free_lists.count_removal();
                }
            }
        }

        let _vacate = Vacate(self, slot_index, slot, is_counted);
        // SAFETY: there is a value, and nobody reads it: whoever closed the slot, or was the last reader, empties it.
        unsafe { slot.content.get().cast::<T>().drop_in_place() };
    }

    /// The values that are there, one after the other, with their keys. What is inserted or removed meanwhile may be among them
    /// or not.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, SlotRef<'_, T, A, L>)> {
        let used = self.free_lists.used();
        SlotIndices::to(used).filter_map(|slot_index| {
            let slot = self.segments.get(slot_index)?;
            // SAFETY: as in `slot`.
            let generation = unsafe { slot.as_ref() }.occupancy.generation()?;
            let key = Key::new(slot_index, generation);
            Some((key, self.get(key)?))
        })
    }

    /// Removes the values that `keep` does not want to keep; as [`iter`](Self::iter), and [`remove`](Self::remove).
    pub fn retain(&self, mut keep: impl FnMut(Key<T>, &T) -> bool) {
        for (key, value) in self.iter() {
            if !keep(key, &value) {
                self.remove(key);
            }
        }
    }
}

/// As of a pool of blocks that are as large as a slot. While other threads are at work, of a moment that may never have been.
impl<T, A: Allocator, L: RawMutex> Inspect for SharedSlots<T, A, L> {
    /// O(slots ever used at a time).
    fn stats(&self) -> PoolStats {
        let room: usize = self.segments.iter().map(|(_, places)| places).sum();
        let filled = SlotIndices::to(self.free_lists.used())
            .filter(|slot_index| matches!(self.used(*slot_index), SlotUse::Occupied));
        let live = filled.count() * Self::SLOT_SIZE;
        let memory = self.segments.memory().chain(self.free_lists.memory());
        PoolStats {
            chunks: memory.clone().count(),
            held: memory.map(|memory| memory.len()).sum(),
            live,
            free: (room * Self::SLOT_SIZE).saturating_sub(live),
        }
    }

    fn owns(&self, address: *const u8) -> bool {
        let mut spans = self.segments.memory().chain(self.free_lists.memory());
        spans.any(|memory| memory.contains(&address.addr()))
    }

    /// What is on the shelves of threads is not looked at: they may be using it.
    fn check(&self) -> Result<(), InvariantError> {
        self.free_lists
            .check(&self.segments, |slot_index| !matches!(self.used(slot_index), SlotUse::Occupied))
    }

    fn largest_free(&self) -> Option<usize> {
        Some(if self.stats().free == 0 { 0 } else { Self::SLOT_SIZE })
    }

    fn report(&self) -> Report {
        Report { live_blocks: Some(self.len()), ..Report::default() }
    }

    /// O(slots). Slots that are retired look like fresh ones.
    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        let segments = self.segments.memory().zip(self.segments.iter());
        for (segment, (memory, (start, places))) in segments.enumerate() {
            let start = start.addr().get();
            let chunk = (memory, start..start + places * Self::SLOT_SIZE, Self::SLOT_SIZE, places);
            paint_segment(builder, segment, chunk, |slot_index| self.used(slot_index));
        }
        self.free_lists.memory().for_each(|memory| outline(builder, memory));
    }
}

impl<T, A: Allocator, L: RawMutex> SharedSlots<T, A, L> {
    /// What a slot is used for at this moment.
    fn used(&self, slot_index: SlotIndex) -> SlotUse {
        // SAFETY: as in `slot`.
        match self
            .segments
            .get(slot_index)
            .map_or(0, |slot| unsafe { slot.as_ref() }.occupancy.latest_generation())
        {
            0 => SlotUse::Fresh,
            odd if odd % 2 == 1 => SlotUse::Occupied,
            _ => SlotUse::VacatedKeys,
        }
    }
}

impl<T> Default for SharedSlots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator, L: RawMutex> Drop for SharedSlots<T, A, L> {
    /// Drops all values, those too whose entries were forgotten, and also if a destructor panics. (If two do, the program ends.)
    fn drop(&mut self) {
        /// Goes on where a destructor has panicked.
        struct ContinueOnPanic<'a, T, A: Allocator, L: RawMutex>(&'a SharedSlots<T, A, L>, SlotIndices);

        impl<T, A: Allocator, L: RawMutex> ContinueOnPanic<'_, T, A, L> {
            fn go_on(&mut self) {
                for slot in self.1.by_ref().filter_map(|slot_index| self.0.segments.get(slot_index)) {
                    // SAFETY: nobody else has the collection, every slot comes once, and a filled one holds a value.
                    unsafe {
                        if slot.as_ref().occupancy.is_occupied() {
                            slot.as_ref().content.get().cast::<T>().drop_in_place();
                        }
                    }
                }
            }
        }

        impl<T, A: Allocator, L: RawMutex> Drop for ContinueOnPanic<'_, T, A, L> {
            fn drop(&mut self) {
                self.go_on();
            }
        }

        /// Returns the memory of what is beside the slots, at last.
        struct RetireOnDrop<'a, T, A: Allocator, L: RawMutex>(&'a mut SharedSlots<T, A, L>);

        impl<T, A: Allocator, L: RawMutex> Drop for RetireOnDrop<'_, T, A, L> {
            fn drop(&mut self) {
                // SAFETY: all memory comes from the segments' parent, and nobody has the collection any more.
                unsafe { self.0.free_lists.free(self.0.segments.parent()) };
            }
        }

        let last = RetireOnDrop(self);
        let mut all = ContinueOnPanic(last.0, SlotIndices::to(last.0.free_lists.used()));
        all.go_on();
    }
}

/// A value in a [`SharedSlots`], for as long as it is read.
pub struct SlotRef<'a, T, A: Allocator = DefaultParent, L: RawMutex = SpinLock> {
    slots: &'a SharedSlots<T, A, L>,
    slot: &'a Slot<T>,
    slot_index: SlotIndex,
}

// SAFETY: it gives shared access to a value, and drops it if it is the last; the collection is shared by threads.
unsafe impl<T: Send + Sync, A: Allocator + Sync, L: RawMutex + Sync> Send for SlotRef<'_, T, A, L> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync, A: Allocator + Sync, L: RawMutex + Sync> Sync for SlotRef<'_, T, A, L> {}

impl<T, A: Allocator, L: RawMutex> Deref for SlotRef<'_, T, A, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot is filled, and stays so while there is a reader.
        unsafe { &*self.slot.content.get().cast::<T>() }
    }
}

impl<T, A: Allocator, L: RawMutex> Drop for SlotRef<'_, T, A, L> {
    #[inline]
    fn drop(&mut self) {
        if self.slot.occupancy.end_read() {
            self.slots.empty(self.slot_index, self.slot, false);
        }
    }
}

#[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A slot that has had its last generation is never used again, and does not count.
    #[test]
    fn a_shared_slot_whose_generation_would_come_again_is_retired() {
        let slots = SharedSlots::new();
        let first = slots.insert(1);
        slots.remove(first);
        let slot = slots.segments.get(first.slot_index()).expect("it has come");
        // SAFETY: the slot is vacant, and nobody else has the collection.
        unsafe { (&raw mut (*slot.as_ptr()).occupancy).write(SlotState::at(u32::MAX - 1)) };
        let last = slots.insert(2);
        assert_eq!((last.index(), last.generation(), slots.len()), (first.index(), u32::MAX, 1));
        assert!(slots.remove(last) && slots.is_empty());
        let next = slots.insert(3);
        assert_ne!(next.index(), last.index());
        assert!(slots.get(last).is_none() && slots.get(first).is_none());
        assert_eq!((slots.get(next).as_deref(), slots.len()), (Some(&3), 1));
    }
}

at_fork!([T, A: Allocator + AtFork, L: RawMutex] SharedSlots<T, A, L>: free_lists, segments);
