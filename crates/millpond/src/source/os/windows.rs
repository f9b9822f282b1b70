//! Pages on Windows: `VirtualAlloc` and `VirtualFree`.

use core::ptr::NonNull;

use windows_sys::Win32::{
    Foundation::{ERROR_INVALID_ADDRESS, GetLastError},
    System::{
        Memory::{
            GetLargePageMinimum, MEM_COMMIT, MEM_DECOMMIT, MEM_LARGE_PAGES, MEM_RELEASE, MEM_RESERVE,
            PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc, VirtualFree,
        },
        SystemInformation::{GetSystemInfo, SYSTEM_INFO},
    },
};

use super::Extent;
pub(in crate::source) use super::touch as populate;
use crate::{base::AllocError, source::Numa};

/// How many times an address for an aligned reservation is searched for if other threads take the one that was found.
const ATTEMPTS: usize = 100;

fn system() -> SYSTEM_INFO {
    let mut info = SYSTEM_INFO::default();
    // SAFETY: the call fills the structure that it is passed.
    unsafe { GetSystemInfo(&mut info) };
    info
}

/// Returns the page size, in bytes.
pub(crate) fn page_size() -> usize {
    system().dwPageSize as usize
}

/// Returns the size of a large page, as Windows calls it, in bytes; 2 MiB if there are none.
pub(crate) fn huge_size() -> usize {
    // SAFETY: the call reads a constant of the system.
    match unsafe { GetLargePageMinimum() } {
        0 => 2 << 20,
        size => size,
    }
}

fn last_error() -> AllocError {
    // SAFETY: the call reads a thread-local number.
    AllocError::Os(unsafe { GetLastError() }.cast_signed())
}

fn allocate(at: usize, size: usize, what: u32, protection: u32) -> Result<NonNull<u8>, AllocError> {
    // SAFETY: reserving touches nothing that exists, and committing changes no byte of committed pages.
    let start = unsafe { VirtualAlloc(core::ptr::without_provenance(at), size, what, protection) };
    NonNull::new(start.cast()).ok_or_else(last_error)
}

/// Reserves memory at a multiple of `align`, with the allocation type `what`. On Windows a reservation cannot be
/// released in parts. If the system's own alignment is not sufficient, a larger reservation finds a suitable address
/// and is released to make room.
fn aligned(size: usize, align: usize, what: u32, protection: u32) -> Result<NonNull<u8>, AllocError> {
    if align <= system().dwAllocationGranularity as usize {
        return allocate(0, size, what, protection);
    }
    let whole = size.checked_add(align).ok_or(AllocError::Unsupported)?;
    let mut taken = AllocError::Exhausted;
    for _ in 0..ATTEMPTS {
        let probe = allocate(0, whole, MEM_RESERVE, PAGE_NOACCESS)?;
        let at = probe.addr().get().next_multiple_of(align);
        // SAFETY: the probe is ours, and nothing else uses it.
        unsafe { release(probe, whole)? };
        match allocate(at, size, what, protection) {
            // Another thread has taken the address in the meantime.
            Err(error) if error == AllocError::Os(ERROR_INVALID_ADDRESS.cast_signed()) => taken = error,
            result => return result,
        }
    }
    Err(taken)
}

pub(crate) fn map(size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
    aligned(size, align, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
}

pub(crate) fn reserve(size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
    aligned(size, align, MEM_RESERVE, PAGE_NOACCESS)
}

/// Returns an error: guards are addresses without memory here.
pub(crate) fn map_guarded(_: &Extent) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

/// Maps huge pages. They are reserved and committed in one call, so there can be no guard beside them.
pub(crate) fn map_huge(extent: &Extent) -> Result<NonNull<u8>, AllocError> {
    // SAFETY: the call reads a constant of the system.
    let none = unsafe { GetLargePageMinimum() } == 0;
    if none || extent.whole() != extent.size {
        return Err(AllocError::Unsupported);
    }
    aligned(extent.size, extent.align, MEM_RESERVE | MEM_COMMIT | MEM_LARGE_PAGES, PAGE_READWRITE)
}

/// Commits memory for a part of a reservation.
///
/// # Safety
///
/// The range lies in a reservation of the caller.
pub(crate) unsafe fn commit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    allocate(start.addr().get(), size, MEM_COMMIT, PAGE_READWRITE).map(drop)
}

/// Decommits the memory of a part of a reservation.
///
/// # Safety
///
/// The range lies in a reservation of the caller, and its contents are no longer used.
pub(crate) unsafe fn decommit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the caller owns the range and no longer uses its contents.
    let done = unsafe { VirtualFree(start.as_ptr().cast(), size, MEM_DECOMMIT) };
    if done != 0 { Ok(()) } else { Err(last_error()) }
}

/// Releases a mapping or reservation.
///
/// # Safety
///
/// `start` is the start of a mapping or reservation of the caller, and its contents are no longer used.
pub(crate) unsafe fn release(start: NonNull<u8>, _: usize) -> Result<(), AllocError> {
    // SAFETY: the whole reservation is the caller's and is no longer used. `MEM_RELEASE` requires a size of zero.
    let done = unsafe { VirtualFree(start.as_ptr().cast(), 0, MEM_RELEASE) };
    if done != 0 { Ok(()) } else { Err(last_error()) }
}

/// Decommits the end of a mapping. Its addresses stay reserved until the rest is released.
///
/// # Safety
///
/// The caller mapped `old` bytes at `start`, and those beyond `new` are no longer used.
pub(crate) unsafe fn shrink(start: NonNull<u8>, old: usize, new: usize) -> Result<(), AllocError> {
    // SAFETY: the tail is part of the caller's mapping and is no longer used.
    unsafe { decommit(start.add(new), old - new) }
}

/// Returns an error: a mapping cannot grow on Windows.
///
/// # Safety
///
/// No requirements: the function does nothing.
pub(crate) unsafe fn remap(_: NonNull<u8>, _: usize, _: usize, _: bool) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

/// Does nothing.
///
/// # Safety
///
/// No requirements: the function does nothing.
pub(crate) unsafe fn prefer_huge(_: NonNull<u8>, _: usize) {}

/// Does nothing.
///
/// # Safety
///
/// No requirements: the function does nothing.
pub(crate) unsafe fn bind(_: NonNull<u8>, _: usize, _: Numa) -> Result<(), AllocError> {
    Ok(())
}
