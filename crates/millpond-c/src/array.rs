//! Arrays of blocks as C passes them, and operations composed of those of any allocator.

use std::{alloc::Layout, ffi::c_void, mem::MaybeUninit, ptr::NonNull, slice};

use millpond::{AllocError, Allocator, raw::Allocation};

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

/// Fills all places with blocks one by one, or none: on failure, blocks allocated so far are freed.
pub(crate) fn allocate_each(
    allocator: &impl Allocator,
    layout: Layout,
    places: &mut Places,
) -> Result<(), AllocError> {
    for taken in 0..places.len() {
        match allocator.allocate(layout) {
            Ok(block) => _ = places[taken].write(block.cast()),
            Err(error) => {
                // SAFETY: all places before this one have been written, with blocks of this layout that are not used
                // anywhere else; a `NonNull` has the same layout as its `MaybeUninit`.
                unsafe { deallocate_each(allocator, blocks(places.as_ptr().cast(), taken), layout) };
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Frees blocks one by one.
///
/// # Safety
///
/// As for [`Allocator::deallocate`], for each block.
pub(crate) unsafe fn deallocate_each(allocator: &impl Allocator, blocks: &[NonNull<u8>], layout: Layout) {
    for &block in blocks {
        // SAFETY: the caller upholds the contract of `deallocate` for each block.
        unsafe { allocator.deallocate(block, layout) };
    }
}

/// Allocates a block of another layout, copies the contents and frees the old block.
///
/// # Safety
///
/// As for [`Allocator::grow`] or [`Allocator::shrink`], depending on the sizes.
pub(crate) unsafe fn relocate(
    allocator: &impl Allocator,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Allocation {
    let moved = allocator.allocate(new)?;
    // SAFETY: both blocks are live, and each is at least as long as the smaller size; the caller guarantees that the
    // old one may be freed.
    unsafe {
        block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size()));
        allocator.deallocate(block, old);
    }
    Ok(moved)
}
