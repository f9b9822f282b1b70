//! The operating system's page calls behind one interface.
//!
//! * `reserve(size, align)` reserves addresses without memory; accessing them faults.
//! * `commit(start, size)` commits zeroed memory for a part of a reservation.
//! * `decommit(start, size)` takes the memory away again and keeps the addresses.
//! * `release(start, size)` releases a whole reservation or mapping.
//! * `map(size, align)` reserves and commits in one call.
//! * `map_guarded(extent)` maps an extent as one mapping, with guards around the block.
//! * `map_huge(extent)` maps huge pages that the administrator has reserved.
//! * `remap(start, old, new, moves)` grows a mapping, moving it if allowed and necessary; new memory is zero.
//! * `shrink(start, old, new)` releases the end of a mapping.
//! * `prefer_huge(start, size)` asks for huge pages if the system has some available.
//! * `bind(start, size, numa)` sets the NUMA policy of pages that have not been touched yet.
//! * `populate(start, size)` allocates the memory of fresh pages now rather than on first access.
//!
//! Starts and sizes are multiples of `page_size()`. Alignments are powers of two, and a mapping starts at a multiple of
//! its alignment. Every call returns the system's error code on failure. A feature that a system lacks returns
//! [`AllocError::Unsupported`](crate::AllocError::Unsupported), or does nothing if the table at
//! [`TunedPages`](super::TunedPages) says so.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(unix, not(target_os = "linux")))]
mod posix;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use core::ptr::NonNull;

#[cfg(target_os = "linux")]
pub(super) use linux::{bind, map_guarded, map_huge, populate, prefer_huge, remap};
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) use posix::{bind, map_guarded, map_huge, populate, prefer_huge, remap};
#[cfg(unix)]
pub(crate) use unix::{at_fork, fork};
#[cfg(unix)]
pub(super) use unix::{commit, decommit, huge_size, map, page_size, release, reserve, shrink};
#[cfg(windows)]
pub(super) use windows::{
    bind, commit, decommit, huge_size, map, map_guarded, map_huge, page_size, populate, prefer_huge, release,
    remap, reserve, shrink,
};

/// The layout of a mapping: addresses without memory, the block, addresses without memory. All sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// Bytes in front of the block, a multiple of `align`.
    pub(super) front: usize,
    /// Bytes of the block.
    pub(super) size: usize,
    /// Bytes behind the block.
    pub(super) back: usize,
    /// The alignment of the mapping's start.
    pub(super) align: usize,
}

impl Extent {
    /// Returns the total number of bytes.
    pub(super) fn whole(&self) -> usize {
        self.front + self.size + self.back
    }
}

/// Writes to every page of a mapping, so that it has memory.
///
/// # Safety
///
/// The range is committed and fresh, and only the caller uses it.
#[cfg_attr(not(target_os = "linux"), expect(clippy::unnecessary_wraps, reason = "it can fail on Linux"))]
pub(super) unsafe fn touch(start: NonNull<u8>, size: usize) -> Result<(), crate::base::AllocError> {
    for offset in (0..size).step_by(page_size()) {
        // SAFETY: the offset lies in the range, and fresh memory is zero already.
        unsafe { start.add(offset).write_volatile(0) };
    }
    Ok(())
}
