//! A range that is reserved once: chunks lie back to back, all of it is used, and memory is given back.

use std::{alloc::Layout, collections::BTreeSet, mem::MaybeUninit, thread};

use millpond::{
    AllocError, Allocator, Blocks, Buffer, Classes, Fixed, Inspect, Linear, Local, Locked, Pages,
    StaticBuffer, source::ReservedRegion,
};

use crate::{oracle::Oracle, pages::workout};

const BLOCK: Layout = Layout::new::<[usize; 64 / size_of::<usize>()]>();

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("a layout")
}

fn reserve(pages: usize) -> ReservedRegion {
    ReservedRegion::new(pages * Pages::size()).expect("addresses are plenty")
}

#[test]
fn pool_uses_the_range_to_the_last_page() {
    for pages in [1, 2, 3, 100, 1001] {
        let range = reserve(pages);
        let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &range);
        let mut numbers = BTreeSet::new();
        while let Ok(block) = pool.allocate(BLOCK) {
            let offset = range.offset_of(block.as_ptr().cast()).expect("the block lies in the range");
            assert!(numbers.insert(offset / 64), "two blocks have the number {}", offset / 64);
        }
        assert_eq!((pool.stats().held, range.used()), (range.size(), range.size()), "{pages} pages");
        assert_eq!(pool.stats().free, 0);
        // Every chunk except the first begins with a header, and may have a remainder at its end.
        let most = range.size() / 64;
        assert!((most - pool.stats().chunks..=most).contains(&numbers.len()), "{} of {most}", numbers.len());
        drop(pool);
        assert_eq!(range.used(), 0, "chunks come back from the newest to the oldest");
    }
}

#[test]
fn chunks_lie_back_to_back() {
    let range = reserve(1000);
    let mut end = range.start().addr().get();
    for size in [1, 4096, 4097, 100_000, 64] {
        let chunk = range.allocate_between(layout(size, 16), 2 * size).expect("the range has room");
        assert_eq!(chunk.addr().get(), end);
        end += chunk.len();
    }
    assert_eq!(range.used(), end - range.start().addr().get());
    let rest = range.allocate_between(layout(1, 1), usize::MAX).expect("there is a rest");
    assert_eq!((rest.addr().get(), range.used()), (end, range.size()));
    assert_eq!(range.allocate(layout(1, 1)), Err(AllocError::Exhausted));
}

#[test]
fn memory_freed_at_the_end_is_reused_and_zero() {
    let range = reserve(16);
    let [first, second, third] =
        [(); 3].map(|()| range.allocate(layout(5000, 8)).expect("the range has room"));
    let page = Pages::size();
    let sizes = layout(5000, 8);
    let whole = 5000_usize.next_multiple_of(page);
    // SAFETY: the blocks are live, `whole` bytes long, and freed once.
    unsafe {
        third.cast::<u8>().write_bytes(9, whole);
        range.deallocate(third.cast(), sizes);
        assert_eq!(range.used(), 2 * whole);
        let again = range.allocate_zeroed(sizes).expect("the range has room");
        assert_eq!(again, third);
        assert!(again.as_ref().iter().all(|&byte| byte == 0), "what comes back has lost its contents");
        range.deallocate(first.cast(), sizes);
        range.deallocate(again.cast(), sizes);
        assert_eq!(range.used(), 2 * whole, "the first block was not the last: its addresses stay spent");
        range.deallocate(second.cast(), sizes);
        assert_eq!(range.used(), whole);
    }
}

#[test]
fn last_block_is_resized_in_place() {
    let range = reserve(100);
    let page = Pages::size();
    let (small, large) = (layout(page + 5, 8), layout(50 * page, 8));
    let block = range.allocate(small).expect("the range has room");
    // SAFETY: the block is live with the layout that it is resized with.
    unsafe {
        block.cast::<u8>().write_bytes(3, block.len());
        let grown = range.grow_zeroed(block.cast(), small, large).expect("the range has room");
        assert_eq!((grown.cast::<u8>(), grown.len(), range.used()), (block.cast(), 50 * page, 50 * page));
        let (kept, fresh) = grown.as_ref().split_at(small.size());
        assert!(kept.iter().all(|&byte| byte == 3) && fresh.iter().all(|&byte| byte == 0));
        let too_large = range.grow_in_place(grown.cast(), large, layout(101 * page, 8));
        assert_eq!(too_large, Err(AllocError::InPlace));
        let shrunk = range.shrink(grown.cast(), large, small).expect("shrinking needs nothing");
        assert_eq!((shrunk.cast::<u8>(), shrunk.len(), range.used()), (block.cast(), 2 * page, 2 * page));
        range.allocate(small).expect("the range has room");
        assert_eq!(
            range.grow_in_place(shrunk.cast(), small, large),
            Err(AllocError::InPlace),
            "not the last"
        );
        let moved = range.grow(shrunk.cast(), small, large).expect("the range has room");
        assert!(moved.as_ref()[..small.size()].iter().all(|&byte| byte == 3));
    }
}

#[test]
fn threads_share_a_range() {
    let range = ReservedRegion::new(256 << 20).expect("addresses are plenty");
    thread::scope(|scope| {
        for seed in 0..4 {
            let range = &range;
            scope.spawn(move || workout(range, 200_000, seed));
        }
    });
}

#[test]
fn any_pool_works_on_a_range() {
    for seed in 0..4 {
        workout(Local::new_in(Linear::new(), reserve(5000)), 20_000, seed);
        workout(Local::new_in(Classes::new(), reserve(5000)), 20_000, seed);
        workout(Locked::<_, _>::new_in(Classes::new(), reserve(50)), 20_000, seed);
        workout(reserve(3000), 100_000, seed);
    }
}

#[test]
fn trim_gives_memory_back() {
    let range = reserve(500);
    let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &range);
    let mut oracle = Oracle::new(&pool);
    while oracle.allocate(BLOCK, false).is_ok() {}
    drop(oracle);
    pool.check().expect("sound when full and freed");
    assert!(pool.trim() > 0);
    pool.check().expect("sound after a trim");
    assert_eq!((range.used(), pool.stats().held), (0, 0));
    pool.allocate(BLOCK).expect("and it grows again");
}

#[test]
fn empty_range_is_refused() {
    assert_eq!(ReservedRegion::new(0).err(), Some(AllocError::Unsupported));
    assert_eq!(ReservedRegion::new(usize::MAX).err(), Some(AllocError::Unsupported));
    let range = reserve(1);
    assert_eq!(range.offset_of(range.start().as_ptr().wrapping_sub(1)), None);
    assert_eq!(range.offset_of(range.start().as_ptr().wrapping_add(range.size())), None);
    assert_eq!(range.allocate(layout(1, 2 * Pages::huge_size())).is_err(), !is_aligned(&range));
}

fn is_aligned(range: &ReservedRegion) -> bool {
    range.start().addr().get().is_multiple_of(2 * Pages::huge_size())
}

#[test]
fn last_block_of_a_buffer_is_resized_in_place() {
    let mut memory = [MaybeUninit::uninit(); 100];
    check_resizing(Buffer::new(&mut memory));
    static MEMORY: StaticBuffer<100> = StaticBuffer::new();
    check_resizing(&MEMORY);
}

/// A region of 100 bytes.
fn check_resizing(buffer: impl Allocator) {
    let bytes = |size| layout(size, 1);
    let first = buffer.allocate(bytes(20)).expect("room for 20");
    // SAFETY: each block is live with the layout that it is resized with.
    unsafe {
        let grown = buffer.grow(first.cast(), bytes(20), bytes(60)).expect("room for 60");
        assert_eq!((grown.cast::<u8>(), grown.len()), (first.cast(), 60));
        assert_eq!(buffer.grow_in_place(grown.cast(), bytes(60), bytes(101)), Err(AllocError::InPlace));
        let shrunk = buffer.shrink(grown.cast(), bytes(60), bytes(30)).expect("shrinking needs nothing");
        assert_eq!((shrunk.cast::<u8>(), shrunk.len()), (first.cast(), 30));
        let rest = buffer.allocate(bytes(70)).expect("what was cut off is there again");
        assert_eq!(buffer.grow_in_place(shrunk.cast(), bytes(30), bytes(31)), Err(AllocError::InPlace));
        assert_eq!(buffer.grow(shrunk.cast(), bytes(30), bytes(31)), Err(AllocError::Exhausted));
        let inner = buffer.shrink(shrunk.cast(), bytes(30), bytes(10)).expect("not the last, but it shrinks");
        assert_eq!(inner.len(), 10);
        buffer.deallocate(rest.cast(), bytes(70));
    }
    workout(&buffer, 60, 1);
}
