//! The buddy system beside the crate `buddy_system_allocator`: replacing random blocks of mixed sizes.
//!
//! Both get the same 32 MiB at once.

use std::{alloc::Layout, ptr::NonNull};

use buddy_system_allocator::Heap;
use millpond::{Buddy, Buffer, Owned};

use crate::{
    harness::{Runner, compare},
    report::Mix,
    variable::{GLIBC, Shared, Variable, address, pairs, replace},
};

const MEMORY: usize = 32 << 20;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "buddy",
        what: "replace a random one of 20,000 live blocks of 8 to 1,024 bytes",
        run: || compare(mixed),
    },
    Mix {
        name: "buddy-pair",
        what: "halve 32 MiB, which are all free, down to 16 bytes, free these",
        run: || compare(pair),
    },
];

impl Variable for Heap<33> {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        address(self.alloc(layout))
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, and the block is not null.
        unsafe { self.dealloc(NonNull::new_unchecked(block), layout) }
    }
}

/// So much memory, on a boundary of 32 MiB, never freed.
fn memory(bytes: usize) -> &'static mut [std::mem::MaybeUninit<u8>] {
    let layout = Layout::from_size_align(bytes, MEMORY).expect("a layout");
    // SAFETY: the memory is fresh, as long as stated and never freed.
    unsafe { std::slice::from_raw_parts_mut(std::alloc::alloc(layout).cast(), bytes) }
}

pub fn theirs() -> Heap<33> {
    let memory = memory(MEMORY);
    let mut heap = Heap::empty();
    // SAFETY: the memory is nobody else's.
    unsafe { heap.init(memory.as_mut_ptr().addr(), MEMORY) };
    heap
}

fn parts(bytes: usize) -> (Buddy, Buffer<'static>) {
    (Buddy::new().first_chunk(bytes), Buffer::new(memory(bytes)))
}

/// A buddy with as much memory.
pub fn ours() -> Owned<Buddy, Buffer<'static>> {
    let (pool, below) = parts(MEMORY);
    Owned::new_in(pool, below)
}

fn mixed() -> Vec<Runner> {
    let ((owned, below), (local, beneath)) = (parts(MEMORY), parts(MEMORY));
    vec![
        replace::<false>("buddy_system_allocator", theirs(), 20_000, 8..=1024),
        replace::<false>("Owned<Buddy>", Owned::new_in(owned, below), 20_000, 8..=1024),
        replace::<false>("Local<Buddy>", Shared::new(local, beneath), 20_000, 8..=1024),
        replace::<false>("glibc", GLIBC, 20_000, 8..=1024),
    ]
}

fn pair() -> Vec<Runner> {
    // Our state lies in the chunk: with room for it, one bit per 16 bytes and 64 bytes, a block of 32 MiB is left.
    let (owned, below) = parts(MEMORY + MEMORY / 128 + 64);
    vec![
        pairs("buddy_system_allocator", theirs(), 16..=16),
        pairs("Owned<Buddy>", Owned::new_in(owned, below), 16..=16),
    ]
}
