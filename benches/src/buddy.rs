//! The buddy system beside the crate `buddy_system_allocator`: replacing random blocks of mixed sizes.
//!
//! Both get the same 32 MiB at once. What grows with the number of live blocks is shown beside malloc, so that cache misses,
//! which grow for everyone, can be told from the algorithm.

use std::{alloc::Layout, ptr::NonNull};

use buddy_system_allocator::Heap;
use millpond::{Allocator, Buddy, Buffer, Local, Owned};

use crate::harness::{Mix, Runner};

const MEMORY: usize = 32 << 20;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "buddy",
        what: "replace a random one of 20,000 live blocks of 8 to 1,024 bytes",
        runners: mixed,
    },
    Mix {
        name: "buddy-pair",
        what: "halve 32 MiB, which are all free, down to 16 bytes, free these",
        runners: pair,
    },
    Mix {
        name: "buddy-1e3",
        what: "replace a random one of 1,000 live blocks of 8 to 64 bytes",
        runners: growing::<1_000>,
    },
    Mix { name: "buddy-1e5", what: "the same of 100,000", runners: growing::<100_000> },
    Mix { name: "buddy-1e7", what: "the same of 10,000,000", runners: growing::<10_000_000> },
];

/// What takes and gives blocks of any size.
trait Variable {
    fn take(&mut self, layout: Layout) -> NonNull<u8>;
    /// # Safety
    /// The block was taken from here with this layout and is given back once.
    unsafe fn give(&mut self, block: NonNull<u8>, layout: Layout);
}

impl<A: Allocator> Variable for Owned<Buddy, A> {
    fn take(&mut self, layout: Layout) -> NonNull<u8> {
        self.allocate(layout).expect("there is more memory than the mix needs").cast()
    }

    unsafe fn give(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout) }
    }
}

impl<A: Allocator> Variable for Local<Buddy, A> {
    fn take(&mut self, layout: Layout) -> NonNull<u8> {
        self.allocate(layout).expect("there is more memory than the mix needs").cast()
    }

    unsafe fn give(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.deallocate(block, layout) }
    }
}

impl Variable for Heap<33> {
    fn take(&mut self, layout: Layout) -> NonNull<u8> {
        self.alloc(layout).expect("there is more memory than the mix needs")
    }

    unsafe fn give(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { self.dealloc(block, layout) }
    }
}

/// The system's malloc.
struct Glibc;

impl Variable for Glibc {
    fn take(&mut self, layout: Layout) -> NonNull<u8> {
        // SAFETY: any size will do.
        NonNull::new(unsafe { libc::malloc(layout.size()) }.cast()).expect("the system has memory")
    }

    unsafe fn give(&mut self, block: NonNull<u8>, _: Layout) {
        // SAFETY: the caller's promise.
        unsafe { libc::free(block.as_ptr().cast()) }
    }
}

/// So much memory, on a boundary of 32 MiB, never freed.
fn memory(bytes: usize) -> &'static mut [std::mem::MaybeUninit<u8>] {
    let layout = Layout::from_size_align(bytes, MEMORY).expect("a layout");
    // SAFETY: the memory is fresh, as long as stated and never freed.
    unsafe { std::slice::from_raw_parts_mut(std::alloc::alloc(layout).cast(), bytes) }
}

fn theirs() -> Heap<33> {
    let memory = memory(MEMORY);
    let mut heap = Heap::empty();
    // SAFETY: the memory is nobody else's.
    unsafe { heap.init(memory.as_mut_ptr().addr(), MEMORY) };
    heap
}

fn ours(bytes: usize) -> (Buddy, Buffer<'static>) {
    (Buddy::new().first_chunk(bytes), Buffer::new(memory(bytes)))
}

fn mixed() -> Vec<Runner> {
    let ((owned, below), (local, beneath)) = (ours(MEMORY), ours(MEMORY));
    vec![
        replace("buddy_system_allocator", theirs(), 20_000, 8..=1024),
        replace("Owned<Buddy>", Owned::new_in(owned, below), 20_000, 8..=1024),
        replace("Local<Buddy>", Local::new_in(local, beneath), 20_000, 8..=1024),
        replace("glibc", Glibc, 20_000, 8..=1024),
    ]
}

fn pair() -> Vec<Runner> {
    // Our state lies in the chunk: with room for it, one bit per 16 bytes and 64 bytes, a block of 32 MiB is left.
    let (owned, below) = ours(MEMORY + MEMORY / 128 + 64);
    vec![pairs("buddy_system_allocator", theirs()), pairs("Owned<Buddy>", Owned::new_in(owned, below))]
}

fn growing<const LIVE: usize>() -> Vec<Runner> {
    vec![
        replace("glibc", Glibc, LIVE, 8..=64),
        replace("Owned<Buddy>", Owned::new(Buddy::new()), LIVE, 8..=64),
    ]
}

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as usize * bound) >> 32
    }
}

fn pairs(name: &'static str, mut contender: impl Variable + 'static) -> Runner {
    let layout = Layout::new::<[u64; 2]>();
    let run = move |count| {
        for _ in 0..count {
            let block = std::hint::black_box(contender.take(layout));
            // SAFETY: the block was just taken.
            unsafe { contender.give(block, layout) };
        }
        count
    };
    Runner { name, run: Box::new(run) }
}

fn replace(
    name: &'static str,
    mut contender: impl Variable + 'static,
    live: usize,
    sizes: std::ops::RangeInclusive<usize>,
) -> Runner {
    let (least, span) = (*sizes.start(), sizes.end() - sizes.start() + 1);
    let (mut places, mut lengths) = (Random(1), Random(2));
    let mut layout = move || Layout::from_size_align(least + lengths.below(span), 8).expect("a layout");
    let mut blocks: Vec<_> = (0..live)
        .map(|_| {
            let layout = layout();
            (contender.take(layout), layout)
        })
        .collect();
    let run = move |count| {
        for _ in 0..count {
            let fresh = layout();
            let (block, old) =
                std::mem::replace(&mut blocks[places.below(live)], (contender.take(fresh), fresh));
            // SAFETY: the block was taken earlier and is given back once.
            unsafe { contender.give(block, old) };
        }
        count
    };
    Runner { name, run: Box::new(run) }
}
