//! Pages on Unix: `mmap` and its kin, as POSIX has them.

use core::ptr::NonNull;

use crate::base::AllocError;

/// Has address space reserved without counting it as memory, where a system makes that difference.
#[cfg(target_os = "linux")]
const NO_RESERVE: libc::c_int = libc::MAP_NORESERVE;
/// Has address space reserved without counting it as memory, where a system makes that difference.
#[cfg(not(target_os = "linux"))]
const NO_RESERVE: libc::c_int = 0;

/// Bytes in a page.
pub(crate) fn page_size() -> usize {
    // SAFETY: `sysconf` reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Bytes in a huge page: as many pages as a page has entries of 8 bytes, which is what one entry of the page table's
/// second level spans on x86-64, arm64 and riscv64.
pub(crate) fn huge_size() -> usize {
    page_size() * (page_size() / 8)
}

/// Has handlers called before this process forks, and after it in the parent and in the child.
pub(crate) fn at_fork(
    prepare: extern "C" fn(),
    parent: extern "C" fn(),
    child: extern "C" fn(),
) -> Result<(), AllocError> {
    // SAFETY: functions are there as long as the program, or the library that they are in, which takes them along.
    match unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) } {
        0 => Ok(()),
        number => Err(AllocError::Os(number)),
    }
}

/// Forks: zero in the child, the child's number in the parent.
///
/// # Safety
///
/// The child uses nothing that another thread may have been changing.
pub(crate) unsafe fn fork() -> Result<i32, AllocError> {
    // SAFETY: the caller's promise.
    match unsafe { libc::fork() } {
        -1 => Err(last_error()),
        child => Ok(child),
    }
}

pub(super) fn last_error() -> AllocError {
    AllocError::Os(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// What a call that returns zero or -1 has said.
pub(super) fn done(result: libc::c_int) -> Result<(), AllocError> {
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// What a call that returns a mapping has said.
pub(super) fn mapping(start: *mut libc::c_void) -> Result<NonNull<u8>, AllocError> {
    if start == libc::MAP_FAILED {
        Err(last_error())
    } else {
        NonNull::new(start.cast()).ok_or(AllocError::Exhausted)
    }
}

/// A new private mapping at a multiple of `align`. Where a page's alignment is not enough, it maps more and returns what
/// is too much.
fn anonymous(
    size: usize,
    align: usize,
    protection: libc::c_int,
    more: libc::c_int,
) -> Result<NonNull<u8>, AllocError> {
    let slack = align.saturating_sub(page_size());
    let whole = size.checked_add(slack).ok_or(AllocError::Unsupported)?;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | more;
    // SAFETY: a new private mapping at an address of the system's choice touches nothing that exists.
    let start = mapping(unsafe { libc::mmap(core::ptr::null_mut(), whole, protection, flags, -1, 0) })?;
    if slack == 0 {
        return Ok(start);
    }
    let before = start.addr().get().wrapping_neg() & (align - 1);
    let after = slack - before;
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

pub(crate) fn map(size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
    anonymous(size, align, libc::PROT_READ | libc::PROT_WRITE, 0)
}

pub(crate) fn reserve(size: usize, align: usize) -> Result<NonNull<u8>, AllocError> {
    anonymous(size, align, libc::PROT_NONE, NO_RESERVE)
}

/// # Safety
///
/// The range lies in a reservation of the caller's.
pub(crate) unsafe fn commit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's, and gaining rights invalidates nothing.
    done(unsafe { libc::mprotect(start.as_ptr().cast(), size, libc::PROT_READ | libc::PROT_WRITE) })
}

/// # Safety
///
/// The range lies in a reservation of the caller's, and nobody uses what is in it.
pub(crate) unsafe fn decommit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | NO_RESERVE;
    // SAFETY: the caller owns the range and gives up what is in it; the new mapping replaces exactly that.
    mapping(unsafe { libc::mmap(start.as_ptr().cast(), size, libc::PROT_NONE, flags, -1, 0) }).map(drop)
}

/// # Safety
///
/// The range was mapped or reserved by the caller, and nobody uses what is in it.
pub(crate) unsafe fn release(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's, and nobody uses it.
    done(unsafe { libc::munmap(start.as_ptr().cast(), size) })
}

/// # Safety
///
/// The caller mapped `old` bytes at `start`, and nobody uses those beyond `new`.
pub(crate) unsafe fn shrink(start: NonNull<u8>, old: usize, new: usize) -> Result<(), AllocError> {
    // SAFETY: the tail is a part of the caller's mapping, and nobody uses it.
    unsafe { release(start.add(new), old - new) }
}
