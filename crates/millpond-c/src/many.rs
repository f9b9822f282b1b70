//! Allocating and freeing many blocks at once, and flushing a thread's cache.

use std::{ffi::c_void, ptr::NonNull};

use millpond::Allocator as _;

use crate::{
    abi::*,
    array::{self, one_by_one},
    error::{self, MP_ERR_INVALID, MP_OK, MpError},
    general::{never, sensible, valid},
    parent::{Parent, member},
};

/// Allocates `count` blocks, or none.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
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
        // SAFETY: the function is from this allocator's table.
        return unsafe { alloc_many(allocator, blocks, count, layout.size(), layout.align()) };
    }
    // SAFETY: the header requires a valid allocator, and room for `count` pointers.
    let (parent, places) = unsafe { (Parent::new(allocator), array::places(blocks, count)) };
    let filled = parent.and_then(|parent| {
        let free = |block| {
            // SAFETY: the block is live, and was allocated by this allocator with this layout.
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
/// The requirements in `millpond.h` apply.
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
        // SAFETY: the function is from this allocator's table, and the header requires live blocks of it.
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

/// Returns the blocks that this thread has cached to the pool.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_flush(allocator: *mut mp_allocator) {
    let Some(valid) = valid(allocator) else { return };
    if let Some(flush) = member!(valid, flush) {
        // SAFETY: the function is from this allocator's table.
        unsafe { flush(allocator) };
    }
}
