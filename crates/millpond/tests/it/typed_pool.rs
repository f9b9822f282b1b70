//! Typed pools and their handles: what drops values, when, where their memory goes, and what panics change.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashSet},
    mem::MaybeUninit,
    rc::Rc,
    sync::mpsc,
    thread,
};

use fastrand::Rng;
use millpond::{
    AllocError, Allocator, ArcPool, Blocks, Classes, Heap, Inspect, Linear, Local, Magazine, Pages, Pool,
    PoolArc, PoolBox, PoolRc, RcPool, Reclaim, SharedPool, pool::AddressOrdered, source::NullAllocator,
    typed::PoolRef, unsize,
};

use crate::{
    again::skipped,
    tracking_parent::TrackingParent,
    values::{Tracked, unwinds},
};

#[test]
fn handles_have_the_size_of_their_parts() {
    let word = size_of::<usize>();
    assert_eq!(size_of::<PoolBox<u64>>(), 2 * word);
    assert_eq!(size_of::<Option<PoolBox<u64>>>(), 2 * word);
    assert_eq!(size_of::<PoolBox<[u64]>>(), 3 * word);
    assert_eq!(size_of::<PoolRc<u64>>(), 2 * word);
    assert_eq!(size_of::<Option<PoolArc<u64>>>(), 2 * word);
}

#[test]
fn value_is_dropped_once() {
    let drops = Cell::new(0);
    let pool = Pool::new();
    let value = pool.alloc(Tracked::new(&drops));
    let place: *const Tracked = &*value;
    drop(value);
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
    let next = pool.alloc(Tracked::new(&drops));
    assert!(std::ptr::eq(&*next, place), "the block is used again");
    drop(PoolBox::into_inner(next));
    assert_eq!((drops.get(), pool.stats().live), (2, 0));
    let raw = PoolBox::into_raw(pool.alloc(Tracked::new(&drops)));
    assert_ne!(pool.stats().live, 0);
    // SAFETY: the pointer came from a handle of this pool, and becomes one again once.
    drop(unsafe { PoolBox::from_raw_in(raw, pool.memory()) });
    assert_eq!((drops.get(), pool.stats().live), (3, 0));
}

#[test]
fn leaked_values_stay_until_the_reset() {
    let drops = Cell::new(0);
    let mut pool = Pool::new();
    let leaked = PoolBox::leak(pool.alloc(Tracked::new(&drops)));
    leaked.panics = true;
    assert_ne!(pool.stats().live, 0);
    pool.reset();
    assert_eq!((drops.get(), pool.stats().live), (0, 0));
    std::mem::forget(pool.alloc(Tracked { drops: &drops, panics: true }));
    drop(pool);
    assert_eq!(drops.get(), 0);
}

#[test]
fn panic_in_a_constructor_frees_the_block() {
    let pool = Pool::<u64, _>::with_memory(Local::new_in(Classes::new(), Heap));
    assert!(unwinds(|| pool.alloc_with(|| panic!("no value"))));
    assert!(unwinds(|| pool.try_alloc_with(|| panic!("no value")).is_ok()));
    assert_eq!(pool.stats().live, 0);

    let drops = Cell::new(0);
    let make = |index: usize| {
        assert!(index < 3, "no fourth value");
        Tracked::new(&drops)
    };
    assert!(unwinds(|| PoolBox::slice_in(5, make, pool.memory()).is_ok()));
    assert_eq!((drops.get(), pool.stats().live), (3, 0));
}

#[test]
fn panic_in_a_destructor_frees_the_block() {
    let drops = Cell::new(0);
    let bomb = || Tracked { drops: &drops, panics: true };
    let classes = Local::new(Classes::new());
    assert!(unwinds(|| drop(PoolBox::new_in(bomb(), &classes))));
    assert!(unwinds(|| drop(PoolRc::new_in(bomb(), &classes))));
    assert_eq!((drops.get(), classes.stats().live), (2, 0));
    let only_second = |index| Tracked { drops: &drops, panics: index == 1 };
    assert!(unwinds(|| drop(PoolBox::slice_in(4, only_second, &classes))));
    assert_eq!((drops.get(), classes.stats().live), (6, 0));
}

#[test]
fn errors_distinguish_limits_from_exhaustion() {
    let limited = Pool::builder().limit(2).build();
    let (first, _second) = (limited.alloc(1), limited.alloc(2));
    assert_eq!(limited.try_alloc(3).expect_err("a limit").into_parts(), (AllocError::Limit, 3));
    assert_eq!(limited.try_alloc_with(|| unreachable!("no room")).err(), Some(AllocError::Limit));
    drop(first);
    assert!(limited.try_alloc(3).is_ok());

    let poor = Pool::builder().parent(NullAllocator).limit(2).build();
    assert_eq!(poor.try_alloc(1).expect_err("nothing").into_parts(), (AllocError::Exhausted, 1));
    assert_eq!(poor.try_alloc_uninit().err(), Some(AllocError::Exhausted));
    let small = Pool::<[u64; 2], _>::with_memory(Local::new(Blocks::of(std::alloc::Layout::new::<u64>())));
    assert_eq!(small.try_alloc([1, 2]).expect_err("too large").error(), AllocError::Unsupported);
}

#[test]
fn builder_builds_what_was_chosen() {
    let parent = TrackingParent::default();
    let pool = Pool::<[u64; 8]>::builder().capacity(10).parent(&parent).build();
    drop(pool.alloc([1; 8]));
    assert_eq!(pool.stats().held, 640);
    drop(pool);

    let pool = Pool::<[u64; 8]>::builder().per_chunk(3).free_list::<Magazine>().build();
    let values: Vec<_> = (0..10).map(|number| pool.alloc([number; 8])).collect();
    assert_eq!(pool.stats().chunks, 4);
    assert!(values.iter().zip(0..).all(|(value, number)| **value == [number; 8]));
    drop(values);
    pool.check().expect("sound");

    let shared =
        SharedPool::<u64>::builder().free_list::<AddressOrdered>().parent(Pages).limit(5).build_shared();
    let values: Vec<_> = (0..5).map(|number| shared.alloc(number)).collect();
    assert_eq!(shared.report().left, Some(0));
    drop(values);
}

/// Threads make values and drop each other's; each thread has a cache of free blocks.
#[test]
fn cached_pool() {
    const EACH: u64 = 5000;
    let parent = TrackingParent::default();
    let pool = SharedPool::<[u64; 4]>::builder().parent(&parent).capacity(100).build_cached();
    thread::scope(|scope| {
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel()).unzip();
        for (name, receiver) in (0u64..).zip(receivers) {
            let (pool, next) = (&pool, senders[(name as usize + 1) % 3].clone());
            scope.spawn(move || {
                for number in 0..EACH {
                    let kept = pool.alloc([number, name, number, name]);
                    // A thread that has ended receives nothing; in that case the value is dropped here.
                    let _ = next.send(pool.alloc([number, name, !number, name]));
                    if let Ok(theirs) = receiver.try_recv() {
                        assert_eq!(theirs[0], !theirs[2]);
                    }
                    assert_eq!(*kept, [number, name, number, name]);
                }
            });
        }
    });
    assert_eq!(pool.stats().live, 0);
    pool.check().expect("sound");
    assert!(unwinds(|| pool.alloc_with(|| panic!("no value"))));
    assert_eq!(pool.stats().live, 0);
}

/// Values of zero bytes, with large alignments, and much larger than a page.
#[test]
fn values_of_every_size_and_alignment() {
    #[repr(align(4096))]
    struct Aligned(u8);

    let drops = Cell::new(0);
    thread_local!(static ZERO_SIZED_DROPS: Cell<u32> = const { Cell::new(0) });
    struct Empty;
    impl Drop for Empty {
        fn drop(&mut self) {
            ZERO_SIZED_DROPS.set(ZERO_SIZED_DROPS.get() + 1);
        }
    }
    let nothings = Pool::new();
    let held: Vec<_> = (0..3).map(|_| nothings.alloc(Empty)).collect();
    assert_eq!(nothings.stats().held, 0, "zero bytes take no block");
    drop(held);
    assert_eq!(ZERO_SIZED_DROPS.get(), 3);

    let aligned = Pool::new();
    let values: Vec<_> = (0..9).map(|number| aligned.alloc(Aligned(number))).collect();
    for (value, number) in values.iter().zip(0..) {
        assert!((&raw const **value).addr().is_multiple_of(4096) && value.0 == number);
    }
    drop(values);

    let large = Pool::new();
    let mut value = large.alloc_with(|| [1u8; 100_000]);
    value[99_999] = 2;
    assert_eq!(value.iter().map(|&byte| u32::from(byte)).sum::<u32>(), 100_001);
    drop(value);

    let bytes = Pool::<u8>::new();
    let values: Vec<_> = (0..100).map(|number| bytes.alloc(number)).collect();
    assert!(values.iter().zip(0..).all(|(value, number)| **value == number));
    drop((values, drops));
}

/// Eight mebibytes are made on a stack of a quarter of one.
#[test]
fn large_value_is_built_in_place() {
    type Large = [u8; 8 << 20];
    let in_place = || {
        let pool = Pool::<Large>::new();
        let mut place = pool.try_alloc_uninit().expect("the heap has room");
        // SAFETY: all bytes are written, and any byte is a `u8`.
        let value = unsafe {
            place.as_mut_ptr().write_bytes(7, 1);
            place.assume_init()
        };
        assert_eq!(value[4 << 20], 7);
        // A value made by a closure is built in place if the compiler optimises.
        if cfg!(debug_assertions) {
            skipped("`alloc_with` on a small stack", "this build is not optimised");
        } else {
            let value = pool.alloc_with(|| [8; 8 << 20]);
            assert_eq!(value[4 << 20], 8);
        }
    };
    let thread = thread::Builder::new().stack_size(256 << 10).spawn(in_place);
    thread.expect("a thread").join().expect("no panic");
}

#[test]
fn unsized_handles_free_the_whole_block() {
    trait Shape {
        fn area(&self) -> u32;
    }
    impl Shape for [u32; 2] {
        fn area(&self) -> u32 {
            self[0] * self[1]
        }
    }
    let pool = Pool::new();
    let shape: PoolBox<dyn Shape> = unsize!(pool.alloc([3, 4]) => dyn Shape);
    assert_eq!(shape.area(), 12);
    drop(shape);
    let slice: PoolBox<[u32]> = pool.alloc([5, 6]).into();
    assert_eq!(*slice, [5, 6]);
    drop(slice);
    assert_eq!(pool.stats().live, 0);

    let drops = Cell::new(0);
    let classes = Local::new(Classes::new());
    let pair = [Tracked::new(&drops), Tracked::new(&drops)];
    let pair = unsize!(PoolBox::new_in(pair, &classes).expect("room") => [Tracked]);
    assert_eq!(pair.len(), 2);
    drop(pair);
    assert_eq!((drops.get(), classes.stats().live), (2, 0));
}

#[test]
fn slices_and_strings_of_every_length() {
    let classes = Local::new(Classes::new());
    for length in [0, 1, 7, 100, 5000, 100_000] {
        let text = "é".repeat(length);
        assert_eq!(*PoolBox::str_in(&text, &classes).expect("room"), *text);
        let values = PoolBox::slice_in(length, |index| index.to_string(), &classes).expect("room");
        assert!(
            values.len() == length
                && values.iter().zip(0..).all(|(value, index)| *value == index.to_string())
        );
        let numbers: Vec<_> = (0..length).collect();
        assert_eq!(*PoolBox::copy_in(&numbers, &classes).expect("room"), *numbers);
    }
    assert_eq!(classes.stats().live, 0);
    let endless = PoolBox::slice_in(usize::MAX, |index| index, &classes);
    assert_eq!(endless.err(), Some(AllocError::Unsupported));
    assert_eq!(PoolBox::copy_in(&[(); 9], &NullAllocator).expect("no bytes").len(), 9);
}

#[test]
fn shared_values_live_as_long_as_a_handle() {
    let drops = Cell::new(0);
    let pool = RcPool::new();
    let mut one = pool.alloc_rc(Tracked::new(&drops));
    assert!(PoolRef::get_mut(&mut one).is_some());
    let other = one.clone();
    let weak = PoolRef::downgrade(&one);
    assert!(PoolRef::get_mut(&mut one).is_none() && PoolRef::ptr_eq(&one, &other));
    drop(one);
    let again = weak.upgrade().expect("one is left");
    assert_eq!((PoolRef::strong_count(&again), drops.get()), (2, 0));
    assert!(PoolRef::into_inner(again).is_none());
    drop(PoolRef::into_inner(other).expect("the last"));
    assert_eq!(drops.get(), 1);
    assert!(weak.upgrade().is_none());
    assert_ne!(pool.stats().live, 0, "a weak handle keeps the block");
    drop((weak.clone(), weak));
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
    assert_eq!((pool.stats().chunks, pool.stats().held), (1, 256));
}

/// A graph whose nodes refer to each other, in both directions.
#[test]
fn tree_of_counted_nodes_with_weak_parents() {
    struct Node<'p> {
        name: u32,
        parent: RefCell<
            Option<millpond::typed::PoolWeak<'p, Node<'p>, millpond::typed::LocalRefCount, Local<Blocks>>>,
        >,
        children: RefCell<Vec<PoolRc<'p, Node<'p>>>>,
    }
    let pool = RcPool::new();
    let node = |name| Node { name, parent: RefCell::default(), children: RefCell::default() };
    let root = pool.alloc_rc(node(0));
    for name in 1..4 {
        let child = pool.alloc_rc(node(name));
        *child.parent.borrow_mut() = Some(PoolRef::downgrade(&root));
        root.children.borrow_mut().push(child);
    }
    let child = root.children.borrow()[2].clone();
    let parent =
        child.parent.borrow().as_ref().and_then(|parent| parent.upgrade()).expect("the root is there");
    assert_eq!((child.name, parent.name), (3, 0));
    drop((parent, root));
    assert!(child.parent.borrow().as_ref().expect("it had one").upgrade().is_none());
    drop(child);
    assert_eq!(pool.stats().live, 0);
}

/// Handles cross threads, and the last clone drops the value on its thread.
#[test]
fn shared_handles_cross_threads() {
    let pool = SharedPool::new();
    let counted = ArcPool::new();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let pool = &pool;
        for thread in 0..3u64 {
            let sender = sender.clone();
            scope.spawn(move || {
                for number in 0..1000 {
                    sender.send(pool.alloc([thread, number])).expect("there is a receiver");
                }
            });
        }
        drop(sender);
        let seen: HashSet<[u64; 2]> = receiver.iter().map(PoolBox::into_inner).collect();
        assert_eq!(seen.len(), 3000);

        let value = counted.alloc_rc(String::from("shared"));
        let weak = PoolRef::downgrade(&value);
        for _ in 0..4 {
            let (value, weak) = (value.clone(), weak.clone());
            scope.spawn(move || {
                for _ in 0..1000 {
                    assert_eq!(*value.clone(), "shared");
                    assert!(weak.upgrade().is_some());
                }
            });
        }
    });
    assert_eq!((pool.stats().live, counted.stats().live), (0, 0));
    pool.check().expect("sound");
}

/// If several threads take the value out of their handles, exactly one gets it.
#[test]
fn exactly_one_thread_gets_the_value() {
    let pool = ArcPool::new();
    for _ in 0..200 {
        let value = pool.alloc_rc(Box::new(1));
        let got: usize = thread::scope(|scope| {
            let takers = [value.clone(), value]
                .map(|handle| scope.spawn(move || PoolRef::into_inner(handle).is_some()));
            takers.map(|taker| usize::from(taker.join().expect("no panic"))).iter().sum()
        });
        assert_eq!(got, 1);
    }
    assert_eq!(pool.stats().live, 0);
}

/// Random allocations, drops, moves and leaks, compared with a map of the expected values.
fn play<M: Allocator + Inspect + Reclaim>(mut pool: Pool<[u64; 3], M>, seed: u64) {
    let mut rng = Rng::with_seed(seed);
    for _ in 0..3 {
        let mut live = BTreeMap::new();
        let mut leaked = 0;
        for step in 0..1500u64 {
            let key = rng.u64(0..80);
            match rng.u8(0..10) {
                0..6 => drop(live.insert(key, (step, pool.alloc([step, key, !step])))),
                6..8 => drop(live.remove(&key)),
                8 => {
                    if let Some((step, value)) = live.remove(&key) {
                        assert_eq!(PoolBox::into_inner(value), [step, key, !step]);
                    }
                }
                _ if rng.u8(0..10) == 0 => {
                    assert_eq!(PoolBox::leak(pool.alloc([7; 3])), &[7; 3]);
                    leaked += 1;
                }
                _ => {}
            }
            assert!(live.iter().all(|(key, (step, value))| **value == [*step, *key, !*step]));
        }
        assert_eq!(pool.stats().live, (live.len() + leaked) * 24);
        pool.check().expect("sound");
        drop(live);
        pool.reset();
        assert_eq!(pool.stats().live, 0);
    }
}

#[test]
fn random_use_agrees_with_a_map() {
    for seed in 0..4 {
        play(Pool::new(), seed);
        play(Pool::builder().free_list::<Magazine>().limit(10_000).build(), seed);
        play(Pool::builder().free_list::<AddressOrdered>().parent(TrackingParent::default()).build(), seed);
    }
}

/// A pool can be a field of the value that owns it and is dropped with it; its parent is shared.
#[test]
fn pools_on_shared_parents() {
    let arena = Rc::new(Local::new(Linear::new()));
    let numbers = Pool::builder().parent(arena.clone()).build();
    let texts = Pool::builder().parent(arena).build();
    let (number, text) = (numbers.alloc(1), texts.alloc(String::from("one")));
    assert_eq!(format!("{number:?} {text:?} {text}"), "1 \"one\" one");
    let place: PoolBox<MaybeUninit<u32>, _> = PoolBox::uninit_in(numbers.memory()).expect("room");
    assert_eq!(*PoolBox::write(place, 9), 9);
}
