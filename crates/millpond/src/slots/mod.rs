//! Collections with keys: [`Slots`] for one owner and [`SharedSlots`] for several threads.
//!
//! Values lie in segments that never move, each twice as long as the one before. Every slot has a generation, which
//! is odd while the slot holds a value: inserting and removing a value increment it. A key contains a slot index and
//! a generation, so it finds its own value or nothing. After 2³¹ − 1 values a slot is retired, so that no generation
//! occurs twice.
//!
//! * Insert, get and remove: O(1), plus the time of the parent. Iteration: O(peak number of slots in use).
//! * Memory: 12 bytes per slot in addition to the value in [`Slots`], of which only four are touched before the slot
//!   is vacated; 8 bytes in [`SharedSlots`], plus 128 for each thread index that uses it.
//!
//! Source: keys with generations are as old as handles; C. West, "Using Rust for Game Development" (RustConf 2018),
//! made them known in Rust.

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

/// The generation of a slot that has never held a value.
const NEVER_FILLED: u32 = 2;

/// The generation of a retired slot, which follows the last generation.
const RETIRED: u32 = 0;

/// The maximum number of fresh slots that are prepared at a time.
const GENERATIONS_AHEAD: u32 = 256;

/// Returns the generation of a vacant slot, given its generation before its value, if any, was removed.
fn vacated(generation: u32) -> u32 {
    generation.wrapping_add(1) & !1
}

/// A collection whose values are accessed with [`Key`]s. The key of a removed value finds nothing, and never another
/// value.
///
/// Values do not move when the collection grows, and can be iterated over. The collection owns its values and borrows
/// nothing, so it can be used where handles with lifetimes cannot: in long-lived structs, and in graphs whose nodes
/// refer to one another.
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
/// Values cannot be removed while they are borrowed, and the collection can be sent to another thread only if its
/// values can:
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
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: the size of `T`, four more, and another eight that are not
/// touched before the slot is vacated. The values of a segment are contiguous and start at a multiple of 64 bytes.
/// The memory is released when the collection is dropped.
///
/// # Invariants
///
/// * The segments of all slots below `fresh` exist. `newest` is the segment that ends at `end`; `fresh` is in it or
///   is its end.
/// * Slots below `fresh` or `touched` have a generation. Below `fresh`, it is odd iff the slot is occupied. From
///   `fresh` on, it is what it was when all values were removed, except that from `fresh` to `ready` it is even and
///   not zero. A slot whose generation has wrapped to zero is retired.
/// * `vacated_keys` contains each slot below `fresh` that is neither occupied nor retired exactly once, as the key of
///   its next value, and has room for all slots. `retired` counts the retired slots.
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

// SAFETY: the pointers point to the collection's own slots, and the collection owns the values in them.
unsafe impl<T: Send, A: Allocator + Send> Send for Slots<T, A> {}
// SAFETY: the pointers point to the collection's own slots, and a shared collection gives only shared access to its
// values.
unsafe impl<T: Sync, A: Allocator + Sync> Sync for Slots<T, A> {}

impl<T> Slots<T> {
    /// Creates an empty collection whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }

    /// Creates an empty collection with room for `values` values, on the default parent. Ends the program if there is
    /// no memory.
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
    /// Creates an empty collection with room for `values` values, on the given parent.
    ///
    /// # Errors
    ///
    /// Same as [`reserve`](Self::reserve).
    pub fn with_capacity_in(values: usize, parent: A) -> Result<Self, AllocError> {
        let mut slots = Self::new_in(parent);
        slots.reserve(values)?;
        Ok(slots)
    }

    /// Number of bytes per slot.
    pub const SLOT_SIZE: usize = size_of::<T>() + size_of::<u32>() + size_of::<u64>();

    /// Creates an empty collection on the given parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        let (vacated_keys, fresh, newest) = (VacatedKeys::new(), SlotIndex::ZERO, Segment::NONE);
        let (ready, end, touched) = (fresh, fresh, fresh);
        let table = SlotTable::new(parent);
        Self { vacated_keys, fresh, ready, newest, end, touched, retired: 0, table, owns: PhantomData }
    }

    /// Returns the number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.fresh.position() - self.retired) as usize - self.vacated_keys.count()
    }

    /// Returns whether the collection has no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of values that the collection can hold without allocating.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.table.slots_from(SlotIndex::ZERO)
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        self.table.parent()
    }

    /// Returns the bytes held, live and free. Same as [`Inspect::stats`]. O(1).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        Inspect::stats(self)
    }

    /// Reserves room for `more` additional values.
    ///
    /// # Errors
    ///
    /// Returns the error of the parent, or [`AllocError::Unsupported`] for more than 2²⁸ − 4 slots. If there is an
    /// error, new segments are returned to the parent.
    pub fn reserve(&mut self, more: usize) -> Result<(), AllocError> {
        if self.vacant() < more { self.grow(more) } else { Ok(()) }
    }

    /// Returns the number of vacant slots.
    fn vacant(&self) -> usize {
        self.vacated_keys.count() + self.table.slots_from(self.fresh)
    }

    /// Allocates segments until `wanted` slots are vacant, and room to record all slots as vacated. The last segment
    /// is shorter if the parent does not have enough memory.
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
            // The generations of the segment may have moved.
            self.newest = self.table.segment(self.end.previous().segment());
        }
        grown
    }

    /// Allocates segments of the lengths that `segment_len` returns until `wanted` slots are vacant.
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

    /// Inserts a value and returns its key. Ends the program if there is no memory, as `Vec` does.
    #[inline]
    pub fn insert(&mut self, value: T) -> Key<T> {
        self.insert_with(|_| value)
    }

    /// Inserts a value that is made from its own key. If `make` panics, the collection is unchanged.
    ///
    /// Ends the program if there is no memory; `make` is not called in that case.
    #[inline]
    pub fn insert_with(&mut self, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        match self.put(make) {
            Ok(key) => key,
            Err(error) => out_of_memory(core::alloc::Layout::new::<T>(), error),
        }
    }

    /// Inserts a value and returns its key, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`reserve`](Self::reserve). The error contains the value.
    #[inline]
    pub fn try_insert(&mut self, value: T) -> Result<Key<T>, TryAllocError<T>> {
        match self.make_room() {
            Ok(()) => Ok(self.insert(value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Puts a value into the slot that was vacated last, or into the first fresh slot if there is no vacated one.
    #[inline(always)]
    fn put(&mut self, make: impl FnOnce(Key<T>) -> T) -> Result<Key<T>, AllocError> {
        if let Some(bits) = self.vacated_keys.last() {
            // SAFETY: the bits are those of a key. Its slot is vacant and is the last of the vacated ones, and its
            // segment exists.
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
        // SAFETY: the slot is in `newest`, and prepared.
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

    /// Prepares fresh slots by writing their generations as vacant slots. Skips retired slots.
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
            // SAFETY: the segment of these slots exists.
            let generations = unsafe { self.table.generations(first, count as usize) };
            let (old, new) = generations.split_at_mut(touched as usize);
            for generation in old {
                // SAFETY: a slot below `touched` has a generation.
                generation.write(vacated(unsafe { generation.assume_init() }));
            }
            new.fill(MaybeUninit::new(NEVER_FILLED));
            // SAFETY: all of these generations have been written.
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

    /// Advances to the next segment, and allocates it if it does not exist.
    fn advance(&mut self) -> Result<(), AllocError> {
        let segment = if self.end == SlotIndex::ZERO { 0 } else { self.end.previous().segment() + 1 };
        if segment == self.table.count() {
            self.grow(1)?;
        }
        if let Some(previous) = segment.checked_sub(1) {
            // Slot indices without a slot count as retired.
            self.retired += self.table.missing(previous) as u32;
        }
        let start = SlotIndex::start(segment);
        (self.fresh, self.ready, self.end) = (start, start, self.table.end(segment));
        self.newest = self.table.segment(segment);
        Ok(())
    }

    /// Returns the slot of a key if the value still exists.
    #[inline(always)]
    fn find(&self, key: Key<T>) -> Option<SlotIndex> {
        let slot_index = key.slot_index();
        // SAFETY: the segments of all slots below `fresh` exist, and these slots have a generation.
        let here =
            slot_index < self.fresh && unsafe { *self.table.generation(slot_index) } == key.generation();
        here.then_some(slot_index)
    }

    /// Returns whether the value of a key still exists.
    #[inline]
    #[must_use]
    pub fn contains(&self, key: Key<T>) -> bool {
        self.find(key).is_some()
    }

    /// Returns a reference to the value of a key, or `None` if it has been removed.
    #[inline]
    #[must_use]
    pub fn get(&self, key: Key<T>) -> Option<&T> {
        // SAFETY: the slot has the key's generation, which is odd, so it holds a value. The value is borrowed with
        // the collection.
        self.find(key).map(|slot_index| unsafe { &*self.table.value(slot_index) })
    }

    /// Returns a mutable reference to the value of a key, or `None` if it has been removed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        // SAFETY: the slot has the key's generation, so it holds a value. The value is mutably borrowed with the
        // collection.
        self.find(key).map(|slot_index| unsafe { &mut *self.table.value(slot_index) })
    }

    /// Removes a value and returns it, or returns `None` if it has already been removed. The key and its copies
    /// become invalid.
    #[inline]
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.find(key)?;
        // SAFETY: the slot has the key's generation, so it holds the value of the key.
        Some(unsafe { self.take(key) })
    }

    /// Removes the value of a key.
    ///
    /// # Safety
    ///
    /// The value must exist.
    #[inline(always)]
    unsafe fn take(&mut self, key: Key<T>) -> T {
        let slot_index = key.slot_index();
        // SAFETY: the slot is occupied. It is vacated at once, so the value is not taken twice. `vacated_keys` has
        // room for all slots.
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

    /// Drops all values. All keys become invalid. The memory is kept. O(1) if the values need no drop.
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// Marks every slot as vacant, whether it holds a value or not.
    fn forget_all(&mut self) {
        // The next generation of a slot is determined when the slot is prepared again.
        self.touched = self.touched.max(self.fresh);
        self.vacated_keys.clear();
        (self.fresh, self.ready, self.end, self.retired) =
            (SlotIndex::ZERO, SlotIndex::ZERO, SlotIndex::ZERO, 0);
    }

    /// Verifies the invariants. O(peak number of slots in use).
    ///
    /// # Errors
    ///
    /// Returns the first violated invariant.
    pub fn check(&self) -> Result<(), InvariantError> {
        // SAFETY: the segments of all slots below `fresh` exist, and these slots have a generation.
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
            return Err(InvariantError("a slot must be either occupied, vacant or retired"));
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

/// A guard that frees the memory besides the slots after the values have been dropped, even if a destructor panics.
struct RetireOnDrop<'s, T, A: Allocator>(&'s mut Slots<T, A>);

impl<T, A: Allocator> Drop for RetireOnDrop<'_, T, A> {
    fn drop(&mut self) {
        // SAFETY: the memory comes from the parent of the table, and no slot is vacated any more.
        unsafe { self.0.vacated_keys.free(self.0.table.parent()) };
    }
}

#[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A slot that has had its last generation is never used again, while other slots are, even after all have been
    /// vacated.
    #[test]
    fn slot_is_retired_after_its_last_generation() {
        let mut slots = Slots::new();
        let keys = [slots.insert(1), slots.insert(2)];
        slots.remove(keys[0]);
        let last = Key::<i32>::new(keys[0].slot_index(), u32::MAX);
        let before = Key::<i32>::new(keys[0].slot_index(), u32::MAX - 2);
        // SAFETY: the slot exists and is vacant, and from now on has one generation left.
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

    /// Retired slots at the beginning, in succession, and in another segment.
    #[test]
    fn retired_slots_are_skipped_after_a_clear() {
        const RETIRING: [u32; 4] = [0, 7, 8, 99];
        let mut slots = Slots::new();
        let keys: std::vec::Vec<_> = (0..1000).map(|position| slots.insert(position)).collect();
        for position in RETIRING {
            // SAFETY: the slot exists and is occupied, and from now on is in its last generation.
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
    fn check_finds_a_broken_list() {
        let mut slots = Slots::new();
        let key = slots.insert(1);
        slots.check().expect("sound");
        // SAFETY: there is room for all slots.
        unsafe { slots.vacated_keys.push(key.following()) };
        assert!(slots.check().is_err());
        // SAFETY: a key was just pushed.
        unsafe { slots.vacated_keys.pop() };
        slots.check().expect("sound again");
        slots.retired = 1;
        assert!(slots.check().is_err());
        slots.retired = 0;
    }
}
