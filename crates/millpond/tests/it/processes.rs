//! Shared pools in a process that forks and in signal handlers: everything that the documentation allows there.

use std::{
    alloc::Layout,
    mem::MaybeUninit,
    ptr::{NonNull, null_mut},
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lock_api::{GuardSend, RawMutex};
use millpond::{
    Allocator, ArenaAlloc, ArenaPool, Blocks, Buffer, Cached, Classes, Fixed, Heap, Inspect as _, LockFree,
    Locked, SharedSlots, Tlsf,
    guard::{Checked, Quarantine},
    lock::{SpinLock, TicketLock},
    observe::Registry,
    raw::AtFork,
    shell::{AtomicLinear, CacheOptions, RemoteFree, fork},
};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// Takes blocks, stamps, checks and frees them; returns false if there are too few or one has changed. Does not panic,
/// because a child or a handler must not.
fn use_it<const COUNT: usize>(pool: &dyn Allocator) -> bool {
    let mut blocks = [None; COUNT];
    for (stamp, place) in blocks.iter_mut().enumerate() {
        let Ok(block) = pool.allocate(LAYOUT) else { return false };
        // SAFETY: the block was just handed out, and is 64 bytes long.
        unsafe { block.cast::<[usize; 8]>().write([stamp; 8]) };
        *place = Some(block.cast::<u8>());
    }
    blocks.iter().enumerate().all(|(stamp, block)| {
        block.is_some_and(|block| {
            // SAFETY: the block is live, and freed once.
            unsafe {
                let same = block.cast::<[usize; 8]>().read() == [stamp; 8];
                pool.deallocate(block, LAYOUT);
                same
            }
        })
    })
}

/// Returns whether `work` succeeds in a child of this process within a few seconds.
fn in_a_child(work: impl FnOnce() -> bool) -> bool {
    const PATIENCE: u32 = 20;
    // SAFETY: the child uses what `work` uses, which is what is tested, and nothing of the test harness.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: ends the child if it hangs, and at its end, without running any code of its parent.
        unsafe {
            libc::alarm(PATIENCE);
            let worked = work();
            libc::_exit(i32::from(!worked));
        }
    }
    assert!(child > 0, "the system has no process for the test");
    let mut status = -1;
    // SAFETY: the child is ours, and is waited for once.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
}

/// Forks repeatedly while other threads repeat `work`; in each child, `check` must succeed.
fn fork_among(work: impl Fn() -> bool + Sync, check: impl Fn() -> bool) {
    let over = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(work(), "a block was not there, or has changed");
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let worked = (0..30).all(|fork| {
            // The other threads are in the middle of `work`.
            while rounds.load(Ordering::Relaxed) <= fork {
                thread::yield_now();
            }
            in_a_child(&check)
        });
        over.store(true, Ordering::Relaxed);
        assert!(worked, "a child has hung, or did not get its blocks");
    });
}

#[test]
fn lock_free_pools_survive_a_fork_at_any_moment() {
    let (pool, arena) = (LockFree::<Fixed<64>>::new(), AtomicLinear::new());
    let use_both = || use_it::<20>(&pool) && use_it::<2>(&arena);
    fork_among(use_both, use_both);
}

#[test]
fn remote_free_survives_a_fork_of_its_owner() {
    let remote_free = RemoteFree::new(Blocks::<Fixed<64>>::new());
    let owner = remote_free.try_own().expect("it has no owner");
    let way: AtomicPtr<u8> = AtomicPtr::new(null_mut());
    let give_back = || {
        if let Some(block) = NonNull::new(way.swap(null_mut(), Ordering::AcqRel)) {
            // SAFETY: the block is live, and exactly one thread finds it here.
            unsafe { remote_free.deallocate(block, LAYOUT) };
        }
        true
    };
    let check = || {
        (0..100).all(|_| {
            let sent = owner.allocate(LAYOUT).map(|block| way.swap(block.cast().as_ptr(), Ordering::AcqRel));
            // SAFETY: as above.
            sent.map(|old| NonNull::new(old).map(|old| unsafe { remote_free.deallocate(old, LAYOUT) }))
                .is_ok()
        }) && use_it::<20>(&owner)
    };
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                give_back();
            }
        });
        let worked = (0..30).all(|_| check() && in_a_child(check));
        over.store(true, Ordering::Relaxed);
        assert!(worked, "a child has hung, or did not get its blocks");
    });
}

/// A thread that holds nothing and is not inside of a pool does no harm, whichever lock is used.
#[test]
fn child_uses_an_idle_pool() {
    let (blocks, classes) = (Cached::new(Blocks::<Fixed<64>>::new()), Cached::new(Classes::new()));
    let locked = Locked::<_>::new(Blocks::<Fixed<64>>::new());
    let use_all = || use_it::<300>(&blocks) && use_it::<300>(&classes) && use_it::<20>(&locked);
    let (used, over) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            assert!(use_all());
            used.store(true, Ordering::Release);
            while !over.load(Ordering::Relaxed) {
                thread::yield_now();
            }
        });
        while !used.load(Ordering::Acquire) {
            thread::yield_now();
        }
        let worked = use_all() && in_a_child(use_all) && in_a_child(use_all);
        over.store(true, Ordering::Relaxed);
        assert!(worked, "a child has hung, or did not get its blocks");
    });
}

/// One lock for all pools that name it; only the forking thread holds it during a fork.
struct HeldForForks;

static FORK_LOCK: SpinLock = SpinLock::INIT;

extern "C" fn lock_for_fork() {
    FORK_LOCK.lock();
}

extern "C" fn unlock_after_fork() {
    // SAFETY: this thread locked it before the fork.
    unsafe { FORK_LOCK.unlock() };
}

// SAFETY: the lock behind it excludes at least as much.
unsafe impl RawMutex for HeldForForks {
    const INIT: Self = Self;

    type GuardMarker = GuardSend;

    fn lock(&self) {
        FORK_LOCK.lock();
    }

    fn try_lock(&self) -> bool {
        FORK_LOCK.try_lock()
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller has locked it.
        unsafe { FORK_LOCK.unlock() };
    }

    fn is_locked(&self) -> bool {
        FORK_LOCK.is_locked()
    }
}

#[test]
fn locked_pools_survive_a_fork_under_their_lock() {
    // SAFETY: the functions live as long as the process.
    let registered = unsafe {
        libc::pthread_atfork(Some(lock_for_fork), Some(unlock_after_fork), Some(unlock_after_fork))
    };
    assert_eq!(registered, 0);
    // Two blocks in a magazine: nearly every call visits the depot.
    let cached = Cached::with_options(
        Blocks::<Fixed<64>>::new(),
        Heap,
        CacheOptions::new().lock::<HeldForForks>().words::<4>(),
    );
    let locked = Locked::<_, _, HeldForForks>::new_in(Blocks::<Fixed<64>>::new(), Heap);
    let use_both = || use_it::<50>(&cached) && use_it::<50>(&locked);
    fork_among(use_both, use_both);
}

/// Everything that has a lock, in statics: held by the fork handlers.
mod registered {
    use super::*;

    pub(super) static PARENT: Locked<Tlsf, Heap, TicketLock> = Locked::new_in(Tlsf::new(), Heap);
    pub(super) static PARK: Locked<Blocks<Fixed<64>>, &Locked<Tlsf, Heap, TicketLock>> =
        Locked::new_in(Blocks::new(), &PARENT);
    pub(super) static SPIN: Locked<Blocks<Fixed<64>>, Heap, SpinLock> = Locked::new_in(Blocks::new(), Heap);
    pub(super) static NEAR: Cached<Blocks<Fixed<64>>, Heap> = Cached::constant(Blocks::new(), Heap);
    pub(super) static OWN_PARENT: Cached<Blocks<Fixed<64>>, Locked<Tlsf, Heap>, CacheOptions<TicketLock>> =
        Cached::constant(Blocks::new(), Locked::new_in(Tlsf::new(), Heap));
    pub(super) static BOOKS: Checked<Locked<Tlsf, Heap>> = Checked::new(Locked::new_in(Tlsf::new(), Heap));
    pub(super) static LISTS: LockFree<Fixed<64>> = LockFree::new();
    pub(super) static SLOTS: SharedSlots<usize> = SharedSlots::new();
    pub(super) static ARENAS: ArenaPool = ArenaPool::new();
    pub(super) static NAMES: Registry = Registry::new();

    pub(super) fn use_all() -> bool {
        let pools: [&dyn Allocator; 6] = [&PARK, &SPIN, &NEAR, &OWN_PARENT, &BOOKS, &LISTS];
        let slots_work = (0..50).all(|number| {
            let key = SLOTS.insert(number);
            let is_there = SLOTS.get(key).is_some_and(|entry| *entry == number);
            is_there && SLOTS.remove(key) && SLOTS.get(key).is_none()
        });
        let arena = ARENAS.get();
        pools.into_iter().all(use_it::<50>) && slots_work && *arena.alloc(7) == 7 && NAMES.read().len() < 100
    }
}

#[test]
fn registered_pools_survive_a_fork() {
    use registered::*;
    fork::install().expect("there is memory for handlers");
    fork::install().expect("a second call does no harm");
    let all: [&'static (dyn AtFork + Sync); 10] =
        [&PARENT, &PARK, &SPIN, &NEAR, &OWN_PARENT, &BOOKS, &LISTS, &SLOTS, &ARENAS, &NAMES];
    all.into_iter().for_each(|each| fork::register(each).expect("there is memory"));
    fork_among(use_all, || {
        // Alone, with threads of its own, and in a child of its own.
        let with_threads = || {
            thread::scope(|scope| {
                let threads = [(); 3].map(|()| scope.spawn(use_all));
                threads.into_iter().all(|thread| thread.join().unwrap_or(false))
            })
        };
        use_all() && with_threads() && NEAR.check().is_ok() && BOOKS.check().is_ok() && in_a_child(use_all)
    });
}

#[test]
fn borrowed_pools_survive_one_fork() {
    let parent = Locked::<_>::new(Tlsf::new());
    let pool = Cached::new_in(Classes::new(), &parent);
    let books = Quarantine::<_, 8>::around(Locked::<_, _, TicketLock>::new_in(Tlsf::new(), Heap));
    let over = AtomicBool::new(false);
    let use_both = || use_it::<50>(&pool) && use_it::<50>(&books);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    assert!(use_both());
                }
            });
        }
        let mut statuses = (0..20).map(|_| {
            thread::sleep(Duration::from_millis(1));
            // SAFETY: the child uses only what is held, and nothing of the test harness.
            let child = unsafe { fork::fork(&[&books, &pool, &parent]) }.expect("there is another process");
            if child == 0 {
                // SAFETY: ends the child if it hangs, and at its end, without running any code of its parent.
                unsafe {
                    libc::alarm(5);
                    let worked = use_both() && use_it::<50>(&parent) && pool.check().is_ok();
                    libc::_exit(i32::from(!worked));
                }
            }
            let mut status = -1;
            // SAFETY: the child is ours, and is waited for once.
            if unsafe { libc::waitpid(child, &mut status, 0) } == child { status } else { -1 }
        });
        let first_bad = statuses.find(|&status| status != 0);
        over.store(true, Ordering::Relaxed);
        assert_eq!(first_bad, None, "a child has hung, or did not get its blocks");
    });
    pool.trim();
    assert!(pool.check().is_ok() && parent.check().is_ok());
}

/// What the handler uses, and its results.
struct Kit {
    pool: LockFree<Fixed<64>, Buffer<'static>>,
    arena: AtomicLinear<Buffer<'static>>,
    remote_free: RemoteFree<Fixed<64>>,
    /// A block that the handler returns to the pool of another thread.
    way: AtomicPtr<u8>,
    calls: AtomicUsize,
    failures: AtomicUsize,
}

static KIT: OnceLock<Kit> = OnceLock::new();

extern "C" fn handle(_: i32) {
    let Some(kit) = KIT.get() else { return };
    // The arena's block is the last one unless the handler has interrupted in between: it is freed, or lost.
    let worked = use_it::<5>(&kit.pool) && use_it::<1>(&kit.arena);
    if let Some(block) = NonNull::new(kit.way.swap(null_mut(), Ordering::AcqRel)) {
        // SAFETY: the block is live, and exactly one thread finds it here.
        unsafe { kit.remote_free.deallocate(block, LAYOUT) };
    }
    kit.failures.fetch_add(usize::from(!worked), Ordering::Relaxed);
    kit.calls.fetch_add(1, Ordering::Release);
}

/// Number of signals.
const SIGNALS: usize = 1000;

/// Interrupts a thread repeatedly; ends the process if the handler does not return.
fn interrupt(thread: libc::pthread_t, kit: &Kit) {
    for signal in 0..SIGNALS {
        // SAFETY: the thread lives until all signals are handled.
        assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR2) }, 0);
        let start = Instant::now();
        while kit.calls.load(Ordering::Acquire) <= signal {
            if start.elapsed() > Duration::from_secs(60) {
                eprintln!("a signal handler hangs");
                std::process::abort();
            }
            thread::yield_now();
        }
    }
}

#[test]
fn lock_free_pools_in_a_signal_handler() {
    let memory = |bytes: usize| Buffer::new(Vec::leak(vec![MaybeUninit::uninit(); bytes]));
    let kit = KIT.get_or_init(|| Kit {
        pool: LockFree::new_in(memory(10_000)),
        arena: AtomicLinear::new_in(memory(2 * SIGNALS * LAYOUT.size() + 4096)),
        remote_free: RemoteFree::new(Blocks::new()),
        way: AtomicPtr::new(null_mut()),
        calls: AtomicUsize::new(0),
        failures: AtomicUsize::new(0),
    });
    // SAFETY: the handler does only what is allowed in one: no lock, and no allocation except from these pools.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_RESTART;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, null_mut()), 0);
    }
    let owner = kit.remote_free.try_own().expect("it has no owner");
    // SAFETY: returns the identity of the current thread.
    let this_thread = unsafe { libc::pthread_self() } as usize;
    thread::scope(|scope| {
        scope.spawn(move || interrupt(this_thread as libc::pthread_t, kit));
        while kit.calls.load(Ordering::Acquire) < SIGNALS {
            assert!(use_it::<10>(&kit.pool), "a block is lost or was handed out twice");
            if kit.way.load(Ordering::Acquire).is_null() {
                let block = owner.allocate(LAYOUT).expect("the heap has 64 bytes");
                kit.way.store(block.cast().as_ptr(), Ordering::Release);
            }
        }
    });
    assert_eq!(kit.failures.load(Ordering::Relaxed), 0);
    assert!(use_it::<100>(&kit.pool), "the pool has lost blocks");
}
