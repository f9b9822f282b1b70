//! `slots[key]`, for keys whose values are known to exist.

use core::ops::{Index, IndexMut};

use super::{Key, Slots};
use crate::traits::Allocator;

/// Returns the value of a key that is known to exist, as indexing does for `Vec`. Use [`get`](Slots::get) if the
/// value may have been removed.
///
/// ```
/// let mut slots = millpond::Slots::new();
/// let key = slots.insert(1);
/// slots[key] += 1;
/// assert_eq!(slots[key], 2);
/// ```
///
/// # Panics
///
/// Panics if the value has been removed:
///
/// ```should_panic
/// let mut slots = millpond::Slots::new();
/// let key = slots.insert(1);
/// slots.remove(key);
/// slots[key];
/// ```
impl<T, A: Allocator> Index<Key<T>> for Slots<T, A> {
    type Output = T;

    #[inline]
    fn index(&self, key: Key<T>) -> &T {
        match self.get(key) {
            Some(value) => value,
            None => gone(key.index()),
        }
    }
}

/// Returns a mutable reference to the value of a key that is known to exist. See [`Index`].
///
/// # Panics
///
/// Panics if the value has been removed.
impl<T, A: Allocator> IndexMut<Key<T>> for Slots<T, A> {
    #[inline]
    fn index_mut(&mut self, key: Key<T>) -> &mut T {
        match self.get_mut(key) {
            Some(value) => value,
            None => gone(key.index()),
        }
    }
}

/// Panics with the message that a key is stale, at the location of the caller: `core` allows implementations of
/// `Index` to be `#[track_caller]`.
#[cold]
#[inline(never)]
#[track_caller]
#[expect(clippy::panic, reason = "indexing with a stale key panics, as documented; `get` does not")]
fn gone(slot: u32) -> ! {
    panic!(
        "the key finds nothing: the value that it named in slot {slot} is gone, or was in another collection"
    );
}
