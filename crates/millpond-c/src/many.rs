//! Many blocks at once, and what a thread keeps ready.

use std::{ffi::c_void, ptr::NonNull};

use millpond::Allocator as _;

use crate::{
    abi::*,
    array::{self, one_by_one},
    error::{self, MP_ERR_INVALID, MP_OK, MpError},
    general::{never, sensible, valid},
    parent::{Parent, member},
};

/// Allocates as many blocks as there are places, or none.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_alloc_many(
    allocator: *mut mp_allocator,
    blocks: *mut *mut c_void,
    count: usize,
    size: usize,
    align: usize,
) -> mp_error {
    let Some(valid) = valid(allocator) else { return MP_ERR_INVALID };
    let Some(layout) = sensible(valid, size, align) else { return error::last().code };
    if blocks.is_null() && count != 0 {
        return MpError::invalid("there is no room for the blocks").note();
    }
    if let Some(alloc_many) = member!(valid, alloc_many) {
        // SAFETY: the function is this allocator's.
        return unsafe { alloc_many(allocator, blocks, count, layout.size(), layout.align()) };
    }
    // SAFETY: the header asks for a valid allocator, and for room for so many pointers.
    let (parent, places) = unsafe { (Parent::new(allocator), array::places(blocks, count)) };
    let filled = parent.and_then(|parent| {
        let free = |block| {
            // SAFETY: the block is live, and this allocator handed it out for this layout.
            unsafe { parent.deallocate(block, layout) }
        };
        Ok(one_by_one(places, || parent.allocate(layout).map(NonNull::cast), free)?)
    });
    filled.map_or_else(MpError::note, |()| MP_OK)
}

/// Frees blocks.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_free_many(
    allocator: *mut mp_allocator,
    blocks: *const *mut c_void,
    count: usize,
    size: usize,
    align: usize,
) {
    let Some(valid) = valid(allocator) else { return };
    let Some(layout) = sensible(valid, size, align) else { return };
    if blocks.is_null() {
        return;
    }
    let (size, align) = (layout.size(), layout.align());
    if let Some(free_many) = member!(valid, free_many) {
        // SAFETY: the function is this allocator's, and the header asks for live blocks of it.
        return unsafe { free_many(allocator, blocks, count, size, align) };
    }
    let Some(free) = member!(valid, free) else {
        never();
        return;
    };
    // SAFETY: as above.
    for block in unsafe { array::blocks(blocks, count) } {
        // SAFETY: as above.
        unsafe { free(allocator, block.as_ptr().cast(), size, align) };
    }
}

/// Gives what this thread keeps ready back to the pool.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_flush(allocator: *mut mp_allocator) {
    let Some(valid) = valid(allocator) else { return };
    if let Some(flush) = member!(valid, flush) {
        // SAFETY: the function is this allocator's.
        unsafe { flush(allocator) };
    }
}
