//! Pages on Unix: `mmap` and its kin.

use core::ptr::NonNull;

use crate::base::AllocError;

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: `sysconf` reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

fn last_error() -> AllocError {
    AllocError::Os(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

fn anonymous(size: usize, protection: libc::c_int, more: libc::c_int) -> Result<NonNull<u8>, AllocError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | more;
    // SAFETY: a new private mapping at an address of the system's choice touches nothing that exists.
    let start = unsafe { libc::mmap(core::ptr::null_mut(), size, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        Err(last_error())
    } else {
        NonNull::new(start.cast()).ok_or(AllocError::Exhausted)
    }
}

pub(crate) fn map(size: usize) -> Result<NonNull<u8>, AllocError> {
    anonymous(size, libc::PROT_READ | libc::PROT_WRITE, 0)
}

pub(crate) fn reserve(size: usize) -> Result<NonNull<u8>, AllocError> {
    anonymous(size, libc::PROT_NONE, libc::MAP_NORESERVE)
}

/// # Safety
///
/// The range lies in a reservation of the caller's.
pub(crate) unsafe fn commit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's, and gaining rights invalidates nothing.
    let failed = unsafe { libc::mprotect(start.as_ptr().cast(), size, libc::PROT_READ | libc::PROT_WRITE) };
    if failed == 0 { Ok(()) } else { Err(last_error()) }
}

/// # Safety
///
/// The range lies in a reservation of the caller's, and nobody uses what is in it.
pub(crate) unsafe fn decommit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: the caller owns the range and gives up what is in it; the new mapping replaces exactly that.
    let start = unsafe { libc::mmap(start.as_ptr().cast(), size, libc::PROT_NONE, flags, -1, 0) };
    if start == libc::MAP_FAILED { Err(last_error()) } else { Ok(()) }
}

/// # Safety
///
/// The range was mapped or reserved by the caller, and nobody uses what is in it.
pub(crate) unsafe fn release(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's, and nobody uses it.
    let failed = unsafe { libc::munmap(start.as_ptr().cast(), size) };
    if failed == 0 { Ok(()) } else { Err(last_error()) }
}

/// Maps `size` bytes at a multiple of `align`, which is larger than a page: maps more and returns what is too much.
pub(crate) fn map_aligned(size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
    let whole = size.checked_add(align).ok_or(AllocError::Unsupported)?;
    let start = map(whole)?;
    let before = start.addr().get().wrapping_neg() & (align - 1);
    let after = whole - before - size;
    // SAFETY: `before + size + after` is the mapping's size, so both ends and the middle lie within it; the ends are
    // given back as soon as they are known, and nobody has seen them. That a mapping can be given back in parts is
    // what POSIX says of `munmap`; a failure would leave addresses mapped that nobody uses, and harms nobody.
    unsafe {
        let middle = start.add(before);
        if before != 0 {
            let _ = release(start, before);
        }
        if after != 0 {
            let _ = release(middle.add(size), after);
        }
        Ok(middle)
    }
}
