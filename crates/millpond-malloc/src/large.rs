//! Blocks larger than any class: runs of units.

use core::ptr::copy_nonoverlapping;

use crate::{
    classes, os,
    record::{Record, Use},
    region::{self, UNIT, UNIT_SHIFT},
    unit::{self, Run, record},
};

/// Larger blocks move by moving their pages instead of copying them.
const MOVE_PAGES: usize = 1 << 20;

/// Allocates a block whose address is a multiple of `align`; returns it and whether it is zeroed.
pub(crate) fn allocate(size: usize, align: usize) -> Option<(*mut u8, bool)> {
    if size > isize::MAX as usize - align {
        return None;
    }
    let run = take(size.max(1).div_ceil(UNIT), align)?;
    Some((region::address_of(run.first), run.zero))
}

fn take(length: usize, align: usize) -> Option<Run> {
    // The region is aligned to its huge pages; greater alignments are those of addresses, not of units.
    let run =
        if align <= HUGE { unit::take(length, align >> UNIT_SHIFT)? } else { take_aligned(length, align)? };
    mark(run);
    Some(run)
}

/// The alignment of the region.
const HUGE: usize = 2 << 20;

/// Takes a run for an alignment greater than that of the region.
fn take_aligned(length: usize, align: usize) -> Option<Run> {
    let run = unit::take(length.checked_add((align >> UNIT_SHIFT) - 1)?, 1)?;
    let start = region::address_of(run.first) as usize;
    let skipped = (start.next_multiple_of(align) - start) >> UNIT_SHIFT;
    let rest = run.length - skipped - length;
    for (first, length) in [(run.first, skipped), (run.first + skipped + length, rest)] {
        if length != 0 {
            // SAFETY: this part of the run was taken and is not used.
            unsafe { unit::give_back(Run { first, length, ..run }) };
        }
    }
    Some(Run { first: run.first + skipped, length, ..run })
}

/// Marks a run that was taken as a large block.
fn mark(run: Run) {
    // SAFETY: the run was taken, and nothing else uses it yet.
    unsafe {
        *record(run.first) =
            Record { first: run.first as u32, length: run.length as u32, usage: Use::Large, ..Record::INNER };
    }
}

/// Returns the size in bytes of the large block at this address of the region, or `None` if there is none.
pub(crate) fn size_of(block: *mut u8) -> Option<usize> {
    let unit = region::unit_of(block);
    // SAFETY: the record is only read. That of a live block does not change.
    let (usage, length) = unsafe {
        let record = region::record(unit);
        ((*record).usage, (*record).length as usize)
    };
    (usage == Use::Large && region::address_of(unit) == block).then_some(length << UNIT_SHIFT)
}

/// Frees the large block at this address of the region; returns whether there was one.
pub(crate) fn deallocate(block: *mut u8) -> bool {
    let Some(size) = size_of(block) else { return false };
    let first = region::unit_of(block);
    // SAFETY: the block was live and is the caller's.
    unsafe {
        *record(first) = Record::INNER;
        unit::give_back(Run { first, length: size >> UNIT_SHIFT, zero: false });
    }
    true
}

/// Resizes a large block, in place if possible; returns `None` if there is no memory.
///
/// # Safety
///
/// `block` must be a live large block, and `size` that of a large block.
pub(crate) unsafe fn resize(block: *mut u8, size: usize) -> Option<*mut u8> {
    let first = region::unit_of(block);
    let old = size_of(block)? >> UNIT_SHIFT;
    let new = size.div_ceil(UNIT);
    // SAFETY: the block is live and the caller's, and so are its units.
    unsafe {
        if new < old {
            record(first).length = new as u32;
            unit::give_back(Run { first: first + new, length: old - new, zero: false });
            return Some(block);
        }
        if new == old || unit::extend(first, old, new - old) {
            record(first).length = new as u32;
            return Some(block);
        }
    }
    // Room to grow, so that a block that grows step by step does not move each time.
    let run = take(new + new / 2, UNIT).or_else(|| take(new, UNIT))?;
    let moved = region::address_of(run.first);
    // SAFETY: both blocks belong to the caller, and the new one is larger.
    unsafe {
        if old << UNIT_SHIFT < MOVE_PAGES || !os::move_pages(block, moved, old << UNIT_SHIFT) {
            copy_nonoverlapping(block, moved, old << UNIT_SHIFT);
        }
    }
    deallocate(block);
    debug_assert!(size > classes::LARGEST);
    Some(moved)
}
