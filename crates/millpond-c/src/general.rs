//! The general interface, which works with any allocator, including custom ones.

use std::{
    alloc::Layout,
    ffi::{c_char, c_void},
    ptr::{self, NonNull},
};

use millpond::{AllocError, Allocator as _};

use crate::{
    abi::*,
    error::{self, MpError},
    parent::{Parent, member, table},
    request,
    versioned_struct::write_as_long,
};

/// Returns the allocator that was passed; for NULL, sets the last error and returns `None`.
pub(crate) fn valid(allocator: *const mp_allocator) -> Option<NonNull<mp_allocator>> {
    let valid = NonNull::new(allocator.cast_mut()).filter(|&allocator| !table(allocator).is_null());
    if valid.is_none() {
        MpError::invalid("allocator is NULL or has no table: pass an allocator").note();
    }
    valid
}

/// Returns a valid layout for the request, as a table's functions expect; sets the last error and returns `None` if
/// there is none.
pub(crate) fn sensible(allocator: NonNull<mp_allocator>, size: usize, align: usize) -> Option<Layout> {
    // SAFETY: the allocator is valid.
    let default = unsafe { allocator.as_ref() }.default_align;
    request::layout(size, align, default).map_err(MpError::note).ok()
}

/// Makes an allocator report that a block, which may be null, was passed with a size or alignment that no block can
/// have.
pub(crate) fn refuse(allocator: NonNull<mp_allocator>, block: *mut c_void) {
    if let Some(impossible) = member(allocator, |table| &table.impossible) {
        // SAFETY: the function is from this allocator's table, and uses only the address of the block.
        unsafe { impossible(allocator.as_ptr(), block) };
    }
}

/// Returns whether the meaning of an alignment depends on the size.
fn depends_on_size(allocator: NonNull<mp_allocator>, align: usize) -> bool {
    // SAFETY: the allocator is valid.
    align == 0 && unsafe { allocator.as_ref() }.default_align == MP_NATURAL_ALIGN
}

pub(crate) fn never() -> mp_error {
    MpError::unsupported("this allocator does not support the operation: its table lacks the function").note()
}

/// Allocates a block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_alloc(
    allocator: *mut mp_allocator,
    size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    let Some(valid) = valid(allocator) else { return ptr::null_mut() };
    let Some(layout) = sensible(valid, size, align) else { return ptr::null_mut() };
    match member(valid, |table| &table.alloc) {
        // SAFETY: the function is from this allocator's table.
        Some(alloc) => unsafe { alloc(allocator, layout.size(), layout.align(), flags) },
        None => {
            never();
            ptr::null_mut()
        }
    }
}

/// Allocates a block for an array, unless it is larger than any object can be.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_alloc_array(
    allocator: *mut mp_allocator,
    count: usize,
    size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else {
        MpError::unsupported("the size is too large: no object may exceed PTRDIFF_MAX bytes").note();
        return ptr::null_mut();
    };
    // SAFETY: the callee has the same requirements as this function.
    unsafe { mp_alloc(allocator, bytes, align, flags) }
}

/// Resizes a block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_realloc(
    allocator: *mut mp_allocator,
    block: *mut c_void,
    old_size: usize,
    new_size: usize,
    align: usize,
    flags: mp_flags,
) -> *mut c_void {
    let Some(valid) = valid(allocator) else { return ptr::null_mut() };
    let Some(new) = sensible(valid, new_size, align) else { return ptr::null_mut() };
    let Some(old) = sensible(valid, old_size, align) else {
        refuse(valid, block);
        return ptr::null_mut();
    };
    if block.is_null() {
        // SAFETY: the callee has the same requirements as this function.
        return unsafe { mp_alloc(allocator, new.size(), new.align(), flags) };
    }
    let same_align = old.align() == new.align();
    if same_align && let Some(realloc) = member(valid, |table| &table.realloc) {
        // SAFETY: the function is from this allocator's table, and its requirements are those of this function.
        return unsafe { realloc(allocator, block, old.size(), new.size(), new.align(), flags) };
    }
    if flags & MP_IN_PLACE != 0 {
        if same_align {
            never()
        } else {
            MpError::from(AllocError::InPlace).note()
        };
        return ptr::null_mut();
    }
    // SAFETY: the callee has the same requirements as this function.
    unsafe { move_block(allocator, block.cast(), old, new, flags).cast() }
}

/// Resizes a block by moving it: if the allocator cannot resize, or if the alignment of the block depends on its size
/// and changes with it.
///
/// # Safety
///
/// As for [`mp_realloc`]; the block must not be null.
unsafe fn move_block(
    allocator: *mut mp_allocator,
    block: *mut u8,
    old: Layout,
    new: Layout,
    flags: mp_flags,
) -> *mut u8 {
    // SAFETY: the requirements of `mp_realloc` apply to this function as well; both blocks are live, and as long as
    // their sizes say.
    unsafe {
        let moved = mp_alloc(allocator, new.size(), new.align(), flags).cast::<u8>();
        if !moved.is_null() {
            block.copy_to_nonoverlapping(moved, old.size().min(new.size()));
            mp_free(allocator, block.cast(), old.size(), old.align());
        }
        moved
    }
}

/// Frees a block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_free(
    allocator: *mut mp_allocator,
    block: *mut c_void,
    size: usize,
    align: usize,
) {
    let Some(valid) = valid(allocator).filter(|_| !block.is_null()) else { return };
    let Some(layout) = sensible(valid, size, align) else { return refuse(valid, block) };
    if let Some(free) = member(valid, |table| &table.free) {
        // SAFETY: the function is from this allocator's table, and its requirements are those of this function.
        unsafe { free(allocator, block, layout.size(), layout.align()) };
    }
}

/// Returns whether a block would be freed; false if misuse would be reported instead.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_may_free(
    allocator: *mut mp_allocator,
    block: *mut c_void,
    size: usize,
    align: usize,
) -> bool {
    let Some(valid) = valid(allocator) else { return false };
    let Some(layout) = sensible(valid, size, align) else { return false };
    // SAFETY: the function is from this allocator's table, and uses only the address of the block.
    let ask = |may: mp_may_free_fn| unsafe { may(allocator, block, layout.size(), layout.align()) };
    member(valid, |table| &table.may_free).is_none_or(ask)
}

/// Allocates as much as possible between two sizes.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_alloc_between(
    allocator: *mut mp_allocator,
    least: usize,
    preferred: usize,
    align: usize,
    got: *mut usize,
) -> *mut c_void {
    let Some(valid) = valid(allocator) else { return ptr::null_mut() };
    let Some(layout) = sensible(valid, least, align) else { return ptr::null_mut() };
    // The block may be freed with any size up to its own, and each of these must imply the requested alignment.
    let preferred = if depends_on_size(valid, align) { layout.size() } else { preferred };
    let mut unasked = 0;
    let got = if got.is_null() { &raw mut unasked } else { got };
    if let Some(between) = member(valid, |table| &table.alloc_between) {
        // SAFETY: the function is from this allocator's table, and the pointer for the result is valid.
        return unsafe {
            let block = between(allocator, layout.size(), preferred, layout.align(), got);
            if depends_on_size(valid, align) {
                got.write(layout.size());
            }
            block
        };
    }
    // SAFETY: the allocator is valid, and the pointer for the result is valid.
    unsafe {
        match Parent::new(allocator).and_then(|parent| Ok(parent.allocate_between(layout, preferred)?)) {
            Ok(block) => {
                got.write(block.len());
                block.as_ptr().cast()
            }
            Err(error) => {
                error.note();
                ptr::null_mut()
            }
        }
    }
}

/// Destroys an allocator.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_destroy(allocator: *mut mp_allocator) {
    if let Some(valid) = NonNull::new(allocator)
        && !table(valid).is_null()
        && let Some(destroy) = member(valid, |table| &table.destroy)
    {
        // SAFETY: the function is from this allocator's table, and its requirements are those of this function.
        unsafe { destroy(allocator) };
    }
}

/// Returns the name of an allocator.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_name(allocator: *const mp_allocator) -> *const c_char {
    // SAFETY: a table is valid up to its size, and every version has this member.
    let name = valid(allocator).map(|allocator| unsafe { (*table(allocator)).name });
    name.filter(|name| !name.is_null()).unwrap_or(c"unnamed".as_ptr())
}

/// Frees all blocks at once.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_reset(allocator: *mut mp_allocator) -> mp_error {
    let Some(valid) = valid(allocator) else { return MP_ERR_INVALID };
    // SAFETY: the function is from this allocator's table, and its requirements are those of this function.
    member(valid, |table| &table.reset).map_or_else(never, |reset| unsafe { reset(allocator) })
}

/// Returns unused memory to the parent; returns how many bytes that were.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_trim(allocator: *mut mp_allocator) -> usize {
    let Some(valid) = valid(allocator) else { return 0 };
    // SAFETY: as above.
    member(valid, |table| &table.trim).map_or(0, |trim| unsafe { trim(allocator) })
}

/// Reserves room for `count` blocks.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_reserve(
    allocator: *mut mp_allocator,
    size: usize,
    align: usize,
    count: usize,
) -> mp_error {
    let Some(valid) = valid(allocator) else { return MP_ERR_INVALID };
    let Some(layout) = sensible(valid, size, align) else { return error::last().code };
    // SAFETY: the function is from this allocator's table.
    member(valid, |table| &table.reserve)
        .map_or_else(never, |reserve| unsafe { reserve(allocator, layout.size(), layout.align(), count) })
}

/// Returns whether an address lies in a chunk of the allocator.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_owns(allocator: *const mp_allocator, address: *const c_void) -> bool {
    let Some(valid) = valid(allocator) else { return false };
    // SAFETY: as above.
    member(valid, |table| &table.owns).is_some_and(|owns| unsafe { owns(allocator, address) })
}

/// Returns the largest size that would now be served without the parent.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_largest_free(allocator: *const mp_allocator) -> usize {
    let Some(valid) = valid(allocator) else { return MP_UNKNOWN };
    // SAFETY: as above.
    member(valid, |table| &table.largest_free).map_or(MP_UNKNOWN, |ask| unsafe { ask(allocator) })
}

/// Stores the allocator's statistics in `*out`.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_get_stats(allocator: *const mp_allocator, out: *mut mp_stats) -> mp_error {
    let Some(valid) = valid(allocator) else { return MP_ERR_INVALID };
    // SAFETY: the header requires a structure that begins with its size.
    if let Err(error) = unsafe { write_as_long(&mp_stats::UNKNOWN, out) } {
        return error.note();
    }
    // SAFETY: the function is from this allocator's table, and `out` was checked above.
    member(valid, |table| &table.stats).map_or_else(never, |stats| unsafe { stats(allocator, out) })
}

/// Verifies the invariants of the allocator.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_check(allocator: *const mp_allocator) -> mp_error {
    let Some(valid) = valid(allocator) else { return MP_ERR_INVALID };
    // SAFETY: the function is from this allocator's table.
    member(valid, |table| &table.check).map_or(MP_OK, |check| unsafe { check(allocator) })
}

/// Calls `visit` for every live block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_each(
    allocator: *mut mp_allocator,
    visit: Option<mp_visit_fn>,
    context: *mut c_void,
) -> mp_error {
    let Some(valid) = valid(allocator) else { return MP_ERR_INVALID };
    // SAFETY: the function is from this allocator's table, and its requirements are those of this function.
    member(valid, |table| &table.each).map_or_else(never, |each| unsafe { each(allocator, visit, context) })
}

/// Returns the version of the library: major · 10000 + minor · 100 + patch.
#[unsafe(no_mangle)]
pub extern "C" fn mp_version() -> u32 {
    MP_VERSION
}
