//! How a canvas goes through a table of functions: as a pointer that only this very library understands, because it carries
//! an address of the library's own. (A program may have another version of the library besides, in a plugin for example.)

use std::{ffi::c_void, ptr::NonNull};

use millpond::HeapMapBuilder;

use crate::abi::{mp_allocator, mp_render_fn};

/// Of this library and no other that the program may have besides.
static OURS: u8 = 0;

/// A canvas on its way through a table.
#[repr(C)]
struct Passed<'a, 'c> {
    owner: *const u8,
    builder: &'a mut HeapMapBuilder<'c>,
}

/// Lets an allocator paint, if it is one of this library's.
///
/// # Safety
///
/// The function is in the allocator's table.
pub(crate) unsafe fn pass(
    render: mp_render_fn,
    allocator: NonNull<mp_allocator>,
    builder: &mut HeapMapBuilder<'_>,
) {
    let mut passed = Passed { owner: &raw const OURS, builder };
    // SAFETY: the caller's promise; if the allocator is not one of ours, it leaves the canvas alone.
    unsafe { render(allocator.as_ptr(), (&raw mut passed).cast()) };
}

/// The canvas that was passed, if this library passed it.
///
/// # Safety
///
/// The pointer is what some library's [`pass`] has passed, and the canvas is used during the call only.
pub(crate) unsafe fn received<'a, 'c>(passed: *mut c_void) -> Option<&'a mut HeapMapBuilder<'c>> {
    let passed = passed.cast::<Passed<'a, 'c>>();
    // SAFETY: whatever was passed begins with an owner; ours has a canvas, which nobody else uses now.
    unsafe {
        if passed.is_null() || (*passed).owner != &raw const OURS { None } else { Some((*passed).builder) }
    }
}
