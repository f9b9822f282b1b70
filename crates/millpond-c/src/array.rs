//! Arrays of blocks as C passes them.

use std::{ffi::c_void, mem::MaybeUninit, ptr::NonNull, slice};

/// Places for pointers to blocks.
pub(crate) type Places = [MaybeUninit<NonNull<u8>>];

/// Returns a C array, to be filled with blocks, as a slice.
///
/// # Safety
///
/// `blocks` must have room for `count` pointers, or `count` must be 0.
pub(crate) unsafe fn places<'a>(blocks: *mut *mut c_void, count: usize) -> &'a mut Places {
    if count == 0 {
        return &mut [];
    }
    // SAFETY: the caller guarantees the length; a `NonNull` has the layout of a pointer.
    unsafe { slice::from_raw_parts_mut(blocks.cast(), count) }
}

/// Returns a C array of blocks as a slice.
///
/// # Safety
///
/// `blocks` must point to `count` pointers, none of which is null.
pub(crate) unsafe fn blocks<'a>(blocks: *const *mut c_void, count: usize) -> &'a [NonNull<u8>] {
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller guarantees the length; a `NonNull` has the layout of a pointer.
    unsafe { slice::from_raw_parts(blocks.cast(), count) }
}

/// Fills all places or none: on failure, blocks allocated so far are freed.
pub(crate) fn one_by_one<E>(
    places: &mut Places,
    allocate: impl Fn() -> Result<NonNull<u8>, E>,
    free: impl Fn(NonNull<u8>),
) -> Result<(), E> {
    for taken in 0..places.len() {
        match allocate() {
            Ok(block) => _ = places[taken].write(block),
            Err(error) => {
                // SAFETY: all places before this one have been written.
                places[..taken].iter().for_each(|place| free(unsafe { place.assume_init() }));
                return Err(error);
            }
        }
    }
    Ok(())
}
