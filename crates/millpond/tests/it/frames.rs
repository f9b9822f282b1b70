//! Arenas by frame, by request, by thread and by scope.

use std::{cell::Cell, sync::Barrier};

use millpond::{
    Arena, ArenaAlloc, ArenaPool, Frames, Inspect, Linear, Local, Owned, Stack,
    arena::{FrameHandle, PooledArena},
    guard::Stats,
    observe::InspectExt,
};

use crate::{tracking_parent::TrackingParent, values::unwinds};

#[test]
fn value_lives_until_the_next_frame_ends() {
    fn lives_for<const N: usize>() {
        let mut frames = Frames::<N>::new();
        let mut kept: Vec<(u32, FrameHandle<[u32; 20]>)> = Vec::new();
        for frame in 0..50 {
            for &(of, value) in &kept {
                let expected = (of + N as u32 > frame).then_some([of; 20]);
                assert_eq!(frames.get(value).copied(), expected, "frame {of}, in {frame}, of {N}");
            }
            frames.alloc_slice(&[u32::MAX; 500]);
            kept.push((frame, frames.persist([frame; 20])));
            let there = N.min(frame as usize + 1);
            assert_eq!(frames.stats().live, there * (2000 + 80), "{there} frames of {N} are there");
            frames.check().expect("sound in each frame");
            frames.next_frame();
        }
    }
    lives_for::<1>();
    lives_for::<2>();
    lives_for::<3>();
    lives_for::<7>();
}

#[test]
fn frames_stop_growing_after_the_largest() {
    let parent = TrackingParent::default();
    let mut frames: Frames<2, _> = Frames::with_memory(|| Local::new_in(Linear::new(), &parent));
    let fill = |frames: &Frames<2, _>, count: usize| (0..count).for_each(|n| _ = frames.alloc([n; 10]));
    fill(&frames, 1000);
    frames.next_frame();
    fill(&frames, 1000);
    let (asked, held) = (parent.requests(), frames.stats().held);
    for count in [1000, 10, 999, 0, 1000, 500] {
        frames.next_frame();
        fill(&frames, count);
    }
    assert_eq!((parent.requests(), frames.stats().held), (asked, held));
    assert_eq!(frames.heap_map(8).view().held(), held);
    let value = frames.persist(1);
    assert!(frames.owns(frames.get(value).expect("this frame")));
    frames.reset();
    assert_eq!((frames.get(value), frames.stats().live), (None, 0));
    assert_eq!(frames.trim(), held);
    assert_eq!(parent.out(), 0);
}

#[test]
fn persistent_values_belong_to_their_frames() {
    let (mut one, mut other) = (Frames::<2>::new(), Frames::<2>::new());
    let value = one.persist(Cell::new(1));
    assert!(other.get(value).is_none());
    *one.get_mut(value).expect("this frame") = Cell::new(2);
    other.next_frame();
    std::mem::swap(&mut one, &mut other);
    assert_eq!(other.get(value).map(Cell::get), Some(2), "frames may move");
    assert!(one.get(value).is_none());
    // New frames in the same memory, begun as often: handles to earlier values find nothing.
    let mut stale = Vec::new();
    for _ in 0..100 {
        let frames = Frames::<1>::new();
        assert!(stale.iter().all(|&value| frames.get(value).is_none()));
        stale.push(frames.persist(7));
    }
    assert!(format!("{:?}", frames_keep_nothing()).starts_with("FrameHandle {"));
}

fn frames_keep_nothing() -> FrameHandle<()> {
    Frames::<1>::new().persist(())
}

#[test]
fn frames_of_many_threads() {
    let frames: Frames<2, _> = Frames::with_memory(millpond::shell::AtomicLinear::new);
    let value = frames.persist(5);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let frames = &frames;
            scope.spawn(move || {
                assert_eq!(*frames.alloc(number) + frames.get(value).expect("this frame"), number + 5);
            });
        }
    });
}

#[test]
fn arenas_are_pooled_with_their_memory() {
    let parent = TrackingParent::default();
    let arenas = ArenaPool::with_memory(|| Local::new_in(Linear::new(), &parent));
    for round in 0..5 {
        let arena = arenas.get();
        (0..1000_u64).for_each(|n| _ = arena.alloc([n; 4]));
        assert_eq!((parent.requests(), arenas.idle()), (4, 0), "round {round}");
    }
    let (one, other) = (arenas.get(), arenas.get());
    let text = one.alloc_str("one");
    other.alloc_str("other");
    assert_eq!((&*text, arenas.idle(), parent.requests()), ("one", 0, 5));
    drop((one, other));
    assert_eq!((arenas.idle(), parent.out()), (2, 5));
    assert_eq!(arenas.trim(), 4096 * (1 + 2 + 4 + 8) + 4096);
    assert_eq!((arenas.idle(), parent.out()), (0, 0));
}

#[test]
fn pool_of_arenas_keeps_its_limits() {
    let parent = TrackingParent::default();
    let arenas = ArenaPool::with_memory(|| Local::new_in(Linear::new(), &parent)).with_max_idle(2, 8192);
    let leases: Vec<_> = (0..5).map(|_| arenas.get()).collect();
    leases.iter().for_each(|arena| _ = arena.alloc_str("some"));
    assert_eq!(parent.out(), 5);
    drop(leases);
    assert_eq!((arenas.idle(), parent.out()), (2, 2), "at most two arenas are kept");
    let arena = arenas.get();
    arena.alloc_slice(&[0_u8; 5000]);
    drop(arena);
    assert_eq!((arenas.idle(), parent.out()), (1, 1), "and none that holds more than 8192 bytes");
    drop(arenas);
    assert_eq!(parent.out(), 0);
}

#[test]
fn pooled_arenas_survive_panics() {
    let arenas = ArenaPool::new();
    let unwound = unwinds(|| {
        let arena = arenas.get();
        arena.alloc(1);
        panic!("in a request");
    });
    assert!(unwound);
    assert_eq!(arenas.idle(), 1);
    let mut arena = arenas.get();
    let first = std::ptr::from_mut(arena.alloc([0_u64; 8])).addr();
    arena.reset();
    assert_eq!(std::ptr::from_mut(arena.alloc([0_u64; 8])).addr(), first);
    assert_eq!(arena.stats().live, 64);
}

#[test]
fn each_thread_has_its_own() {
    static ARENAS: ArenaPool = ArenaPool::new();
    thread_local! {
        static MINE: PooledArena<'static> = ARENAS.get();
    }
    let all_have_one = Barrier::new(4);
    std::thread::scope(|scope| {
        for number in 0..4_usize {
            let all_have_one = &all_have_one;
            scope.spawn(move || {
                MINE.with(|arena| {
                    let numbers = arena.alloc_slice(&[number; 1000]);
                    all_have_one.wait();
                    assert!(numbers.iter().all(|&other| other == number));
                });
            });
        }
    });
    // A thread-local value is dropped before its thread counts as joined, but possibly after its scope ends.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while ARENAS.idle() != 4 && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!(ARENAS.idle(), 4);
    assert!(ARENAS.trim() >= 4 * size_of::<[usize; 1000]>());
}

#[test]
fn many_idle_arenas_are_dropped_without_recursion() {
    let arenas = ArenaPool::new();
    let leases: Vec<_> = (0..100_000).map(|_| arenas.get()).collect();
    drop(leases);
    assert_eq!(arenas.idle(), 100_000);
}

#[test]
fn scopes_of_an_arena_nest_and_unwind() {
    let mut arena = Arena::with_memory(Local::new(Stats::new(Stack::new())));
    arena.alloc([1_u8; 100]);
    let unwound = unwinds(|| {
        arena.scope(|outer| {
            let kept = outer.alloc([2_u8; 200]);
            for _ in 0..1000 {
                outer.scope(|inner| _ = inner.alloc([3_u8; 300]));
            }
            assert_eq!((outer.stats().live, outer.stats().chunks), (300, 1));
            outer.scope(|inner| {
                inner.alloc_slice(&[4; 400]);
                kept[0] = inner.alloc_str("five").len() as u8;
                assert_eq!(inner.report().live_blocks, Some(4));
            });
            assert_eq!(kept[..2], [4, 2]);
            panic!("in a scope");
        });
    });
    assert!(unwound);
    assert_eq!((arena.stats().live, arena.report().live_blocks), (100, Some(1)));

    let mut owned = Owned::new(Stack::new());
    let sum: i32 = owned.scope(|scope| scope.alloc_slice(&[1, 2, 3]).iter().sum());
    assert_eq!((sum, owned.stats().live), (6, 0));
}
