//! The textbook's memory pool: one page of the system, blocks of 64 bytes, four threads that take turns at them.
//!
//! On Windows the page is `VirtualAlloc`'s and the threads are `CreateThread`'s, which this program calls itself: the
//! library must not care that Rust did not start them.

use std::{alloc::Layout, error::Error};

use millpond::{Allocator, Blocks, Fixed, Inspect, Limit, Locked, Pages};

type Pool = Locked<Blocks<Fixed<64>>, Limit<Pages>>;

const BLOCK: Layout = Layout::new::<[u64; 8]>();
const PAGE: usize = 4096;
const THREADS: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::new_in(Blocks::new(), Limit::bytes(Pages, PAGE));
    in_threads(&pool)?;
    pool.check()?;
    let blocks: Vec<_> = std::iter::from_fn(|| pool.allocate(BLOCK).ok()).collect();
    assert_eq!(blocks.len(), PAGE / BLOCK.size(), "a page has no room for anything but blocks");
    for block in blocks {
        // SAFETY: the block is live, and of this layout.
        unsafe { pool.deallocate(block.cast(), BLOCK) };
    }
    println!("All done.");
    Ok(())
}

/// What a thread does: takes a block, fills it, frees it.
fn work(pool: &Pool) {
    for round in 0..1000 {
        let block = pool.allocate(BLOCK).expect("there are more blocks than threads").cast::<u8>();
        // SAFETY: the block is live, and nobody else's.
        unsafe { block.write_bytes(0xab, BLOCK.size()) };
        if round % 100 == 0 {
            std::thread::yield_now();
        }
        // SAFETY: as above; the layout is the block's.
        unsafe {
            assert_eq!(block.cast::<[u8; 64]>().read(), [0xab; 64], "somebody else has the block, too");
            pool.deallocate(block, BLOCK);
        }
    }
}

#[cfg(not(windows))]
fn in_threads(pool: &Pool) -> Result<(), Box<dyn Error>> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| work(pool))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread has panicked".into()))
    })
}

#[cfg(windows)]
fn in_threads(pool: &Pool) -> Result<(), Box<dyn Error>> {
    use std::{ffi::c_void, io, ptr};

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn CreateThread(
            security: *const c_void,
            stack: usize,
            start: extern "system" fn(*const Pool) -> u32,
            parameter: *const Pool,
            flags: u32,
            id: *mut u32,
        ) -> *mut c_void;
        fn WaitForSingleObject(handle: *mut c_void, milliseconds: u32) -> u32;
        fn GetExitCodeThread(handle: *mut c_void, code: *mut u32) -> i32;
        fn CloseHandle(handle: *mut c_void) -> i32;
    }

    /// The exit code of a thread that did its work.
    const DONE: u32 = 7;

    extern "system" fn start(pool: *const Pool) -> u32 {
        // SAFETY: the pool outlives its threads, which are waited for, and is shared.
        work(unsafe { &*pool });
        DONE
    }

    let threads: Vec<_> = (0..THREADS)
        // SAFETY: what is null may be, and the function takes what the parameter is.
        .map(|_| unsafe { CreateThread(ptr::null(), 0, start, pool, 0, ptr::null_mut()) })
        .collect();
    let mut codes = Vec::new();
    for &thread in &threads {
        let mut code = 0;
        // SAFETY: the handle is the thread's and is closed only here. One that is null is refused by each.
        unsafe {
            WaitForSingleObject(thread, u32::MAX);
            GetExitCodeThread(thread, &raw mut code);
            CloseHandle(thread);
        }
        codes.push(code);
    }
    if codes != [DONE; THREADS] {
        return Err(io::Error::other(format!("threads ended with {codes:?}")).into());
    }
    Ok(())
}
