//! A WebAssembly module whose memory comes from pools: `String` and `Vec` through the global allocator, values through
//! typed pools, and all of it from pages that `memory.grow` adds.
//!
//! `run.mjs` loads it under node and prints its output.

use std::alloc::Layout;

use millpond::{
    Allocator, Blocks, Classes, Fixed, Inspect, Local, Locked, Pool, Tlsf, interop::Global,
    source::WasmPages, testing::Conformance,
};

#[global_allocator]
static GLOBAL: Global<Locked<Classes, WasmPages>> = Global(Locked::new_in(Classes::new(), WasmPages));

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Prints a line of text.
    fn print(text: *const u8, length: usize);
}

fn say(text: &str) {
    // SAFETY: the pointer and the length are those of one string, and the host only reads it.
    unsafe { print(text.as_ptr(), text.len()) };
}

/// The entry point that the host calls.
#[unsafe(no_mangle)]
pub extern "C" fn run() {
    global();
    typed();
    reused();
    tested();
    refused();
}

/// Uses strings and vectors of the module.
fn global() {
    let numbers: Vec<u32> = (0..1000).collect();
    let ours = GLOBAL.0.owns(numbers.as_ptr().cast());
    say(&format!("a vector of {} numbers lies in the pool: {ours}", numbers.len()));
}

/// Uses a pool of values: growing it takes pages, freeing and allocating again takes none.
fn typed() {
    let pool = Pool::<[u64; 8]>::builder().parent(WasmPages).build();
    let mut values = Vec::with_capacity(10_000);
    let mut fill = || {
        let before = WasmPages::count();
        values.extend((0..10_000).map(|number| pool.alloc([number; 8])));
        let sum: u64 = values.drain(..).map(|value| value[7]).sum();
        (WasmPages::count() - before, sum)
    };
    let (first, again) = (fill(), fill());
    say(&format!("10,000 values of 64 bytes, which add up to {}: {} pages more", first.1, first.0));
    say(&format!("freed, and 10,000 again: {} pages more", again.0));
}

/// Memory never shrinks, so memory that pools release must be kept by another pool below them.
fn reused() {
    let below = Local::new_in(Tlsf::new(), WasmPages);
    let mut grown = Vec::new();
    for _ in 0..5 {
        let before = WasmPages::count();
        let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &below);
        for _ in 0..1000 {
            pool.allocate(Layout::new::<[u64; 8]>()).expect("there is a megabyte");
        }
        grown.push(WasmPages::count() - before);
    }
    say(&format!("five pools, one after the other, on a pool: {grown:?} pages more"));
}

/// A request for more memory than there is returns an error. A 32-bit module has at most four gigabytes.
fn refused() {
    let layout = Layout::array::<u8>(1 << 30).expect("a gigabyte is less than half of all addresses");
    let mut gigabytes = 0;
    let error = loop {
        match WasmPages.allocate(layout) {
            Ok(_) => gigabytes += 1,
            Err(error) => break error,
        }
    };
    say(&format!("{gigabytes} gigabytes; one more: {error}"));
}

/// Runs the library's own tests of allocators.
fn tested() {
    Conformance::of(|| WasmPages).sequences(1, 100).run();
    Conformance::of(|| Local::new_in(Tlsf::new(), WasmPages))
        .inspected()
        .reclaimed()
        .sequences(1, 1000)
        .run();
    say("the contract is kept, by the pages and by a pool on them");
}
