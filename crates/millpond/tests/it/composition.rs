//! Pools and their parents: what a pool requests, what it returns, and when.

use std::{
    alloc::Layout,
    cell::{Cell, OnceCell},
    mem::MaybeUninit,
    ptr::NonNull,
    rc::Rc,
    thread,
};

use millpond::{
    Allocator, Blocks, Buffer, Classes, Fixed, Heap, Inspect, Linear, Local, Locked, Owned, Pages,
    StaticBuffer, pool::ClassesError, raw::Allocation, testing,
};

use crate::{oracle::Oracle, tracking_parent::TrackingParent};

const BLOCK: Layout = Layout::new::<[u64; 8]>();

fn take_all(pool: &impl Allocator, layout: Layout) -> Vec<NonNull<[u8]>> {
    std::iter::from_fn(|| pool.allocate(layout).ok()).collect()
}

#[test]
fn page_holds_64_blocks_of_64() {
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), TrackingParent::failing(1..usize::MAX));
    let blocks = take_all(&pool, BLOCK);
    assert_eq!(blocks.len(), 64);
    assert_eq!(pool.stats().held, 4096);
    assert_eq!((pool.stats().live, pool.stats().free), (4096, 0));
}

#[test]
fn odd_buffers_are_used_to_the_last_block() {
    for (bytes, size) in [(1000, 64), (1024, 64), (64, 64), (63, 64), (1023, 8), (500, 48), (0, 8)] {
        let mut memory = vec![0u64; bytes / 8 + 2];
        // SAFETY: the bytes may be uninitialised, and they lie within the vector.
        let memory =
            unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast::<MaybeUninit<u8>>(), bytes) };
        let layout = Layout::from_size_align(size, 8).expect("a layout");
        let pool = Local::new_in(Blocks::of(layout), Buffer::new(memory));
        assert_eq!(take_all(&pool, layout).len(), bytes / size, "{bytes} bytes of {size}");
        pool.check().expect("sound when full");
    }
}

#[test]
fn static_buffer_is_shared_by_threads() {
    static MEMORY: StaticBuffer<4096> = StaticBuffer::new();
    static POOL: Locked<Blocks<Fixed<64>>, &StaticBuffer<4096>> = Locked::new_in(Blocks::new(), &MEMORY);
    let taken = AllThreads::default();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| taken.add(take_all(&POOL, BLOCK).len()));
        }
    });
    assert_eq!(taken.total(), 64);
}

#[derive(Default)]
struct AllThreads(std::sync::Mutex<usize>);

impl AllThreads {
    fn add(&self, count: usize) {
        *self.0.lock().expect("no thread panicked") += count;
    }

    fn total(&self) -> usize {
        *self.0.lock().expect("no thread panicked")
    }
}

#[test]
fn drop_returns_every_chunk() {
    let parent = Rc::new(TrackingParent::default());
    let fill = |pool: &dyn Allocator| {
        for size in [1, 64, 24, 8].repeat(1000) {
            pool.allocate(Layout::from_size_align(size, 8).expect("a layout")).expect("the heap has room");
        }
    };
    fill(&Local::new_in(Blocks::<Fixed<64>>::new(), parent.clone()));
    fill(&Local::new_in(Linear::new(), parent.clone()));
    fill(&Local::new_in(Classes::new(), parent.clone()));
    fill(&Locked::<_, _>::new_in(Classes::new(), parent.clone()));
    let mut owned = Owned::new_in(Blocks::<Fixed<64>>::new(), parent.clone());
    for _ in 0..1000 {
        owned.allocate(BLOCK).expect("the heap has room");
    }
    drop(owned);
    assert_eq!(parent.out(), 0);
    assert!(parent.requests() >= 5);
}

#[test]
fn reset_keeps_chunks_and_trim_returns_empty_ones() {
    let parent = TrackingParent::default();
    let mut pool = Local::new_in(Blocks::<Fixed<64>>::new(), &parent);
    let blocks: Vec<_> = (0..10_000).map(|_| pool.allocate(BLOCK).expect("the heap has room")).collect();
    let (chunks, held, asked) = (parent.out(), parent.bytes(), parent.requests());
    assert_eq!((pool.stats().chunks, pool.stats().held), (chunks, held));
    assert_eq!(pool.trim(), 0, "every chunk but the last has live blocks, and the last too");
    pool.reset();
    assert_eq!(pool.stats().live, 0);
    for _ in 0..10_000 {
        pool.allocate(BLOCK).expect("what was there is there again");
    }
    assert_eq!((parent.out(), parent.requests()), (chunks, asked), "a reset pool asks for nothing");
    pool.reset();
    let survivor = pool.allocate(BLOCK).expect("the pool has room");
    assert!(pool.trim() > 0);
    assert_eq!(parent.out(), 1, "one block is live, so one chunk stays");
    pool.check().expect("sound after a trim");
    assert!(pool.owns(survivor.as_ptr().cast()));
    drop(blocks);
}

#[test]
fn trim_finds_chunks_emptied_one_block_at_a_time() {
    let parent = TrackingParent::default();
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &parent);
    let mut blocks: Vec<_> = (0..5000).map(|_| pool.allocate(BLOCK).expect("the heap has room")).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut blocks);
    let first_page = blocks.iter().map(|block| block.addr().get()).min().expect("there are blocks");
    for block in blocks {
        if block.addr().get() != first_page {
            // SAFETY: the block is live, and this pool handed it out for this layout.
            unsafe { pool.deallocate(block.cast(), BLOCK) };
        }
    }
    pool.trim();
    assert_eq!((parent.out(), pool.stats().live), (1, 64));
    pool.check().expect("sound after a trim");
    assert_eq!(take_some(&pool, 5000).len(), 5000, "and it grows again");
    pool.check().expect("sound after growing again");
}

fn take_some(pool: &impl Allocator, count: usize) -> Vec<NonNull<[u8]>> {
    (0..count).map_while(|_| pool.allocate(BLOCK).ok()).collect()
}

/// Fails the nth request to the parent, for every n, and checks that nothing is lost.
pub(crate) fn fail_each<P: millpond::raw::RawPool + Inspect>(make: impl Fn() -> P) {
    testing::out_of_memory(|parent| Local::new_in(make(), parent));
}

#[test]
fn parent_failures_lose_nothing() {
    fail_each(Blocks::<Fixed<64>>::new);
    fail_each(Linear::new);
    fail_each(Classes::new);
}

/// A parent that allocates from its own child during a request: no deadlock, no second `&mut`.
struct Reentrant {
    child: OnceCell<&'static Local<Blocks<Fixed<64>>, Reentrant>>,
    depth: Cell<usize>,
    calls: Cell<usize>,
}

// SAFETY: `Heap` upholds the contract.
unsafe impl Allocator for Reentrant {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.calls.set(self.calls.get() + 1);
        if self.depth.replace(self.depth.get() + 1) < 2 {
            let child = self.child.get().expect("set before the first request");
            let block = child.allocate(BLOCK)?;
            // SAFETY: the block was just handed out.
            unsafe { child.deallocate(block.cast(), BLOCK) };
        }
        self.depth.set(self.depth.get() - 1);
        Heap.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }
}

#[test]
fn parent_may_call_back() {
    let parent = Reentrant { child: OnceCell::new(), depth: Cell::new(0), calls: Cell::new(0) };
    let boxed = Box::into_raw(Box::new(Local::new_in(Blocks::<Fixed<64>>::new(), parent)));
    // SAFETY: the box lives until the end of the test, and this reference is not used after that.
    let pool: &'static Local<_, _> = unsafe { &*boxed };
    assert!(pool.parent().child.set(pool).is_ok());
    let mut oracle = Oracle::new(pool);
    for _ in 0..1000 {
        oracle.allocate(BLOCK, false).expect("the heap has room");
    }
    assert!(pool.parent().calls.get() > 3, "the parent was asked from within");
    pool.check().expect("sound after re-entry");
    drop(oracle);
    // SAFETY: the pool is no longer used.
    drop(unsafe { Box::from_raw(boxed) });
}

#[test]
fn threads_share_a_locked_pool() {
    let pool = Locked::<_>::new(Classes::new());
    thread::scope(|scope| {
        for seed in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut oracle = Oracle::new(pool);
                for _ in 0..5000 {
                    let layout = Layout::from_size_align(rng.usize(1..2000), 8).expect("a layout");
                    oracle.allocate(layout, false).expect("the heap has room");
                    if oracle.count() > 50 {
                        oracle.deallocate(rng.usize(0..50), rng.usize(..));
                    }
                }
            });
        }
    });
    pool.check().expect("sound after four threads");
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn blocks_are_reused_last_freed_first() {
    let pool = Local::new_in(Blocks::<Fixed<32>>::new(), Pages);
    let layout = Layout::new::<[u64; 4]>();
    let [a, b] = [(); 2].map(|()| pool.allocate(layout).expect("the system has pages"));
    assert_eq!(b.addr().get(), a.addr().get() + 32, "fresh blocks come in order");
    // SAFETY: both blocks are live, and this pool handed them out for this layout.
    unsafe {
        pool.deallocate(a.cast(), layout);
        pool.deallocate(b.cast(), layout);
    }
    assert_eq!(pool.allocate(layout), Ok(b));
    assert_eq!(pool.allocate(layout), Ok(a));
}

#[test]
fn class_sizes_are_validated() {
    let refused = |sizes: &[usize]| Classes::with_sizes(sizes).err();
    assert_eq!(refused(&[]), Some(ClassesError::None));
    assert_eq!(refused(&[16, 0]), Some(ClassesError::OutOfRange(0)));
    assert_eq!(refused(&[40_000]), Some(ClassesError::OutOfRange(40_000)));
    assert_eq!(refused(&(1..=65).map(|n| n * 8).collect::<Vec<_>>()), Some(ClassesError::TooMany));
    let pool = Classes::with_sizes(&[64, 24, 20, 64, 1025]).expect("three sizes");
    assert_eq!(pool.sizes().collect::<Vec<_>>(), [24, 64, 1280]);
}

#[test]
fn large_requests_pass_through_classes() {
    let parent = TrackingParent::default();
    let pool = Local::new_in(Classes::with_sizes(&[64]).expect("one size"), &parent);
    let large = Layout::from_size_align(65, 8).expect("a layout");
    let block = pool.allocate(large).expect("the heap has room");
    assert_eq!((parent.out(), pool.stats().chunks), (1, 0));
    assert!(!pool.owns(block.as_ptr().cast()), "it is the parent's");
    // SAFETY: the block is live, and this pool handed it out for this layout.
    unsafe { pool.deallocate(block.cast(), large) };
    assert_eq!(parent.out(), 0);
}
