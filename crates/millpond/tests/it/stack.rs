//! `Linear` and `Stack`: the cursor, nested scopes, and marks.

use std::{
    alloc::Layout,
    mem::MaybeUninit,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
};

use millpond::{
    AllocError, Allocator, Blocks, Buffer, Classes, Fixed, Inspect, Linear, Local, Locked, Owned, Pages,
    Stack, StaticBuffer,
    guard::{Counted, Limit, Stats},
    pool::Mark,
    raw::{Chunk, RawPool, Release},
    shell::Scope,
    source::NullAllocator,
};

use crate::{
    composition::fail_each,
    oracle::Oracle,
    random::{LARGE, MIXED, SMALL, play, trial},
    tracking_parent::TrackingParent,
};

/// Bytes in a word, and what chunks are aligned to.
const WORD: usize = size_of::<usize>();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tests' layouts exist")
}

#[test]
fn random_operations() {
    trial(MIXED, || Local::new_in(Stack::new(), TrackingParent::default()));
    trial(LARGE, || Local::new_in(Stack::new(), Pages));
    trial(SMALL, || Locked::<_, _>::new_in(Stack::with_capacity(100), TrackingParent::default()));
    trial(MIXED, || Local::new_in(Stack::new(), Local::new_in(Stack::new(), TrackingParent::default())));
    trial(MIXED, || Local::new_in(Linear::with_capacity(100), TrackingParent::default()));
    trial(SMALL, || Local::new_in(Blocks::<Fixed<64>>::new(), Local::new(Stack::new())));
}

#[test]
fn parent_failures_lose_nothing() {
    fail_each(Stack::new);
    fail_each(|| Stack::with_capacity(10));
    fail_each(|| Linear::with_capacity(10));
}

#[test]
fn first_chunk_has_the_configured_size() {
    let arena = Local::new_in(Linear::with_capacity(1 << 20), TrackingParent::failing(1..usize::MAX));
    let stack = Local::new_in(Stack::with_capacity(1 << 20), TrackingParent::failing(1..usize::MAX));
    for allocator in [&arena as &dyn Allocator, &stack] {
        for _ in 0..1 << 10 {
            allocator.allocate(layout(1 << 10, WORD)).expect("there is room for all in the first chunk");
        }
        assert_eq!(allocator.allocate(layout(1, 1)), Err(AllocError::Exhausted));
    }
    assert_eq!((arena.stats().free, stack.stats().free), (0, 0));
}

#[test]
fn static_arena_serves_all_threads_to_the_last_byte() {
    static MEMORY: StaticBuffer<4096> = StaticBuffer::new();
    static ARENA: Locked<Linear, &StaticBuffer<4096>> = Locked::new_in(Linear::new(), &MEMORY);
    let count = || std::iter::from_fn(|| ARENA.allocate(layout(32, 16)).ok()).count();
    let counts: Vec<usize> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panicked")).collect()
    });
    assert_eq!(counts.iter().sum::<usize>(), 4096 / 32);
}

#[test]
fn exact_buffers_are_enough() {
    // A linear arena needs nothing except the block, a stack three words more, at any address of the buffer; here at
    // one that is // aligned to a word.
    for (size, align) in [(1, 1), (1, WORD), (400, 4), (7, WORD), (4096, WORD)] {
        for extra in 0..3 {
            let bytes = extra * WORD + size;
            let mut memory = vec![0u64; bytes / 8 + 1];
            let memory = memory.as_mut_ptr().cast::<MaybeUninit<u8>>();
            // SAFETY: the bytes may be uninitialised and lie within the vector, and the two slices are not used at the
            // same time.
            let slice = || unsafe { std::slice::from_raw_parts_mut(memory, bytes) };
            let arena = Local::new_in(Linear::new(), Buffer::new(slice()));
            assert!(arena.allocate(layout(size, align)).is_ok(), "{size} bytes of {bytes}");
            let stack = Local::new_in(Stack::new(), Buffer::new(slice()));
            assert!(stack.allocate(layout(size, align)).is_err(), "{size} bytes of {bytes}");
        }
        let mut memory = vec![MaybeUninit::<u64>::uninit(); size.div_ceil(8) + 3];
        let bytes = NonNull::slice_from_raw_parts(NonNull::from(&mut memory[0]).cast(), size + 3 * WORD);
        let mut stack = Stack::new();
        // SAFETY: the memory outlives the stack, and is aligned to a word.
        let added =
            unsafe { stack.add_chunk(Chunk::new(bytes, WORD).expect("an alignment"), layout(size, align)) };
        assert!(added.is_ok() && stack.allocate(layout(size, align)).is_some());
    }
}

/// Two adjacent chunks: the block at the end of the lower one is not the last block of the upper one.
#[test]
fn adjacent_chunks_are_kept_apart() {
    #[repr(align(16))]
    struct Memory([u8; 1024]);

    let mut memory = Memory([0; 1024]);
    let start: NonNull<u8> = NonNull::from(&mut memory.0).cast();
    let half = |index: usize| {
        // SAFETY: the halves belong to the arena until the end of the test.
        unsafe { Chunk::new(NonNull::slice_from_raw_parts(start.add(512 * index), 512), 16) }
            .expect("an alignment")
    };
    let (lower, upper) = (half(0), half(1));
    let end = lower.start().addr().get() + 512;
    let mut arena = Linear::new();
    let any = layout(16, 16);
    // SAFETY: as above. The upper half is added first, has no header, and is carved after the lower one.
    unsafe {
        assert!(arena.add_chunk(upper, any).is_ok() && arena.add_chunk(lower, any).is_ok());
    }
    let mut last = arena.allocate(any).expect("two chunks are there");
    while last.addr().get() + 16 != end {
        last = arena.allocate(any).expect("two chunks are there");
    }
    let first = arena.allocate(any).expect("a chunk is there");
    assert_eq!(first.addr().get(), end);
    // SAFETY: both blocks are live, and the layout is their own.
    unsafe {
        arena.deallocate(first.cast(), any);
        arena.deallocate(last.cast(), any);
    }
    arena.check().expect("the cursor stays in its chunk");
    assert_eq!(arena.allocate(any), Some(first));
}

#[test]
fn chunk_is_released_after_its_last_block_was_freed() {
    let parent = TrackingParent::default();
    let arena = Local::new_in(Linear::new(), &parent);
    let block = arena.allocate(layout(100, 8)).expect("the heap has room");
    assert_eq!(arena.trim(), 0);
    // SAFETY: the block is live, and the layout is its own.
    unsafe { arena.deallocate(block.cast(), layout(100, 8)) };
    assert_eq!((arena.trim(), parent.out()), (4096, 0));
    arena.check().expect("sound without chunks");
    arena.allocate(layout(100, 8)).expect("the heap has room");
}

#[test]
fn last_block_is_resized_in_place() {
    let stack = Local::new(Stack::with_capacity(4096));
    let first = stack.allocate(layout(10, 1)).expect("the heap has room").cast::<u8>();
    // SAFETY: each block is live, and has these layouts in turn.
    unsafe {
        assert_eq!(stack.grow(first, layout(10, 1), layout(1000, 1)).map(NonNull::cast), Ok(first));
        assert_eq!(stack.shrink(first, layout(1000, 1), layout(20, 1)).map(NonNull::cast), Ok(first));
        let second = stack.allocate(layout(10, 1)).expect("the heap has room").cast::<u8>();
        assert_eq!(second.addr().get(), first.addr().get() + 20);
        assert!(stack.grow_in_place(first, layout(20, 1), layout(21, 1)).is_err(), "no longer the last");
        stack.deallocate(second, layout(10, 1));
        assert_eq!(stack.grow_in_place(first, layout(20, 1), layout(21, 1)).map(NonNull::cast), Ok(first));
        assert!(stack.grow_in_place(first, layout(21, 1), layout(5000, 1)).is_err(), "beyond the chunk");
    }
}

type Inner<'s, 'env, A> = Scope<'s, 'env, Local<Stack, A>>;

/// Allocates and frees at random in randomly nested scopes; a scope does not touch what is outside of it.
fn nest<A: Allocator>(scope: &mut Inner<'_, '_, A>, rng: &mut fastrand::Rng, depth: usize) {
    let mut kept: Vec<(&mut [MaybeUninit<u8>], u8)> = Vec::new();
    for _ in 0..rng.usize(1..8) {
        let stamp = rng.u8(..);
        let block =
            scope.alloc_uninit(layout(rng.usize(0..600), 1 << rng.u32(0..7))).expect("the heap has room");
        block.fill(MaybeUninit::new(stamp));
        kept.push((block, stamp));
        if depth != 0 && rng.bool() {
            let (live, free) = (scope.stats().live, scope.stats().free);
            scope.scope(|inner| nest(inner, rng, depth - 1));
            let stats = scope.stats();
            assert_eq!(stats.live, live, "the inner scope left nothing");
            assert!(stats.free >= free, "and took no memory");
        }
        let mut oracle = Oracle::new(&*scope);
        play(&mut oracle, MIXED, rng, 10);
        oracle.forget();
    }
    for (block, stamp) in kept {
        // SAFETY: every byte was filled when the block was lent.
        assert!(block.iter().all(|byte| unsafe { byte.assume_init() } == stamp), "a block was overwritten");
    }
}

#[test]
fn scopes_nest() {
    for seed in 0..40 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let parent = TrackingParent::default();
        let mut stack = Local::new_in(Stack::with_capacity(rng.usize(0..2000)), &parent);
        let outside = stack.allocate(layout(100, 4)).expect("the heap has room");
        for _ in 0..3 {
            stack.scope(|scope| nest(scope, &mut rng, 4));
            assert_eq!((stack.stats().live, stack.stats().held), (100, parent.bytes()));
        }
        assert!(stack.owns(outside.as_ptr().cast()));
        stack.trim();
        assert_eq!(parent.out(), 1);
    }
}

#[test]
fn repeated_scope_needs_no_parent() {
    let parent = TrackingParent::default();
    let mut stack = Local::new_in(Stack::new(), &parent);
    let mut rng = fastrand::Rng::with_seed(5);
    let mut work = |stack: &mut Local<Stack, &TrackingParent>| {
        stack.scope(|scope| {
            // The sizes come in another order each time: large ones must find the large chunks.
            let mut sizes: Vec<usize> =
                (0..200).map(|step| if step % 20 == 0 { 9000 } else { 100 }).collect();
            rng.shuffle(&mut sizes);
            for size in sizes {
                scope.alloc_uninit(layout(size, 8)).expect("the heap has room");
            }
        });
    };
    (0..400).for_each(|_| work(&mut stack));
    let requests = parent.requests();
    (0..200).for_each(|_| work(&mut stack));
    assert_eq!(parent.requests(), requests);
}

#[test]
fn pools_live_in_scopes() {
    let parent = TrackingParent::default();
    let mut stack = Local::new_in(Stack::new(), &parent);
    stack.scope(|scope| {
        let arena = Local::new_in(Linear::new(), &*scope);
        let mut classes = Oracle::new(Local::new_in(Classes::new(), &arena));
        let mut blocks = Oracle::new(Local::new_in(Blocks::<Fixed<64>>::new(), &*scope));
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20 {
            play(&mut classes, MIXED, &mut rng, 100);
            play(&mut blocks, SMALL, &mut rng, 100);
        }
        scope.check().expect("sound underneath");
    });
    assert_eq!(stack.stats().live, 0);
}

#[test]
fn unwinding_scope_frees_its_blocks() {
    let mut stack = Local::new(Stack::new());
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        stack.scope(|outer| {
            outer.alloc_uninit(layout(100, 8)).expect("the heap has room");
            outer.scope(|inner| {
                inner.alloc_uninit(layout(100_000, 8)).expect("the heap has room");
                std::panic::resume_unwind(Box::new(7));
            })
        })
    }));
    assert!(unwound.is_err());
    assert_eq!(stack.stats().live, 0);
    stack.check().expect("sound after unwinding");
    stack.scope(|scope| scope.alloc_uninit(layout(100, 8)).expect("the heap has room").len());
}

#[test]
fn marks_free_everything_since() {
    let stack = Local::new(Stack::new());
    let mut oracle = Oracle::new(&stack);
    oracle.allocate(layout(1000, 8), false).expect("the heap has room");
    let (outer, live) = (stack.mark(), stack.stats().live);
    for _ in 0..3 {
        let inner = stack.mark();
        for size in [10, 5000, 70_000, 3] {
            stack.allocate(layout(size, 8)).expect("the heap has room");
        }
        // SAFETY: the mark is the newest, and the blocks allocated since are not used again.
        unsafe { stack.release(inner) };
        assert_eq!(stack.stats().live, live);
    }
    let _ignored = stack.mark();
    stack.allocate(layout(100, 8)).expect("the heap has room");
    // SAFETY: the mark is valid, and the blocks allocated since are not used again.
    unsafe { stack.release(outer) };
    assert_eq!(stack.stats().live, live);
    stack.check().expect("sound after releases");
}

#[test]
fn older_block_may_be_freed_after_the_mark() {
    let stack = Local::new(Stack::new());
    let before = stack.allocate(layout(64, 4)).expect("the heap has room").cast();
    let mark = stack.mark();
    // SAFETY: the block is live, and the layout is its own; the mark is the newest.
    unsafe {
        stack.deallocate(before, layout(64, 4));
        stack.release(mark);
    }
    assert_eq!(stack.stats().live, 0);
    assert_eq!(stack.allocate(layout(64, 4)).map(NonNull::cast), Ok(before));
}

#[test]
fn marks_of_empty_and_emptied_stacks() {
    let stack = Local::new(Stack::new());
    let empty = stack.mark();
    stack.allocate(layout(10_000, 8)).expect("the heap has room");
    // SAFETY: the mark is the newest, and the blocks allocated since are not used again.
    unsafe { stack.release(empty) };
    assert_eq!((stack.stats().live, stack.stats().chunks), (0, 1));
    assert!(stack.trim() >= 10_000);
    assert_eq!(stack.stats(), millpond::observe::PoolStats::default());
}

/// Returns whether releasing a mark panics, as debug builds promise.
fn is_caught(stack: &mut Stack, mark: Mark) -> bool {
    // SAFETY: the marks in question are invalid, and no block of the stack is ever used.
    catch_unwind(AssertUnwindSafe(|| unsafe { stack.release(mark) })).is_err()
}

/// Memory for a stack.
type Memory = [u64; 128];

/// Returns a stack with one block, on memory that outlives its use.
fn begun(memory: &mut Memory) -> Stack {
    let bytes = NonNull::slice_from_raw_parts(NonNull::from(memory).cast(), size_of::<Memory>());
    let mut stack = Stack::new();
    // SAFETY: the tests declare the memory before the stack, and do not use it otherwise.
    let added = unsafe { stack.add_chunk(Chunk::new(bytes, 8).expect("an alignment"), layout(8, 8)) };
    assert!(added.is_ok() && stack.allocate(layout(8, 8)).is_some());
    stack
}

#[test]
#[cfg(debug_assertions)]
fn misuse_of_marks_panics_in_debug_builds() {
    let [mut first, mut second, mut third, mut fourth, mut last] = [[0; 128]; 5];
    // Out of order: the outer mark first, then the inner one, also if others were made since.
    let mut stack = begun(&mut first);
    let (outer, inner) = (stack.mark(), stack.mark());
    assert!(!is_caught(&mut stack, outer));
    let _others = (stack.mark(), stack.mark());
    assert!(is_caught(&mut stack, inner));
    // After a reset.
    let mut stack = begun(&mut second);
    let mark = stack.mark();
    stack.reset();
    assert!(is_caught(&mut stack, mark));
    // Of another stack, whatever marks that one has open.
    let (mut mine, mut other) = (begun(&mut third), begun(&mut fourth));
    let foreign = other.mark();
    assert!(is_caught(&mut mine, foreign));
    let (_mine, foreign) = (mine.mark(), other.mark());
    assert!(is_caught(&mut mine, foreign));
    let (mut mine, mut other) = (Stack::new(), Stack::new());
    let (_mine, foreign) = (mine.mark(), other.mark());
    assert!(is_caught(&mut mine, foreign), "two empty stacks");
    // Correct use does not panic, at any depth.
    let mut stack = begun(&mut last);
    for depth in [1, 5, 15, 16, 17, 40] {
        let marks: Vec<Mark> = (0..depth).map(|_| stack.mark()).collect();
        for mark in marks.into_iter().rev() {
            assert!(!is_caught(&mut stack, mark));
        }
        let mut marks: Vec<Mark> = (0..depth).map(|_| stack.mark()).collect();
        assert!(!is_caught(&mut stack, marks.swap_remove(depth / 2)));
        marks.truncate(depth / 2);
        for mark in marks.into_iter().rev() {
            assert!(!is_caught(&mut stack, mark));
        }
    }
}

#[test]
fn releasing_any_chunk_keeps_the_rest() {
    let stack = Local::new_in(Stack::new(), NullAllocator);
    assert_eq!(stack.allocate(layout(1, 1)), Err(AllocError::Exhausted));
    let mut memory = [0; 128];
    let mut stack = begun(&mut memory);
    assert!(stack.release_chunk(Release::Empty).is_none());
    let gone = stack.release_chunk(Release::Any).expect("there is a chunk");
    assert_eq!(gone.size(), 1024);
    stack.check().expect("sound without chunks");
    assert_eq!(stack.allocate(layout(8, 8)), None);
    assert!(stack.release_chunk(Release::Any).is_none());
}

#[test]
fn trim_takes_an_unused_chunk_from_the_top() {
    let parent = TrackingParent::default();
    let mut stack = Local::new_in(Stack::new(), &parent);
    let kept = stack.allocate(layout(100, WORD)).expect("the heap has room");
    let large = stack.allocate(layout(10_000, WORD)).expect("the heap has room");
    assert_eq!((stack.trim(), parent.out()), (0, 2), "both chunks hold a live block");
    // SAFETY: the block is live, and the layout is its own.
    unsafe { stack.deallocate(large.cast(), layout(10_000, WORD)) };
    assert!(stack.trim() >= 10_000);
    assert_eq!((parent.out(), stack.trim()), (1, 0));
    stack.check().expect("sound after a trim");
    let more = stack.allocate(layout(100, WORD)).expect("it grows again");
    assert_ne!(more, kept);
    assert!(stack.owns(kept.as_ptr().cast()));
    stack.reset();
    assert!(stack.trim() > 0);
    assert_eq!(parent.out(), 0);
}

/// Scopes through every shell and guard: counts are taken back at their end, also when the closure unwinds.
#[test]
fn scopes_through_guards_and_shells() {
    fn fill<S: Allocator>(scope: &S) {
        while scope.allocate(layout(10, 1)).is_ok() {}
    }
    let parent = TrackingParent::default();
    let guarded = || Limit::blocks(Stats::new(Counted::new(Stack::new())), 50);
    let mut local = Local::new_in(guarded(), &parent);
    let mut locked = Locked::<_, _>::new_in(guarded(), &parent);
    let mut owned = Owned::new_in(guarded(), &parent);
    local.allocate(layout(10, 1)).expect("within the limit");
    for _ in 0..3 {
        local.scope(|scope| {
            scope.allocate(layout(10, 1)).expect("within the limit");
            scope.scope(|inner| fill(&*inner));
            assert_eq!((scope.report().left, scope.report().live_blocks), (Some(48), Some(2)));
        });
        locked.scope(|scope| scope.scope(|inner| fill(&*inner)));
        owned.scope(|scope| fill(&*scope));
        let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            owned.scope(|scope| {
                fill(&*scope);
                panic!("on purpose");
            });
        }));
        assert!(unwound.is_err());
        let reports = [local.report(), locked.report(), owned.report()];
        assert_eq!(reports.map(|report| report.left), [Some(49), Some(50), Some(50)]);
        assert_eq!(reports.map(|report| report.live_blocks), [Some(1), Some(0), Some(0)]);
        assert_eq!([local.stats().live, locked.stats().live, owned.stats().live], [10, 0, 0]);
        local.check().and(locked.check()).and(owned.check()).expect("sound after scopes");
    }
    drop((local, locked, owned));
    assert_eq!(parent.out(), 0);
}
