//! What a shell does when memory has run out.

use std::{
    alloc::Layout,
    cell::{Cell, RefCell},
    env,
    mem::MaybeUninit,
    process::Output,
    ptr::NonNull,
    sync::Mutex,
    thread,
};

use millpond::{
    AllocError, Allocator, Blocks, Buffer, Classes, Fixed, Heap, Inspect, Linear, Local, Locked, Owned,
    guard::{FailNth, Limit, Observe, Stats},
    lock::SpinLock,
    oom::{Abort, Fail, OomPolicy, Retry},
    source::NullAllocator,
};

use crate::again::this_program;

const BLOCK: Layout = Layout::new::<[u64; 8]>();

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("the tests' layouts exist")
}

/// A policy that frees the blocks that it was given into the shell that it belongs to.
#[derive(Default)]
struct Stash {
    pool: Cell<Option<NonNull<dyn Allocator>>>,
    blocks: RefCell<Vec<NonNull<u8>>>,
    asked: Cell<usize>,
}

impl OomPolicy for &Stash {
    fn try_again(&self, _: Layout, error: AllocError) -> bool {
        assert_eq!(error, AllocError::Exhausted);
        self.asked.set(self.asked.get() + 1);
        let Some((block, pool)) = self.blocks.borrow_mut().pop().zip(self.pool.get()) else { return false };
        // SAFETY: the test's pool lives and handed the block out, and the block is no longer used.
        unsafe { pool.as_ref().deallocate(block, BLOCK) };
        true
    }
}

#[test]
fn handler_frees_into_the_same_shell() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let stash = Stash::default();
    let pool = Local::with_policy(Blocks::<Fixed<64>>::new(), Buffer::new(&mut memory), &stash);
    let dynamic: &dyn Allocator = &pool;
    // SAFETY: the policy uses the pointer only while the pool is in use.
    let dynamic = unsafe { std::mem::transmute::<&dyn Allocator, &'static dyn Allocator>(dynamic) };
    stash.pool.set(Some(NonNull::from(dynamic)));
    for _ in 0..40 {
        let block = pool.allocate(BLOCK).expect("the handler makes room");
        stash.blocks.borrow_mut().push(block.cast());
    }
    assert!(stash.asked.get() >= 40 - 15, "{}", stash.asked.get());
    pool.check().expect("sound after all this");
    stash.blocks.borrow_mut().clear();
    let asked = stash.asked.get();
    assert_eq!(pool.allocate(BLOCK), Err(AllocError::Exhausted));
    assert_eq!(stash.asked.get(), asked + 1, "it gave up at once");
}

#[test]
fn handler_may_use_a_locked_shell() {
    static STASH: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    type Ten = Limit<Blocks<Fixed<64>>>;
    type Give = Retry<fn(Layout, AllocError) -> bool>;
    static POOL: Locked<Ten, Heap, SpinLock, Give> =
        Locked::with_policy(Limit::blocks(Blocks::new(), 10), Heap, Retry(give));
    fn give(_: Layout, _: AllocError) -> bool {
        let block = STASH.lock().expect("no thread panicked").pop();
        if let Some(block) =
            block.and_then(|block| NonNull::new(std::ptr::with_exposed_provenance_mut(block)))
        {
            // SAFETY: the block is the pool's, and is no longer used.
            unsafe { POOL.deallocate(block, BLOCK) };
        }
        // If a thread waits for another's blocks, some are free again soon.
        true
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let block = POOL.allocate(BLOCK).expect("the handler makes room");
                    block.cast::<u8>().as_ptr().expose_provenance();
                    STASH.lock().expect("no thread panicked").push(block.addr().get());
                }
            });
        }
    });
    assert_eq!((POOL.stats().live, POOL.report().left), (640, Some(0)));
    POOL.check().expect("sound after four threads");
}

/// Returns a handler that counts its calls, and stops retrying after a given number.
fn patience<'a>(asked: &'a Cell<usize>, calls: usize) -> Retry<impl Fn(Layout, AllocError) -> bool + 'a> {
    Retry(move |_, _| {
        asked.set(asked.get() + 1);
        !asked.get().is_multiple_of(calls + 1)
    })
}

#[test]
fn request_is_retried_until_it_works_or_the_handler_fails() {
    let asked = Cell::new(0);
    let parent = FailNth::only(Heap, 0);
    let pool = Local::with_policy(Blocks::<Fixed<64>>::new(), &parent, patience(&asked, 3));
    assert!(pool.allocate(BLOCK).is_ok(), "the second time it works");
    assert_eq!((asked.get(), parent.requests()), (1, 2));
    asked.set(0);
    let pool = Local::with_policy(Blocks::<Fixed<64>>::new(), NullAllocator, patience(&asked, 3));
    assert_eq!(pool.allocate(BLOCK), Err(AllocError::Exhausted));
    assert_eq!(asked.get(), 4);
    asked.set(0);
    assert_eq!(pool.allocate(layout(65)), Err(AllocError::Unsupported));
    assert_eq!(asked.get(), 0, "what never works is not asked about");
    assert!(pool.allocate(layout(0)).is_ok());
    let mut owned = Owned::with_policy(Linear::new(), NullAllocator, patience(&asked, 1));
    assert_eq!(owned.allocate(BLOCK), Err(AllocError::Exhausted));
    assert_eq!(asked.get(), 2);
}

#[test]
fn requests_that_pass_through_are_retried() {
    let asked = Cell::new(0);
    let parent = FailNth::every(Heap, 2);
    let pool =
        Local::with_policy(Classes::with_sizes(&[64]).expect("one size"), &parent, patience(&asked, 1));
    let (small, large) = (layout(1000), layout(2000));
    let block = pool.allocate(small).expect("the first request works");
    // SAFETY: the block is live, and has these layouts in turn.
    unsafe {
        let grown = pool.grow(block.cast(), small, large).expect("the third request works");
        assert_eq!(asked.get(), 1);
        let shrunk = pool.shrink(grown.cast(), large, small).expect("shrinking is no request for more");
        pool.deallocate(shrunk.cast(), small);
    }
}

#[test]
fn attempt_with_an_alternative_is_no_failure() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let asked = Cell::new(0);
    let pool = Local::with_policy(Stats::new(Linear::new()), Buffer::new(&mut memory), patience(&asked, 1));
    let block = pool.allocate_between(layout(8), 100_000).expect("there is room for eight bytes");
    assert!(block.len() >= 8);
    assert_eq!(asked.get(), 0, "less than was preferred is no failure");
    assert_eq!(pool.report().counts.map(|counts| counts.failed), Some(0));
    assert!(pool.allocate_between(layout(2000), 100_000).is_err());
    assert_eq!((asked.get(), pool.report().counts.map(|counts| counts.failed)), (2, Some(1)));
}

#[test]
fn default_policy_takes_no_room() {
    type Pool = Blocks<Fixed<64>>;
    assert_eq!(size_of::<Local<Pool, Heap, Fail>>(), size_of::<Pool>());
    assert_eq!(size_of::<Local<Pool, Heap, Abort>>(), size_of::<Pool>());
    assert_eq!(size_of::<Owned<Pool, Heap>>(), size_of::<Pool>());
}

/// Runs the test of this name again in a process of its own; returns `None` in that process itself, and where none can
/// be started.
fn in_a_child(test: &str, act: impl FnOnce()) -> Option<Output> {
    const CHILD: &str = "MILLPOND_TEST_CHILD";
    if env::var_os(CHILD).is_some() {
        act();
        return None;
    }
    let child = this_program(test)?.args(["--exact", test, "--nocapture"]).env(CHILD, "1").output();
    Some(child.expect("this program can be run"))
}

fn has_aborted(child: &Output) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        child.status.signal() == Some(libc::SIGABRT)
    }
    #[cfg(not(unix))]
    {
        !child.status.success()
    }
}

#[test]
fn abort_reports_the_requested_size() {
    let child = in_a_child("oom_policy::abort_reports_the_requested_size", || {
        let pool = Local::with_policy(Linear::new(), NullAllocator, Abort);
        let _ = pool.allocate(layout(12_344));
    });
    let Some(child) = child else { return };
    let text = String::from_utf8_lossy(&child.stderr);
    assert!(has_aborted(&child) && text.contains("12344"), "{:?}: {text}", child.status);
}

#[test]
fn panicking_handler_ends_the_program() {
    let child = in_a_child("oom_policy::panicking_handler_ends_the_program", || {
        let pool = Local::with_policy(Linear::new(), NullAllocator, Retry(|_, _| panic!("no room")));
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.allocate(layout(8))));
    });
    let Some(child) = child else { return };
    assert!(has_aborted(&child), "{:?}", child.status);
}

#[test]
fn panicking_observer_ends_the_program() {
    let child = in_a_child("oom_policy::panicking_observer_ends_the_program", || {
        let heap = Observe::new(Heap, |_| panic!("no more"));
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| heap.allocate(layout(8))));
    });
    let Some(child) = child else { return };
    assert!(has_aborted(&child), "{:?}", child.status);
}
