//! What Linux has beyond POSIX: huge pages, memory policies, filling in advance, moving mappings.

use core::ptr::NonNull;

use super::{
    Extent, touch,
    unix::{done, huge_size, last_error, mapping, release, reserve},
};
use crate::{base::AllocError, source::Numa};

/// Where the flags of `mmap` hold the binary logarithm of a huge page's size.
const SIZE_SHIFT: u32 = 26;

/// Reserves the extent and puts huge pages behind the block.
pub(crate) fn map_huge(extent: &Extent) -> Result<NonNull<u8>, AllocError> {
    let start = reserve(extent.whole(), extent.align)?;
    let size_log2 = (huge_size().trailing_zeros() << SIZE_SHIFT).cast_signed();
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_FIXED | libc::MAP_HUGETLB | size_log2;
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: the block lies in the reservation, which nobody has seen; the new mapping replaces exactly that.
    let mapped = mapping(unsafe {
        libc::mmap(start.add(extent.front).as_ptr().cast(), extent.size, rights, flags, -1, 0)
    });
    match mapped {
        Ok(_) => Ok(start),
        Err(error) => {
            // SAFETY: the reservation is ours, and nobody has seen it. A failure leaves addresses reserved, no more.
            let _ = unsafe { release(start, extent.whole()) };
            Err(error)
        }
    }
}

/// # Safety
///
/// The caller mapped `old` bytes at `start`. On success they are where the result says, and only there.
pub(crate) unsafe fn remap(
    start: NonNull<u8>,
    old: usize,
    new: usize,
    moves: bool,
) -> Result<NonNull<u8>, AllocError> {
    let flags = if moves { libc::MREMAP_MAYMOVE } else { 0 };
    // SAFETY: the mapping is the caller's; where it cannot grow it moves to addresses that nobody uses, or fails.
    mapping(unsafe { libc::mremap(start.as_ptr().cast(), old, new, flags) })
}

/// # Safety
///
/// The range is committed and the caller's.
pub(crate) unsafe fn prefer_huge(start: NonNull<u8>, size: usize) {
    // SAFETY: the advice changes no byte. It is a wish: a kernel without huge pages refuses it, and all is as before.
    let _ = unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
}

/// # Safety
///
/// The range is committed, fresh, and the caller's alone.
pub(crate) unsafe fn populate(start: NonNull<u8>, size: usize) -> Result<(), AllocError> {
    // SAFETY: the range is the caller's; every page of it becomes one that was written to, with its contents kept.
    match done(unsafe { libc::madvise(start.as_ptr().cast(), size, libc::MADV_POPULATE_WRITE) }) {
        // Linux before 5.14 does not know the request.
        // SAFETY: the caller's promises are passed on.
        Err(AllocError::Os(libc::EINVAL)) => unsafe { touch(start, size) },
        result => result,
    }
}

/// Bits in a word of the kernel's node masks, and nodes in ours.
const WORD: u32 = libc::c_ulong::BITS;
const NODES: u32 = u64::BITS;

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
        // The cast keeps the word's share of the nodes.
        *word = (nodes >> shift) as libc::c_ulong;
    }
    // The kernel reads one bit less than it is told. The policy for local memory takes no nodes.
    let (mask, bits) = if nodes == 0 && mode == libc::MPOL_LOCAL {
        (core::ptr::null(), 0)
    } else {
        (mask.as_ptr(), libc::c_ulong::from(NODES) + 1)
    };
    // SAFETY: the call reads the mask, which has as many bits as it is told, and changes no byte of the range.
    let result = unsafe { libc::syscall(libc::SYS_mbind, start.as_ptr(), size, mode, mask, bits, 0) };
    match if result == 0 { Ok(()) } else { Err(last_error()) } {
        // A kernel built without NUMA: all memory is one node's, and there is nothing to choose.
        Err(AllocError::Os(libc::ENOSYS)) => Ok(()),
        result => result,
    }
}
