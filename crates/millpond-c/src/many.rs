//! Allocating and freeing many blocks at once, and flushing a thread's cache.

use std::ffi::c_void;

use crate::{
    abi::*,
    array::{self, allocate_each, deallocate_each},
    error::{self, MpError},
    general::{refuse, sensible, valid},
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
        return MpError::invalid("blocks is NULL: pass an array with room for count pointers").note();
    }
    if let Some(alloc_many) = member(valid, |table| &table.alloc_many) {
        // SAFETY: the function is from this allocator's table.
        return unsafe { alloc_many(allocator, blocks, count, layout.size(), layout.align()) };
    }
    // SAFETY: the header requires a valid allocator, and room for `count` pointers.
    let (parent, places) = unsafe { (Parent::new(allocator), array::places(blocks, count)) };
    let filled = parent.and_then(|parent| Ok(allocate_each(&parent, layout, places)?));
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
    let Some(valid) = valid(allocator).filter(|_| !blocks.is_null()) else { return };
    let Some(layout) = sensible(valid, size, align) else {
        // SAFETY: the header requires `count` blocks.
        return unsafe { array::blocks(blocks, count) }
            .iter()
            .for_each(|block| refuse(valid, block.as_ptr().cast()));
    };
    if let Some(free_many) = member(valid, |table| &table.free_many) {
        // SAFETY: the function is from this allocator's table, and the header requires live blocks of it.
        return unsafe { free_many(allocator, blocks, count, layout.size(), layout.align()) };
    }
    // SAFETY: the header requires a valid allocator, and `count` live blocks of it.
    match unsafe { Parent::new(allocator) } {
        // SAFETY: as above.
        Ok(parent) => unsafe { deallocate_each(&parent, array::blocks(blocks, count), layout) },
        Err(error) => _ = error.note(),
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
    if let Some(flush) = member(valid, |table| &table.flush) {
        // SAFETY: the function is from this allocator's table.
        unsafe { flush(allocator) };
    }
}
