//! Passes a heap map builder through a table of functions, as a pointer that only this copy of the library accepts,
//! because it carries an address of the library. A program may contain another version of the library, for example in a
//! plugin.

use std::{ffi::c_void, ptr::NonNull};

use millpond::observe::HeapMapBuilder;

use crate::abi::{mp_allocator, mp_render_fn};

/// Its address identifies this copy of the library.
static OURS: u8 = 0;

/// A builder on its way through a table.
#[repr(C)]
struct Passed<'a, 'c> {
    owner: *const u8,
    builder: &'a mut HeapMapBuilder<'c>,
}

/// Makes an allocator draw its heap map, if it is one of this library.
///
/// # Safety
///
/// The function must be from the allocator's table.
pub(crate) unsafe fn pass(
    render: mp_render_fn,
    allocator: NonNull<mp_allocator>,
    builder: &mut HeapMapBuilder<'_>,
) {
    let mut passed = Passed { owner: &raw const OURS, builder };
    // SAFETY: the caller guarantees that the function is from the allocator's table; allocators of other copies of the
    // library do not use the builder.
    unsafe { render(allocator.as_ptr(), (&raw mut passed).cast()) };
}

/// Returns the builder that was passed, if this copy of the library passed it.
///
/// # Safety
///
/// The pointer must come from [`pass`] of any copy of the library, and the builder must be used during the call only.
pub(crate) unsafe fn received<'a, 'c>(passed: *mut c_void) -> Option<&'a mut HeapMapBuilder<'c>> {
    let passed = passed.cast::<Passed<'a, 'c>>();
    // SAFETY: every passed structure begins with an owner; that of this copy of the library has a builder, which is not
    // used by anything else during the call.
    unsafe {
        if passed.is_null() || (*passed).owner != &raw const OURS { None } else { Some((*passed).builder) }
    }
}
