//! System calls. Each leaves `errno` changed only where it says so.

use core::ptr::{NonNull, null_mut};

/// Maps this many bytes of zeros, which are not backed by memory until they are touched.
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    map_with(bytes, libc::PROT_READ | libc::PROT_WRITE)
}

/// Reserves address space, which can be used after [`commit`]. It does not count as memory that is used or locked.
pub(crate) fn reserve(bytes: usize) -> Option<NonNull<u8>> {
    map_with(bytes, libc::PROT_NONE)
}

fn map_with(bytes: usize, protection: libc::c_int) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping affects no other memory.
    let start = unsafe { libc::mmap(null_mut(), bytes, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED { None } else { NonNull::new(start.cast()) }
}

/// Makes reserved memory usable; returns whether that succeeded.
///
/// # Safety
///
/// The range must belong to a mapping of [`reserve`].
pub(crate) unsafe fn commit(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller owns the range.
    unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_READ | libc::PROT_WRITE) == 0 }
}

/// Returns the memory of a range to the system; afterwards it reads as zeros. Returns whether that succeeded.
///
/// # Safety
///
/// The range must belong to a mapping of [`reserve`], and its contents must not be needed any more.
pub(crate) unsafe fn purge(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller owns the range.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_DONTNEED) == 0 }
}

/// Makes committed memory inaccessible; returns whether that succeeded. It is a mapping of its own then.
///
/// # Safety
///
/// The range must belong to a mapping of [`reserve`], and nothing may use it.
pub(crate) unsafe fn protect(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller owns the range.
    unsafe { libc::mprotect(start.cast(), bytes, libc::PROT_NONE) == 0 }
}

/// Turns pages into guards, whose access ends the program, without a mapping of their own; their contents are lost.
/// Returns whether that succeeded: since Linux 6.13.
///
/// # Safety
///
/// As for [`protect`].
pub(crate) unsafe fn install_guards(start: *mut u8, bytes: usize) -> bool {
    const MADV_GUARD_INSTALL: libc::c_int = 102;
    // SAFETY: the caller owns the range.
    unsafe { libc::madvise(start.cast(), bytes, MADV_GUARD_INSTALL) == 0 }
}

/// Turns the guards of a range into ordinary pages, which read as zeros, and leaves other pages as they are.
///
/// # Safety
///
/// The range must belong to a mapping of [`reserve`].
pub(crate) unsafe fn remove_guards(start: *mut u8, bytes: usize) {
    const MADV_GUARD_REMOVE: libc::c_int = 103;
    // SAFETY: the contents of pages in use do not change.
    unsafe { libc::madvise(start.cast(), bytes, MADV_GUARD_REMOVE) };
}

/// Fills an array with random numbers of the system; returns whether it has any yet.
pub(crate) fn random(numbers: &mut [u64]) -> bool {
    let bytes = size_of_val(numbers);
    // SAFETY: the array has as many bytes.
    let got =
        keeping_errno(|| unsafe { libc::getrandom(numbers.as_mut_ptr().cast(), bytes, libc::GRND_NONBLOCK) });
    got == bytes as isize
}

/// Lets the system use huge pages for a range.
///
/// # Safety
///
/// The range must belong to a mapping of [`reserve`].
pub(crate) unsafe fn allow_huge_pages(start: *mut u8, bytes: usize) {
    // SAFETY: the advice changes no contents. A system without huge pages refuses it, which does not matter.
    unsafe { libc::madvise(start.cast(), bytes, libc::MADV_HUGEPAGE) };
}

/// Moves the pages of a range to another, whose old contents are lost; returns whether that succeeded. If it did, the
/// old range stays mapped and reads as zeros.
///
/// # Safety
///
/// Both ranges must belong to mappings of [`reserve`] and not overlap.
pub(crate) unsafe fn move_pages(from: *mut u8, to: *mut u8, bytes: usize) -> bool {
    let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP;
    // SAFETY: the caller owns both ranges.
    unsafe { libc::mremap(from.cast(), bytes, bytes, flags, to) != libc::MAP_FAILED }
}

/// Returns the time in milliseconds since some moment, to within a few of them.
pub(crate) fn milliseconds() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the place is valid. This clock always exists and is read without a system call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// Runs a function and restores `errno` afterwards.
pub(crate) fn keeping_errno<R>(run: impl FnOnce() -> R) -> R {
    // SAFETY: `__errno_location` returns a valid pointer on every thread.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: see above.
    let before = unsafe { *errno };
    let result = run();
    // SAFETY: see above.
    unsafe { *errno = before };
    result
}

/// Sets `errno` to `ENOMEM` and returns null.
#[cold]
pub(crate) fn no_memory() -> *mut u8 {
    set_errno(libc::ENOMEM);
    null_mut()
}

pub(crate) fn set_errno(error: libc::c_int) {
    // SAFETY: `__errno_location` returns a valid pointer on every thread.
    unsafe { *libc::__errno_location() = error };
}
