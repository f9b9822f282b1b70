//! One step of a replay: what is done to a slot, and what of the block is written.

use super::{Slot, Written};
use crate::{
    replay::contender::Contender,
    trace::{Kind, Request, Step},
};

/// A page, as far as touching goes.
const PAGE: usize = 4096;

/// Does a step to its slot. On failure, what could not be had.
///
/// # Safety
///
/// The slot is the step's. If the step frees or resizes, it holds a live block of this contender and what that was asked
/// for with.
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
            // SAFETY: the caller's promise.
            unsafe { contender.free(slot.block, slot.request) };
            slot.block = std::ptr::null_mut();
            return Ok(());
        }
        Kind::Resize => {
            let old = slot.request;
            // SAFETY: the caller's promise.
            (unsafe { contender.resize(slot.block, old, request) }, old.size())
        }
        Kind::Allocate => (contender.allocate(request), 0),
        Kind::Zeroed => (contender.allocate_zeroed(request), 0),
        Kind::Aligned => (contender.allocate_aligned(request), 0),
    };
    if block.is_null() {
        return Err(request);
    }
    // SAFETY: the block was just handed out for the request.
    unsafe { write::<C, ALL>(block, kept, request.size(), written) };
    *slot = Slot { block, request };
    Ok(())
}

/// Writes to a block what [`Written`] says, beyond the bytes that a resize has kept.
///
/// # Safety
///
/// `block` can be written up to `size`, or up to [`Contender::REACH`] where that is less.
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
            // SAFETY: the caller's promise; the range ends at `size` and at `REACH` at the latest.
            unsafe { fill(block.wrapping_add(start), length) };
            from += length;
        }
        return;
    }
    // SAFETY: the caller's promise; every offset is below `size` and cut to `REACH`.
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

/// Writes to every byte, and lets the compiler skip none.
///
/// # Safety
///
/// The range can be written.
#[inline(always)]
unsafe fn fill(start: *mut u8, length: usize) {
    // SAFETY: the caller's promise.
    unsafe { start.write_bytes(1, length) };
    std::hint::black_box(start);
}
