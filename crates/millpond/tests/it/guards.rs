//! Each guard around pools and around allocators.

use std::{
    alloc::Layout,
    cell::{Cell, RefCell},
    mem::MaybeUninit,
    ptr::NonNull,
    rc::Rc,
    thread,
};

use fastrand::Rng;
use millpond::{
    AllocError, Allocator, Blocks, Buffer, Classes, Fixed, Heap, Inspect, Linear, Local, Locked, Owned, Tlsf,
    guard::{Counted, Event, FailNth, Fallback, Limit, Observe, Quarantine, Segregator, Stats},
    observe::{Counts, Requested},
    raw::RawPool,
    source::NullAllocator,
};

use crate::tracking_parent::TrackingParent;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("the tests' layouts exist")
}

fn take(allocator: &impl Allocator, size: usize) -> NonNull<u8> {
    allocator.allocate(layout(size)).expect("the parent has room").cast()
}

/// Frees a block.
fn free(allocator: &impl Allocator, block: NonNull<u8>, size: usize) {
    // SAFETY: the tests free each block that they took once.
    unsafe { allocator.deallocate(block, layout(size)) };
}

#[test]
fn limit_counts_requested_bytes() {
    fn check(limited: &impl Allocator, left: impl Fn() -> usize) {
        let block = take(limited, 60);
        assert_eq!(left(), 40);
        assert_eq!(limited.allocate(layout(41)), Err(AllocError::Limit));
        let rest = take(limited, 40);
        assert_eq!(left(), 0);
        assert!(limited.allocate(layout(0)).is_ok(), "zero bytes are always served");
        free(limited, rest, 40);
        // SAFETY: the block is live, and has these layouts in turn.
        unsafe {
            assert!(limited.grow(block, layout(60), layout(101)).is_err(), "too much altogether");
            let block = limited.shrink(block, layout(60), layout(20)).expect("shrinking always succeeds");
            assert_eq!(left(), 80);
            // There is room for the old and the new block, in case it moves.
            let block = limited.grow(block.cast(), layout(20), layout(50)).expect("there is room");
            assert_eq!((left(), block.len()), (50, 50));
            limited.deallocate(block.cast(), layout(50));
        }
        assert_eq!(left(), 100);
    }
    let pool = Local::new(Limit::bytes(Blocks::<Fixed<128>>::new(), 100));
    check(&pool, || pool.report().left.expect("there is a limit"));
    let heap = Limit::bytes(Heap, 100);
    check(&heap, || heap.left());
    let mixed = Local::new(Limit::bytes(Tlsf::new(), 100));
    check(&mixed, || mixed.report().left.expect("there is a limit"));
}

#[test]
fn limit_does_not_count_refused_requests() {
    let limited = Limit::bytes(FailNth::every(Heap, 1), 100);
    for refused in [
        limited.allocate(layout(60)),
        limited.allocate_zeroed(layout(60)),
        limited.allocate_between(layout(10), 60),
    ] {
        assert_eq!((refused, limited.left()), (Err(AllocError::Exhausted), 100));
    }
    let limited = Limit::bytes(FailNth::after(Heap, 1), 100);
    let block = take(&limited, 60);
    // SAFETY: the block is live, and this is its layout.
    assert!(unsafe { limited.grow(block, layout(60), layout(90)) }.is_err());
    assert_eq!(limited.left(), 40);
    free(&limited, block, 60);
}

#[test]
fn limit_counts_blocks() {
    let mut pool = Local::new(Limit::blocks(Classes::new(), 2));
    let (first, _second) = (take(&pool, 8), take(&pool, 1000));
    assert_eq!(pool.allocate(layout(8)), Err(AllocError::Limit));
    let large = take(&pool, 100_000);
    assert_eq!(pool.report().left, Some(0), "what passes the pool by is not counted");
    free(&pool, large, 100_000);
    free(&pool, first, 8);
    assert_eq!(pool.report().left, Some(1));
    pool.reset();
    assert_eq!(pool.report().left, Some(2));
    pool.check().expect("sound");
}

#[test]
fn limit_holds_under_contention() {
    let heap = Limit::bytes(Stats::new(Heap), 1000);
    thread::scope(|scope| {
        for seed in 0..4 {
            let heap = &heap;
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed);
                let (mut mine, mut refusals) = (Vec::new(), 0);
                for _ in 0..3000 {
                    let size = rng.usize(1..300);
                    match heap.allocate(layout(size)) {
                        Ok(block) => mine.push((block.cast(), size)),
                        Err(_) => {
                            refusals += 1;
                            mine.drain(..).for_each(|(block, size)| free(heap, block, size));
                        }
                    }
                }
                mine.drain(..).for_each(|(block, size)| free(heap, block, size));
                assert!(refusals > 100, "3,000 blocks of 150 bytes and no room: {refusals} refusals");
            });
        }
    });
    let counts = heap.inner().counts();
    assert_eq!((heap.left(), counts.live, counts.failed), (1000, Requested::default(), 0));
    assert!(counts.peak.bytes <= 1000, "{counts:?}");
}

#[test]
fn limited_parent_is_used_to_the_last_byte() {
    for most in [1000, 4096, 10_000, 100_000] {
        let parent = Limit::bytes(Stats::new(TrackingParent::default()), most);
        let pool = Local::new_in(Blocks::<Fixed<8>>::new(), &parent);
        while pool.allocate(layout(8)).is_ok() {}
        assert_eq!((pool.stats().held, parent.left()), (most, 0));
        assert_eq!(parent.inner().counts().live.bytes, most);
    }
}

#[test]
fn preferred_size_is_charged_as_granted() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let parent = Limit::bytes(Stats::new(Buffer::new(&mut memory)), 10_000);
    let pool = Local::new_in(Linear::new(), &parent);
    take(&pool, 8);
    assert_eq!(
        (pool.stats().held, parent.left()),
        (parent.inner().counts().live.bytes, 10_000 - pool.stats().held)
    );
    assert!(pool.stats().held <= 1000);
    drop(pool);
    assert_eq!((parent.left(), parent.inner().counts().live.bytes), (10_000, 0));
}

/// Allocates, resizes and frees at random, and keeps its own counts.
fn count_along(pool: &impl Allocator, metrics: impl Fn() -> Counts, moves_count: bool) {
    let mut rng = Rng::with_seed(9);
    let (mut live, mut expected) = (Vec::new(), Counts::default());
    let add = |expected: &mut Counts, blocks: usize, bytes: usize| {
        let more = Requested { blocks, bytes };
        expected.live = expected.live.plus(more);
        expected.total = expected.total.plus(more);
        expected.peak.blocks = expected.peak.blocks.max(expected.live.blocks);
        expected.peak.bytes = expected.peak.bytes.max(expected.live.bytes);
    };
    for _ in 0..3000 {
        let size = rng.usize(1..65);
        match rng.u8(0..4) {
            0 | 1 => {
                live.push((take(pool, size), size));
                add(&mut expected, 1, size);
            }
            2 if !live.is_empty() => {
                let (block, size) = live.swap_remove(rng.usize(..live.len()));
                free(pool, block, size);
                expected.live.blocks -= 1;
                expected.live.bytes -= size;
            }
            3 if !moves_count && !live.is_empty() => {
                let index = rng.usize(..live.len());
                let (block, old) = live[index];
                // SAFETY: the block is live with the size `old`.
                let resized = unsafe {
                    if size >= old {
                        add(&mut expected, 0, size - old);
                        pool.grow(block, layout(old), layout(size))
                    } else {
                        expected.live.bytes -= old - size;
                        pool.shrink(block, layout(old), layout(size))
                    }
                };
                live[index] = (resized.expect("the parent has room").cast(), size);
            }
            _ => {}
        }
        assert!(pool.allocate(layout(0)).is_ok());
        assert_eq!(metrics(), expected);
    }
    // Where addresses have 32 bits, a block that takes half of them may exist.
    if usize::BITS > 32 {
        let impossible = layout(isize::MAX.cast_unsigned() - 7);
        assert!(pool.allocate(impossible).is_err());
        expected.failed += 1;
    }
    assert_eq!(metrics(), expected);
    live.into_iter().for_each(|(block, size)| free(pool, block, size));
    assert_eq!(metrics().live, Requested::default());
}

#[test]
fn counts_are_exact() {
    let pool = Local::new(Stats::new(Blocks::<Fixed<64>>::new()));
    count_along(&pool, || pool.report().counts.expect("it counts"), false);
    let pool = Locked::<_>::new(Counted::new(Stats::new(Tlsf::new())));
    count_along(&pool, || pool.report().counts.expect("it counts"), true);
    let heap = Stats::new(Counted::new(Heap));
    count_along(&heap, || heap.counts(), false);
    assert_eq!(heap.inner().live(), 0);
    let shell = Stats::new(Local::new(Classes::new()));
    count_along(&shell, || shell.counts(), false);
}

#[test]
fn owned_pool_counts_on_its_hot_path() {
    let mut pool = Owned::new(Counted::new(Stats::new(Blocks::<Fixed<64>>::new())));
    let mut live = Vec::new();
    for step in 0..1000usize {
        live.push(pool.allocate(layout(64)).expect("the heap has room"));
        if step % 3 == 0 {
            let block = live.swap_remove(step % live.len());
            // SAFETY: the block is live, and the layout is its own.
            unsafe { pool.deallocate(block.cast(), layout(64)) };
        }
        assert_eq!(pool.report().live_blocks, Some(live.len()));
    }
    let counts = pool.report().counts.expect("it counts");
    assert_eq!((counts.total.blocks, counts.live.blocks * 64), (1000, pool.stats().live));
    pool.reset();
    let after = pool.report();
    assert_eq!(
        (after.live_blocks, after.counts.map(|counts| counts.live)),
        (Some(0), Some(Requested::default()))
    );
}

/// Returns which of `count` requests fail.
fn failures(pool: &impl Allocator, requests: usize) -> Vec<usize> {
    (0..requests).filter(|_| pool.allocate(layout(64)).is_err()).collect()
}

#[test]
fn requests_fail_as_planned() {
    // Enough requests for several chunks: a request that waits for a chunk is still one request.
    const REQUESTS: usize = 500;
    fn around_a_pool<P: RawPool>(pool: P) -> Vec<usize> {
        failures(&Local::new(pool), REQUESTS)
    }
    let blocks = Blocks::<Fixed<64>>::new;
    let around = || Local::new(blocks());
    for number in [0, 1, 63, 64, 65, 130, 499] {
        assert_eq!(around_a_pool(FailNth::only(blocks(), number)), [number]);
        assert_eq!(failures(&FailNth::only(around(), number), REQUESTS), [number]);
        let all: Vec<usize> = (number..REQUESTS).collect();
        assert_eq!(around_a_pool(FailNth::after(blocks(), number)), all);
        assert_eq!(failures(&FailNth::after(around(), number), REQUESTS), all);
    }
    for period in [1, 2, 7, 64] {
        let each: Vec<usize> = (0..REQUESTS).filter(|request| request % period == period - 1).collect();
        assert_eq!(around_a_pool(FailNth::every(blocks(), period)), each);
        assert_eq!(failures(&FailNth::every(around(), period), REQUESTS), each);
    }
    assert_eq!(around_a_pool(FailNth::every(blocks(), 0)), [0usize; 0]);
    let failing = FailNth::only(Heap, 1);
    let block = take(&failing, 8);
    // SAFETY: the block is live, with this layout.
    unsafe {
        assert!(failing.grow(block, layout(8), layout(16)).is_err(), "growing is a request");
        let less = failing.shrink(block, layout(8), layout(4)).expect("less is none");
        failing.deallocate(less.cast(), layout(4));
    }
    assert_eq!(failing.requests(), 2);
}

#[test]
fn order_of_guards_decides_which_sees_a_refusal() {
    let outside = Local::new(Stats::new(Limit::blocks(Blocks::<Fixed<64>>::new(), 1)));
    let inside = Local::new(Limit::blocks(Stats::new(Blocks::<Fixed<64>>::new()), 1));
    let around = Stats::new(Limit::blocks(Local::new(Linear::new()), 1));
    for _ in 0..3 {
        let _ = (outside.allocate(layout(8)), inside.allocate(layout(8)), around.allocate(layout(8)));
    }
    let failed = |counts: Option<Counts>| counts.map(|counts| counts.failed);
    assert_eq!(failed(outside.report().counts), Some(2));
    assert_eq!(failed(inside.report().counts), Some(0));
    assert_eq!(around.counts().failed, 2);
    // A pool that only waits for a chunk has not failed; one whose parent refuses has.
    let pool = Local::new_in(Stats::new(Linear::new()), NullAllocator);
    assert!(pool.allocate(layout(8)).is_err());
    assert_eq!(failed(pool.report().counts), Some(1));
}

#[test]
fn fallback_frees_to_the_right_allocator() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let pool = Fallback::new(
        Stats::new(Local::new_in(Blocks::<Fixed<64>>::new(), Buffer::new(&mut memory))),
        Stats::new(TrackingParent::default()),
    );
    let (mut rng, mut live) = (Rng::with_seed(3), Vec::new());
    for _ in 0..2000 {
        if rng.bool() && live.len() < 40 {
            let size = rng.usize(1..100);
            live.push((take(&pool, size), size));
        } else if !live.is_empty() {
            let (block, size) = live.swap_remove(rng.usize(..live.len()));
            free(&pool, block, size);
        }
        let (first, second) = (pool.first().counts().live.blocks, pool.second().counts().live.blocks);
        assert_eq!(first + second, live.len());
        assert!(first <= 15);
    }
    assert!(pool.second().counts().total.blocks > 100);
    live.into_iter().for_each(|(block, size)| free(&pool, block, size));
    assert_eq!(pool.first().counts().live, Requested::default());
}

#[test]
fn fallback_when_the_first_passes_through() {
    // A large block comes from the first's parent, so the first does not recognise it.
    let pool = Fallback::new(Local::new_in(Classes::new(), TrackingParent::default()), Stats::new(Heap));
    let large = take(&pool, 100_000);
    assert_eq!((pool.first().parent().out(), pool.second().counts().live.blocks), (0, 1));
    free(&pool, large, 100_000);
    assert_eq!(pool.second().counts().live.blocks, 0);
}

#[test]
fn fallback_when_the_second_draws_on_the_first() {
    let mut memory = [MaybeUninit::uninit(); 2000];
    let arena = Local::new_in(Linear::new(), Buffer::new(&mut memory));
    let second = Local::new_in(Blocks::<Fixed<64>>::new(), &arena);
    // The second has a chunk in the first's memory, and a free block in that chunk.
    let block = take(&second, 64);
    free(&second, block, 64);
    while arena.allocate(layout(64)).is_ok() {}
    let pool = Fallback::new(&arena, &second);
    assert_eq!(pool.allocate(layout(64)), Err(AllocError::Exhausted));
    second.check().expect("sound");
    assert_eq!(second.allocate(layout(64)).map(NonNull::cast), Ok(block), "the block went back");
}

#[test]
fn outgrown_block_moves_to_the_second() {
    let first = Local::new_in(Blocks::<Fixed<64>>::new(), TrackingParent::default());
    let pool = Fallback::new(first, Stats::new(TrackingParent::default()));
    let block = take(&pool, 60);
    // SAFETY: the block is live, and has these layouts in turn.
    unsafe {
        block.write_bytes(7, 60);
        let grown = pool.grow_zeroed(block, layout(60), layout(500)).expect("the second has room");
        assert!(grown.as_ref()[..60].iter().all(|&byte| byte == 7), "contents lost");
        assert!(grown.as_ref()[60..].iter().all(|&byte| byte == 0), "not zeroed");
        assert_eq!((pool.first().stats().live, pool.second().counts().live.bytes), (0, 500));
        let small = pool.shrink(grown.cast(), layout(500), layout(10)).expect("the first has room");
        assert_eq!((pool.first().stats().live, pool.second().counts().live.bytes), (64, 0));
        pool.deallocate(small.cast(), layout(10));
    }
}

#[test]
fn both_pools_release_what_they_hold() {
    fn check(pair: impl RawPool) {
        let mut memory = [MaybeUninit::uninit(); 1 << 15];
        let pool = Local::new_in(pair, Buffer::new(&mut memory));
        let small = take(&pool, 64);
        let mut large = Vec::new();
        while let Ok(block) = pool.allocate(layout(1000)) {
            large.push(block.cast());
        }
        free(&pool, small, 64);
        free(&pool, large.pop().expect("there is room for some"), 1000);
        take(&pool, 1000);
    }
    let small = || Quarantine::<_, 8>::new(Blocks::<Fixed<64>>::new());
    let large = || Quarantine::<_, 8>::new(Tlsf::new());
    check(Fallback::new(small(), large()));
    check(Segregator::new(64, small(), large()));
}

#[test]
fn segregator_routes_every_size() {
    // Blocks of 64 bytes for requests of up to 40: a block must not be freed as a large one because of its returned
    // length.
    let pool = Segregator::new(40, Local::new(Blocks::<Fixed<64>>::new()), TrackingParent::default());
    let shell = Local::new(Segregator::new(40, Blocks::<Fixed<64>>::new(), Tlsf::new()));
    for size in [1, 30, 40] {
        for allocator in [&pool as &dyn Allocator, &shell] {
            let block = allocator.allocate(layout(size)).expect("the heap has room");
            assert_eq!(block.len(), 40);
            // SAFETY: the block is live, and its length fits it.
            unsafe { allocator.deallocate(block.cast(), layout(block.len())) };
        }
    }
    assert_eq!((pool.small().stats().live, shell.stats().live), (0, 0));
    let block = take(&pool, 41);
    assert_eq!((pool.large().out(), pool.largest_small()), (1, 40));
    free(&pool, block, 41);
}

#[test]
fn observer_sees_every_event_in_order() {
    let events = RefCell::new(Vec::new());
    let log = |event| events.borrow_mut().push(event);
    let parent = Observe::new(Limit::bytes(Heap, 4096), log);
    let pool = Observe::new(Local::new_in(Blocks::<Fixed<2048>>::new(), &parent), log);
    let first = take(&pool, 100);
    let grown = {
        // SAFETY: the block is live, with this layout.
        let grown = unsafe { pool.grow(first, layout(100), layout(200)) };
        grown.expect("it is in place").cast::<u8>()
    };
    let second = take(&pool, 300);
    let failed = pool.allocate(layout(400));
    assert_eq!(failed, Err(AllocError::Limit));
    assert!(pool.allocate(layout(0)).is_ok());
    free(&pool, second, 300);
    let at = |block: NonNull<u8>| block.addr().get();
    let chunk = Layout::from_size_align(4096, 8).expect("a layout");
    drop(pool);
    let error = AllocError::Limit;
    let events = events.borrow();
    let Event::Failed { layout: least, .. } = events[4] else { panic!("{:?}", events[4]) };
    assert!(least.size() > 2048, "room for a block and a header: {least:?}");
    assert_eq!(
        events[..],
        [
            Event::Grew { address: at(first), size: 4096 },
            Event::Allocated { address: at(first), layout: layout(100) },
            Event::Resized { from: at(first), to: at(grown), old: layout(100), new: layout(200) },
            Event::Allocated { address: at(second), layout: layout(300) },
            Event::Failed { layout: least, error },
            Event::Failed { layout: layout(400), error },
            Event::Freed { address: at(second), layout: layout(300) },
            Event::Freed { address: at(first), layout: chunk },
        ]
    );
}

#[test]
fn observer_sees_zeroed_and_resized_blocks() {
    let events = RefCell::new(Vec::new());
    let heap = Observe::new(Heap, |event| events.borrow_mut().push(event));
    let zeroed = heap.allocate_zeroed(layout(100)).expect("the heap has room").cast::<u8>();
    // SAFETY: each block is live, and has these layouts in turn.
    let grown = unsafe {
        let nothing = heap.shrink(zeroed, layout(100), layout(0)).expect("shrinking always succeeds");
        let grown =
            heap.grow(nothing.cast(), layout(0), layout(200)).expect("the heap has room").cast::<u8>();
        heap.deallocate(grown, layout(200));
        grown
    };
    let (from, to) = (zeroed.addr().get(), grown.addr().get());
    assert_eq!(
        events.borrow()[..],
        [
            Event::Allocated { address: from, layout: layout(100) },
            Event::Freed { address: from, layout: layout(100) },
            Event::Allocated { address: to, layout: layout(200) },
            Event::Freed { address: to, layout: layout(200) },
        ]
    );
}

#[test]
fn observer_may_allocate_from_the_observed() {
    fn check<A: Allocator + Inspect>(pool: A) {
        let inside = Cell::new(false);
        let pool = Rc::new(pool);
        let seen = Cell::new(0);
        let observer = |event| {
            seen.set(seen.get() + 1);
            if !inside.replace(true) {
                let block = take(&pool, 64);
                free(&pool, block, 64);
                inside.set(false);
            }
            assert!(matches!(event, Event::Allocated { .. } | Event::Freed { .. }));
        };
        let observed = Observe::new(pool.clone(), observer);
        for _ in 0..200 {
            let block = take(&observed, 64);
            take(&observed, 64);
            free(&observed, block, 64);
        }
        assert_eq!(seen.get(), 600);
        pool.check().expect("sound");
    }
    check(Local::new(Blocks::<Fixed<64>>::new()));
    check(Locked::<_>::new(Blocks::<Fixed<64>>::new()));
}

#[test]
fn observer_of_the_parent_may_allocate_from_the_child() {
    // The child is used while it waits for its chunk: neither a deadlock nor a second chunk that is not needed.
    type Watching = Observe<Heap, fn(Event)>;
    static POOL: Locked<Blocks<Fixed<64>>, Watching> =
        Locked::new_in(Blocks::new(), Observe::new(Heap, grew));
    static GROWN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    fn grew(event: Event) {
        if matches!(event, Event::Grew { .. }) && GROWN.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2
        {
            take(&POOL, 64);
        }
    }
    for _ in 0..100 {
        take(&POOL, 64);
    }
    assert_eq!(POOL.stats().live, 102 * 64);
    POOL.check().expect("sound");
}

#[test]
fn reports_pass_through_guards() {
    let pool = Rc::new(Local::new(Segregator::new(
        64,
        Counted::new(Blocks::<Fixed<64>>::new()),
        Limit::bytes(Stats::new(Tlsf::new()), 1000),
    )));
    let guarded = Observe::new(FailNth::every(&pool, 0), |_| {});
    let (small, large) = (take(&guarded, 10), take(&guarded, 100));
    let report = guarded.report();
    assert_eq!((report.live_blocks, report.left), (Some(2), Some(900)));
    assert_eq!(report.counts.map(|counts| counts.live), Some(Requested { blocks: 1, bytes: 100 }));
    assert!(guarded.owns(small.as_ptr()) && guarded.owns(large.as_ptr()));
    assert_eq!(guarded.stats(), pool.stats());
    assert_eq!(Local::new(Linear::new()).report(), millpond::observe::Report::default());
}

#[test]
fn chain_of_parents_reports_at_each_level() {
    let chain = Local::new_in(
        Stats::new(Blocks::<Fixed<64>>::new()),
        Stats::new(Local::new_in(Tlsf::new(), Limit::bytes(TrackingParent::default(), 1 << 20))),
    );
    for _ in 0..1000 {
        take(&chain, 50);
    }
    let middle = chain.parent();
    let (top, bottom) = (chain.stats(), middle.inner().parent());
    assert_eq!(
        chain.report().counts.map(|counts| counts.live),
        Some(Requested { blocks: 1000, bytes: 50_000 })
    );
    assert_eq!(middle.counts().live, Requested { blocks: top.chunks, bytes: top.held });
    assert!(middle.stats().live >= top.held);
    assert_eq!((1 << 20) - bottom.left(), middle.stats().held);
    assert_eq!(bottom.inner().bytes(), middle.stats().held);
}

#[test]
fn guards_are_sync_if_their_contents_are() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    shared(&Limit::bytes(Stats::new(Heap), 1));
    shared(&Locked::<_>::new(Limit::blocks(Counted::new(Classes::new()), 1)));
    shared(&Fallback::new(Locked::<_>::new(Linear::new()), Heap));
    sent(&Limit::bytes(Local::new(Linear::new()), 1));
}
