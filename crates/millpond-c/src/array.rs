//! Arrays of blocks, as C passes them.

use std::{ffi::c_void, mem::MaybeUninit, ptr::NonNull, slice};

/// Where pointers to blocks are put.
pub(crate) type Places = [MaybeUninit<NonNull<u8>>];

/// An array of C's, to be filled with blocks.
///
/// # Safety
///
/// There is room for so many pointers, or there are none to be put.
pub(crate) unsafe fn places<'a>(blocks: *mut *mut c_void, count: usize) -> &'a mut Places {
    if count == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise; a pointer that is not null is laid out like one that may be.
    unsafe { slice::from_raw_parts_mut(blocks.cast(), count) }
}

/// An array of C's with blocks.
///
/// # Safety
///
/// There are so many pointers, none of which is null.
pub(crate) unsafe fn blocks<'a>(blocks: *const *mut c_void, count: usize) -> &'a [NonNull<u8>] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; a pointer that is not null is laid out like one that may be.
    unsafe { slice::from_raw_parts(blocks.cast(), count) }
}

/// Fills every place, or none: on failure, what was taken is given back.
pub(crate) fn one_by_one<E>(
    places: &mut Places,
    allocate: impl Fn() -> Result<NonNull<u8>, E>,
    free: impl Fn(NonNull<u8>),
) -> Result<(), E> {
    for taken in 0..places.len() {
        match allocate() {
            Ok(block) => _ = places[taken].write(block),
            Err(error) => {
                // SAFETY: the places in front of this one were written.
                places[..taken].iter().for_each(|place| free(unsafe { place.assume_init() }));
                return Err(error);
            }
        }
    }
    Ok(())
}
