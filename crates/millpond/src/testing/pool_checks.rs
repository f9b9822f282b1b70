//! Tests of allocators that can be inspected and reclaimed: shells, and guards around them.

use core::alloc::Layout;
use std::{println, vec::Vec};

use super::conformance::Conformance;
use crate::traits::Allocator;

/// The number of blocks to allocate, if there are as many.
const BLOCKS: usize = 100;

/// Runs the tests that apply.
pub(super) fn run<A: Allocator, F: Fn() -> A>(conformance: &Conformance<A, F>, largest: Layout) {
    if conformance.is_inspected() {
        println!("what_was_never_handed_out_is_not_owned");
        what_was_never_handed_out_is_not_owned(conformance, largest);
    }
    if conformance.resets() {
        println!("a_reset_makes_room_for_as_many_again");
        a_reset_makes_room_for_as_many_again(conformance, largest);
        println!("an_empty_allocator_is_trimmed_and_works_on");
        an_empty_allocator_is_trimmed_and_works_on(conformance, largest);
        println!("what_is_live_is_gone_with_the_allocator");
        what_is_live_is_gone_with_the_allocator(conformance, largest);
    }
}

/// Returns a layout that every pool serves itself: as small as its smallest blocks.
fn small(largest: Layout) -> Layout {
    Layout::from_size_align(largest.size().min(8), 1).expect("a byte or eight")
}

fn take<A: Allocator>(allocator: &A, layout: Layout) -> Vec<usize> {
    (0..BLOCKS).map_while(|_| allocator.allocate(layout).ok()).map(|block| block.addr().get()).collect()
}

fn what_was_never_handed_out_is_not_owned<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    largest: Layout,
) {
    let allocator = conformance.make();
    let layout = small(largest);
    let block = allocator.allocate(layout).expect("a small block");
    let local = 0u8;
    for foreign in [0, 1, layout.align(), (&raw const local).addr(), usize::MAX, isize::MAX.cast_unsigned()] {
        assert!(!conformance.owns(&allocator, foreign), "it says that it owns {foreign:#x}");
    }
    // SAFETY: the block is live and was requested with this layout.
    unsafe { allocator.deallocate(block.cast(), layout) };
    conformance.check(&allocator).expect("sound");
}

fn a_reset_makes_room_for_as_many_again<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    largest: Layout,
) {
    let mut allocator = conformance.make();
    let layout = small(largest);
    let taken = take(&allocator, layout).len();
    assert!(taken != 0, "there is not one block of {layout:?}");
    for _ in 0..3 {
        conformance.reset(&mut allocator);
        conformance.check(&allocator).expect("sound after a reset");
        assert!(conformance.live(&allocator).is_none_or(|live| live == 0), "something is live after a reset");
        assert!(take(&allocator, layout).len() >= taken, "there is less room after a reset");
        conformance.check(&allocator).expect("sound when used after a reset");
    }
}

fn an_empty_allocator_is_trimmed_and_works_on<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    largest: Layout,
) {
    let mut allocator = conformance.make();
    conformance.trim(&mut allocator);
    conformance.reset(&mut allocator);
    conformance.check(&allocator).expect("sound when reset before it was used");
    let layout = small(largest);
    let taken = take(&allocator, layout).len();
    conformance.reset(&mut allocator);
    conformance.trim(&mut allocator);
    conformance.check(&allocator).expect("sound after a trim");
    assert!(take(&allocator, layout).len() >= taken.min(1), "there is nothing left after a trim");
    conformance.check(&allocator).expect("sound when used after a trim");
}

/// Upper bound on the blocks to allocate from bounded memory.
const ALL: usize = 100_000;

/// Fills the memory with blocks of one size, frees them all, and fills it with blocks of another: at least half of what
/// a new allocator has room for, since its own data may be in the way.
pub(super) fn what_was_freed_serves_other_sizes<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    largest: Layout,
) {
    let sizes = [1, largest.size() / 8, largest.size() / 2, largest.size()];
    let layouts = sizes.map(|size| Layout::from_size_align(size.max(1), 1).expect("small"));
    let fill = |allocator: &A, layout| -> Vec<_> {
        let blocks: Vec<_> =
            (0..ALL).map_while(|_| allocator.allocate(layout).ok()).map(|block| block.cast()).collect();
        assert!(blocks.len() < ALL, "its memory is not bounded");
        blocks
    };
    let free = |allocator: &A, blocks: Vec<_>, layout| {
        for block in blocks {
            // SAFETY: the block is live and was requested with this layout.
            unsafe { allocator.deallocate(block, layout) };
        }
    };
    for after in layouts {
        let fresh = conformance.make();
        let blocks = fill(&fresh, after);
        let enough = blocks.len().div_ceil(2);
        free(&fresh, blocks, after);
        for before in layouts {
            let allocator = conformance.make();
            for _ in 0..2 {
                let blocks = fill(&allocator, before);
                free(&allocator, blocks, before);
                let blocks = fill(&allocator, after);
                assert!(blocks.len() >= enough, "{} blocks of {after:?} after {before:?}", blocks.len());
                free(&allocator, blocks, after);
            }
            conformance.check(&allocator).expect("sound");
        }
    }
}

/// Drops the allocator while blocks are live. Its parent reports leaks, if it tracks them.
fn what_is_live_is_gone_with_the_allocator<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    largest: Layout,
) {
    let allocator = conformance.make();
    take(&allocator, small(largest));
    drop(allocator);
}
