//! Collections that hand out keys: [`Slots`] for one owner, [`SharedSlots`] for threads.
//!
//! Values lie in segments that never move, each twice as long as the one before. A slot has a generation, which is odd
//! while there is a value: inserting and removing add one. A key names slot and generation, so it finds its value or none.
//! After 2³¹ values a slot is retired, rather than let a generation come again.
//!
//! * Insert, get and remove: O(1). Iteration: O(slots ever used at a time).
//! * Memory: 8 bytes per slot besides the value, which is counted as a word at least; no list besides.
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
/// A slot takes [`SLOT_SIZE`](Self::SLOT_SIZE) bytes: `T` or a word, and eight more. Memory goes back to the parent
/// when the collection goes.
///
/// # Invariants
///
/// * `used <= room`, and the segments have come for all indices below `room`. Slots below `used` have been filled.
/// * A slot whose generation is odd holds a value; there are `live` of them.
/// * Following `next` from `vacant` visits every other slot below `used` once, but for those that are retired.
pub struct Slots<T, A: Allocator = DefaultParent> {
    vacant: Option<NonNull<Slot<T>>>,
    used: u32,
    room: u32,
    live: u32,
    segments: Segments<Slot<T>, A>,
    owns: PhantomData<T>,
}

/// Invariant: the lower half of `key` is the slot's index; the upper half is its generation.
struct Slot<T> {
    /// One number, so that it is read as it was written: two halves read as one would wait for both.
    key: u64,
    content: Content<T>,
}

/// One generation.
const STEP: u64 = 1 << 32;

impl<T> Slot<T> {
    fn index(&self) -> u32 {
        self.key as u32
    }

    fn generation(&self) -> u32 {
        (self.key >> 32) as u32
    }
}

union Content<T> {
    value: ManuallyDrop<T>,
    next: Option<NonNull<Slot<T>>>,
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
    pub const SLOT_SIZE: usize = size_of::<Slot<T>>();

    /// An empty collection, on a parent.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        Self { vacant: None, used: 0, room: 0, live: 0, segments: Segments::new(parent), owns: PhantomData }
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
            Ok(slot) => self.fill(slot, make),
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
        let slot = self.next_vacant()?;
        Ok(self.fill(slot, |_| value))
    }

    /// The slot that is filled next: one that was vacated, or a new one.
    #[inline]
    fn next_vacant(&mut self) -> Result<NonNull<Slot<T>>, AllocError> {
        match self.vacant {
            Some(slot) => Ok(slot),
            None => self.new_slot(),
        }
    }

    /// A slot that was never used, vacant, at the head of an empty list.
    #[inline]
    fn new_slot(&mut self) -> Result<NonNull<Slot<T>>, AllocError> {
        if self.used == self.room {
            self.room = self.segments.grow(self.room)?;
        }
        // SAFETY: the slot's segment has come, and nobody has it.
        let slot = unsafe { self.segments.get_known(self.used) };
        // SAFETY: as above; all its bytes are zero, but for these.
        unsafe {
            (*slot.as_ptr()).key = u64::from(self.used);
            (*slot.as_ptr()).content.next = None;
        }
        self.used += 1;
        self.vacant = Some(slot);
        Ok(slot)
    }

    /// Fills the slot at the head of the list.
    #[inline]
    fn fill(&mut self, slot: NonNull<Slot<T>>, make: impl FnOnce(Key<T>) -> T) -> Key<T> {
        let slot = slot.as_ptr();
        // SAFETY: the slot is there, and vacant.
        let bits = unsafe { (*slot).key } + STEP;
        let key = Key::new(bits as u32, (bits >> 32) as u32);
        let value = make(key);
        // SAFETY: as above. A vacant slot holds the pointer to the next one.
        unsafe {
            self.vacant = (*slot).content.next;
            (&raw mut (*slot).content.value).cast::<T>().write(value);
            (*slot).key = bits;
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
        (unsafe { (*slot.as_ptr()).key } == key.to_bits()).then_some(slot)
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
            self.vacate(slot);
            Some(value)
        }
    }

    /// # Safety
    ///
    /// The slot has an odd generation, and its value was taken out.
    #[inline]
    unsafe fn vacate(&mut self, slot: NonNull<Slot<T>>) {
        // SAFETY: the slot is there.
        let vacated = unsafe { &mut *slot.as_ptr() };
        vacated.key = vacated.key.wrapping_add(STEP);
        if vacated.generation() != 0 {
            vacated.content.next = self.vacant;
            self.vacant = Some(slot);
        }
        self.live -= 1;
    }

    /// The key of the value at an index below `used`, if there is one.
    fn key_at(&self, index: u32) -> Option<Key<T>> {
        // SAFETY: the slots below `used` have come and were filled.
        let generation = unsafe { (*self.segments.get_known(index).as_ptr()).generation() };
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
        let (mut live, mut unused, mut vacant) = (0u32, 0u32, 0u32);
        for index in 0..self.used {
            if slot(index).index() != index {
                return Err(Flaw("a slot does not know its index"));
            }
            live += u32::from(slot(index).generation() % 2 == 1);
            unused += u32::from(slot(index).generation() == 0);
        }
        let mut next = self.vacant;
        while let Some(place) = next
            && vacant <= self.used
        {
            // SAFETY: what is on the list is a slot.
            let listed = unsafe { place.as_ref() };
            if listed.index() >= self.used || listed.generation() % 2 == 1 {
                return Err(Flaw("a slot on the list of vacant ones is not vacant"));
            }
            vacant += 1;
            // One that is unused and not on the list is retired.
            unused -= u32::from(listed.generation() == 0);
            // SAFETY: a vacant slot holds the pointer to the next one.
            next = unsafe { listed.content.next };
        }
        if live != self.live || self.used > self.room || live + unused + vacant != self.used {
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
        unsafe { (*slots.segments.get_known(0).as_ptr()).key = u64::from(u32::MAX - 1) << 32 };
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
        slots.vacant = slots.find(key);
        assert!(slots.check().is_err());
        slots.vacant = None;
        slots.live = 2;
        assert!(slots.check().is_err());
        slots.live = 1;
    }
}
