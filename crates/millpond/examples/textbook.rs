//! The memory pool of textbooks: one page of the system, blocks of 64 bytes, four threads that share them.
//!
//! Each thread allocates a block, fills it, sleeps and frees it, a thousand times. The page has 64 blocks, because
//! blocks have no header. Four threads therefore never run out of memory, but a program that takes all blocks does, and
//! receives an error.
//!
//! On Windows, the page comes from `VirtualAlloc` and the threads from `CreateThread`, which this program calls itself:
//! the library must also work for threads that Rust did not start.

use std::{alloc::Layout, error::Error, thread, time::Duration};

use millpond::{Allocator, Blocks, Fixed, Inspect, Locked, Pages, guard::Limit};

/// Blocks of 64 bytes behind a lock, in one page that comes from the system and is returned to it with the pool.
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
        // SAFETY: the block is live and has this layout.
        unsafe { pool.deallocate(block.cast(), BLOCK) };
    }
    println!("All done: {} bytes live.", pool.stats().live);
    Ok(())
}

/// The work of a thread: allocates a block, fills it, sleeps, frees it.
fn work(pool: &Pool) {
    for _ in 0..ROUNDS {
        let block = match pool.allocate(BLOCK) {
            Ok(block) => block.cast::<[u8; 64]>(),
            Err(error) => {
                println!("Out of memory: {error}.");
                continue;
            }
        };
        // SAFETY: the block is live and large enough, and only this thread uses it.
        unsafe { block.write([0xab; 64]) };
        thread::sleep(Duration::from_micros(100));
        // SAFETY: the block is live and has this layout.
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

    /// The exit code of a thread that succeeded.
    const DONE: u32 = 7;

    extern "system" fn start(pool: *const c_void) -> u32 {
        // SAFETY: the parameter is a pointer to the pool, which may be shared and outlives its threads, because they
        // are waited for.
        work(unsafe { &*pool.cast::<Pool>() });
        DONE
    }

    let threads: Vec<_> = (0..THREADS)
        // SAFETY: the pointers that are null may be null, and the function's parameter has the type that it expects.
        .map(|_| unsafe {
            CreateThread(ptr::null(), 0, start, ptr::from_ref(pool).cast(), 0, ptr::null_mut())
        })
        .collect();
    let mut codes = Vec::new();
    for &thread in &threads {
        let mut code = 0;
        // SAFETY: the handle belongs to this thread object and is closed only here. Each function rejects a null
        // handle.
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
