//! Pools with a cache per thread: exchange between threads, what threads hold, and how it returns.

use std::{
    alloc::Layout,
    collections::BTreeSet,
    mem::MaybeUninit,
    ptr::NonNull,
    sync::{
        Arc, Barrier, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use millpond::{
    AllocError, Allocator, Blocks, Buffer, Cached, Classes, Fixed, Heap, Inspect, Locked, Magazine, Reclaim,
    StaticBuffer, Tlsf,
    guard::{Counted, Limit},
    lock::TicketLock,
    oom::Retry,
    pool::AddressOrdered,
    raw::Allocation,
    shell::CacheOptions,
    testing::{Conformance, out_of_memory},
};

use crate::{shared::stress, tracking_parent::TrackingParent};

const BLOCK: Layout = Layout::new::<[u64; 8]>();

type Sixty4 = Blocks<Fixed<64>>;

/// A block that may be sent to another thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent(NonNull<u8>);

// SAFETY: the tests let only one thread at a time use a block.
unsafe impl Send for Sent {}

fn take(pool: &(impl Allocator + ?Sized)) -> Option<Sent> {
    pool.allocate(BLOCK).ok().map(|block| Sent(block.cast()))
}

/// Takes every block that the pool hands out.
fn take_all(pool: &(impl Allocator + ?Sized)) -> Vec<Sent> {
    std::iter::from_fn(|| take(pool)).collect()
}

fn give(pool: &(impl Allocator + ?Sized), blocks: impl IntoIterator<Item = Sent>) {
    for Sent(block) in blocks {
        // SAFETY: the tests free each block that they took once.
        unsafe { pool.deallocate(block, BLOCK) };
    }
}

/// Runs a closure on a thread of its own and waits for its end.
fn elsewhere<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(work).join().expect("the thread ends well"))
}

fn kit<A: Allocator + Inspect + Reclaim>(make: impl Fn() -> A) {
    let (serves, reaches) = (BLOCK, Layout::from_size_align(256, 32).expect("a layout"));
    Conformance::of(make).serves(serves).reaching(reaches).inspected().reclaimed().sequences(4, 1000).run();
}

#[test]
fn keeps_the_contract() {
    kit(|| Cached::new_in(Sixty4::new(), TrackingParent::default()));
    kit(|| Cached::new_in(Blocks::of(BLOCK), TrackingParent::default()));
    kit(|| Cached::new_in(Blocks::<(Fixed<64>, Magazine<4>)>::new(), TrackingParent::default()));
    kit(|| Cached::new_in(Blocks::<(Fixed<64>, AddressOrdered<5, 4096>)>::new(), TrackingParent::default()));
    kit(|| {
        let options = CacheOptions::new().words::<4>().policy(Retry(|_, _| false));
        Cached::with_options(Sixty4::new(), TrackingParent::default(), options)
    });
    kit(|| Cached::new_in(Limit::blocks(Counted::new(Sixty4::new()), 1000), TrackingParent::default()));
    kit(|| Cached::new_in(Sixty4::new(), Arc::new(Cached::new_in(Blocks::<Fixed<8192, 1024>>::new(), Heap))));
    let mixed = |make: fn() -> Cached<Classes, TrackingParent>| {
        let (serves, reaches) = (Layout::from_size_align(1000, 64), Layout::from_size_align(40_000, 256));
        let kit =
            Conformance::of(make).serves(serves.expect("a layout")).reaching(reaches.expect("a layout"));
        kit.inspected().reclaimed().sequences(3, 500).run();
    };
    mixed(|| Cached::new_in(Classes::new(), TrackingParent::default()));
    mixed(|| {
        Cached::new_in(
            Classes::with_sizes(&[24, 104, 1024, 30_000]).expect("sizes"),
            TrackingParent::default(),
        )
    });
    out_of_memory(|parent| Cached::new_in(Sixty4::new(), parent));
    out_of_memory(|parent| Cached::new_in(Classes::new(), parent));
    out_of_memory(|parent| Cached::with_options(Sixty4::new(), parent, CacheOptions::new().words::<8>()));
}

/// Thread indices belong to the whole process: in a test that counts blocks, threads must not inherit indices that
/// threads of another test used.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

const FEW: usize = 600;

/// Upper bound on the blocks that a thread holds: two magazines.
const HELD: usize = 2 * 126;

/// Lets the current thread's magazines grow to their limit, and fills them.
fn use_much(pool: &impl Allocator) {
    let blocks: Vec<_> = (0..FEW - 50).map_while(|_| take(pool)).collect();
    give(pool, blocks);
}

/// Returns a pool of exactly `blocks` blocks.
fn bounded() -> Cached<Limit<Sixty4>> {
    Cached::new(Limit::blocks(Sixty4::new().with_capacity(64), FEW))
}

#[test]
fn blocks_are_freed_by_other_threads() {
    let _turn = alone();
    let pool = Cached::new_in(Sixty4::new(), TrackingParent::default());
    for _ in 0..20 {
        let blocks: Vec<_> = (0..1000).map_while(|_| take(&pool)).collect();
        elsewhere(|| give(&pool, blocks));
        assert_eq!(pool.stats().live, 0);
        pool.check().expect("sound");
    }
    // Freed blocks were used again: there were at most a thousand, and those that the threads held.
    assert!(pool.stats().held <= 64 * 4096, "{:?}", pool.stats());
}

#[test]
fn blocks_of_ended_threads_are_available() {
    let _turn = alone();
    let pool = bounded();
    let (all_hold, threads) = (Barrier::new(3), 3);
    let work = || {
        let blocks: Vec<_> = (0..FEW / threads).map_while(|_| take(&pool)).collect();
        all_hold.wait();
        give(&pool, blocks);
    };
    thread::scope(|scope| {
        let others: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        others.into_iter().for_each(|other| other.join().expect("the thread ends well"));
    });
    assert_eq!(pool.stats().live, 0);
    let blocks = take_all(&pool);
    assert_eq!(blocks.iter().collect::<BTreeSet<_>>().len(), FEW, "a block is lost or was handed out twice");
    give(&pool, blocks);
    pool.check().expect("sound");
}

#[test]
fn idle_thread_keeps_two_magazines_until_the_reclaim_epoch() {
    let _turn = alone();
    let pool = bounded();
    let ((go, wait), (done, answer)) = (mpsc::channel::<Option<Vec<Sent>>>(), mpsc::channel());
    thread::scope(|scope| {
        let pool = &pool;
        scope.spawn(move || {
            use_much(pool);
            done.send(()).expect("the test listens");
            for step in wait {
                match step {
                    Some(blocks) => give(pool, blocks),
                    None => pool.flush(),
                }
                done.send(()).expect("the test listens");
            }
        });
        let wait = || answer.recv().expect("the thread answers");
        wait();
        let mut blocks = take_all(pool);
        assert!((FEW - HELD..FEW).contains(&blocks.len()), "{} blocks", blocks.len());
        // The reclaim epoch has changed: at its next visit to the depot, which these blocks cause, the thread gives up
        // what it holds.
        go.send(Some(blocks.split_off(blocks.len() - 130))).expect("the thread listens");
        wait();
        blocks.extend(take_all(pool));
        assert!(blocks.len() >= FEW - 2 * 31, "{} blocks", blocks.len());
        go.send(None).expect("the thread listens");
        wait();
        blocks.extend(take_all(pool));
        assert_eq!(blocks.len(), FEW);
        give(pool, blocks);
        drop(go);
    });
}

#[test]
fn flush_returns_everything() {
    let _turn = alone();
    let pool = bounded();
    use_much(&pool);
    let count = || {
        let blocks = take_all(&pool);
        let count = blocks.len();
        give(&pool, blocks);
        count
    };
    let (before, ()) = (elsewhere(count), pool.flush());
    assert!((FEW - HELD..FEW).contains(&before), "{before} blocks");
    assert_eq!(elsewhere(count), FEW);
}

#[test]
fn thousands_of_short_threads_hold_no_more_than_a_few() {
    let _turn = alone();
    let pool = Cached::new_in(Sixty4::new(), TrackingParent::default());
    for round in 0..300 {
        thread::scope(|scope| {
            for _ in 0..10 {
                scope.spawn(|| {
                    let blocks: Vec<_> = (0..50).map_while(|_| take(&pool)).collect();
                    assert_eq!(blocks.len(), 50);
                    give(&pool, blocks);
                });
            }
        });
        if round % 50 == 0 {
            pool.check().expect("sound");
        }
    }
    let stats = pool.stats();
    assert_eq!(stats.live, 0);
    // Ten threads at a time, with two magazines each.
    assert!(stats.held <= 512 << 10, "{stats:?}");
}

#[test]
fn pools_come_and_go_while_threads_live() {
    let _turn = alone();
    let parent = TrackingParent::default();
    let (send, receive) = mpsc::channel::<Arc<Cached<Sixty4, &TrackingParent>>>();
    thread::scope(|scope| {
        scope.spawn(move || {
            for pool in receive {
                let blocks: Vec<_> = (0..300).map_while(|_| take(&*pool)).collect();
                give(&*pool, blocks);
            }
        });
        for _ in 0..200 {
            let pool = Arc::new(Cached::new_in(Sixty4::new(), &parent));
            send.send(pool.clone()).expect("the thread listens");
            let blocks: Vec<_> = (0..200).map_while(|_| take(&*pool)).collect();
            give(&*pool, blocks);
        }
        drop(send);
    });
    assert_eq!(parent.out(), 0);
}

/// Uses a pool when its thread ends, in any order of the thread's destructors.
struct AtTheEnd(&'static Cached<Sixty4>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let blocks: Vec<_> = (0..500).map_while(|_| take(self.0)).collect();
        assert_eq!(blocks.len(), 500);
        give(self.0, blocks);
    }
}

#[test]
fn thread_destructors_may_allocate() {
    static POOL: Cached<Sixty4> = Cached::constant(Blocks::new(), Heap);
    thread_local! {
        static BEFORE: AtTheEnd = const { AtTheEnd(&POOL) };
        static AFTER: AtTheEnd = const { AtTheEnd(&POOL) };
    }
    let _turn = alone();
    for _ in 0..20 {
        elsewhere(|| {
            // Destructors run in the opposite order, so the pool's own is in the middle.
            BEFORE.with(|_| ());
            give(&POOL, take(&POOL));
            AFTER.with(|_| ());
        });
    }
    assert_eq!(POOL.stats().live, 0);
    POOL.check().expect("sound");
}

#[test]
fn static_pool_on_a_static_buffer() {
    static MEMORY: StaticBuffer<65536> = StaticBuffer::new();
    static POOL: Cached<Sixty4, &StaticBuffer<65536>> = Cached::constant(Blocks::new(), &MEMORY);
    let _turn = alone();
    let count = elsewhere(|| take_all(&POOL).len());
    // All except what two magazines and the table take.
    assert!(count * 64 >= 65536 - 8192, "{count} blocks");
    assert_eq!(take(&POOL), None);
}

#[test]
fn handles_have_their_own_cache() {
    let _turn = alone();
    let pool = bounded();
    {
        let (one, other) = (pool.handle(), pool.handle());
        use_much(&one);
        let blocks = take_all(&other);
        // The first handle is alive, and keeps what it holds.
        assert!((FEW - HELD..FEW).contains(&blocks.len()), "{} blocks", blocks.len());
        assert_eq!(pool.stats().live, blocks.len() * 64);
        give(&one, blocks);
        assert_eq!(pool.stats().live, 0);
        pool.check().expect("sound");
    }
    assert_eq!(take_all(&pool).len(), FEW, "a handle that is dropped gives back what it holds");
}

#[test]
fn handles_beyond_the_indices_use_the_depot() {
    let _turn = alone();
    let pool = Cached::new_in(Sixty4::new(), TrackingParent::default());
    let handles: Vec<_> = (0..1100).map(|_| pool.handle()).collect();
    for handle in &handles {
        let blocks: Vec<_> = (0..40).map_while(|_| take(handle)).collect();
        assert_eq!(blocks.len(), 40);
        give(handle, blocks);
    }
    // There is no index for a new thread either.
    elsewhere(|| give(&pool, take(&pool)));
    pool.check().expect("sound");
    drop(handles);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn trim_and_reset() {
    let _turn = alone();
    let mut pool = Cached::new_in(Sixty4::new(), TrackingParent::default());
    let blocks: Vec<_> = (0..2000).map_while(|_| take(&pool)).collect();
    elsewhere(|| give(&pool, blocks));
    assert!(pool.trim() > 2000 * 64);
    assert_eq!((pool.parent().out(), pool.stats()), (0, millpond::observe::PoolStats::default()));
    let kept = take(&pool).expect("the heap has room");
    pool.trim();
    assert_eq!(pool.stats().live, 64);
    give(&pool, [kept]);
    let blocks = (0..2000).map_while(|_| take(&pool)).count();
    pool.reset();
    assert_eq!((blocks, pool.stats().live), (2000, 0));
    pool.check().expect("sound");
    let held = pool.stats().held;
    assert_eq!((0..2000).map_while(|_| take(&pool)).collect::<BTreeSet<_>>().len(), 2000);
    assert_eq!(pool.stats().held, held, "after a reset the chunks are used again");
}

#[test]
fn blocks_freed_by_a_policy_are_found() {
    static POOL: OnceLock<&'static (dyn Allocator + Sync)> = OnceLock::new();
    static RESERVE: Mutex<Vec<Sent>> = Mutex::new(Vec::new());
    fn free_one(layout: Layout, error: AllocError) -> bool {
        assert_eq!((layout, error), (BLOCK, AllocError::Limit));
        let block = RESERVE.lock().expect("not poisoned").pop();
        block.is_some_and(|block| {
            give(*POOL.get().expect("set before it is used"), [block]);
            true
        })
    }
    let _turn = alone();
    let pool = Limit::blocks(Sixty4::new(), 40);
    let pool: &_ = Box::leak(Box::new(Cached::with_policy(pool, Heap, Retry(free_one))));
    POOL.set(pool).ok().expect("set once");
    let blocks: Vec<_> = (0..40).map_while(|_| take(pool)).collect();
    RESERVE.lock().expect("not poisoned").extend(blocks);
    // Each of these blocks was just freed by the handler.
    assert_eq!(take_all(pool).len(), 40);
}

/// The parent uses the pool that it is the parent of.
#[test]
fn parent_may_call_back() {
    static POOL: OnceLock<Cached<Sixty4, CallsBack>> = OnceLock::new();
    struct CallsBack;
    thread_local!(static INSIDE: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });
    // SAFETY: `Heap` upholds the contract.
    unsafe impl Allocator for CallsBack {
        fn allocate(&self, layout: Layout) -> Allocation {
            if INSIDE.replace(INSIDE.get() + 1) < 2 {
                let pool = POOL.get().expect("set before it is used");
                let blocks: Vec<_> = (0..300).map_while(|_| take(pool)).collect();
                give(pool, blocks);
            }
            INSIDE.set(INSIDE.get() - 1);
            Heap.allocate(layout)
        }

        unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
            // SAFETY: the contract is the same as the caller's.
            unsafe { Heap.deallocate(block, layout) };
        }
    }
    let _turn = alone();
    let pool = POOL.get_or_init(|| Cached::new_in(Sixty4::new(), CallsBack));
    let blocks: BTreeSet<_> = (0..5000).map_while(|_| take(pool)).collect();
    assert_eq!(blocks.len(), 5000);
    pool.check().expect("sound");
    give(pool, blocks);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn without_memory_for_magazines_the_depot_serves() {
    let _turn = alone();
    #[repr(align(64))]
    struct Aligned([MaybeUninit<u8>; 16 << 10]);
    let mut memory = Aligned([MaybeUninit::uninit(); _]);
    // The pool's first chunk is a page: below that, there is room for blocks only. Above, two magazines of 128 words,
    // and their alignment, may take a part.
    let magazines = 3 * 128 * size_of::<usize>();
    for (bytes, least) in [
        (64, 1),
        (1000, 15),
        (1024, 16),
        (2048, 32),
        (4096, 64),
        (8192, (8192 - magazines) / 64 - 1),
        (16384, (16384 - magazines) / 64 - 2),
    ] {
        let pool = Cached::new_in(Sixty4::new(), Buffer::new(&mut memory.0[..bytes]));
        let blocks = take_all(&pool);
        assert!((least..=bytes / 64).contains(&blocks.len()), "{} blocks of {bytes} bytes", blocks.len());
        for _ in 0..3 {
            give(&pool, blocks.iter().copied());
            assert_eq!(take_all(&pool).len(), blocks.len());
        }
        give(&pool, blocks.iter().copied());
        pool.flush();
        assert_eq!(
            elsewhere(|| take_all(&pool).len()),
            blocks.len(),
            "freed by one thread, taken by another"
        );
    }
}

#[test]
fn inner_guards_count_blocks_in_magazines() {
    let _turn = alone();
    let pool = Cached::new(Limit::bytes(Counted::new(Sixty4::new()), 6400));
    let small = Layout::new::<u8>();
    let blocks: Vec<_> = std::iter::from_fn(|| pool.allocate(small).ok()).collect();
    assert_eq!((blocks.len(), pool.report().left, pool.report().live_blocks), (100, Some(0), Some(100)));
    for block in blocks {
        // SAFETY: the block is live, and any size up to what was returned fits it.
        unsafe { pool.deallocate(block.cast(), small) };
    }
    assert!(pool.report().left < Some(6400), "magazines hold blocks that count as live to the guard");
    pool.flush();
    assert_eq!((pool.report().left, pool.report().live_blocks), (Some(6400), Some(0)));
}

/// Threads allocate, stamp, check and free blocks, and hand each other blocks.
fn churn<A: Allocator + Sync>(pool: &A, steps: u64) {
    let slots: Vec<Mutex<Option<Sent>>> = (0..64).map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for thread in 0..4u64 {
            let slots = &slots;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(thread);
                for step in 0..steps {
                    let fresh = take(pool).expect("the heap has room");
                    let stamp = (thread << 32) | step;
                    // SAFETY: the block is this thread's, and has 64 bytes.
                    unsafe { fresh.0.cast::<[u64; 8]>().write([stamp; 8]) };
                    let old = slots[rng.usize(..64)].lock().expect("not poisoned").replace(fresh);
                    if let Some(old) = old {
                        // SAFETY: the block was in the array, so it is stamped, and this thread owns it now.
                        let words = unsafe { old.0.cast::<[u64; 8]>().read() };
                        assert!(
                            words.iter().all(|&word| word == words[0]),
                            "another thread wrote here: {words:x?}"
                        );
                        give(pool, [old]);
                    }
                }
            });
        }
    });
    give(pool, slots.iter().filter_map(|slot| slot.lock().expect("not poisoned").take()));
}

#[test]
fn contents_survive_churn() {
    let _turn = alone();
    let pool = Cached::new_in(Sixty4::new(), TrackingParent::default());
    churn(&pool, 20_000);
    assert_eq!(pool.stats().live, 0);
    let small =
        Cached::with_options(Sixty4::new(), TrackingParent::default(), CacheOptions::new().words::<4>());
    churn(&small, 20_000);
    assert_eq!(small.stats().live, 0);
    small.check().expect("sound");
}

#[test]
fn cached_pools_under_stress() {
    let _turn = alone();
    stress(Cached::new(Sixty4::new()));
    stress(Cached::new(Blocks::<(Fixed<64>, Magazine)>::new()));
    stress(Cached::new(Classes::new()));
    // Two blocks in a magazine: nearly every call visits the depot.
    stress(Cached::with_options(Sixty4::new(), Heap, CacheOptions::new().words::<4>()));
}

/// Threads request more than there is: magazines of ended threads are searched, and living threads observe the reclaim
/// epoch.
#[test]
fn a_bounded_cached_pool_under_stress() {
    let _turn = alone();
    stress(Cached::new(Limit::blocks(Sixty4::new(), 100)));
}

/// A parent that can be switched to refuse everything.
#[derive(Default)]
struct Stoppable {
    heap: TrackingParent,
    stopped: AtomicBool,
}

// SAFETY: the blocks are the heap's, which upholds the contract.
unsafe impl Allocator for Stoppable {
    fn allocate(&self, layout: Layout) -> Allocation {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(AllocError::Exhausted);
        }
        self.heap.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { self.heap.deallocate(block, layout) };
    }
}

#[test]
fn reserved_blocks_need_no_parent() {
    let _turn = alone();
    let blocks = Cached::new_in(Sixty4::new(), Stoppable::default());
    let classes = Cached::new_in(Classes::new(), Stoppable::default());
    for count in [1, 100, 5000] {
        blocks.reserve(BLOCK, count).expect("the heap has room");
        classes.reserve(BLOCK, count).expect("the heap has room");
        for (pool, parent) in
            [(&blocks as &dyn Allocator, blocks.parent()), (&classes as &dyn Allocator, classes.parent())]
        {
            parent.stopped.store(true, Ordering::Relaxed);
            let taken: Vec<_> = (0..count).map_while(|_| take(pool)).collect();
            assert_eq!(taken.len(), count);
            parent.stopped.store(false, Ordering::Relaxed);
            give(pool, taken);
        }
    }
    assert_eq!(blocks.reserve(Layout::new::<[u64; 9]>(), 1), Err(AllocError::Unsupported));
    assert_eq!((blocks.stats().live, classes.stats().live), (0, 0));
}

#[test]
fn all_or_none() {
    let _turn = alone();
    let pool = bounded();
    let mut places = [MaybeUninit::uninit(); FEW + 1];
    assert_eq!(pool.allocate_many(BLOCK, &mut places), Err(AllocError::Limit));
    assert_eq!(pool.stats().live, 0);
    for _ in 0..3 {
        pool.allocate_many(BLOCK, &mut places[..FEW]).expect("there are as many");
        // SAFETY: every one of these places was filled.
        let blocks = unsafe { places[..FEW].assume_init_ref() };
        assert_eq!(blocks.iter().collect::<BTreeSet<_>>().len(), FEW, "a block was handed out twice");
        // SAFETY: the blocks are live, distinct, and this pool's.
        unsafe { pool.deallocate_many(blocks, BLOCK) };
        assert_eq!(pool.stats().live, 0);
        pool.check().expect("sound");
    }
}

/// A new thread needs one block: it takes one of the full magazines in the depot and does not empty the others.
#[test]
fn new_thread_takes_one_magazine() {
    const MANY: usize = 50 * 126;
    let _turn = alone();
    let pool = Cached::new(Counted::new(Limit::blocks(Sixty4::new(), MANY)));
    // Not one block more: memory would run out, and magazines would be emptied.
    let blocks: Vec<_> = (0..MANY).map_while(|_| take(&pool)).collect();
    assert_eq!(blocks.len(), MANY);
    give(&pool, blocks);
    let carried = || pool.report().live_blocks.expect("they are counted");
    let before = carried();
    let strangers: Vec<_> = (0..5).map(|_| pool.handle()).collect();
    for (number, stranger) in strangers.iter().enumerate() {
        let block = take(stranger);
        let emptied = before.saturating_sub(carried());
        assert!(emptied <= (number + 1) * 126, "thread {number}: {emptied} blocks went back to the pool");
        assert_eq!(pool.stats().live, 64);
        give(stranger, block);
    }
    assert_eq!(pool.stats().live, 0);
    drop(strangers);
    assert_eq!(take_all(&pool).len(), MANY, "and all are there");
}

/// Thread indices belong to the process: what an ended thread left is unreachable while another thread has its index.
#[test]
fn blocks_of_an_index_in_use_are_unreachable() {
    let _turn = alone();
    let (pool, other_pool) = (bounded(), bounded());
    // This thread gets its index first, so that another thread's index is free again.
    give(&other_pool, take(&other_pool));
    elsewhere(|| use_much(&pool));
    let strangers: Vec<_> = (0..50).map(|_| other_pool.handle()).collect();
    let blocks = take_all(&pool);
    assert!((FEW - HELD..FEW).contains(&blocks.len()), "{} blocks", blocks.len());
    drop(strangers);
    let rest = take_all(&pool);
    assert_eq!(blocks.len() + rest.len(), FEW);
    give(&pool, blocks.into_iter().chain(rest));
}

#[test]
fn search_for_blocks_takes_no_index_in_use() {
    let _turn = alone();
    let pool = bounded();
    let one = pool.handle();
    use_much(&one);
    let other = pool.handle();
    let blocks = take_all(&other);
    // If the first handle's index were free by now, this handle would get it, and with it what that handle holds.
    let third = pool.handle();
    assert_eq!(take(&third), None);
    give(&other, blocks);
    use_much(&one);
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn shared_tlsf_with_a_fair_lock() {
    let serves = Layout::from_size_align(1000, 64).expect("a layout");
    let make = || Locked::<_, _, TicketLock>::new_in(Tlsf::without_quick_list(), TrackingParent::default());
    Conformance::of(make).serves(serves).inspected().reclaimed().sequences(3, 400).run();
    let pool = make();
    churn(&pool, 4000);
    assert_eq!(pool.stats().live, 0);
    pool.check().expect("sound");
}
