//! Collections that hand out keys: [`Slots`] for one owner, [`SharedSlots`] for threads.
//!
//! Values lie in segments that never move, each twice as long as the one before. A slot has a generation, which is odd
//! while there is a value: inserting and removing add one. A key names slot and generation, so it finds its value or none.
//! After 2³¹ values a slot is retired, rather than let a generation come again.
//!
//! * Insert, get and remove: O(1). Iteration: O(slots ever used at a time).
//! * Memory: a generation of 4 bytes per slot and what the alignment of `T` makes of it (8 bytes for [`SharedSlots`]), no
//!   list besides; 8 bytes per segment for its place.
//!
//! Source: keys with generations are as old as handles; C. West, "Using Rust for Game Development" (RustConf 2018), made
//! them known here.

mod key;
#[cfg(target_has_atomic = "64")]
mod shared;

use core::{
    marker::PhantomData,
    mem::{ManuallyDrop, forget},
    ptr::NonNull,
};

pub use key::Key;
#[cfg(target_has_atomic = "64")]
pub use shared::{Entry, SharedSlots};

use crate::{
    base::AllocError,
    contract::{Allocator, Flaw},
    share::{Segments, out_of_memory},
    source::{DEFAULT_PARENT, DefaultParent},
};

/// The end of the list of vacant slots.
const NONE: u32 = u32::MAX;

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
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: `T`, four more, and what alignment adds. Memory goes back to the parent
/// when the collection goes.
///
/// # Invariants
///
/// * `used <= room`, and the segments have come for all indices below `room`. Slots below `used` have been filled.
/// * A slot whose generation is odd holds a value; there are `live` of them.
/// * Following `next` from `vacant` visits every other slot below `used` once, but for those of generation zero, which are
///   retired.
pub struct Slots<T, A: Allocator = DefaultParent> {
    vacant: u32,
    used: u32,
    room: u32,
    live: u32,
    segments: Segments<Slot<T>, A>,
    owns: PhantomData<T>,
}

struct Slot<T> {
    generation: u32,
    content: Content<T>,
}

union Content<T> {
    value: ManuallyDrop<T>,
    next: u32,
}

impl<T> Slots<T> {
    /// An empty collection, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }
}

impl<T, A: Allocator> Slots<T, A> {
    /// Bytes per slot.
    pub const SLOT_SIZE: usize = size_of::<Slot<T>>();

    /// An empty collection, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self { vacant: NONE, used: 0, room: 0, live: 0, segments: Segments::new(parent), owns: PhantomData }
    }

    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live as usize
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// How many values there can be without asking the parent.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.room as usize
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        self.segments.parent()
    }

    /// Makes room for so many more values.
    ///
    /// # Errors
    ///
    /// What the parent says, or [`AllocError::Unsupported`] beyond four thousand million slots.
    pub fn reserve(&mut self, more: usize) -> Result<(), AllocError> {
        while ((self.room - self.live) as usize) < more {
            self.room = self.segments.grow(self.room)?;
        }
        Ok(())
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
        match self.next_vacant() {
            Ok(index) => self.fill(index, make),
            Err(error) => out_of_memory(core::alloc::Layout::new::<Slot<T>>(), error),
        }
    }

    /// As [`insert`](Self::insert), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve); the value is dropped.
    #[inline]
    pub fn try_insert(&mut self, value: T) -> Result<Key<T>, AllocError> {
        let index = self.next_vacant()?;
        Ok(self.fill(index, |_| value))
    }

    /// The slot that is filled next: one that was vacated, or a new one.
    #[inline]
    fn next_vacant(&mut self) -> Result<u32, AllocError> {
        if self.vacant != NONE {
            return Ok(self.vacant);
        }
        if self.used == self.room {
            self.room = self.segments.grow(self.room)?;
        }
        Ok(self.used)
    }

    #[inline]
    fn fill(&mut self, index: u32, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        // SAFETY: the slot's segment has come; a slot that was never used is all zero, and nobody else has it.
        let slot = unsafe { self.segments.get_known(index).as_ptr() };
        // SAFETY: as above.
        let generation = unsafe { (*slot).generation } + 1;
        let key = Key::new(index, generation);
        let value = make(key);
        // SAFETY: as above. A vacated slot holds the index of the next one.
        unsafe {
            if index == self.vacant {
                self.vacant = (*slot).content.next;
            } else {
                self.used += 1;
            }
            (&raw mut (*slot).content.value).cast::<T>().write(value);
            (*slot).generation = generation;
        }
        self.live += 1;
        key
    }

    /// The slot of a key whose value is there.
    #[inline(always)]
    fn find(&self, key: Key<T>) -> Option<NonNull<Slot<T>>> {
        if key.index() >= self.used {
            return None;
        }
        // SAFETY: the slots below `used` have come and were filled.
        let slot = unsafe { self.segments.get_known(key.index()) };
        // SAFETY: as above.
        (unsafe { (*slot.as_ptr()).generation } == key.generation()).then_some(slot)
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
        self.find(key).map(|slot| unsafe { &*(*slot.as_ptr()).content.value })
    }

    /// The value of a key, if it is still there, to be changed.
    #[inline]
    #[must_use]
    pub fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        // SAFETY: as in `get`, and the collection is borrowed mutably.
        self.find(key).map(|slot| unsafe { &mut *(*slot.as_ptr()).content.value })
    }

    /// Takes a value out, if it is still there. Its key, and every copy of it, is good for nothing from now on.
    #[inline]
    pub fn remove(&mut self, key: Key<T>) -> Option<T> {
        let slot = self.find(key)?;
        // SAFETY: as in `get`; the slot is vacated at once, so nobody takes the value again.
        unsafe {
            let value = (&raw const (*slot.as_ptr()).content.value).cast::<T>().read();
            self.vacate(key.index(), slot);
            Some(value)
        }
    }

    /// # Safety
    ///
    /// The slot has this index and an odd generation, and its value was taken out.
    #[inline]
    unsafe fn vacate(&mut self, index: u32, slot: NonNull<Slot<T>>) {
        // SAFETY: the slot is there.
        let slot = unsafe { &mut *slot.as_ptr() };
        slot.generation = slot.generation.wrapping_add(1);
        if slot.generation != 0 {
            slot.content.next = self.vacant;
            self.vacant = index;
        }
        self.live -= 1;
    }

    /// The key of the value at an index below `used`, if there is one.
    fn key_at(&self, index: u32) -> Option<Key<T>> {
        // SAFETY: the slots below `used` have come and were filled.
        let generation = unsafe { (*self.segments.get_known(index).as_ptr()).generation };
        (generation % 2 == 1).then(|| Key::new(index, generation))
    }

    /// All values with their keys, in the order of their slots. O(slots ever used at a time).
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Key<T>, &T)> {
        (0..self.used).filter_map(|index| {
            let key = self.key_at(index)?;
            Some((key, self.get(key)?))
        })
    }

    /// As [`iter`](Self::iter), with values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (Key<T>, &mut T)> {
        let this = &*self;
        (0..self.used).filter_map(move |index| {
            let key = this.key_at(index)?;
            let slot = this.find(key)?;
            // SAFETY: as in `get_mut`: the collection is borrowed mutably, and every index comes once.
            Some((key, unsafe { &mut *(*slot.as_ptr()).content.value }))
        })
    }

    /// Drops the values that `keep` does not want to keep.
    pub fn retain(&mut self, mut keep: impl FnMut(Key<T>, &mut T) -> bool) {
        for index in 0..self.used {
            if let Some(key) = self.key_at(index)
                && let Some(value) = self.get_mut(key)
                && !keep(key, value)
            {
                drop(self.remove(key));
            }
        }
    }

    /// Takes all values out, in the order of their slots. Those that are left when the iterator goes are dropped.
    pub fn drain(&mut self) -> Drain<'_, T, A> {
        Drain { slots: self, next: 0 }
    }

    /// Drops all values. Every key is good for nothing from now on; the memory is kept.
    pub fn clear(&mut self) {
        drop(self.drain());
    }

    /// Verifies the invariants. O(slots ever used at a time).
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    pub fn check(&self) -> Result<(), Flaw> {
        // SAFETY: the slots below `used` have come and were filled.
        let slot = |index: u32| unsafe { &*self.segments.get_known(index).as_ptr() };
        let (mut live, mut retired, mut vacant) = (0, 0, 0);
        for index in 0..self.used {
            live += u32::from(slot(index).generation % 2 == 1);
            retired += u32::from(slot(index).generation == 0);
        }
        let mut next = self.vacant;
        while next != NONE && vacant <= self.used {
            if next >= self.used || slot(next).generation % 2 == 1 {
                return Err(Flaw("a slot on the list of vacant ones is not vacant"));
            }
            vacant += 1;
            // SAFETY: a vacant slot holds the index of the next one.
            next = unsafe { slot(next).content.next };
        }
        if live != self.live || self.used > self.room || live + retired + vacant != self.used {
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
        if core::mem::needs_drop::<T>() {
            self.clear();
        }
    }
}

/// Takes values out of a collection: see [`Slots::drain`].
pub struct Drain<'a, T, A: Allocator> {
    slots: &'a mut Slots<T, A>,
    next: u32,
}

impl<T, A: Allocator> Iterator for Drain<'_, T, A> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        while self.next < self.slots.used {
            self.next += 1;
            if let Some(key) = self.slots.key_at(self.next - 1) {
                return self.slots.remove(key);
            }
        }
        None
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.slots.len(), Some(self.slots.len()))
    }
}

impl<T, A: Allocator> ExactSizeIterator for Drain<'_, T, A> {}

impl<T, A: Allocator> Drop for Drain<'_, T, A> {
    /// Drops what is left, also if a destructor panics. (If two do, the program ends.)
    fn drop(&mut self) {
        /// Goes on where a destructor has panicked.
        struct GoOn<'a, 'b, T, A: Allocator>(&'a mut Drain<'b, T, A>);

        impl<T, A: Allocator> Drop for GoOn<'_, '_, T, A> {
            fn drop(&mut self) {
                self.0.for_each(drop);
            }
        }

        let rest = GoOn(self);
        rest.0.for_each(drop);
        forget(rest);
    }
}

#[cfg(all(test, feature = "alloc", not(any(loom, shuttle))))]
mod tests {
    use super::*;

    /// A slot that has had its last generation is never used again, and the others are.
    #[test]
    fn a_slot_whose_generation_would_come_again_is_retired() {
        let mut slots = Slots::new();
        let keys = [slots.insert(1), slots.insert(2)];
        slots.remove(keys[0]);
        // SAFETY: the slot is there. It is vacant, and was used as often as it may but once.
        unsafe { (*slots.segments.get_known(0).as_ptr()).generation = u32::MAX - 1 };
        let last = slots.insert(3);
        assert_eq!((last.index(), slots.get(last)), (0, Some(&3)));
        assert_eq!(slots.remove(last), Some(3));
        let next = slots.insert(4);
        assert_eq!((next.index(), slots.get(last), slots.get(keys[0])), (2, None, None));
        slots.check().expect("sound");
        assert_eq!(slots.iter().map(|(_, value)| *value).collect::<std::vec::Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_broken_list_is_found() {
        let mut slots = Slots::new();
        let key = slots.insert(1);
        slots.check().expect("sound");
        slots.vacant = key.index();
        assert!(slots.check().is_err());
        slots.vacant = NONE;
        slots.live = 2;
        assert!(slots.check().is_err());
        slots.live = 1;
    }
}
