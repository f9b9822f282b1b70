//! Promises beyond the contract that `conformance` tests: which error is returned, and which blocks stay in place.

use std::{alloc::Layout, cell::Cell, ptr::NonNull};

use millpond::{
    AllocError, Allocator, Blocks, Cached, Classes, Fixed, Heap, Inspect, Linear, Local, LockFree, Locked,
    Stack, Tlsf,
    guard::{Checked, Fallback, Segregator},
    raw::Allocation,
    shell::AtomicLinear,
    source::NullAllocator,
};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tests' layouts exist")
}

#[test]
fn null_allocator_serves_zero_bytes() {
    let nothing = layout(0, 64);
    let block = NullAllocator.allocate(nothing).expect("zero bytes always exist");
    assert_eq!((block.addr().get(), block.len()), (64, 0));
    // SAFETY: the block is live, and the layout is its own.
    unsafe { NullAllocator.deallocate(block.cast(), nothing) };
}

#[test]
fn errors_are_temporary_or_permanent() {
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), NullAllocator);
    assert_eq!(pool.allocate(layout(64, 8)), Err(AllocError::Exhausted));
    assert_eq!(pool.allocate(layout(65, 8)), Err(AllocError::Unsupported));
    assert_eq!(pool.allocate(layout(8, 16)), Err(AllocError::Unsupported));
    let errors =
        [AllocError::Exhausted, AllocError::Unsupported, AllocError::Os(12)].map(|error| error.to_string());
    assert!(errors[2].contains("12") && errors[0] != errors[1]);
}

#[test]
fn resizing_in_place() {
    let pool = Local::new(Blocks::<Fixed<64>>::new());
    let block = pool.allocate(layout(10, 8)).expect("the heap has room").cast::<u8>();
    let classes = Local::new(Classes::new());
    let in_class = classes.allocate(layout(97, 8)).expect("the heap has room").cast::<u8>();
    let arena = Local::new(Linear::with_capacity(4096));
    let first = arena.allocate(layout(10, 1)).expect("the heap has room").cast::<u8>();
    // SAFETY: each block is live and has these layouts in turn.
    unsafe {
        assert_eq!(pool.grow(block, layout(10, 8), layout(64, 8)).map(NonNull::cast), Ok(block));
        assert_eq!(pool.shrink(block, layout(64, 8), layout(1, 8)).map(NonNull::cast), Ok(block));
        assert_eq!(classes.grow(in_class, layout(97, 8), layout(112, 8)).map(NonNull::cast), Ok(in_class));
        let another_class = classes.grow_in_place(in_class, layout(112, 8), layout(113, 8));
        assert_eq!(another_class, Err(AllocError::InPlace));
        assert_eq!(arena.grow(first, layout(10, 1), layout(1000, 1)).map(NonNull::cast), Ok(first));
        let second = arena.allocate(layout(10, 1)).expect("the heap has room").cast::<u8>();
        assert_eq!(second.addr().get(), first.addr().get() + 1000);
        let not_the_last = arena.grow_in_place(first, layout(1000, 1), layout(1001, 1));
        assert_eq!(not_the_last, Err(AllocError::InPlace));
        assert_eq!(arena.shrink(first, layout(1000, 1), layout(5, 1)).map(NonNull::cast), Ok(first));
    }
}

/// Whichever way a pool is held: if a block cannot be resized in place, the error is `InPlace`, not "never served".
#[test]
fn no_room_in_place_is_its_own_error() {
    fn refused(pool: &impl Allocator) {
        let block = pool.allocate(layout(64, 8)).expect("there is room").cast::<u8>();
        // SAFETY: the block is live, and of this layout.
        unsafe {
            let grown = pool.grow_in_place(block, layout(64, 8), layout(100_000, 8));
            assert_eq!(grown, Err(AllocError::InPlace));
            let moved = pool.grow_in_place(block, layout(64, 8), layout(64, 1 << 30));
            assert_eq!(moved, Err(AllocError::InPlace));
            let nothing = pool.shrink_in_place(block, layout(64, 8), layout(0, 8));
            assert_eq!(nothing, Err(AllocError::InPlace));
            pool.deallocate(block, layout(64, 8));
        }
    }
    refused(&Local::new(Blocks::<Fixed<64>>::new()));
    refused(&Locked::<_>::new(Tlsf::new()));
    refused(&Cached::new(Classes::new()));
    refused(&LockFree::<Fixed<64>>::new());
    refused(&AtomicLinear::new());
    refused(&Checked::new(Local::new(Stack::new())));
    let few = Local::new_in(Blocks::<Fixed<64>>::new(), NullAllocator);
    refused(&Fallback::new(few, Heap));
    refused(&Segregator::new(100, Local::new(Blocks::<Fixed<100, 8>>::new()), Heap));
}

#[test]
fn foreign_addresses_are_not_owned() {
    let pool = Local::new(Blocks::<Fixed<64>>::new());
    let block = pool.allocate(layout(64, 8)).expect("the heap has room");
    let end = block.as_ptr().cast::<u8>().wrapping_add(1 << (usize::BITS - 2));
    assert!(pool.owns(block.as_ptr().cast()));
    for foreign in
        [std::ptr::null(), std::ptr::dangling(), end.cast_const(), std::ptr::without_provenance(usize::MAX)]
    {
        assert!(!pool.owns(foreign), "{foreign:?}");
    }
}

/// A parent that counts requests for zeroed memory and otherwise hands out memory that is not zero.
#[derive(Default)]
struct Zeros(Cell<usize>);

// SAFETY: `Heap` upholds the contract.
unsafe impl Allocator for Zeros {
    fn allocate(&self, layout: Layout) -> Allocation {
        let block = Heap.allocate(layout)?;
        // SAFETY: the block was just handed out.
        unsafe { block.cast::<u8>().write_bytes(0xee, block.len()) };
        Ok(block)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.0.set(self.0.get() + 1);
        Heap.allocate_zeroed(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }
}

#[test]
fn parent_zeroes_what_passes_through() {
    let parent = Zeros::default();
    let pool = Local::new_in(Classes::new(), &parent);
    for (size, asked) in [(100, 0), (100_000, 1), (0, 1)] {
        let block = pool.allocate_zeroed(layout(size, 8)).expect("the heap has room");
        // SAFETY: the block is live, and every byte was written.
        assert!(unsafe { block.as_ref() }.iter().all(|&byte| byte == 0), "{size} bytes");
        assert_eq!(parent.0.get(), asked);
        // SAFETY: the block is live, and the layout is its own.
        unsafe { pool.deallocate(block.cast(), layout(size, 8)) };
    }
}
