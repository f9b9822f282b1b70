//! Collections that hand out keys: [`Slots`] for one owner, [`SharedSlots`] for threads.
//!
//! Values lie in segments that never move, each twice as long as the one before. A slot has a generation, which is odd
//! while there is a value: inserting and removing add one. A key names slot and generation, so it finds its value or none.
//! After 2³¹ − 1 values a slot is retired, rather than let a generation come again.
//!
//! * Insert, get and remove: O(1), but for what the parent takes. Iteration: O(slots ever used at a time).
//! * Memory: 12 bytes per slot besides the value in [`Slots`], of which only four are touched before it is vacated; 8 in
//!   [`SharedSlots`], and 128 for each thread number that uses it.
//!
//! Source: keys with generations are as old as handles; C. West, "Using Rust for Game Development" (RustConf 2018), made
//! them known here.

mod debug;
mod index;
mod inspect;
mod iter;
mod key;
#[cfg(target_has_atomic = "64")]
mod shared;
mod table;
mod unwind;
mod vacant_entry;
mod vacated_keys;

use core::{marker::PhantomData, mem::MaybeUninit};

pub use iter::{Drain, SlotsIntoIter, SlotsIter, SlotsIterMut};
pub use key::Key;
#[cfg(target_has_atomic = "64")]
pub use shared::{SharedSlots, SlotRef};
pub use vacant_entry::VacantEntry;

use self::{
    iter::SlotIndices,
    table::{Segment, SlotTable},
    vacated_keys::VacatedKeys,
};
use crate::{
    base::{AllocError, uninit::assume_init_ref},
    shell::out_of_memory,
    source::{DEFAULT_PARENT, DefaultParent},
    sync::{MAX_SEGMENTS, SlotIndex, segment_len},
    traits::{Allocator, Inspect, InvariantError, PoolStats},
    typed::TryAllocError,
};

/// The generation of a slot that was never filled.
const NEVER_FILLED: u32 = 2;

/// The generation of a slot that is never filled again: what follows the last one.
const RETIRED: u32 = 0;

/// So many fresh slots are made ready at once, if there are.
const GENERATIONS_AHEAD: u32 = 256;

/// The generation of a slot whose value of this generation, if it had one, was removed.
fn vacated_keys(generation: u32) -> u32 {
    generation.wrapping_add(1) & !1
}

/// Values that are reached by [`Key`]s: a key whose value is gone finds nothing, never another value.
///
/// Values stay where they are, however large the collection grows, and can be listed. It owns them and borrows nothing, so
/// it fits where handles with lifetimes do not: in long-lived structs, in graphs whose nodes name one another.
///
/// ```
/// use millpond::{Key, Slots};
///
/// struct Person {
///     name: &'static str,
///     friend: Option<Key<Person>>,
/// }
///
/// let mut people = Slots::new();
/// let ada = people.insert(Person { name: "Ada", friend: None });
/// let charles = people.insert(Person { name: "Charles", friend: Some(ada) });
/// let friend = people.get(charles).and_then(|person| person.friend).expect("there is one");
/// assert_eq!(people.get(friend).map(|person| person.name), Some("Ada"));
///
/// people.remove(ada);
/// people.insert(Person { name: "somebody else", friend: None });
/// assert!(people.get(friend).is_none());
/// ```
///
/// What is borrowed from it cannot be removed meanwhile, and it goes to another thread only if its values may:
///
/// ```compile_fail,E0502
/// let mut slots = millpond::Slots::new();
/// let key = slots.insert(1);
/// let one = slots.get(key);
/// slots.remove(key); // error: `slots` is borrowed
/// # // instead: slots.get(key);
/// assert_eq!(one, Some(&1));
/// ```
///
/// ```compile_fail,E0277
/// let mut slots = millpond::Slots::new();
/// slots.insert(std::rc::Rc::new(1));
/// std::thread::spawn(move || drop(slots)); // error: an `Rc` cannot be sent to another thread
/// # // instead: drop(slots);
/// ```
///
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: `T`, four more, and another eight that are not touched before it is
/// vacated. Values lie one behind the other, from a multiple of 64 bytes on. Memory goes back to the parent when the
/// collection goes.
///
/// # Invariants
///
/// * The segments of all places below `fresh` have come, and that which ends at `end`, where `fresh` is or ends: `newest`.
/// * Slots below `fresh` or `touched` have a generation. It is odd for those below `fresh` that are filled; from `fresh`
///   on it is as it was when all were removed, but from `fresh` to `ready` it is even and not zero. One whose generation has come
///   back to zero is retired.
/// * Of the slots below `fresh`, `vacated_keys` has those that are neither filled nor retired, once each, by the keys that their next
///   values will have, and has room for all slots; `retired` are retired.
pub struct Slots<T, A: Allocator = DefaultParent> {
    vacated_keys: VacatedKeys,
    fresh: SlotIndex,
    ready: SlotIndex,
    newest: Segment<T>,
    end: SlotIndex,
    touched: SlotIndex,
    retired: u32,
    table: SlotTable<T, A>,
    owns: PhantomData<T>,
}

// SAFETY: the pointers are to the collection's own slots, and the values in these are its own.
unsafe impl<T: Send, A: Allocator + Send> Send for Slots<T, A> {}
// SAFETY: as above; a shared collection gives shared access to its values alone.
unsafe impl<T: Sync, A: Allocator + Sync> Sync for Slots<T, A> {}

impl<T> Slots<T> {
    /// An empty collection, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }

    /// An empty collection with room for so many values, on the default parent. Where there is no memory, this ends the program.
    ///
    /// ```
    /// let slots = millpond::Slots::<u32>::with_capacity(1000);
    /// assert!(slots.capacity() >= 1000 && slots.is_empty());
    /// ```
    #[must_use]
    pub fn with_capacity(values: usize) -> Self {
        match Self::with_capacity_in(values, DEFAULT_PARENT) {
            Ok(slots) => slots,
            Err(error) => out_of_memory(
                core::alloc::Layout::array::<T>(values).unwrap_or(core::alloc::Layout::new::<T>()),
                error,
            ),
        }
    }
}

impl<T, A: Allocator> Slots<T, A> {
    /// An empty collection with room for so many values, on a parent.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn with_capacity_in(values: usize, parent: A) -> Result<Self, AllocError> {
        let mut slots = Self::new_in(parent);
        slots.reserve(values)?;
        Ok(slots)
    }

    /// Bytes per slot.
    pub const SLOT_SIZE: usize = size_of::<T>() + size_of::<u32>() + size_of::<u64>();

    /// An empty collection, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        let (vacated_keys, fresh, newest) = (VacatedKeys::new(), SlotIndex::ZERO, Segment::NONE);
        let (ready, end, touched) = (fresh, fresh, fresh);
        let table = SlotTable::new(parent);
        Self { vacated_keys, fresh, ready, newest, end, touched, retired: 0, table, owns: PhantomData }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.fresh.position() - self.retired) as usize - self.vacated_keys.count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values there can be without asking the parent.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.table.slots_from(SlotIndex::ZERO)
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        self.table.parent()
    }

    /// Returns what is held, live and free: as [`Inspect::stats`]. O(1).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Inspect::stats(self)
    }

    /// Makes room for so many more values.
    ///
    /// # Errors
    ///
    /// What the parent says, or [`AllocError::Unsupported`] beyond 2²⁸ − 4 slots. Nothing is kept then of what came.
    pub fn reserve(&mut self, more: usize) -> Result<(), AllocError> {
        if self.vacant() < more { self.grow(more) } else { Ok(()) }
    }

    /// How many slots wait for a value.
    fn vacant(&self) -> usize {
        self.vacated_keys.count() + self.table.slots_from(self.fresh)
    }

    /// Takes segments from the parent until so many slots are vacant, and room for all slots when they are vacated. The last
    /// segment is shorter where the parent has no more.
    fn grow(&mut self, wanted: usize) -> Result<(), AllocError> {
        let most = SlotIndex::start(MAX_SEGMENTS).position() as usize;
        if wanted > most - self.fresh.position() as usize + self.vacated_keys.count() {
            return Err(AllocError::Unsupported);
        }
        let before = self.table.count();
        let mut grown = self.grow_until(wanted, |table| Ok(segment_len(table.count())));
        if matches!(grown, Err(error) if error != AllocError::Unsupported) {
            self.table.shrink_to(before);
            let (room, bytes) = (self.vacated_keys.room(), size_of::<u64>());
            grown = self.grow_until(wanted, |table| {
                let slots = table.slots_from(SlotIndex::ZERO);
                table.slots_to_be_had(bytes * (slots.max(room) + 1), bytes)
            });
        }
        if grown.is_err() {
            self.table.shrink_to(before);
        }
        if self.end != SlotIndex::ZERO {
            // Its generations may lie elsewhere now.
            self.newest = self.table.segment(self.end.previous().segment());
        }
        grown
    }

    /// Takes segments as long as `segment_len` says, until so many slots are vacant.
    fn grow_until(
        &mut self,
        wanted: usize,
        segment_len: impl Fn(&SlotTable<T, A>) -> Result<usize, AllocError>,
    ) -> Result<(), AllocError> {
        while self.vacant() < wanted {
            if self.table.count() == MAX_SEGMENTS {
                return Err(AllocError::Unsupported);
            }
            self.table.grow(segment_len(&self.table)?)?;
        }
        self.vacated_keys.grow(self.table.parent(), self.capacity())
    }

    /// Puts a value in. A collection without memory ends the program, as `Vec` does.
    #[inline]
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// Puts a value in that knows its own key. If `make` panics, nothing has changed.
    ///
    /// A collection without memory ends the program, before `make` is called.
    #[inline]
    pub fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        match self.put(make) {
            Ok(key) => key,
            Err(error) => out_of_memory(core::alloc::Layout::new::<T>(), error),
        }
    }

    /// As [`insert`](Self::insert), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve); the error returns the value.
    #[inline]
    pub fn try_insert(&mut self, value: T) -> Result<Key<T>, TryAllocError<T>> {
        match self.make_room() {
            Ok(()) => Ok(self.insert(value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Puts a value into the slot that was vacated last, or else into the first fresh one.
    #[inline(always)]
    fn put(&mut self, make: impl FnOnce(Key<T>) -> T) -> Result<Key<T>, AllocError> {
        if let Some(bits) = self.vacated_keys.last() {
            // SAFETY: these are the bits of a key. Its slot is vacant, the last of those vacated, and its segment has come.
            unsafe {
                let key = Key::from_valid_bits(bits);
                let value = make(key);
                self.table.value(key.slot_index()).write(value);
                self.table.generation(key.slot_index()).write(key.generation());
                self.vacated_keys.pop();
                return Ok(key);
            }
        }
        if self.fresh == self.ready {
            self.make_ready()?;
        }
        let slot_index = self.fresh;
        // SAFETY: the slot is in the newest segment that is in use, and ready.
        unsafe {
            let generation = self.newest.generation(slot_index);
            let key = Key::new(slot_index, generation.read());
            let value = make(key);
            self.newest.value(slot_index).write(value);
            generation.write(key.generation());
            self.fresh = slot_index.next_in_segment();
            Ok(key)
        }
    }

    /// Gives some fresh slots the generations that they have while they are vacant, and steps over those that are retired.
    #[cold]
    #[inline(never)]
    fn make_ready(&mut self) -> Result<(), AllocError> {
        loop {
            if self.fresh == self.end {
                self.advance()?;
            }
            let first = self.fresh;
            let count = GENERATIONS_AHEAD.min(self.end.bits() - first.bits());
            let touched = self.touched.bits().saturating_sub(first.bits()).min(count);
            // SAFETY: the slots' segment has come.
            let generations = unsafe { self.table.generations(first, count as usize) };
            let (old, new) = generations.split_at_mut(touched as usize);
            for generation in old {
                // SAFETY: a slot that was touched has a generation.
                generation.write(vacated_keys(unsafe { generation.assume_init() }));
            }
            new.fill(MaybeUninit::new(NEVER_FILLED));
            // SAFETY: all have a generation by now.
            let generations = unsafe { assume_init_ref(generations) };
            match generations.iter().position(|generation| *generation == RETIRED) {
                Some(0) => {
                    self.retired += 1;
                    (self.fresh, self.ready) = (first.next_in_segment(), first.next_in_segment());
                }
                usable => {
                    self.ready = first.skip(usable.map_or(count, |usable| usable as u32));
                    return Ok(());
                }
            }
        }
    }

    /// Goes on to the next segment, which may have to come first.
    fn advance(&mut self) -> Result<(), AllocError> {
        let segment = if self.end == SlotIndex::ZERO { 0 } else { self.end.previous().segment() + 1 };
        if segment == self.table.count() {
            self.grow(1)?;
        }
        if let Some(previous) = segment.checked_sub(1) {
            // Places without slots are as good as retired.
            self.retired += self.table.missing(previous) as u32;
        }
        let start = SlotIndex::start(segment);
        (self.fresh, self.ready, self.end) = (start, start, self.table.end(segment));
        self.newest = self.table.segment(segment);
        Ok(())
    }

    /// The place of a key whose value is there.
    #[inline(always)]
    fn find(&self, key: Key<T>) -> Option<SlotIndex> {
        let slot_index = key.slot_index();
        // SAFETY: the slots below `fresh` have come, and have a generation.
        let here =
            slot_index < self.fresh && unsafe { *self.table.generation(slot_index) } == key.generation();
        here.then_some(slot_index)
    }

    /// Whether the value of a key is still there.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: Key<T>) -> bool {
        self.find(key).is_some()
    }

    /// The value of a key, if it is still there.
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        // SAFETY: the slot has the key's generation, which is odd, so it holds a value; it is borrowed with the collection.
        self.find(key).map(|slot_index| unsafe { &*self.table.value(slot_index) })
    }

    /// The value of a key, if it is still there, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        // SAFETY: as in `get`, and the collection is borrowed mutably.
        self.find(key).map(|slot_index| unsafe { &mut *self.table.value(slot_index) })
    }

    /// Takes a value out, if it is still there. Its key, and every copy of it, is good for nothing from now on.
    #[inline]
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.find(key)?;
        // SAFETY: as in `get`.
        Some(unsafe { self.take(key) })
    }

    /// Takes out the value of a key.
    ///
    /// # Safety
    ///
    /// It is there.
    #[inline(always)]
    unsafe fn take(&mut self, key: Key<T>) -> T {
        let slot_index = key.slot_index();
        // SAFETY: the slot is filled; it is vacated at once, so the value is not taken again. There is room for all slots.
        unsafe {
            let value = self.table.value(slot_index).read();
            let generation = key.generation().wrapping_add(1);
            self.table.generation(slot_index).write(generation);
            match generation {
                RETIRED => self.retired += 1,
                _ => self.vacated_keys.push(key.following()),
            }
            value
        }
    }

    /// Drops all values. Every key is good for nothing from now on; the memory is kept. O(1) if values need no dropping.
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// Takes every slot for vacant from now on, whether a value is in it or not.
    fn forget_all(&mut self) {
        // What generation the next value in a slot has is found out when the slot is taken up again.
        self.touched = self.touched.max(self.fresh);
        self.vacated_keys.clear();
        (self.fresh, self.ready, self.end, self.retired) =
            (SlotIndex::ZERO, SlotIndex::ZERO, SlotIndex::ZERO, 0);
    }

    /// Verifies the invariants. O(slots ever used at a time).
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    pub fn check(&self) -> Result<(), InvariantError> {
        // SAFETY: the slots below `fresh` have come, and have a generation.
        let generation = |slot_index| unsafe { *self.table.generation(slot_index) };
        let (mut filled, mut retired, mut vacant) = (0, 0, 0u64);
        for slot_index in SlotIndices::to(self.fresh) {
            match generation(slot_index) {
                odd if odd % 2 == 1 => filled += 1,
                RETIRED => retired += 1,
                _ => vacant += u64::from(slot_index.position()),
            }
        }
        for bits in self.vacated_keys.all() {
            let key = Key::<T>::from_bits(bits.get()).filter(|key| key.slot_index() < self.fresh);
            if key.is_none_or(|key| generation(key.slot_index()) != key.generation() - 1) {
                return Err(InvariantError(
                    "a slot among those vacated is not vacant, or not in the generation noted",
                ));
            }
            vacant = vacant.wrapping_sub(key.map_or(0, |key| u64::from(key.index())));
        }
        if filled != self.len() || retired != self.retired || vacant != 0 {
            return Err(InvariantError("a slot is neither filled nor vacant nor retired, or two of these"));
        }
        Ok(())
    }
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator> Drop for Slots<T, A> {
    fn drop(&mut self) {
        let last = RetireOnDrop(self);
        drop(last.0.drain());
    }
}

/// A collection whose values are dropped: what lies beside its slots is returned afterwards, also if a destructor panics.
struct RetireOnDrop<'s, T, A: Allocator>(&'s mut Slots<T, A>);

impl<T, A: Allocator> Drop for RetireOnDrop<'_, T, A> {
    fn drop(&mut self) {
        // SAFETY: all memory comes from the table's parent, and no slot is vacated any more.
        unsafe { self.0.vacated_keys.free(self.0.table.parent()) };
    }
}

#[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A slot that has had its last generation is never used again, and the others are: not after all were vacated either.
    #[test]
    fn a_slot_whose_generation_would_come_again_is_retired() {
        let mut slots = Slots::new();
        let keys = [slots.insert(1), slots.insert(2)];
        slots.remove(keys[0]);
        let last = Key::<i32>::new(keys[0].slot_index(), u32::MAX);
        let before = Key::<i32>::new(keys[0].slot_index(), u32::MAX - 2);
        // SAFETY: the slot is there and vacant, and was used as often as it may but once from now on.
        unsafe {
            slots.table.generation(last.slot_index()).write(last.generation() - 1);
            slots.vacated_keys.pop();
            slots.vacated_keys.push(before.following());
        }
        let last = slots.insert(3);
        assert_eq!((last.index(), slots.get(last)), (0, Some(&3)));
        assert_eq!(slots.remove(last), Some(3));
        let next = slots.insert(4);
        assert_eq!((next.index(), slots.get(last), slots.get(keys[0])), (2, None, None));
        slots.check().expect("sound");
        assert_eq!(slots.iter().map(|(_, value)| *value).collect::<std::vec::Vec<_>>(), [2, 4]);
        slots.clear();
        slots.check().expect("sound");
        assert_eq!([slots.insert(5), slots.insert(6)].map(Key::index), [1, 2]);
        slots.check().expect("sound");
    }

    /// Wherever they are: at the beginning, one behind the other, in another segment.
    #[test]
    fn retired_slots_are_stepped_over_when_all_are_taken_up_again() {
        const RETIRING: [u32; 4] = [0, 7, 8, 99];
        let mut slots = Slots::new();
        let keys: std::vec::Vec<_> = (0..1000).map(|position| slots.insert(position)).collect();
        for position in RETIRING {
            // SAFETY: the slot is there and filled, in its last generation from now on.
            unsafe { slots.table.generation(keys[position as usize].slot_index()).write(u32::MAX) };
        }
        for _ in 0..2 {
            slots.clear();
            let again: std::vec::Vec<_> = (0..500).map(|position| slots.insert(position).index()).collect();
            let usable = (0..).filter(|position| !RETIRING.contains(position));
            assert!(again.into_iter().eq(usable.take(500)) && slots.len() == 500);
            slots.check().expect("sound");
        }
        assert!(keys.iter().all(|&key| slots.get(key).is_none()));
    }

    #[test]
    fn a_broken_list_is_found() {
        let mut slots = Slots::new();
        let key = slots.insert(1);
        slots.check().expect("sound");
        // SAFETY: there is room for all slots.
        unsafe { slots.vacated_keys.push(key.following()) };
        assert!(slots.check().is_err());
        // SAFETY: one was pushed.
        unsafe { slots.vacated_keys.pop() };
        slots.check().expect("sound again");
        slots.retired = 1;
        assert!(slots.check().is_err());
        slots.retired = 0;
    }
}
