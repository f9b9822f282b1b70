//! Pages on Unix: `mmap` and related calls, as specified by POSIX.

use core::ptr::NonNull;

use crate::base::AllocError;

/// The flag that reserves addresses without counting them as memory, on systems that make the distinction.
#[cfg(target_os = "linux")]
const NO_RESERVE: libc::c_int = libc::MAP_NORESERVE;
/// The flag that reserves addresses without counting them as memory, on systems that make the distinction.
#[cfg(not(target_os = "linux"))]
const NO_RESERVE: libc::c_int = 0;

/// Returns the page size, in bytes.
pub(crate) fn page_size() -> usize {
    // SAFETY: `sysconf` reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Returns the huge page size, in bytes: as many pages as a page has entries of 8 bytes, which is what one entry of the
/// second level of the page table spans on x86-64, arm64 and riscv64.
pub(crate) fn huge_size() -> usize {
    page_size() * (page_size() / 8)
}

/// Registers handlers that are called before this process forks, and after the fork in the parent and in the child.
pub(crate) fn at_fork(
    prepare: extern "C" fn(),
    parent: extern "C" fn(),
    child: extern "C" fn(),
) -> Result<(), AllocError> {
    // SAFETY: the handlers exist as long as the program, or as long as the library that contains them; unloading the
    // library unregisters them.
    match unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) } {
        0 => Ok(()),
        number => Err(AllocError::Os(number)),
    }
}

/// Forks the process. Returns zero in the child, and the process id of the child in the parent.
///
/// # Safety
///
/// The child uses nothing that another thread may have been changing.
pub(crate) unsafe fn fork() -> Result<i32, AllocError> {
    // SAFETY: the caller guarantees that the child uses nothing that another thread may have been changing.
    match unsafe { libc::fork() } {
        -1 => Err(last_error()),
        child => Ok(child),
    }
}

pub(super) fn last_error() -> AllocError {
    AllocError::Os(std::io::Error::last_os_error().raw_os_error().unwrap_or(0))
}

/// Converts the result of a call that returns zero or -1.
pub(super) fn done(result: libc::c_int) -> Result<(), AllocError> {
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Converts the result of a call that returns a mapping.
pub(super) fn mapping(start: *mut libc::c_void) -> Result<NonNull<u8>, AllocError> {
    if start == libc::MAP_FAILED {
        Err(last_error())
    } else {
        NonNull::new(start.cast()).ok_or(AllocError::Exhausted)
    }
}

/// Creates a private mapping at a multiple of `align`. If the alignment of a page is not sufficient, it maps more and
/// releases the excess.
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
    // SAFETY: `before + size + after` is the size of the mapping, so both ends and the middle lie within it. The ends
    // are released as soon as they are known, and nothing else uses them. POSIX allows `munmap` on parts of a mapping;
    // a failure would leave unused addresses mapped, which is harmless.
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

/// Commits memory for a part of a reservation.
///
/// # Safety
///
/// The range lies in a reservation of the caller.
pub(crate) unsafe fn commit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's, and adding access rights invalidates nothing.
    done(unsafe { libc::mprotect(start.as_ptr().cast(), size, libc::PROT_READ | libc::PROT_WRITE) })
}

/// Decommits the memory of a part of a reservation.
///
/// # Safety
///
/// The range lies in a reservation of the caller, and its contents are no longer used.
pub(crate) unsafe fn decommit(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | NO_RESERVE;
    // SAFETY: the caller owns the range and no longer uses its contents; the new mapping replaces exactly that range.
    mapping(unsafe { libc::mmap(start.as_ptr().cast(), size, libc::PROT_NONE, flags, -1, 0) }).map(drop)
}

/// Releases a mapping or reservation.
///
/// # Safety
///
/// The range was mapped or reserved by the caller, and its contents are no longer used.
pub(crate) unsafe fn release(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's and is no longer used.
    done(unsafe { libc::munmap(start.as_ptr().cast(), size) })
}

/// Releases the end of a mapping.
///
/// # Safety
///
/// The caller mapped `old` bytes at `start`, and those beyond `new` are no longer used.
pub(crate) unsafe fn shrink(start: NonNull<u8>, old: usize, new: usize) -> Result<(), AllocError> {
    // SAFETY: the tail is part of the caller's mapping and is no longer used.
    unsafe { release(start.add(new), old - new) }
}
