//! The collection that threads share.

use core::{cell::UnsafeCell, marker::PhantomData, mem::ManuallyDrop, ops::Deref};

use lock_api::RawMutex;

use super::{
    Key,
    inspect::{SlotUse, outline, paint_segment},
    iter::SlotIndices,
};
use crate::{
    base::{AllocError, drop_each},
    shell::out_of_memory,
    source::{DEFAULT_PARENT, DefaultParent},
    sync::{
        BATCH_SIZE, FreeLink, SegmentedArray, SlotFreeLists, SlotIndex, SlotState, SlotStorage, SpinLock,
    },
    traits::{Allocator, AtFork, HeapMapBuilder, Inspect, InvariantError, PoolStats, Report},
    typed::TryAllocError,
};

/// A [`Slots`](crate::Slots) that threads share: any thread can insert, read and remove values through a shared
/// reference.
///
/// Reading takes no lock: [`get`](Self::get) registers a reader, and dropping the [`SlotRef`] that it returns
/// unregisters the reader. A value that is removed while it has readers cannot be found any more, and is dropped by
/// its last reader.
///
/// Inserting and removing usually take no lock either: each thread keeps some vacant slots, and at most one operation
/// in 32 takes a lock, for a few instructions, to exchange slots with the depot that all threads share. No lock is
/// held while the collection grows.
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
/// Values may be read by several threads at once and dropped by any of them:
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
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: the size of `T`, but at least one word, plus eight bytes, plus
/// padding. Each thread that inserts or removes takes 128 more, which the next thread with the same thread index
/// takes over; at most the same number of bytes is allocated in advance.
///
/// # What is held back
///
/// At most [`CACHED_PER_THREAD`](Self::CACHED_PER_THREAD) vacant slots for each thread that has inserted or removed.
/// The slots of a thread that has ended pass to the next thread that starts. If the parent has no more memory, an
/// inserting thread takes the slots of threads that have ended, except those whose thread index has been reused by a
/// thread that does not use this collection. Without the feature `std`, and after its thread-locals have been
/// destroyed, a thread keeps no slots and takes the lock each time.
///
/// # Threads
///
/// * *Not for signal handlers*: a handler that interrupts an insertion would find an inconsistent list, or wait for a
///   lock that only the interrupted thread can release.
/// * *Fork*: in the child, the slots that other threads kept are lost until the collection is dropped. If another
///   thread held the lock during the fork, the child deadlocks when it takes the lock.
///
/// # Structure
///
/// A key holds a generation and the index of a slot, which is a segment and an offset in it:
///
/// ```text
///  key: │ generation │ segment │ offset │         a slot: │ generation │ removing │ readers │ value or link │
///                         │        └───────────┐
///             segments    ▼                    ▼
///              ┌───┐   ┌────────┬──────┬──────┬──────┬──────┐
///              │ 0 ├──►│ header │ slot │ slot │ slot │ slot │
///              ├───┤   ├────────┼──────┼──────┼──────┼──────┼──   ──┬──────┐
///              │ 1 ├──►│ header │ slot │ slot │ slot │ slot │   …   │ slot │  twice as many
///              └─┬─┘   └────────┴──────┴──────┴──────┴──────┴──   ──┴──────┘
///                …
///  vacant slots, linked:   thread 1: open batch, spare batch ┐              ┌ depot, behind a lock:
///                          thread 2: open batch, spare batch ┴─ batches ──► └ full batches, unused slots
/// ```
///
/// # Invariants
///
/// * Slots below `free_lists.used()` have been handed out. A slot holds a value if its `occupancy` says so. The other
///   slots are in `free_lists`, unless they are being filled or emptied, or are retired.
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

// SAFETY: a vacant slot holds a link, and its content is not accessed otherwise.
unsafe impl<T, A: Allocator> SlotStorage for SegmentedArray<Slot<T>, A> {
    type Parent = A;

    fn parent(&self) -> &A {
        self.parent()
    }

    #[inline(always)]
    unsafe fn link(&self, slot_index: SlotIndex) -> *mut FreeLink {
        // SAFETY: the caller guarantees that the segment of the slot exists.
        unsafe { self.get_unchecked(slot_index).as_ref() }.content.get().cast()
    }

    fn segment_len(&self, segment: usize) -> usize {
        self.segment_len(segment)
    }

    fn grow(&self, have: usize) -> Result<(), AllocError> {
        self.grow(have)
    }
}

// SAFETY: threads that share the collection share its values and drop one another's values, so `T: Send + Sync`. A
// slot is handed out to one thread at a time, and its `occupancy` determines who may read it and who empties it.
unsafe impl<T: Send + Sync, A: Allocator + Sync, L: RawMutex + Sync> Sync for SharedSlots<T, A, L> {}

impl<T> SharedSlots<T> {
    /// Creates an empty collection whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }
}

impl<T, A: Allocator, L: RawMutex> SharedSlots<T, A, L> {
    /// Number of bytes per slot.
    pub const SLOT_SIZE: usize = size_of::<Slot<T>>();

    /// Maximum number of vacant slots that a thread keeps. Other threads cannot use them while the thread lives.
    pub const CACHED_PER_THREAD: usize = 2 * BATCH_SIZE as usize;

    /// Creates an empty collection on the given parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self { free_lists: SlotFreeLists::new(), segments: SegmentedArray::new(parent), owns: PhantomData }
    }

    /// Returns the number of values, excluding those that have been removed but still have readers. O(threads that
    /// use the collection). The number is approximate while other threads insert and remove values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.free_lists.live()
    }

    /// Returns whether the collection has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        self.segments.parent()
    }

    /// Returns the bytes held, live and free. Same as [`Inspect::stats`]. O(peak number of slots in use).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Inspect::stats(self)
    }

    /// Inserts a value and returns its key. Ends the program if there is no memory.
    pub fn insert(&self, value: T) -> Key<T> {
        match self.free_lists.pop(&self.segments) {
            Ok(slot_index) => self.fill(slot_index, value),
            Err(error) => out_of_memory(core::alloc::Layout::new::<Slot<T>>(), error),
        }
    }

    /// Inserts a value and returns its key, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Returns the error of the parent, or [`AllocError::Unsupported`] for more than 2²⁸ − 4 slots. The error
    /// contains the value.
    pub fn try_insert(&self, value: T) -> Result<Key<T>, TryAllocError<T>> {
        match self.free_lists.pop(&self.segments) {
            Ok(slot_index) => Ok(self.fill(slot_index, value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Fills a slot that this thread has taken.
    fn fill(&self, slot_index: SlotIndex, value: T) -> Key<T> {
        // SAFETY: this thread has just taken the slot. A slot that was never used is all zeros, which is a valid
        // vacant slot.
        let slot = unsafe { self.segments.get_unchecked(slot_index).as_ref() };
        let generation = slot.occupancy.next_generation();
        // SAFETY: the slot is not published, so no other thread accesses its content.
        unsafe { slot.content.get().cast::<T>().write(value) };
        slot.occupancy.publish(generation);
        Key::new(slot_index, generation)
    }

    /// Returns the slot of a key, whatever it holds now.
    #[inline]
    fn slot(&self, key: Key<T>) -> Option<&Slot<T>> {
        // SAFETY: a slot of an existing segment is all zeros or has been filled, and its `occupancy` is atomic.
        self.segments.get(key.slot_index()).map(|slot| unsafe { slot.as_ref() })
    }

    /// Returns an entry for the value of a key, or `None` if it has been removed. The value lives at least as long as
    /// the entry.
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

    /// Returns whether the value of a key exists at this moment.
    #[must_use]
    pub fn contains(&self, key: Key<T>) -> bool {
        self.slot(key).is_some_and(|slot| slot.occupancy.generation() == Some(key.generation()))
    }

    /// Removes a value; returns `false` if it has already been removed. The key and its copies become invalid. The
    /// value is dropped at once, or by the last of its readers if there are any.
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

    /// Drops the value of a slot that is closed and has no readers, and vacates the slot, even if the destructor
    /// unwinds. `is_counted` says whether the value is still included in the number of values.
    #[inline(always)]
    fn empty(&self, slot_index: SlotIndex, slot: &Slot<T>, is_counted: bool) {
        /// A guard that vacates the slot.
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
        // SAFETY: the slot holds a value without readers. It is emptied once: by the thread that closed it, or by the
        // last reader.
        unsafe { slot.content.get().cast::<T>().drop_in_place() };
    }

    /// Iterates over the values with their keys. Values that are inserted or removed meanwhile may or may not be
    /// included.
    pub fn iter(&self) -> impl Iterator<Item = (Key<T>, SlotRef<'_, T, A, L>)> {
        let used = self.free_lists.used();
        SlotIndices::to(used).filter_map(|slot_index| {
            let slot = self.segments.get(slot_index)?;
            // SAFETY: a slot of an existing segment is all zeros or has been filled, and its `occupancy` is atomic.
            let generation = unsafe { slot.as_ref() }.occupancy.generation()?;
            let key = Key::new(slot_index, generation);
            Some((key, self.get(key)?))
        })
    }

    /// Removes the values for which `keep` returns `false`. See [`iter`](Self::iter) and [`remove`](Self::remove).
    pub fn retain(&self, mut keep: impl FnMut(Key<T>, &T) -> bool) {
        for (key, value) in self.iter() {
            if !keep(key, &value) {
                self.remove(key);
            }
        }
    }
}

/// Reports the collection as a pool of blocks of the size of a slot. While other threads change the collection, the
/// result may combine states of different moments.
impl<T, A: Allocator, L: RawMutex> Inspect for SharedSlots<T, A, L> {
    /// O(peak number of slots in use).
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

    /// Does not check the lists of individual threads, which may be using them.
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

    /// O(slots). Retired slots look like fresh ones.
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
    /// Returns what a slot is used for at this moment.
    fn used(&self, slot_index: SlotIndex) -> SlotUse {
        let slot = self.segments.get(slot_index);
        // SAFETY: a slot of an existing segment is all zeros or has been filled, and its `occupancy` is atomic.
        let generation = slot.map_or(0, |slot| unsafe { slot.as_ref() }.occupancy.latest_generation());
        match generation {
            0 => SlotUse::Fresh,
            odd if odd % 2 == 1 => SlotUse::Occupied,
            _ => SlotUse::Vacated,
        }
    }
}

impl<T> Default for SharedSlots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator, L: RawMutex> Drop for SharedSlots<T, A, L> {
    /// Drops all values, including those with forgotten entries and those after one whose destructor panics. If a
    /// second destructor panics, the program aborts.
    fn drop(&mut self) {
        /// A guard that frees the memory besides the slots after all values have been dropped.
        struct RetireOnDrop<'a, T, A: Allocator, L: RawMutex>(&'a mut SharedSlots<T, A, L>);

        impl<T, A: Allocator, L: RawMutex> Drop for RetireOnDrop<'_, T, A, L> {
            fn drop(&mut self) {
                // SAFETY: the memory comes from the parent of the segments, and the collection is not used any more.
                unsafe { self.0.free_lists.free(self.0.segments.parent()) };
            }
        }

        let last = RetireOnDrop(self);
        let slots = &*last.0;
        let mut indices = SlotIndices::to(slots.free_lists.used());
        drop_each(|| {
            let Some(slot_index) = indices.next() else { return false };
            if let Some(slot) = slots.segments.get(slot_index) {
                // SAFETY: the collection is exclusively owned, each slot is visited once, and an occupied slot holds a
                // value.
                unsafe {
                    if slot.as_ref().occupancy.is_occupied() {
                        slot.as_ref().content.get().cast::<T>().drop_in_place();
                    }
                }
            }
            true
        });
    }
}

/// An entry of a [`SharedSlots`]: a reader of a value, which keeps the value alive.
pub struct SlotRef<'a, T, A: Allocator = DefaultParent, L: RawMutex = SpinLock> {
    slots: &'a SharedSlots<T, A, L>,
    slot: &'a Slot<T>,
    slot_index: SlotIndex,
}

// SAFETY: an entry gives shared access to a value, and drops the value if it is the last reader. The collection can
// be shared between threads.
unsafe impl<T: Send + Sync, A: Allocator + Sync, L: RawMutex + Sync> Send for SlotRef<'_, T, A, L> {}
// SAFETY: a shared entry gives shared access to the value, which `T: Sync` allows, and the other bounds are those of
// `Send`.
unsafe impl<T: Send + Sync, A: Allocator + Sync, L: RawMutex + Sync> Sync for SlotRef<'_, T, A, L> {}

impl<T, A: Allocator, L: RawMutex> Deref for SlotRef<'_, T, A, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the slot is occupied, and stays so while it has a reader.
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
    fn slot_is_retired_after_its_last_generation() {
        let slots = SharedSlots::new();
        let first = slots.insert(1);
        slots.remove(first);
        let slot = slots.segments.get(first.slot_index()).expect("it has come");
        // SAFETY: the slot is vacant, and the collection is not shared.
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

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<T, A: Allocator + AtFork, L: RawMutex> AtFork for SharedSlots<T, A, L> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.free_lists);
        visit(&self.segments);
    }
}
