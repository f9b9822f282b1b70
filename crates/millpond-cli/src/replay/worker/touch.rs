//! One step of a replay: the operation on a slot, and the bytes of the block that are written.

use super::{Slot, Written};
use crate::{
    replay::contender::Contender,
    trace::{Kind, Request, Step},
};

/// The distance between touched bytes: a page.
const PAGE: usize = 4096;

/// Performs a step on its slot. On failure, returns the request that could not be served.
///
/// # Safety
///
/// The slot is that of the step. If the step frees or resizes, the slot holds a live block of this contender and the
/// request that the block last served.
#[inline(always)]
pub(super) unsafe fn take<C: Contender, const ALL: bool>(
    contender: &C,
    slot: &mut Slot,
    step: &Step,
    written: Written,
) -> Result<(), Request> {
    let request = step.request;
    let (block, kept) = match step.kind {
        Kind::Free => {
            // SAFETY: the step frees, so the caller guarantees that the slot holds a live block and its request.
            unsafe { contender.free(slot.block, slot.request) };
            slot.block = std::ptr::null_mut();
            return Ok(());
        }
        Kind::Resize => {
            let old = slot.request;
            // SAFETY: the step resizes, so the caller guarantees that the slot holds a live block and its request.
            (unsafe { contender.resize(slot.block, old, request) }, old.size())
        }
        Kind::Allocate => (contender.allocate(request), 0),
        Kind::Zeroed => (contender.allocate_zeroed(request), 0),
        Kind::Aligned => (contender.allocate_aligned(request), 0),
    };
    if block.is_null() {
        return Err(request);
    }
    // SAFETY: the block was just allocated for the request.
    unsafe { write::<C, ALL>(block, kept, request.size(), written) };
    *slot = Slot { block, request };
    Ok(())
}

/// Writes the bytes of a block that [`Written`] selects, except those that a resize has kept.
///
/// # Safety
///
/// `block` is valid for writes up to `size`, or up to [`Contender::REACH`] if that is less.
#[inline(always)]
unsafe fn write<C: Contender, const ALL: bool>(block: *mut u8, kept: usize, size: usize, written: Written) {
    if kept >= size {
        return;
    }
    if ALL {
        let mut from = kept;
        while from < size {
            let start = from & C::REACH;
            let length = (size - from).min((C::REACH - start).saturating_add(1));
            // SAFETY: the range ends at most at `size` and at `REACH`, up to which the caller guarantees that the block
            // is valid for writes.
            unsafe { fill(block.wrapping_add(start), length) };
            from += length;
        }
        return;
    }
    // SAFETY: every offset is below `size` and masked to `REACH`, within which the caller guarantees that the block is
    // valid for writes.
    unsafe {
        if kept == 0 {
            block.write_volatile(1);
        }
        block.add((size - 1) & C::REACH).write_volatile(1);
        if written.is_written(size) {
            let mut page = kept.next_multiple_of(PAGE).max(PAGE);
            while page < size {
                block.add(page & C::REACH).write_volatile(1);
                page += PAGE;
            }
        }
    }
}

/// Writes to every byte in a way that the compiler cannot omit.
///
/// # Safety
///
/// The range is valid for writes.
#[inline(always)]
unsafe fn fill(start: *mut u8, length: usize) {
    // SAFETY: the caller guarantees that the range is valid for writes.
    unsafe { start.write_bytes(1, length) };
    std::hint::black_box(start);
}
