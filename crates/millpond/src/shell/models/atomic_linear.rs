//! Models of the shared bump arena.

use core::alloc::Layout;

use crate::{
    Allocator, Heap, Inspect,
    base::atomic::model::{Arc, check, thread},
    shell::AtomicLinear,
    sync::models::Cells,
};

const WORD: Layout = Layout::new::<u64>();

/// Two threads carve a block each; one frees its own, which the other may get.
#[test]
fn freed_bytes_are_carved_again() {
    check(3, || {
        let arena = Arc::new(AtomicLinear::new());
        let first = arena.allocate(WORD).expect("the heap has a page").cast::<u8>();
        assert_eq!(arena.stats().chunks, 1);
        let cells = Arc::new(Cells::<3>::new());
        let cut = move |arena: &AtomicLinear, cells: &Cells<3>, address: usize| {
            let block = arena.allocate(WORD).expect("the page has room").cast::<u8>();
            cells.touch((block.addr().get() - address) / 8);
            block
        };
        let address = first.addr().get();
        let other = {
            let (arena, cells) = (Arc::clone(&arena), Arc::clone(&cells));
            thread::spawn(move || {
                let block = cut(&arena, &cells, address);
                // SAFETY: the block was just carved.
                unsafe { arena.deallocate(block, WORD) };
            })
        };
        cut(&arena, &cells, address);
        other.join().expect("no panic");
        arena.check().expect("sound");
    });
}

/// Two threads find no room at the same moment.
#[test]
fn two_threads_append_chunks() {
    check(2, || {
        let arena = Arc::new(AtomicLinear::new_in(Heap).with_capacity(8));
        let first = arena.allocate(WORD).expect("the heap has a few bytes").addr();
        assert_eq!(arena.stats().chunks, 1);
        let other = Arc::clone(&arena);
        let cut = |arena: &AtomicLinear| arena.allocate(WORD).expect("the heap has a few bytes").addr();
        let other = thread::spawn(move || cut(&other));
        let blocks = [first, cut(&arena), other.join().expect("no panic")];
        assert!(blocks[0] != blocks[1] && blocks[0] != blocks[2] && blocks[1] != blocks[2]);
        arena.check().expect("sound");
    });
}
