//! Replacements for the functions of the malloc family: each calls the real function, and logs the event with the
//! stack of the call, for which `entry` adds the last argument.

use core::{
    ffi::{c_int, c_void},
    ptr::{copy_nonoverlapping, null_mut},
};

use millpond_trace::raw::Kind;

use super::{
    log, real,
    stacks::{self, Site},
};

/// Logs an allocation or its failure.
#[inline(always)]
fn allocated(kind: Kind, block: *mut c_void, size: usize, site: Site) -> *mut c_void {
    let kind = if block.is_null() { Kind::Failed } else { kind };
    log::event(kind, block as usize, size, stacks::of_allocation(site));
    block
}

/// Logs an allocation with an alignment, or its failure.
fn allocated_aligned(block: *mut c_void, size: usize, align: usize, site: Site) -> *mut c_void {
    let kind = if block.is_null() { Kind::Failed } else { Kind::Allocate };
    log::slow(kind, block as usize, size, align, stacks::of_allocation(site));
    block
}

/// Sets `errno` to `ENOMEM` and returns null.
#[cold]
fn no_memory() -> *mut c_void {
    // SAFETY: `__errno_location` returns a valid pointer on every thread.
    unsafe { *libc::__errno_location() = libc::ENOMEM };
    null_mut()
}

/// Returns the size of a page, to which `valloc` aligns.
fn page() -> usize {
    // SAFETY: `sysconf` is always safe to call.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) as usize }
}

pub(crate) unsafe extern "C" fn malloc(size: usize, site: Site) -> *mut c_void {
    let Some(malloc) = real::MALLOC.get() else { return real::spare(size) };
    // SAFETY: the program's call has the same requirements, here and in all functions below.
    allocated(Kind::Allocate, unsafe { malloc(size) }, size, site)
}

pub(crate) unsafe extern "C" fn calloc(count: usize, size: usize, site: Site) -> *mut c_void {
    let bytes = count.saturating_mul(size);
    let Some(calloc) = real::CALLOC.get() else { return real::spare(bytes) };
    // SAFETY: the program's call has the same requirements.
    allocated(Kind::AllocateZeroed, unsafe { calloc(count, size) }, bytes, site)
}

pub(crate) unsafe extern "C" fn free(block: *mut c_void, site: Site) {
    if block.is_null() || real::is_spare(block) {
        return;
    }
    log::event(Kind::Free, block as usize, 0, stacks::of_free(site));
    if let Some(free) = real::FREE.get() {
        // SAFETY: the program's call has the same requirements.
        unsafe { free(block) }
    }
}

pub(crate) unsafe extern "C" fn realloc(block: *mut c_void, size: usize, site: Site) -> *mut c_void {
    // SAFETY: the program's call has the same requirements.
    unsafe {
        if real::is_spare(block) {
            return move_spare(block, size, site);
        }
        let Some(realloc) = real::REALLOC.get() else { return real::spare(size) };
        if block.is_null() {
            return allocated(Kind::Allocate, realloc(block, size), size, site);
        }
        let caller = stacks::of_allocation(site);
        log::event(Kind::ResizeStart, block as usize, 0, caller);
        let moved = realloc(block, size);
        log::event(Kind::ResizeEnd, moved as usize, size, caller);
        moved
    }
}

/// Moves a block of the look-up to the real allocator.
///
/// # Safety
///
/// The block must come from [`real::spare`].
#[cold]
unsafe fn move_spare(block: *mut c_void, size: usize, site: Site) -> *mut c_void {
    // SAFETY: both blocks have at least as many bytes as are copied.
    unsafe {
        let moved = malloc(size, site);
        if !moved.is_null() {
            copy_nonoverlapping(block.cast::<u8>(), moved.cast::<u8>(), size.min(real::spare_size(block)));
        }
        moved
    }
}

/// Calls the hook of `realloc` itself: `reallocarray` of the C library would call it too, and the event would be logged
/// twice.
pub(crate) unsafe extern "C" fn reallocarray(
    block: *mut c_void,
    count: usize,
    size: usize,
    site: Site,
) -> *mut c_void {
    let Some(bytes) = count.checked_mul(size) else {
        return allocated(Kind::Failed, no_memory(), usize::MAX, site);
    };
    // SAFETY: the program's call has the same requirements.
    unsafe { realloc(block, bytes, site) }
}

pub(crate) unsafe extern "C" fn memalign(align: usize, size: usize, site: Site) -> *mut c_void {
    let Some(memalign) = real::MEMALIGN.get() else { return no_memory() };
    // SAFETY: the program's call has the same requirements.
    allocated_aligned(unsafe { memalign(align, size) }, size, align, site)
}

pub(crate) unsafe extern "C" fn aligned_alloc(align: usize, size: usize, site: Site) -> *mut c_void {
    let Some(aligned_alloc) = real::ALIGNED_ALLOC.get() else { return no_memory() };
    // SAFETY: the program's call has the same requirements.
    allocated_aligned(unsafe { aligned_alloc(align, size) }, size, align, site)
}

pub(crate) unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: usize,
    size: usize,
    site: Site,
) -> c_int {
    let Some(posix_memalign) = real::POSIX_MEMALIGN.get() else { return libc::ENOMEM };
    // SAFETY: the program's call has the same requirements; `place` is set on success.
    unsafe {
        let error = posix_memalign(place, align, size);
        allocated_aligned(if error == 0 { *place } else { null_mut() }, size, align, site);
        error
    }
}

pub(crate) unsafe extern "C" fn valloc(size: usize, site: Site) -> *mut c_void {
    let Some(valloc) = real::VALLOC.get() else { return no_memory() };
    // SAFETY: the program's call has the same requirements.
    allocated_aligned(unsafe { valloc(size) }, size, page(), site)
}

pub(crate) unsafe extern "C" fn pvalloc(size: usize, site: Site) -> *mut c_void {
    let Some(pvalloc) = real::PVALLOC.get() else { return no_memory() };
    // SAFETY: the program's call has the same requirements.
    allocated_aligned(unsafe { pvalloc(size) }, size, page(), site)
}
