//! Many small pools: how many bytes a pool of one small value takes, including the pool itself.

use std::{alloc::Layout, cell::Cell, ptr::NonNull};

use millpond::{Allocator, Arena, Blocks, Fixed, Heap, Linear, Local, Owned, Pool, Stack, raw::Allocation};

/// The heap, with a count of the bytes taken from it.
#[derive(Default)]
struct Scales(Cell<usize>);

// SAFETY: every block is the heap's, which upholds the contract.
unsafe impl Allocator for Scales {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.0.set(self.0.get() + layout.size());
        Heap.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.0.set(self.0.get() - layout.size());
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }

    fn is_fine_grained(&self) -> bool {
        true
    }
}

const BLOCK: Layout = Layout::new::<[u64; 8]>();

/// Returns the bytes of a pool with one block, including the pool itself.
fn with_one<A: Allocator>(scales: &Scales, pool: A) -> usize {
    pool.allocate(BLOCK).expect("the heap has room");
    size_of::<A>() + scales.0.get()
}

#[test]
fn pool_of_one_value() {
    let scales = Scales::default();
    assert!(with_one(&scales, Local::new_in(Blocks::<Fixed<64>>::new(), &scales)) <= 600);
    assert!(with_one(&scales, Local::new_in(Linear::new(), &scales)) <= 600);
    assert!(with_one(&scales, Local::new_in(Stack::new(), &scales)) <= 600);
    assert_eq!(scales.0.get(), 0);
    assert!(size_of::<Arena>() + 256 <= 600 && size_of::<Pool<u64>>() + 256 <= 600);
}

/// Bytes of collections with one value, including the collection itself.
#[cfg(target_pointer_width = "64")]
#[test]
fn collection_of_one_value() {
    use millpond::{SharedSlots, Slots};
    let scales = Scales::default();
    let mut slots = Slots::new_in(&scales);
    slots.insert([1u64; 8]);
    let bytes = size_of_val(&slots) + scales.0.get();
    assert!(bytes <= 920, "{bytes}");
    drop(slots);
    assert_eq!(scales.0.get(), 0);
    let shared = SharedSlots::<_, _>::new_in(&scales);
    shared.insert([1u64; 8]);
    let bytes = size_of_val(&shared) + scales.0.get();
    assert!(bytes <= 2048, "{bytes}");
}

/// However large a pool becomes, it has few chunks: each is twice as large as the one before.
#[test]
fn chunks_double() {
    let mut pool = Owned::new(Blocks::<Fixed<64>>::new());
    let mut sizes = Vec::new();
    for _ in 0..100_000 {
        pool.allocate(BLOCK).expect("the heap has room");
        let held = pool.stats().held - sizes.iter().sum::<usize>();
        if held != 0 {
            sizes.push(held);
        }
    }
    assert!(sizes.iter().enumerate().all(|(index, &size)| size == 256 << index), "{sizes:?}");
}

/// Where memory comes in pages, or is bounded, the first chunk is a page, or all there is.
#[test]
fn first_chunk_over_coarse_parents() {
    use millpond::{Pages, guard::Limit};
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Limit::bytes(Pages, 1 << 20));
    pool.allocate(BLOCK).expect("the system has pages");
    assert_eq!((pool.stats().chunks, pool.stats().held), (1, 4096));
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Limit::bytes(Heap, 1 << 20));
    pool.allocate(BLOCK).expect("the heap has room");
    assert_eq!((pool.stats().chunks, pool.stats().held), (1, 256));
}

/// The sizes are those of a machine with 64-bit addresses.
#[cfg(target_pointer_width = "64")]
#[test]
fn classes_and_thread_caches_of_one_value() {
    use millpond::{Cached, Classes};
    let scales = Scales::default();
    let classes = with_one(&scales, Local::new_in(Classes::new(), &scales));
    assert!(classes <= 2048, "{classes}");
    let _turn = crate::cached::alone();
    let cached = with_one(&scales, Cached::new_in(Blocks::<Fixed<64>>::new(), &scales));
    assert!(cached <= 8192, "{cached}");
    let cached = with_one(&scales, Cached::new_in(Classes::new(), &scales));
    assert!(cached <= 8192, "{cached}");
    assert_eq!(scales.0.get(), 0);
}
