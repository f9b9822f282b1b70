//! A program without a standard library: `Box`, `Vec` and `BTreeMap` allocate from a pool on a static buffer.
//!
//! It has no Rust `main` and no heap. C's startup code calls it, and C's `write` prints for it, so that it can run
//! here; on a machine without an operating system, the machine's own code would replace both, and nothing else would
//! change.

#![no_std]
#![no_main]

extern crate alloc;

use alloc::{boxed::Box, collections::BTreeMap, format, vec::Vec};
use core::{ffi::c_void, panic::PanicInfo};

use millpond::{Classes, Inspect, Locked, StaticBuffer, interop::Global};

/// All memory that this program can allocate.
type Memory = StaticBuffer<{ 64 << 10 }>;
static MEMORY: Memory = StaticBuffer::new();

#[global_allocator]
static GLOBAL: Global<Locked<Classes, &Memory>> = Global(Locked::new_in(Classes::new(), &MEMORY));

#[link(name = "c")]
unsafe extern "C" {
    fn write(file: i32, bytes: *const c_void, count: usize) -> isize;
    fn abort() -> !;
}

fn print(text: &str) {
    // SAFETY: the pointer and the length are those of one slice. A failure is ignored, because there is nowhere to
    // report it.
    unsafe { write(1, text.as_ptr().cast(), text.len()) };
}

/// Prints how much of the buffer is in use.
fn report(when: &str) {
    let stats = GLOBAL.0.stats();
    print(&format!(
        "{when}: {} bytes live, {} of {} taken\n",
        stats.live,
        MEMORY.stats().live,
        MEMORY.stats().held
    ));
}

#[unsafe(no_mangle)]
extern "C" fn main() -> i32 {
    report("at the start");
    let numbers: Vec<u64> = (1..=100).collect();
    let boxed = Box::new(numbers.iter().sum::<u64>());
    let mut birds = BTreeMap::new();
    for (number, name) in ["heron", "kingfisher", "moorhen", "bittern"].into_iter().enumerate() {
        birds.insert(name, number);
    }
    let last = birds.keys().next_back().unwrap_or(&"none");
    print(&format!("the sum of 1 to 100 is {boxed}; the last bird is the {last}\n"));
    report("with a vector, a box and a map");

    // A request beyond the buffer is refused; the program continues and nothing grows.
    let mut large = Vec::<u8>::new();
    print(&format!(
        "100,000 bytes more: {}\n",
        if large.try_reserve(100_000).is_ok() { "yes" } else { "refused" }
    ));

    drop((numbers, boxed, birds));
    report("all dropped");
    0
}

#[panic_handler]
fn panic(_: &PanicInfo) -> ! {
    print("a panic\n");
    // SAFETY: `abort` may be called at any time.
    unsafe { abort() }
}

/// The precompiled library `alloc` contains code for unwinding, which refers to these two symbols. Nothing unwinds in
/// this program, so they are never called.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// See [`rust_eh_personality`].
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    // SAFETY: `abort` may be called at any time.
    unsafe { abort() }
}
