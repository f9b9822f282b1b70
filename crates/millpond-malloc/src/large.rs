//! Blocks larger than any class: runs of units.

use core::ptr::copy_nonoverlapping;

use crate::{
    classes, os,
    region::{self, UNIT, UNIT_SHIFT},
    unit,
};

/// Larger blocks move by moving their pages instead of copying them.
const MOVE_PAGES: usize = 1 << 20;

/// Allocates a block whose address is a multiple of `align`; returns it and whether it is zeroed.
pub(crate) fn allocate(size: usize, align: usize) -> Option<(*mut u8, bool)> {
    if size > isize::MAX as usize - align {
        return None;
    }
    let run = unit::take(size.max(1).div_ceil(UNIT), align, 0)?;
    Some((region::address_of(run.first), run.zero))
}

/// Returns the size in bytes of the large block at this address of the region, or `None` if there is none.
pub(crate) fn size_of(block: *mut u8) -> Option<usize> {
    unit::large_length(block).map(|length| length << UNIT_SHIFT)
}

/// Resizes a large block, in place if possible; returns `None` if there is no memory.
///
/// # Safety
///
/// `block` must be a live large block, and `size` that of a large block.
pub(crate) unsafe fn resize(block: *mut u8, size: usize) -> Option<*mut u8> {
    debug_assert!(size > classes::LARGEST);
    let first = region::unit_of(block);
    let old = unit::large_length(block)?;
    let new = size.div_ceil(UNIT);
    // SAFETY: the block is live and the caller's.
    unsafe {
        if new < old {
            unit::shorten(first, new);
            return Some(block);
        }
        if new == old || unit::lengthen(first, new) {
            return Some(block);
        }
    }
    // Room to grow, so that a block that grows step by step does not move each time.
    let run = unit::take(new + new / 2, UNIT, 0).or_else(|| unit::take(new, UNIT, 0))?;
    let moved = region::address_of(run.first);
    // SAFETY: both blocks belong to the caller, and the new one is larger.
    unsafe {
        if old << UNIT_SHIFT < MOVE_PAGES || !os::move_pages(block, moved, old << UNIT_SHIFT) {
            copy_nonoverlapping(block, moved, old << UNIT_SHIFT);
        }
    }
    unit::give_back_large(block);
    Some(moved)
}
