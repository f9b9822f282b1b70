//! Arenas of values: values stay in place until the arena is reset, and are dropped at most once.

use std::{cell::RefCell, mem::ManuallyDrop, thread};

use millpond::{
    AllocError, Arena, ArenaAlloc, Blocks, Buffer, DropArena, Fixed, Inspect, Linear, Local, Locked,
    source::NullAllocator,
};

use crate::{
    tracking_parent::TrackingParent,
    values::{Noisy, unwinds},
};

#[test]
fn values_keep_their_contents() {
    let mut arena = Arena::with_memory(Local::new_in(Linear::new(), TrackingParent::default()));
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
fn full_arena_refuses() {
    let mut memory = [std::mem::MaybeUninit::uninit(); 64];
    let small = Arena::with_memory(Local::new_in(Linear::new(), Buffer::new(&mut memory)));
    assert!(small.try_alloc([1u8; 30]).is_ok());
    assert_eq!(small.try_alloc([1u8; 64]).map_err(Into::into), Err(AllocError::Exhausted));
    assert_eq!(small.try_alloc_iter(vec![1u8; 64]), Err(AllocError::Exhausted));
    assert_eq!(small.try_alloc_slice(&[1u8; 64]), Err(AllocError::Exhausted));
    assert_eq!(small.try_alloc_str(&"a".repeat(64)), Err(AllocError::Exhausted));
    assert!(small.try_alloc_with::<[u8; 64], _>(|| unreachable!("no room")).is_err());
    let dropped = RefCell::default();
    let nothing = DropArena::with_memory(NullAllocator);
    assert!(nothing.try_alloc(Noisy(1, &dropped, false)).is_err());
    assert_eq!(dropped.take(), [1], "what finds no room is dropped");
    assert!(nothing.try_alloc(1).is_err() && nothing.try_alloc_str("text").is_err());
    let never = || -> Noisy { unreachable!("no room") };
    assert!(nothing.try_alloc_with(never).is_err());
    assert!(nothing.try_alloc_iter((0..2).map(|_| never())).is_err());
    assert!(nothing.try_alloc_slice(&[String::new()]).is_err());
    assert!(dropped.take().is_empty());
}

/// Reports one size hint first and another one when it is asked again.
struct Liar {
    says: std::cell::Cell<usize>,
    has: std::ops::Range<u32>,
}

impl Liar {
    fn new(says: usize, has: std::ops::Range<u32>) -> Self {
        Self { says: says.into(), has }
    }
}

impl Iterator for Liar {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.has.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let says = self.says.replace(self.says.get() + 1000);
        (says, Some(says))
    }
}

impl ExactSizeIterator for Liar {}

#[test]
fn values_are_dropped_newest_first() {
    let dropped = RefCell::default();
    let mut arena = DropArena::with_memory(Local::new_in(Linear::new(), TrackingParent::default()));
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
fn slices_are_dropped_in_order() {
    let dropped = RefCell::default();
    let noisy = |name| Noisy(name, &dropped, false);
    let mut arena = DropArena::with_memory(Local::new_in(Linear::new(), TrackingParent::default()));
    arena.alloc(noisy(0));
    arena.alloc_iter((1..3).map(noisy))[1].0 = 12;
    assert!(arena.alloc_iter((0..0).map(noisy)).is_empty());
    let text = arena.alloc_str("text");
    text.make_ascii_uppercase();
    assert_eq!((&*text, &*arena.alloc_slice(&[1, 2, 3])), ("TEXT", &[1, 2, 3][..]));
    let boxes = arena.alloc_slice(&[Box::new(7), Box::new(8)]);
    assert_eq!(*boxes[1], 8);
    // This value is made while a slice is made, and lies in front of the slice.
    arena.alloc_iter((3..5).map(|name| arena.alloc_with(|| noisy(name + 10)).0).map(noisy));
    arena.reset();
    assert_eq!(dropped.take(), [13, 14, 14, 13, 1, 12, 0]);
    arena.alloc_iter((0..1000).map(noisy));
    arena.trim();
    assert!(dropped.borrow().is_empty() && arena.stats().live > 1000 * size_of::<Noisy>());
    drop(arena);
    assert!(dropped.take().into_iter().eq(0..1000));
}

#[test]
fn zero_sized_and_overaligned_slices() {
    struct Empty;
    thread_local!(static GONE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    impl Drop for Empty {
        fn drop(&mut self) {
            GONE.set(GONE.get() + 1);
        }
    }
    #[repr(align(64))]
    struct Aligned(Box<u8>);

    let mut arena = DropArena::new();
    assert_eq!(arena.alloc_iter([(); 5].map(|()| Empty)).len(), 5);
    arena.alloc(1_u8);
    let aligned = arena.alloc_iter((0..5).map(|number| Aligned(Box::new(number))));
    for (value, number) in aligned.iter().zip(0..) {
        assert!((&raw const *value).addr().is_multiple_of(64) && *value.0 == number);
    }
    arena.reset();
    assert_eq!(GONE.get(), 5);
}

#[test]
fn failed_slice_drops_its_values() {
    let dropped = RefCell::default();
    let make = |name| {
        assert_ne!(name, 3, "no value");
        Noisy(name, &dropped, false)
    };
    let mut arena = DropArena::with_memory(Local::new_in(Linear::new(), TrackingParent::default()));
    assert!(unwinds(|| arena.alloc_iter((0..5).map(make)).len()));
    assert_eq!((dropped.take(), arena.stats().live), (vec![0, 1, 2], 0));
    arena.reset();
    assert!(dropped.take().is_empty());
}

/// Whatever size an iterator reports, a slice has all values that it yields, and overlaps nothing.
#[test]
fn iterators_with_wrong_size_hints() {
    for says in [0, 3, 5000] {
        let dropped = RefCell::default();
        let arena = DropArena::new();
        let numbers = arena.alloc_iter(Liar::new(says, 0..4000));
        let noisy = arena.alloc_iter(Liar::new(says, 0..4000).map(|name| Noisy(name, &dropped, false)));
        arena.alloc_slice(&[u32::MAX; 4000]);
        assert!(numbers.iter().copied().eq(0..4000));
        assert!(noisy.iter().map(|noisy| noisy.0).eq(0..4000));
        drop(arena);
        assert!(dropped.take().into_iter().eq(0..4000));
    }
}

/// A slice takes as much memory as its values, however many the iterator announced, and grows in place if it can.
#[test]
fn slices_grow() {
    let arena = Arena::with_memory(Local::new_in(Linear::new(), TrackingParent::default()));
    let even = arena.alloc_iter((0..100_u64).filter(|number| number % 2 == 0));
    assert!(even.iter().copied().eq((0..50).map(|number| number * 2)));
    assert_eq!(arena.stats().live, 50 * 8);
    assert!(arena.alloc_iter((0..100_u64).filter(|_| false)).is_empty());
    assert_eq!(arena.stats().live, 50 * 8);
    // A value that is allocated meanwhile prevents growth in place, and stays.
    let named = arena.alloc_iter((0..100_u64).filter(|_| true).map(|number| arena.alloc(number)));
    let others = arena.alloc_slice(&[u64::MAX; 100]);
    assert!(named.iter().map(|number| **number).eq(0..100) && others[0] == u64::MAX);
    assert_eq!(arena.alloc_iter((0..9).filter(|_| true).map(|_| ())).len(), 9);

    let dropped = RefCell::default();
    let noisy = |name| Noisy(name, &dropped, false);
    let mut arena = DropArena::with_memory(Local::new_in(Linear::new(), TrackingParent::default()));
    assert!(arena.alloc_iter((0..9).filter(|_| false).map(noisy)).is_empty());
    assert_eq!(arena.stats().live, 0);
    arena.alloc_iter((0..9).filter(|_| true).map(|name| noisy(arena.alloc_with(|| noisy(name + 10)).0)));
    arena.reset();
    assert!(dropped.take().into_iter().eq((10..19).chain((10..19).rev())));
}

/// A slice that finds no room to grow drops its values and takes no memory.
#[test]
fn slices_that_cannot_grow() {
    let dropped = RefCell::default();
    let mut memory = [std::mem::MaybeUninit::uninit(); 256];
    let mut arena = DropArena::with_memory(Local::new_in(Linear::new(), Buffer::new(&mut memory)));
    let many = (0..100).filter(|_| true);
    assert!(arena.try_alloc_iter(many.clone().map(|name| Noisy(name, &dropped, false))).is_err());
    let mut yielded = dropped.take();
    assert_eq!((yielded[0] as usize, arena.stats().live), (yielded.len() - 1, 0), "all goes back");
    yielded.sort_unstable();
    assert!(
        yielded.len() > 4 && yielded.iter().copied().eq(0..yielded.len() as u32),
        "each once: {yielded:?}"
    );
    assert_eq!(arena.try_alloc_iter(many), Err(AllocError::Exhausted));
    arena.reset();
    assert!(dropped.take().is_empty());
}

#[test]
fn panic_in_a_slice_drops_the_rest() {
    let dropped = RefCell::default();
    let mut arena = DropArena::new();
    arena.alloc(Noisy(0, &dropped, false));
    arena.alloc_iter((1..4).map(|name| Noisy(name, &dropped, name == 2)));
    arena.alloc(Noisy(4, &dropped, false));
    assert!(unwinds(|| arena.reset()));
    assert_eq!(dropped.take(), [4, 1, 2, 3, 0]);
}

#[test]
fn panic_in_a_destructor_drops_the_rest() {
    let dropped = RefCell::default();
    let mut arena = DropArena::new();
    for name in 0..4 {
        arena.alloc(Noisy(name, &dropped, name == 2));
    }
    assert!(unwinds(|| arena.reset()));
    assert_eq!(dropped.take(), [3, 2, 1, 0]);
    arena.alloc(Noisy(4, &dropped, true));
    assert!(unwinds(|| drop(arena)));
    assert_eq!(dropped.take(), [4]);
}

/// Any allocator can be the parent of an arena: threads share one, and a pool of blocks refuses what does not fit.
#[test]
fn arenas_on_other_allocators() {
    let arena = Arena::with_memory(Locked::<_, _>::new_in(Linear::new(), TrackingParent::default()));
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
    assert_eq!(blocks.try_alloc([1u64; 9]).map_err(Into::into), Err(AllocError::Unsupported));
    // An arena may go to another thread even if its values may not.
    let arena = Arena::new();
    arena.alloc(std::ptr::null::<u8>());
    thread::spawn(move || drop(arena)).join().expect("no panic");
}
