//! Linux features beyond POSIX: huge pages, memory policies, populating pages, moving mappings.

use core::ptr::NonNull;

use super::{
    Extent, touch,
    unix::{done, huge_size, last_error, map, mapping, release, reserve},
};
use crate::{base::AllocError, source::Numa};

/// The bit position in the flags of `mmap` of the binary logarithm of a huge page's size.
const SIZE_SHIFT: u32 = 26;

/// Reserves the extent and maps huge pages for the block.
pub(crate) fn map_huge(extent: &Extent) -> Result<NonNull<u8>, AllocError> {
    let start = reserve(extent.whole(), extent.align)?;
    let size_log2 = (huge_size().trailing_zeros() << SIZE_SHIFT).cast_signed();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_HUGETLB | size_log2;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the block lies in the reservation, which nothing else uses yet; the new mapping replaces exactly the
    // block.
    let mapped = mapping(unsafe {
        libc::mmap(start.add(extent.front).as_ptr().cast(), extent.size, rights, flags, -1, 0)
    });
    match mapped {
        Ok(_) => Ok(start),
        Err(error) => {
            // SAFETY: the reservation is ours, and nothing else uses it. On failure only addresses stay reserved.
            let _ = unsafe { release(start, extent.whole()) };
            Err(error)
        }
    }
}

/// The request of `madvise` that turns pages into guards, which fault on access. Unlike a protection, it does not divide
/// the mapping. Linux 6.13 and later know it; the crate `libc` does not.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Maps the extent in one piece, and turns what is in front of the block and behind it into guards.
pub(crate) fn map_guarded(extent: &Extent) -> Result<NonNull<u8>, AllocError> {
    let start = map(extent.whole(), extent.align)?;
    // SAFETY: both ranges lie in the mapping, which nothing else uses yet.
    let guarded = unsafe {
        let back = start.add(extent.front + extent.size).as_ptr();
        done(libc::madvise(start.as_ptr().cast(), extent.front, MADV_GUARD_INSTALL))
            .and_then(|()| done(libc::madvise(back.cast(), extent.back, MADV_GUARD_INSTALL)))
    };
    match guarded {
        Ok(()) => Ok(start),
        Err(error) => {
            // SAFETY: the mapping is ours, and nothing else uses it. On failure the pages stay mapped.
            let _ = unsafe { release(start, extent.whole()) };
            Err(error)
        }
    }
}

/// Grows a mapping and returns its start.
///
/// # Safety
///
/// The caller mapped `old` bytes at `start`. On success the mapping is only at the returned address.
pub(crate) unsafe fn remap(
    start: NonNull<u8>,
    old: usize,
    new: usize,
    moves: bool,
) -> Result<NonNull<u8>, AllocError> {
    let flags = if moves { libc::MREMAP_MAYMOVE } else { 0 };
    // SAFETY: the mapping is the caller's. If it cannot grow in place, it moves to unused addresses, or the call fails.
    mapping(unsafe { libc::mremap(start.as_ptr().cast(), old, new, flags) })
}

/// Asks the system to back the range with huge pages.
///
/// # Safety
///
/// The range is committed and the caller's.
pub(crate) unsafe fn prefer_huge(start: NonNull<u8>, size: usize) {
    // SAFETY: the advice changes no byte. It is a hint: a kernel without huge pages refuses it, without any effect.
    let _ = unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
}

/// Allocates memory for every page of the range.
///
/// # Safety
///
/// The range is committed and fresh, and only the caller uses it.
pub(crate) unsafe fn populate(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's, and its contents are kept: every page is mapped as if it had been written to.
    match done(unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_POPULATE_WRITE) }) {
        // Linux before 5.14 does not know the request. SAFETY: the range is committed and fresh, and only the caller
        // uses it, as `touch` requires.
        Err(AllocError::Os(libc::EINVAL)) => unsafe { touch(start, size) },
        result => result,
    }
}

/// Bits in a word of the kernel's node masks. A mask of ours has one bit per node.
const WORD: u32 = libc::c_ulong::BITS;
const NODES: u32 = u64::BITS;

/// Sets the memory policy of the range.
///
/// # Safety
///
/// The range is the caller's.
pub(crate) unsafe fn bind(start: NonNull<u8>, size: usize, numa: Numa) -> Result<(), AllocError> {
    let (mode, nodes) = match numa {
        Numa::Local => (libc::MPOL_LOCAL, 0),
        Numa::Prefer(node) => (libc::MPOL_PREFERRED, 1u64.checked_shl(node).ok_or(AllocError::Unsupported)?),
        Numa::Bind(nodes) => (libc::MPOL_BIND, nodes),
        Numa::Interleave(nodes) => (libc::MPOL_INTERLEAVE, nodes),
    };
    let mut mask = [0; (NODES / WORD) as usize];
    for (word, shift) in mask.iter_mut().zip((0..NODES).step_by(WORD as usize)) {
        // The cast truncates to the nodes of this word.
        *word = (nodes >> shift) as libc::c_ulong;
    }
    // The kernel reads one bit less than the number passed. The policy for local memory takes no nodes.
    let (mask, bits) = if nodes == 0 && mode == libc::MPOL_LOCAL {
        (core::ptr::null(), 0)
    } else {
        (mask.as_ptr(), libc::c_ulong::from(NODES) + 1)
    };
    // SAFETY: the call reads the mask, which has at least `bits` bits, and changes no byte of the range.
    let result = unsafe { libc::syscall(libc::SYS_mbind, start.as_ptr(), size, mode, mask, bits, 0) };
    match if result == 0 { Ok(()) } else { Err(last_error()) } {
        // A kernel built without NUMA has one node, so the policy has no effect.
        Err(AllocError::Os(libc::ENOSYS)) => Ok(()),
        result => result,
    }
}
