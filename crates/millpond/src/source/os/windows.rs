//! Pages on Windows: `VirtualAlloc` and `VirtualFree`.

use core::ptr::NonNull;

use windows_sys::Win32::{
    Foundation::GetLastError,
    System::{
        Memory::{
            MEM_COMMIT, MEM_DECOMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc,
            VirtualFree,
        },
        SystemInformation::{GetSystemInfo, SYSTEM_INFO},
    },
};

use crate::base::AllocError;

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    let mut info = SYSTEM_INFO::default();
    // SAFETY: the call fills the structure that it is given.
    unsafe { GetSystemInfo(&mut info) };
    info.dwPageSize as usize
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

pub(crate) fn map(size: usize) -> Result<NonNull<u8>, AllocError> {
    allocate(0, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE)
}

pub(crate) fn reserve(size: usize) -> Result<NonNull<u8>, AllocError> {
    allocate(0, size, MEM_RESERVE, PAGE_NOACCESS)
}

/// # Safety
///
/// The range lies in a reservation of the caller's.
pub(crate) unsafe fn commit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    allocate(start.addr().get(), size, MEM_COMMIT, PAGE_READWRITE).map(drop)
}

/// # Safety
///
/// The range lies in a reservation of the caller's, and nobody uses what is in it.
pub(crate) unsafe fn decommit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the caller owns the range and gives up what is in it.
    let done = unsafe { VirtualFree(start.as_ptr().cast(), size, MEM_DECOMMIT) };
    if done != 0 { Ok(()) } else { Err(last_error()) }
}

/// # Safety
///
/// `start` is the start of a mapping or reservation of the caller's, and nobody uses what is in it.
pub(crate) unsafe fn release(start: NonNull<u8>, _: usize) -> Result<(), AllocError> {
    // SAFETY: the whole reservation is the caller's, and nobody uses it. (Windows wants to hear no size here.)
    let done = unsafe { VirtualFree(start.as_ptr().cast(), 0, MEM_RELEASE) };
    if done != 0 { Ok(()) } else { Err(last_error()) }
}

/// Maps `size` bytes at a multiple of `align`, which is larger than a page. A reservation cannot be given back in
/// parts here, so a larger one says where there is room, and is released to make it.
pub(crate) fn map_aligned(size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
    let whole = size.checked_add(align).ok_or(AllocError::Unsupported)?;
    loop {
        let probe = reserve(whole)?;
        let at = (probe.addr().get() + align - 1) & !(align - 1);
        // SAFETY: the probe is ours, and nobody has seen it.
        unsafe { release(probe, whole)? };
        if let Ok(start) = allocate(at, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE) {
            return Ok(start);
        }
        // Another thread took the place in between, or there is no memory: the latter ends the loop above, at the
        // next `reserve`, or here.
        map(size).and_then(|start| {
            // SAFETY: the mapping is ours, and nobody has seen it.
            unsafe { release(start, size) }
        })?;
    }
}
