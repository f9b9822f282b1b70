//! `slots[key]`: for keys whose value is known to be there.

use core::ops::{Index, IndexMut};

use super::{Key, Slots};
use crate::traits::Allocator;

/// The value of a key whose value is known to be there, as in `Vec`. Where it may be gone, there is [`get`](Slots::get).
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
/// If the value is gone:
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

/// As with [`Index`], to be changed.
///
/// # Panics
///
/// If the value is gone.
impl<T, A: Allocator> IndexMut<Key<T>> for Slots<T, A> {
    #[inline]
    fn index_mut(&mut self, key: Key<T>) -> &mut T {
        match self.get_mut(key) {
            Some(value) => value,
            None => gone(key.index()),
        }
    }
}

/// Says that a key is stale, and where it was used: `core` lets every implementation of `Index` know its caller.
#[cold]
#[inline(never)]
#[track_caller]
#[expect(clippy::panic, reason = "indexing with a stale key panics, as documented; `get` does not")]
fn gone(slot: u32) -> ! {
    panic!(
        "the key finds nothing: the value that it named in slot {slot} is gone, or was in another collection"
    );
}
