//! The probe of `cargo xtask counts` for the malloc: calls one operation a given number of times, so that its
//! instructions can be counted. Without arguments it lists the operations.
//!
//! `any` operations are those of C, which receive a size; `known` ones those of the global allocator of Rust, with a
//! layout that the compiler knows. Each operation is in a section of its own, because operations that compile to the
//! same instructions would otherwise be merged.

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
mod probe {
    use std::{
        alloc::{GlobalAlloc, Layout},
        hint::black_box,
        process::ExitCode,
    };

    use millpond_malloc::{MillpondAlloc, c};

    const SIZE: usize = 64;
    const LAYOUT: Layout = Layout::new::<[u64; 8]>();

    /// Calls both operations of a pair this many times, after the thread has free blocks.
    fn drive(allocate: fn(usize) -> *mut u8, free: unsafe fn(*mut u8), times: usize) {
        let allocate = || black_box(allocate)(black_box(SIZE));
        // SAFETY: each block is freed once.
        let free = |block| unsafe { black_box(free)(block) };
        let blocks = [(); 40].map(|()| allocate());
        blocks.into_iter().rev().for_each(free);
        (0..times).for_each(|_| free(allocate()));
    }

    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text.malloc_any_allocate")]
    #[inline(never)]
    fn malloc_any_allocate(size: usize) -> *mut u8 {
        c::malloc(size).cast()
    }

    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text.malloc_any_free")]
    #[inline(never)]
    unsafe fn malloc_any_free(block: *mut u8) {
        // SAFETY: the caller frees a live block.
        unsafe { c::free(block.cast()) };
    }

    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text.malloc_known_allocate")]
    #[inline(never)]
    fn malloc_known_allocate(_size: usize) -> *mut u8 {
        // SAFETY: the layout is not of size 0.
        unsafe { MillpondAlloc.alloc(LAYOUT) }
    }

    #[unsafe(no_mangle)]
    #[unsafe(link_section = ".text.malloc_known_free")]
    #[inline(never)]
    unsafe fn malloc_known_free(block: *mut u8) {
        // SAFETY: the caller frees a live block of this layout.
        unsafe { MillpondAlloc.dealloc(block, LAYOUT) };
    }

    /// Lists the operations, or runs the one that is named. The environment chooses the mode of the heap.
    pub(crate) fn run() -> ExitCode {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let times = arguments.get(1).and_then(|times| times.parse().ok()).unwrap_or(1);
        match arguments.first().map(String::as_str) {
            None => {
                println!("malloc_any_allocate\nmalloc_any_free\nmalloc_known_allocate\nmalloc_known_free")
            }
            Some("malloc_any_allocate" | "malloc_any_free") => {
                drive(malloc_any_allocate, malloc_any_free, times);
            }
            Some("malloc_known_allocate" | "malloc_known_free") => {
                drive(malloc_known_allocate, malloc_known_free, times);
            }
            Some(_) => {
                eprintln!("counts: there is no such operation; without arguments all are listed");
                return ExitCode::from(2);
            }
        }
        ExitCode::SUCCESS
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]
fn main() -> std::process::ExitCode {
    probe::run()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu")))]
fn main() {}
