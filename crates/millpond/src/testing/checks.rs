//! Checks of the contract of [`Allocator`], one per sentence.
//!
//! Each check gets an allocator of its own, as a trait object: that this is possible is part of the contract. It
//! requests a few blocks of up to a given layout, all of which must be served.

use core::{alloc::Layout, ptr::NonNull};
use std::{boxed::Box, eprintln, vec::Vec};

use super::oracle::Oracle;
use crate::traits::{Allocation, Allocator};

/// A check of an allocator that serves blocks of up to this layout.
type Check = fn(&dyn Allocator, Layout);

/// All checks, with their names.
pub(super) const ALL: &[(&str, Check)] = &[
    ("requests_of_no_bytes_touch_nothing", requests_of_no_bytes_touch_nothing),
    ("blocks_of_no_bytes_grow_and_blocks_shrink_to_none", blocks_of_no_bytes_grow_and_blocks_shrink_to_none),
    ("blocks_are_as_aligned_as_asked", blocks_are_as_aligned_as_asked),
    ("every_byte_returned_is_the_holders", every_byte_returned_is_the_holders),
    ("growing_and_shrinking_keep_the_contents", growing_and_shrinking_keep_the_contents),
    ("resizing_may_raise_the_alignment", resizing_may_raise_the_alignment),
    ("resizing_in_place_moves_nothing", resizing_in_place_moves_nothing),
    ("zeroed_blocks_are_zero_where_others_were", zeroed_blocks_are_zero_where_others_were),
    ("grow_zeroed_clears_the_excess", grow_zeroed_clears_the_excess),
    ("any_size_that_fits_may_be_freed", any_size_that_fits_may_be_freed),
    ("impossible_sizes_are_refused", impossible_sizes_are_refused),
    ("a_failed_resize_leaves_the_block", a_failed_resize_leaves_the_block),
    ("allocate_between_gives_at_least_the_least", allocate_between_gives_at_least_the_least),
    ("a_block_comes_back_whole_from_its_first_byte", a_block_comes_back_whole_from_its_first_byte),
    ("exhaustion_keeps_live_blocks", exhaustion_keeps_live_blocks),
];

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the checks' layouts exist")
}

/// Returns the size of `largest`, divided by `divisor`.
fn part(largest: Layout, divisor: usize) -> usize {
    (largest.size() / divisor).max(1)
}

/// Returns every alignment up to that of `largest`.
fn alignments(largest: Layout) -> impl Iterator<Item = usize> {
    (0..=largest.align().trailing_zeros()).map(|log2| 1 << log2)
}

/// Allocates a block, which must succeed.
fn take(allocator: &dyn Allocator, layout: Layout) -> NonNull<[u8]> {
    allocator.allocate(layout).unwrap_or_else(|error| panic!("{layout:?} was refused: {error}"))
}

fn bytes<'a>(block: NonNull<[u8]>) -> &'a [u8] {
    // SAFETY: the checks read only live blocks that they have written to, or that must be zero.
    unsafe { block.as_ref() }
}

fn requests_of_no_bytes_touch_nothing(allocator: &dyn Allocator, _: Layout) {
    for align in [1, 8, 64, 4096, 1 << 20] {
        let nothing = layout(0, align);
        for block in [allocator.allocate(nothing), allocator.allocate_zeroed(nothing)] {
            let block = block.unwrap_or_else(|error| panic!("{nothing:?} was refused: {error}"));
            assert_eq!((block.addr().get(), block.len()), (align, 0), "not a block of no bytes");
            // SAFETY: the block is live and was requested with this layout.
            unsafe {
                allocator.deallocate(block.cast(), nothing);
                let grown = allocator.grow(block.cast(), nothing, layout(0, 2 * align));
                assert_eq!(grown.map(|block| (block.addr().get(), block.len())), Ok((2 * align, 0)));
            }
        }
    }
}

fn blocks_of_no_bytes_grow_and_blocks_shrink_to_none(allocator: &dyn Allocator, largest: Layout) {
    let (none, some) = (layout(0, 32), layout(part(largest, 2), 1));
    let block = take(allocator, none);
    // SAFETY: each block is live, and the layouts are those it has in turn.
    unsafe {
        let grown = allocator.grow_zeroed(block.cast(), none, some).expect("a block of no bytes grows");
        assert!(grown.len() >= some.size(), "{} bytes for {some:?}", grown.len());
        assert!(bytes(grown).iter().all(|&byte| byte == 0), "grown from no bytes, and not zero");
        let gone = allocator.shrink(grown.cast(), some, none).expect("a block shrinks to no bytes");
        assert_eq!((gone.addr().get(), gone.len()), (32, 0), "not a block of no bytes");
        allocator.deallocate(gone.cast(), none);
    }
}

fn blocks_are_as_aligned_as_asked(allocator: &dyn Allocator, largest: Layout) {
    let mut oracle = Oracle::new(allocator);
    for align in alignments(largest) {
        // Several blocks, so that not all are aligned by chance.
        for size in [1, part(largest, 2), largest.size()] {
            oracle.allocate(layout(size, align), false).expect("within what it serves");
        }
        while oracle.count() > 6 {
            oracle.deallocate(oracle.count() - 1, 0);
        }
    }
    for align in (12..20).map(|log2| 1 << log2) {
        // The allocator may refuse these; the oracle checks those that it serves.
        let _ = oracle.allocate(layout(1, align), false);
    }
}

fn every_byte_returned_is_the_holders(allocator: &dyn Allocator, largest: Layout) {
    let mut oracle = Oracle::new(allocator);
    // The oracle writes to every byte that is returned, and checks whether a neighbour did.
    for divisor in [1, 2, 3, 5, 8] {
        oracle.allocate(layout(part(largest, divisor), 1), false).expect("within what it serves");
    }
    while oracle.count() != 0 {
        oracle.deallocate(oracle.count() / 2, 0);
    }
}

fn growing_and_shrinking_keep_the_contents(allocator: &dyn Allocator, largest: Layout) {
    let mut oracle = Oracle::new(allocator);
    let sizes = [8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 5, 8].map(|divisor| part(largest, divisor));
    oracle.allocate(layout(sizes[0], 1), false).expect("within what it serves");
    for size in sizes {
        oracle.resize(0, layout(size, 1), false).expect("within what it serves");
    }
    let sizes = [part(largest, 8), part(largest, 8) + 1, part(largest, 8) + 2, 1, 2];
    for size in sizes.map(|size| size.min(largest.size())) {
        oracle.resize(0, layout(size, 1), true).expect("within what it serves");
    }
}

fn resizing_may_raise_the_alignment(allocator: &dyn Allocator, largest: Layout) {
    let mut oracle = Oracle::new(allocator);
    let old = layout(part(largest, 4), 1);
    for new in [largest.size(), old.size(), part(largest, 8)] {
        for _ in 0..3 {
            // A spacer, so that not all blocks are aligned by chance.
            oracle.allocate(layout(1, 1), false).expect("within what it serves");
            oracle.allocate(old, false).expect("within what it serves");
            let index = oracle.count() - 1;
            oracle.resize(index, layout(new, largest.align()), false).expect("within what it serves");
            while oracle.count() != 0 {
                oracle.deallocate(oracle.count() - 1, 0);
            }
        }
    }
}

fn resizing_in_place_moves_nothing(allocator: &dyn Allocator, largest: Layout) {
    let (small, large) = (layout(part(largest, 4), 1), layout(part(largest, 2), 1));
    let block = take(allocator, small);
    // SAFETY: each block is live, and the layouts are those it has in turn.
    unsafe {
        block.cast::<u8>().write_bytes(0x5a, block.len());
        let grown = allocator.grow_in_place(block.cast(), small, large);
        let now = grown.map_or(small, |grown| {
            assert_eq!(grown.cast::<u8>(), block.cast(), "it moved");
            assert!(grown.len() >= large.size(), "{} bytes for {large:?}", grown.len());
            large
        });
        assert!(bytes(block)[..small.size()].iter().all(|&byte| byte == 0x5a), "contents lost");
        let shrunk = allocator.shrink_in_place(block.cast(), now, layout(1, 1));
        let now = shrunk.map_or(now, |shrunk| {
            assert_eq!(shrunk.cast::<u8>(), block.cast(), "it moved");
            layout(1, 1)
        });
        assert_eq!(block.cast::<u8>().read(), 0x5a, "contents lost");
        allocator.deallocate(block.cast(), now);
    }
}

fn zeroed_blocks_are_zero_where_others_were(allocator: &dyn Allocator, largest: Layout) {
    for size in [part(largest, 4), part(largest, 2), largest.size()] {
        let layout = layout(size, 1);
        let dirty = [(); 3].map(|()| take(allocator, layout));
        for block in dirty.into_iter().rev() {
            // SAFETY: the block is live and was requested with this layout.
            unsafe {
                block.cast::<u8>().write_bytes(0xff, block.len());
                allocator.deallocate(block.cast(), layout);
            }
        }
        let clean = [(); 3].map(|()| allocator.allocate_zeroed(layout).expect("within what it serves"));
        for block in clean.into_iter().rev() {
            assert!(bytes(block).iter().all(|&byte| byte == 0), "a byte of {} is not zero", block.len());
            // SAFETY: as above.
            unsafe { allocator.deallocate(block.cast(), layout) };
        }
    }
}

fn grow_zeroed_clears_the_excess(allocator: &dyn Allocator, largest: Layout) {
    let old = layout(part(largest, 3), 1);
    let sizes = [old.size() + 1, part(largest, 2), largest.size()].map(|size| size.min(largest.size()));
    for new in sizes.map(|size| layout(size.max(old.size()), 1)) {
        let block = take(allocator, old);
        // SAFETY: each block is live, and the layouts are those it has in turn.
        unsafe {
            block.cast::<u8>().write_bytes(0xff, block.len());
            let grown = allocator.grow_zeroed(block.cast(), old, new).expect("within what it serves");
            let (kept, added) = bytes(grown).split_at(old.size());
            assert!(kept.iter().all(|&byte| byte == 0xff), "contents lost");
            assert!(added.iter().all(|&byte| byte == 0), "a byte of {} added is not zero", added.len());
            allocator.deallocate(grown.cast(), new);
        }
    }
}

fn any_size_that_fits_may_be_freed(allocator: &dyn Allocator, largest: Layout) {
    let asked = layout(part(largest, 3), 1);
    for round in 0..3 {
        let blocks = [(); 3].map(|()| take(allocator, asked));
        for block in blocks.into_iter().rev() {
            let size = asked.size() + (block.len() - asked.size()) * round / 2;
            // SAFETY: the block is live, and the size lies between what was requested and what was returned.
            unsafe { allocator.deallocate(block.cast(), layout(size, 1)) };
        }
    }
}

fn impossible_sizes_are_refused(allocator: &dyn Allocator, largest: Layout) {
    let huge = isize::MAX.cast_unsigned();
    let high = 1 << (usize::BITS - 2);
    let impossible =
        [layout(huge, 1), layout(huge & !4095, 4096), layout(huge / 2, high / 2), layout(1, high)];
    for impossible in impossible {
        refused_or_possible(allocator, allocator.allocate(impossible), impossible);
        refused_or_possible(allocator, allocator.allocate_between(impossible, usize::MAX), impossible);
    }
    if usize::BITS > 32 {
        let zeroed = impossible.map(|impossible| allocator.allocate_zeroed(impossible));
        assert!(zeroed.iter().all(Result::is_err), "one of {impossible:?} was served");
    } else {
        eprintln!(
            "SKIPPED: impossible_sizes_are_refused: zeroed, because half of all there is may be possible"
        );
    }
    let block = take(allocator, largest);
    // SAFETY: the block is live and was requested with this layout.
    unsafe { allocator.deallocate(block.cast(), largest) };
}

/// On 32-bit systems there may be a block that takes half of the address space.
fn possible_at_best(served: Layout) {
    if usize::BITS > 32 {
        panic!("{served:?} was served");
    }
}

/// Checks that a block that was served is as long as it claims.
fn refused_or_possible(allocator: &dyn Allocator, block: Allocation, layout: Layout) {
    let Ok(block) = block else { return };
    possible_at_best(layout);
    let (size, start) = (layout.size(), block.cast::<u8>());
    assert!(start.addr().get().is_multiple_of(layout.align()), "misaligned for {layout:?}");
    assert!(block.len() >= size, "{} bytes for {layout:?}", block.len());
    let whole = self::layout(block.len(), layout.align());
    // SAFETY: the block is live and has that length; if anything was preferred, all of it was.
    unsafe {
        start.add(size - 1).write(2);
        start.write(1);
        allocator.deallocate(start, whole);
    }
}

fn a_failed_resize_leaves_the_block(allocator: &dyn Allocator, largest: Layout) {
    let (old, impossible) = (layout(part(largest, 2), 1), layout(isize::MAX.cast_unsigned(), 1));
    let block = take(allocator, old).cast::<u8>();
    // SAFETY: the block is live with the layout `old`, or with the other one if it was resized.
    unsafe {
        block.write_bytes(0x5a, old.size());
        if let Ok(grown) = allocator.grow(block, old, impossible) {
            possible_at_best(impossible);
            eprintln!("SKIPPED: a_failed_resize_leaves_the_block, because resizing did not fail");
            return allocator.deallocate(grown.cast(), impossible);
        }
        if usize::BITS > 32 {
            assert!(allocator.grow_zeroed(block, old, impossible).is_err(), "{impossible:?} was served");
        }
        let kept = NonNull::slice_from_raw_parts(block, old.size());
        assert!(bytes(kept).iter().all(|&byte| byte == 0x5a), "resizing {old:?} failed, and lost contents");
        allocator.deallocate(block, old);
    }
}

fn allocate_between_gives_at_least_the_least(allocator: &dyn Allocator, largest: Layout) {
    let least = layout(part(largest, 4), 1);
    for preferred in [0, least.size(), largest.size(), 100 * largest.size()] {
        let block = allocator.allocate_between(least, preferred).expect("within what it serves");
        assert!(block.len() >= least.size(), "{} bytes for {least:?}", block.len());
        // The smallest size with which the block may be freed: see the contract.
        let size = preferred.max(least.size()).min(block.len());
        // SAFETY: the block is live, `size` fits it, and every byte of it may be used.
        unsafe {
            block.cast::<u8>().write_bytes(0xff, size);
            allocator.deallocate(block.cast(), layout(size, 1));
        }
    }
}

/// An owner such as `Box<T>` only uses `size_of::<T>()` bytes; the next one may need all of them.
fn a_block_comes_back_whole_from_its_first_byte(allocator: &dyn Allocator, largest: Layout) {
    let one = layout(1, 1);
    let block = take(allocator, one);
    // SAFETY: the block is live and at least a byte long, and was requested with this layout.
    unsafe {
        let first: &mut u8 = block.cast::<u8>().as_mut();
        *first = 7;
        allocator.deallocate(NonNull::from(first), one);
    }
    let mut oracle = Oracle::new(allocator);
    for size in [1, part(largest, 2), largest.size()] {
        oracle.allocate(layout(size, 1), false).expect("within what it serves");
    }
}

/// Allocates blocks until there are none, or very many; live blocks stay intact.
fn exhaustion_keeps_live_blocks(allocator: &dyn Allocator, largest: Layout) {
    let mut oracle = Oracle::new(allocator);
    let mut taken = 0;
    while taken < 2000 && oracle.allocate(layout(part(largest, 2), 1), false).is_ok() {
        taken += 1;
    }
    assert!(taken > 2, "only {taken} blocks of half of what it serves");
    while oracle.count() != 0 {
        oracle.deallocate(oracle.count() - 1, 0);
    }
    oracle.allocate(layout(part(largest, 2), 1), false).expect("what was freed is there again");
}

/// Not one of [`ALL`], because it needs the allocator by value.
pub(super) fn blocks_stay_where_they_are_when_the_allocator_moves<A: Allocator>(
    allocator: A,
    largest: Layout,
) {
    let layouts = [1, 2, 4].map(|divisor| layout(part(largest, divisor), 1));
    let blocks: Vec<NonNull<[u8]>> = layouts.iter().map(|&layout| take(&allocator, layout)).collect();
    for block in &blocks {
        // SAFETY: the block is live.
        unsafe { block.cast::<u8>().write_bytes(0x5a, block.len()) };
    }
    let moved = Box::new(allocator);
    let more = take(&moved, layouts[0]);
    // SAFETY: each block is live and was requested with this layout.
    unsafe {
        more.cast::<u8>().write_bytes(0xff, more.len());
        moved.deallocate(more.cast(), layouts[0]);
    }
    for (&block, &layout) in blocks.iter().zip(&layouts).rev() {
        assert!(bytes(block).iter().all(|&byte| byte == 0x5a), "contents lost when the allocator moved");
        // SAFETY: as above.
        unsafe { moved.deallocate(block.cast(), layout) };
    }
}
