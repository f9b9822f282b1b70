//! Models of what happens once: a pointer that is set by one of several threads, a cursor that moves over each byte once, and
//! an inbox that has one owner at a time.

use core::{alloc::Layout, ptr::NonNull};

#[cfg(loom)]
use super::list::{PutsBlindly, TakesBlindly};
use super::{Cells, list::InTwoSteps};
use crate::{
    base::atomic::{
        UnsafeCell,
        model::{Arc, check, thread},
        yield_now,
    },
    share::{
        entry::Entry,
        inbox::Owned,
        lock_free::list::{Sound, Terms},
    },
    source::Cursor,
};

/// A place, and for each of two threads what it would put there, which the model checker watches.
struct Two<T> {
    place: Entry<usize, T>,
    names: [usize; 2],
    contents: [UnsafeCell<()>; 2],
}

// SAFETY: there is nothing in the cells; who touches them when is what the model is about.
unsafe impl<T> Sync for Two<T> {}

/// Two threads make something and put it into one place: one of them has, and both find it there as it was made.
fn two_fill_one_place<T: Terms + 'static>() {
    check(3, || {
        let two = Arc::new(Two::<T> {
            place: Entry::new(),
            names: [0, 1],
            contents: [UnsafeCell::new(()), UnsafeCell::new(())],
        });
        assert!(two.place.get().is_null());
        two.contents.iter().for_each(|contents| contents.with_mut(|_| ()));
        let fill = |two: &Two<T>, mine: usize| {
            two.contents[mine].with_mut(|_| ());
            let has = two.place.fill(NonNull::from(&two.names[mine]));
            // SAFETY: something is there by now, and stays.
            let found = unsafe { *two.place.get() };
            two.contents[found].with(|_| ());
            (usize::from(has), found)
        };
        let other = Arc::clone(&two);
        let other = thread::spawn(move || fill(&other, 1));
        let (mine, found) = fill(&two, 0);
        let (others, found_too) = other.join().expect("no panic");
        assert_eq!((mine + others, found), (1, found_too), "one of the two is lost");
    });
}

#[test]
fn a_place_is_filled_once() {
    two_fill_one_place::<Sound>();
}

#[test]
#[should_panic]
fn filling_a_place_in_two_steps_is_caught() {
    two_fill_one_place::<InTwoSteps>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn filling_a_place_without_release_is_caught() {
    two_fill_one_place::<PutsBlindly>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn looking_at_a_place_without_acquire_is_caught() {
    two_fill_one_place::<TakesBlindly>();
}

/// Two threads cut a word each from one piece of memory.
fn two_cut<const ONCE: bool>() {
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
fn a_cursor_moves_over_each_byte_once() {
    two_cut::<true>();
}

#[test]
#[should_panic]
fn moving_a_cursor_in_two_steps_is_caught() {
    two_cut::<false>();
}

/// Two threads own an inbox one after the other, and use what it owns.
fn two_own<T: Terms + 'static>() {
    check(3, || {
        let shared = Arc::new((Owned::<T>::new(), Cells::<1>::new()));
        assert!(shared.0.begin());
        shared.0.end();
        let own = |(owned, cells): &(Owned<T>, Cells<1>)| {
            while !owned.begin() {
                yield_now();
            }
            cells.touch(0);
            owned.end();
        };
        let other = Arc::clone(&shared);
        let other = thread::spawn(move || own(&other));
        own(&shared);
        other.join().expect("no panic");
    });
}

#[test]
fn an_inbox_has_one_owner_after_the_other() {
    two_own::<Sound>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn owning_without_release_is_caught() {
    two_own::<PutsBlindly>();
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn owning_without_acquire_is_caught() {
    two_own::<TakesBlindly>();
}

#[cfg(loom)]
#[test]
#[should_panic]
fn owning_in_two_steps_is_caught() {
    two_own::<InTwoSteps>();
}
