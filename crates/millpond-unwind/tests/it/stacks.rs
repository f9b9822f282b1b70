//! Ordinary stacks, and those of coroutines, threads and children.

use std::thread;

use crate::support::{Library, check, compared, frames, stack};

type Here = extern "C" fn();

fn program() -> Option<Library> {
    Library::build("stacks.c", &format!("stacks-{:?}", thread::current().id()), &[])
}

#[test]
fn recursion_in_c() {
    let Some(program) = program() else { return };
    // SAFETY: that is its type.
    let recursion: unsafe extern "C" fn(Here) = unsafe { program.function("recursion") };
    compared(1000, || {
        for _ in 0..3 {
            // SAFETY: `check` is such a function.
            unsafe { recursion(check) }
        }
    });
}

#[test]
fn exceptions_and_recursion_in_cpp() {
    let Some(program) = Library::build("recursion.cc", "recursion", &[]) else { return };
    // SAFETY: that is its type.
    let recurse: unsafe extern "C" fn(Here) = unsafe { program.function("recurse") };
    compared(2000, || {
        for _ in 0..4 {
            // SAFETY: `check` is such a function.
            unsafe { recurse(check) }
        }
    });
}

#[test]
fn coroutines_even_on_a_smaller_stack_in_the_same_place() {
    let Some(program) = program() else { return };
    // SAFETY: that is its type.
    let coroutines: unsafe extern "C" fn(Here) = unsafe { program.function("coroutines") };
    compared(200, || {
        for _ in 0..3 {
            // SAFETY: `check` is such a function.
            unsafe { coroutines(check) }
        }
    });
}

#[test]
fn threads_share_nodes() {
    let Some(program) = program() else { return };
    // SAFETY: that is its type. It sets a variable, always to the same value.
    let recursion: unsafe extern "C" fn(Here) = unsafe { program.function("recursion") };
    compared(5000, || {
        thread::scope(|scope| {
            for _ in 0..4 {
                // SAFETY: `check` is such a function.
                scope.spawn(|| (0..3).for_each(|_| unsafe { recursion(check) }));
            }
        });
        let ids = [(); 2].map(|()| thread::spawn(|| stack(1000)).join().unwrap());
        let [first, second] = ids.map(|id| frames(id).0);
        assert!(first == second && first.len() > 3, "{first:x?} {second:x?}");
    });
}

#[test]
fn children_by_fork_and_vfork() {
    let Some(program) = program() else { return };
    // SAFETY: that is its type.
    let child: unsafe extern "C" fn(Here, i32) -> i32 = unsafe { program.function("child") };
    extern "C" fn in_child() {
        check();
        if crate::support::DIFFERENT.load(std::sync::atomic::Ordering::Relaxed) != 0 {
            // SAFETY: ends the child, or this program.
            unsafe { libc::_exit(1) };
        }
    }
    compared(40, || {
        for round in 0..20 {
            // SAFETY: `in_child` is such a function.
            assert_eq!(unsafe { child(in_child, round % 2) }, 42);
        }
    });
}

#[test]
fn long_stacks_are_cut_off() {
    let Some(program) = program() else { return };
    // SAFETY: that is its type.
    let deeply: unsafe extern "C" fn(Here, i32) = unsafe { program.function("deeply") };
    compared(0, || {
        thread_local!(static FOUND: std::cell::Cell<[u32; 3]> = const { std::cell::Cell::new([0; 3]) });
        extern "C" fn look() {
            FOUND.set([stack(1024), stack(5), stack(1)]);
        }
        let mut found = Vec::new();
        // Neighbours in both directions, and again: what was kept of other stacks makes no difference.
        for depth in [2000, 20, 2001, 20, 1999, 2000, 21, 20, 2000, 20] {
            // SAFETY: `look` is such a function.
            unsafe { deeply(look, depth) };
            let [whole, five, one] = FOUND.get().map(frames);
            assert_eq!((five.0.len(), five.1, one.0.len(), one.1), (5, true, 1, true));
            assert_eq!((whole.0.len() == 1024, whole.1), (depth > 1000, depth > 1000), "{}", whole.0.len());
            found.push((depth, FOUND.get()));
        }
        for (depth, ids) in &found {
            let same = found.iter().filter(|(other, _)| other == depth);
            assert!({ same }.all(|(_, other)| other == ids), "{found:?}");
        }
    });
}
