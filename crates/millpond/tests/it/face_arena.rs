//! Arenas of values: what is lent stays put until all goes, and is dropped once where it is to be dropped at all.

use std::{
    cell::RefCell,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

use millpond::{
    AllocError, Arena, Blocks, Buffer, DropArena, Fixed, Inspect, Linear, Local, Locked, Nothing, Reclaim,
};

use crate::parents::Watched;

/// Notes its name when it is dropped, and panics on the way if it is told to.
struct Noisy<'a>(u32, &'a RefCell<Vec<u32>>, bool);

impl Drop for Noisy<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
        assert!(!self.2, "a destructor panics");
    }
}

#[test]
fn values_are_lent_and_keep_what_is_written() {
    let mut arena = Arena::with_memory(Local::new_in(Linear::new(), Watched::default()));
    for round in 0..3u32 {
        let numbers: Vec<_> = (0..5000u32).map(|number| arena.alloc(number * round)).collect();
        let slices: Vec<_> = (0..50).map(|length| arena.alloc_slice(&vec![length as u8; length])).collect();
        let texts: Vec<_> = (0..50).map(|length| arena.alloc_str(&"é".repeat(length))).collect();
        let made = arena.alloc_with(|| [round; 100]);
        *made.last_mut().expect("a hundred") += 1;
        assert!(numbers.iter().zip(0..).all(|(value, number)| **value == number * round));
        assert!(slices.iter().zip(0..).all(|(slice, length)| **slice == *vec![length as u8; length]));
        assert!(texts.iter().zip(0..).all(|(text, length)| **text == *"é".repeat(length)));
        assert_eq!(made[98..], [round, round + 1]);
        arena.check().expect("sound");
        let held = arena.stats().held;
        arena.reset();
        assert_eq!((arena.stats().live, arena.stats().held), (0, held));
    }
    assert_ne!(arena.trim(), 0);
}

#[test]
fn an_arena_runs_no_destructors() {
    let dropped = RefCell::default();
    let mut arena = Arena::new();
    arena.alloc(ManuallyDrop::new(Noisy(1, &dropped, true)));
    arena.reset();
    drop(arena);
    assert!(dropped.take().is_empty());
}

#[test]
fn an_arena_that_is_full_says_so() {
    let mut memory = [std::mem::MaybeUninit::uninit(); 64];
    let small = Arena::with_memory(Local::new_in(Linear::new(), Buffer::new(&mut memory)));
    assert!(small.try_alloc([1u8; 30]).is_ok());
    assert_eq!(small.try_alloc([1u8; 64]), Err(AllocError::Exhausted));
    assert_eq!(small.try_alloc_slice(64, |_| 1u8), Err(AllocError::Exhausted));
    let dropped = RefCell::default();
    let nothing = DropArena::with_memory(Nothing);
    assert!(nothing.try_alloc(Noisy(1, &dropped, false)).is_err());
    assert_eq!(dropped.take(), [1], "what finds no room is dropped");
    assert!(nothing.try_alloc(1).is_err());
}

#[test]
fn values_are_dropped_newest_first_and_once() {
    let dropped = RefCell::default();
    let mut arena = DropArena::with_memory(Local::new_in(Linear::new(), Watched::default()));
    for name in 0..3 {
        arena.alloc([1u8; 3]);
        arena.alloc(Noisy(name, &dropped, false)).0 += 10;
        arena.try_alloc(Box::new(name)).expect("the heap has room");
    }
    arena.reset();
    assert_eq!(dropped.take(), [12, 11, 10]);
    arena.alloc(Noisy(3, &dropped, false));
    drop(arena);
    assert_eq!(dropped.take(), [3]);
}

#[test]
fn a_panic_in_a_destructor_drops_the_rest() {
    let dropped = RefCell::default();
    let mut arena = DropArena::new();
    for name in 0..4 {
        arena.alloc(Noisy(name, &dropped, name == 2));
    }
    assert!(catch_unwind(AssertUnwindSafe(|| arena.reset())).is_err());
    assert_eq!(dropped.take(), [3, 2, 1, 0]);
    arena.alloc(Noisy(4, &dropped, true));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(arena))).is_err());
    assert_eq!(dropped.take(), [4]);
}

/// Any allocator is an arena's memory: threads share one, and one of blocks refuses what does not fit.
#[test]
fn arenas_on_other_allocators() {
    let arena = Arena::with_memory(Locked::<_, _>::new_in(Linear::new(), Watched::default()));
    thread::scope(|scope| {
        for name in 0..3u64 {
            let arena = &arena;
            scope.spawn(move || {
                let values: Vec<_> = (0..1000).map(|number| arena.alloc([name, number])).collect();
                assert!(values.iter().zip(0..).all(|(value, number)| **value == [name, number]));
            });
        }
    });
    let blocks = Arena::with_memory(Local::new(Blocks::<Fixed<64>>::new()));
    assert!(blocks.try_alloc([1u64; 8]).is_ok());
    assert_eq!(blocks.try_alloc([1u64; 9]), Err(AllocError::Unsupported));
    // An arena that nobody looks into may go to another thread, whatever was in it.
    let arena = Arena::new();
    arena.alloc(std::ptr::null::<u8>());
    thread::spawn(move || drop(arena)).join().expect("no panic");
}
