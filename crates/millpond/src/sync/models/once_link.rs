//! Models of updates that must happen once: a pointer that is set by one of several threads, and a cursor that moves
//! over each byte once.

use core::{alloc::Layout, ptr::NonNull};

#[cfg(loom)]
use crate::sync::ordering::{BrokenAcquire, BrokenRelease};
use crate::{
    base::atomic::{
        UnsafeCell,
        model::{Arc, check, thread},
    },
    source::Cursor,
    sync::{
        once_link::OnceLink,
        ordering::{BrokenTwoSteps, Correct, Orderings},
    },
};

/// A link, and for each of two threads the value that it would set, which the model checker watches.
struct Two<T> {
    pointer: OnceLink<usize, T>,
    names: [usize; 2],
    contents: [UnsafeCell<()>; 2],
}

// SAFETY: the cells are empty; which thread touches them when is what the model checks.
unsafe impl<T> Sync for Two<T> {}

/// Two threads create a value and try to set one link: one of them does, and both find that value in it, initialized.
fn two_set_one_link<T: Orderings + 'static>() {
    check(3, || {
        let two = Arc::new(Two::<T> {
            pointer: OnceLink::new(),
            names: [0, 1],
            contents: [UnsafeCell::new(()), UnsafeCell::new(())],
        });
        assert!(two.pointer.get().is_null());
        two.contents.iter().for_each(|contents| contents.with_mut(|_| ()));
        let try_set = |two: &Two<T>, mine: usize| {
            two.contents[mine].with_mut(|_| ());
            let has = two.pointer.try_set(NonNull::from(&two.names[mine]));
            // SAFETY: the link is set by now, and does not change.
            let found = unsafe { *two.pointer.get() };
            two.contents[found].with(|_| ());
            (usize::from(has), found)
        };
        let other = Arc::clone(&two);
        let other = thread::spawn(move || try_set(&other, 1));
        let (mine, found) = try_set(&two, 0);
        let (others, found_too) = other.join().expect("no panic");
        assert_eq!((mine + others, found), (1, found_too), "one of the two is lost");
    });
}

#[test]
fn link_is_set_once() {
    two_set_one_link::<Correct>();
}

#[test]
#[should_panic]
fn setting_in_two_steps_is_caught() {
    two_set_one_link::<BrokenTwoSteps>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn setting_without_release_is_caught() {
    two_set_one_link::<BrokenRelease>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn getting_without_acquire_is_caught() {
    two_set_one_link::<BrokenAcquire>();
}

/// Two threads carve a word each from one piece of memory.
fn two_carve<const ONCE: bool>() {
    check(3, || {
        let cursor = Arc::new(Cursor::<ONCE>::new());
        assert_eq!(cursor.used(), 0);
        let cut = |cursor: &Cursor<ONCE>| {
            let memory = NonNull::slice_from_raw_parts(NonNull::<u64>::dangling().cast(), 64);
            let block = cursor.take(memory, Layout::new::<u64>(), 8);
            block.expect("there is room for eight").addr()
        };
        let other = Arc::clone(&cursor);
        let other = thread::spawn(move || cut(&other));
        let mine = cut(&cursor);
        assert_ne!(mine, other.join().expect("no panic"), "both have the same word");
        assert_eq!(cursor.used(), 16);
    });
}

#[test]
fn cursor_passes_each_byte_once() {
    two_carve::<true>();
}

#[test]
#[should_panic]
fn moving_a_cursor_in_two_steps_is_caught() {
    two_carve::<false>();
}
