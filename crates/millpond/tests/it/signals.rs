//! What the system does to threads: a signal in the midst of anything, and `fork` while others are at work.

use std::{
    alloc::Layout,
    os::unix::thread::JoinHandleExt,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use millpond::{Allocator, Fixed, Inspect, LockFree};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// Takes two blocks and frees them; whether they were there.
fn pair(pool: &LockFree<Fixed<64>>) -> bool {
    let (Ok(one), Ok(two)) = (pool.allocate(LAYOUT), pool.allocate(LAYOUT)) else { return false };
    // SAFETY: the blocks were just taken.
    unsafe {
        one.cast::<[u64; 8]>().write([1; 8]);
        two.cast::<[u64; 8]>().write([2; 8]);
        let whole = one.cast::<[u64; 8]>().read() == [1; 8];
        pool.deallocate(one.cast(), LAYOUT);
        pool.deallocate(two.cast(), LAYOUT);
        whole
    }
}

/// A handler uses the pool that it has interrupted.
#[test]
fn a_signal_handler_uses_a_lock_free_pool() {
    static POOL: LockFree<Fixed<64>> = LockFree::new();
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    static FAILED: AtomicBool = AtomicBool::new(false);
    static DONE: AtomicBool = AtomicBool::new(false);
    extern "C" fn handler(_: libc::c_int) {
        if !pair(&POOL) {
            FAILED.store(true, Ordering::Relaxed);
        }
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    POOL.reserve(10).expect("the heap has a page");
    // SAFETY: the handler does nothing but what a handler may.
    unsafe { libc::signal(libc::SIGUSR1, handler as *const () as libc::sighandler_t) };
    let worker = thread::spawn(|| {
        while !DONE.load(Ordering::Relaxed) {
            assert!(pair(&POOL), "a block is gone");
        }
    });
    for sent in 1..=300 {
        // SAFETY: the thread is there until it is joined.
        unsafe { libc::pthread_kill(worker.as_pthread_t(), libc::SIGUSR1) };
        while HANDLED.load(Ordering::Relaxed) < sent {
            thread::yield_now();
        }
    }
    DONE.store(true, Ordering::Relaxed);
    worker.join().expect("no panic");
    assert!(!FAILED.load(Ordering::Relaxed), "a handler found no block, or another's");
    POOL.check().expect("sound");
    assert_eq!(POOL.stats().live, 0);
}

/// The child of a process whose other threads were in the midst of something.
#[test]
fn a_forked_child_uses_a_lock_free_pool() {
    let pool = LockFree::<Fixed<64>>::new();
    pool.reserve(50).expect("the heap has a page");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(pair(&pool), "a block is gone");
                }
            });
        }
        for _ in 0..30 {
            // SAFETY: the child does nothing but what a child of a process with threads may, and ends.
            unsafe {
                let child = libc::fork();
                if child == 0 {
                    let sound = (0..100).all(|_| pair(&pool)) && pool.check().is_ok();
                    libc::_exit(if sound { 0 } else { 1 });
                }
                let mut status = -1;
                assert_eq!(libc::waitpid(child, &raw mut status, 0), child);
                assert_eq!(status, 0, "the child's pool is not whole");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(pool.stats().live, 0);
}
