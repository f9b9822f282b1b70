//! Collections that hand out keys: [`Slots`] for one owner, [`SharedSlots`] for threads.
//!
//! Values lie in segments that never move, each twice as long as the one before. A slot has a generation, which is odd
//! while there is a value: inserting and removing add one. A key names slot and generation, so it finds its value or none.
//! After 2³¹ − 1 values a slot is retired, rather than let a generation come again.
//!
//! * Insert, get and remove: O(1), but for what the parent takes. Iteration: O(slots ever used at a time).
//! * Memory: 12 bytes per slot besides the value in [`Slots`], of which only four are touched before it is vacated; 8 in
//!   [`SharedSlots`].
//!
//! Source: keys with generations are as old as handles; C. West, "Using Rust for Game Development" (RustConf 2018), made
//! them known here.

mod index;
mod key;
#[cfg(target_has_atomic = "64")]
mod shared;
mod table;
mod vacated;
mod visit;

use core::marker::PhantomData;

pub use key::Key;
#[cfg(target_has_atomic = "64")]
pub use shared::{Entry, SharedSlots};
pub use visit::Drain;

use self::{table::Table, vacated::Vacated, visit::Places};
use crate::{
    base::AllocError,
    contract::{Allocator, Flaw},
    share::{Place, out_of_memory},
    source::{DEFAULT_PARENT, DefaultParent},
};

/// The generation of a slot that was never filled.
const NEVER_FILLED: u32 = 2;

/// The generation of a slot that is never filled again: what follows the last one.
const RETIRED: u32 = 0;

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
/// assert_eq!(one, Some(&1));
/// ```
///
/// ```compile_fail,E0277
/// let mut slots = millpond::Slots::new();
/// slots.insert(std::rc::Rc::new(1));
/// std::thread::spawn(move || drop(slots)); // error: an `Rc` cannot be sent to another thread
/// ```
///
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: `T`, four more, and another eight that are not touched before it is
/// vacated. Values lie one behind the other, from a multiple of 64 bytes on. Memory goes back to the parent when the
/// collection goes.
///
/// # Invariants
///
/// * The segments of all places below `fresh` have come, and that which ends at `end`, where `fresh` is or ends.
/// * Slots below `fresh` or `touched` have a generation. It is odd for those that are filled, and even for all from `fresh`
///   on. One whose generation has come back to zero is retired.
/// * Of the slots below `fresh`, `vacated` has those that are neither filled nor retired, once each, by the keys that their next
///   values will have, and has room for all slots; `retired` are retired.
pub struct Slots<T, A: Allocator = DefaultParent> {
    vacated: Vacated,
    fresh: Place,
    end: Place,
    touched: Place,
    retired: u32,
    table: Table<T, A>,
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
}

impl<T, A: Allocator> Slots<T, A> {
    /// Bytes per slot.
    pub const SLOT_SIZE: usize = size_of::<T>() + size_of::<u32>() + size_of::<u64>();

    /// An empty collection, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        let (fresh, end, touched) = (Place::ZERO, Place::ZERO, Place::ZERO);
        let vacated = Vacated::new();
        Self { vacated, fresh, end, touched, retired: 0, table: Table::new(parent), owns: PhantomData }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        (self.fresh.number() - self.retired) as usize - self.vacated.count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values there can be without asking the parent.
    #[must_use]
    pub fn capacity(&self) -> usize {
        Place::start(self.table.count()).number() as usize
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        self.table.parent()
    }

    /// Makes room for so many more values.
    ///
    /// # Errors
    ///
    /// What the parent says, or [`AllocError::Unsupported`] beyond 2²⁸ − 32 slots.
    pub fn reserve(&mut self, more: usize) -> Result<(), AllocError> {
        while self.capacity() - self.len() < more {
            self.grow()?;
        }
        Ok(())
    }

    /// Takes one more segment from the parent, and room for its slots when they are vacated.
    fn grow(&mut self) -> Result<(), AllocError> {
        let slots = Place::start(self.table.count() + 1).number() as usize;
        self.vacated.grow(self.table.parent(), slots)?;
        self.table.grow()
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
        match self.vacancy() {
            Ok(key) => self.fill(key, make),
            Err(error) => out_of_memory(core::alloc::Layout::new::<T>(), error),
        }
    }

    /// As [`insert`](Self::insert), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve); the value is dropped.
    #[inline]
    pub fn try_insert(&mut self, value: T) -> Result<Key<T>, AllocError> {
        let key = self.vacancy()?;
        Ok(self.fill(key, |_| value))
    }

    /// The key that the next value will have: in the slot that was vacated last, or else in the first fresh one.
    #[inline(always)]
    fn vacancy(&mut self) -> Result<Key<T>, AllocError> {
        match self.vacated.last() {
            // SAFETY: these are the bits of a key.
            Some(bits) => Ok(unsafe { Key::known(bits) }),
            None => self.fresh_key(),
        }
    }

    #[inline(always)]
    fn fresh_key(&mut self) -> Result<Key<T>, AllocError> {
        loop {
            if self.fresh == self.end {
                self.advance()?;
            }
            let generation = if self.fresh < self.touched {
                // SAFETY: the slot's segment has come, and it was touched, so it has a generation.
                unsafe { *self.table.generation(self.fresh) }
            } else {
                NEVER_FILLED
            };
            if generation != RETIRED {
                return Ok(Key::new(self.fresh, generation));
            }
            self.retired += 1;
            self.fresh = self.fresh.step();
        }
    }

    /// Goes on to the next segment, which may have to come first.
    #[cold]
    #[inline(never)]
    fn advance(&mut self) -> Result<(), AllocError> {
        let segment = if self.end == Place::ZERO { 0 } else { self.end.previous().segment() + 1 };
        if segment == self.table.count() {
            self.grow()?;
        }
        (self.fresh, self.end) = (Place::start(segment), Place::end(segment));
        Ok(())
    }

    #[inline(always)]
    fn fill(&mut self, key: Key<T>, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        let (place, value) = (key.place(), make(key));
        // SAFETY: the slot is vacant, and its segment has come.
        unsafe {
            self.table.value(place).write(value);
            self.table.generation(place).write(key.generation());
        }
        if place == self.fresh {
            self.fresh = place.step();
        } else {
            // SAFETY: the slot is the last of those vacated.
            unsafe { self.vacated.pop() };
        }
        key
    }

    /// The place of a key whose value is there.
    #[inline(always)]
    fn find(&self, key: Key<T>) -> Option<Place> {
        let place = key.place();
        // SAFETY: the slots below `fresh` have come, and have a generation.
        let here = place < self.fresh && unsafe { *self.table.generation(place) } == key.generation();
        here.then_some(place)
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
        self.find(key).map(|place| unsafe { &*self.table.value(place) })
    }

    /// The value of a key, if it is still there, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        // SAFETY: as in `get`, and the collection is borrowed mutably.
        self.find(key).map(|place| unsafe { &mut *self.table.value(place) })
    }

    /// Takes a value out, if it is still there. Its key, and every copy of it, is good for nothing from now on.
    #[inline]
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let place = self.find(key)?;
        // SAFETY: as in `get`; the slot is vacated at once, so nobody takes the value again. There is room for all slots.
        unsafe {
            let value = self.table.value(place).read();
            let generation = key.generation().wrapping_add(1);
            self.table.generation(place).write(generation);
            match generation {
                RETIRED => self.retired += 1,
                _ => self.vacated.push(key.following()),
            }
            Some(value)
        }
    }

    /// The key of the value at a place below `fresh`, if there is one.
    fn key_at(&self, place: Place) -> Option<Key<T>> {
        // SAFETY: the slots below `fresh` have come, and have a generation.
        let generation = unsafe { *self.table.generation(place) };
        (generation % 2 == 1).then(|| Key::new(place, generation))
    }

    /// Drops all values. Every key is good for nothing from now on; the memory is kept. Values that need no dropping cost
    /// less than a byte each.
    pub fn clear(&mut self) {
        if core::mem::needs_drop::<T>() {
            drop(self.drain());
        }
        self.vacate_all();
    }

    /// Declares all slots vacant, and takes them up again from the first on.
    fn vacate_all(&mut self) {
        self.touched = self.touched.max(self.fresh);
        let mut left = self.fresh.number() as usize;
        for segment in 0..self.table.count() {
            let generations = self.table.generations(segment);
            let count = left.min(generations.len());
            for generation in &mut generations[..count] {
                // SAFETY: the slots below `fresh` have a generation.
                let vacated = unsafe { generation.assume_init() }.wrapping_add(1) & !1;
                generation.write(vacated);
            }
            left -= count;
        }
        self.vacated.clear();
        (self.fresh, self.end, self.retired) = (Place::ZERO, Place::ZERO, 0);
    }

    /// Verifies the invariants. O(slots ever used at a time).
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    pub fn check(&self) -> Result<(), Flaw> {
        // SAFETY: the slots below `fresh` or `touched` have come, and have a generation.
        let generation = |place| unsafe { *self.table.generation(place) };
        let (mut filled, mut retired, mut vacant) = (0, 0, 0u64);
        for place in Places::to(self.fresh.max(self.touched)) {
            match generation(place) {
                odd if odd % 2 == 1 && place >= self.fresh => {
                    return Err(Flaw("a slot that is fresh is filled"));
                }
                odd if odd % 2 == 1 => filled += 1,
                _ if place >= self.fresh => {}
                RETIRED => retired += 1,
                _ => vacant += u64::from(place.number()),
            }
        }
        for bits in self.vacated.all() {
            let key = Key::<T>::from_bits(bits.get()).filter(|key| key.place() < self.fresh);
            if key.is_none_or(|key| generation(key.place()) != key.generation() - 1) {
                return Err(Flaw("a slot among those vacated is not vacant, or not in the generation noted"));
            }
            vacant = vacant.wrapping_sub(key.map_or(0, |key| u64::from(key.index())));
        }
        if filled != self.len() || retired != self.retired || vacant != 0 {
            return Err(Flaw("a slot is neither filled nor vacant nor retired, or two of these"));
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
        let last = Last(self);
        if core::mem::needs_drop::<T>() {
            drop(last.0.drain());
        }
    }
}

/// A collection whose values are dropped: what lies beside its slots is returned afterwards, also if a destructor panics.
struct Last<'s, T, A: Allocator>(&'s mut Slots<T, A>);

impl<T, A: Allocator> Drop for Last<'_, T, A> {
    fn drop(&mut self) {
        // SAFETY: all memory comes from the table's parent, and no slot is vacated any more.
        unsafe { self.0.vacated.free(self.0.table.parent()) };
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
        let last = Key::<i32>::new(keys[0].place(), u32::MAX);
        let before = Key::<i32>::new(keys[0].place(), u32::MAX - 2);
        // SAFETY: the slot is there and vacant, and was used as often as it may but once from now on.
        unsafe {
            slots.table.generation(last.place()).write(last.generation() - 1);
            slots.vacated.pop();
            slots.vacated.push(before.following());
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

    #[test]
    fn a_broken_list_is_found() {
        let mut slots = Slots::new();
        let key = slots.insert(1);
        slots.check().expect("sound");
        // SAFETY: there is room for all slots.
        unsafe { slots.vacated.push(key.following()) };
        assert!(slots.check().is_err());
        // SAFETY: one was pushed.
        unsafe { slots.vacated.pop() };
        slots.check().expect("sound again");
        slots.retired = 1;
        assert!(slots.check().is_err());
        slots.retired = 0;
    }
}
