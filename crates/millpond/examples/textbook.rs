//! The textbook's memory pool: one page of the system, blocks of 64 bytes, four threads that take turns at them.
//!
//! Each thread allocates a block, fills it, sleeps on it and frees it, a thousand times. The page has 64 blocks, because
//! none has a header: so four threads never run out of memory, but a program that takes them all does, and is told.
//!
//! On Windows the page is `VirtualAlloc`'s and the threads are `CreateThread`'s, which this program calls itself: the
//! library must not care that Rust did not start them.

use std::{alloc::Layout, error::Error, thread, time::Duration};

use millpond::{Allocator, Blocks, Fixed, Inspect, Limit, Locked, Pages};

/// Blocks of 64 bytes behind a lock, in one page that comes from the system and goes back to it with the pool.
type Pool = Locked<Blocks<Fixed<64>>, Limit<Pages>>;

const BLOCK: Layout = Layout::new::<[u64; 8]>();
const PAGE: usize = 4096;
const THREADS: usize = 4;
const ROUNDS: usize = 1000;

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::new_in(Blocks::new(), Limit::bytes(Pages, PAGE));
    in_threads(&pool)?;
    pool.check()?;
    println!("{THREADS} threads have allocated, filled and freed {ROUNDS} blocks each.");

    let mut blocks = Vec::new();
    let error = loop {
        match pool.allocate(BLOCK) {
            Ok(block) => blocks.push(block),
            Err(error) => break error,
        }
    };
    println!("A page of {PAGE} bytes has {} blocks of {} bytes.", blocks.len(), BLOCK.size());
    println!("Out of memory: {error}.");
    for block in blocks {
        // SAFETY: the block is live, and of this layout.
        unsafe { pool.deallocate(block.cast(), BLOCK) };
    }
    println!("All done: {} bytes live.", pool.stats().live);
    Ok(())
}

/// What a thread does: takes a block, fills it, sleeps, frees it.
fn work(pool: &Pool) {
    for _ in 0..ROUNDS {
        let block = match pool.allocate(BLOCK) {
            Ok(block) => block.cast::<[u8; 64]>(),
            Err(error) => {
                println!("Out of memory: {error}.");
                continue;
            }
        };
        // SAFETY: the block is live, large enough, and nobody else's.
        unsafe { block.write([0xab; 64]) };
        thread::sleep(Duration::from_micros(100));
        // SAFETY: as above; the layout is the block's.
        unsafe {
            assert_eq!(block.read(), [0xab; 64], "somebody else has the block, too");
            pool.deallocate(block.cast(), BLOCK);
        }
    }
}

#[cfg(not(windows))]
fn in_threads(pool: &Pool) -> Result<(), Box<dyn Error>> {
    thread::scope(|scope| {
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
            start: extern "system" fn(*const c_void) -> u32,
            parameter: *const c_void,
            flags: u32,
            id: *mut u32,
        ) -> *mut c_void;
        fn WaitForSingleObject(handle: *mut c_void, milliseconds: u32) -> u32;
        fn GetExitCodeThread(handle: *mut c_void, code: *mut u32) -> i32;
        fn CloseHandle(handle: *mut c_void) -> i32;
    }

    /// The exit code of a thread that did its work.
    const DONE: u32 = 7;

    extern "system" fn start(pool: *const c_void) -> u32 {
        // SAFETY: this is the pool, which outlives its threads, as they are waited for, and is shared.
        work(unsafe { &*pool.cast::<Pool>() });
        DONE
    }

    let threads: Vec<_> = (0..THREADS)
        // SAFETY: what is null may be, and the function takes what the parameter is.
        .map(|_| unsafe {
            CreateThread(ptr::null(), 0, start, ptr::from_ref(pool).cast(), 0, ptr::null_mut())
        })
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
