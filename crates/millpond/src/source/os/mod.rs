//! The operating system's page calls behind one contract.
//!
//! * `reserve(size, align)` takes address space without memory behind it; touching it faults.
//! * `commit(start, size)` puts zeroed memory behind a part of it.
//! * `decommit(start, size)` takes the memory away again and keeps the addresses.
//! * `release(start, size)` gives a whole reservation or mapping back.
//! * `map(size, align)` is reserve and commit in one call.
//! * `map_huge(extent)` maps huge pages that the administrator has set aside.
//! * `remap(start, old, new, moves)` makes a mapping larger, elsewhere if it may move; what is new is zero.
//! * `shrink(start, old, new)` gives the end of a mapping back.
//! * `prefer_huge(start, size)` asks for huge pages where the system has them to spare.
//! * `bind(start, size, numa)` says which memory shall back pages not touched yet.
//! * `populate(start, size)` puts memory behind fresh pages now rather than when they are touched.
//!
//! Starts and sizes are multiples of `page_size()`; alignments are powers of two, and a mapping starts at a multiple of
//! its alignment. Every call returns the system's error code on failure; what a system lacks is
//! [`AllocError::Unsupported`](crate::AllocError::Unsupported), or does nothing where the table at
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
pub(super) use linux::{bind, map_huge, populate, prefer_huge, remap};
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) use posix::{bind, map_huge, populate, prefer_huge, remap};
#[cfg(unix)]
pub(crate) use unix::{at_fork, fork};
#[cfg(unix)]
pub(super) use unix::{commit, decommit, huge_size, map, page_size, release, reserve, shrink};
#[cfg(windows)]
pub(super) use windows::{
    bind, commit, decommit, huge_size, map, map_huge, page_size, populate, prefer_huge, release, remap,
    reserve, shrink,
};

/// How a mapping is laid out: addresses without memory, the block, addresses without memory. All sizes in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// What lies in front of the block; a multiple of `align`.
    pub(super) front: usize,
    /// The block itself.
    pub(super) size: usize,
    /// What lies behind the block.
    pub(super) back: usize,
    /// What the mapping's start is a multiple of.
    pub(super) align: usize,
}

impl Extent {
    /// Bytes in all.
    pub(super) fn whole(&self) -> usize {
        self.front + self.size + self.back
    }
}

/// Writes to every page of a mapping, so that there is memory behind it.
///
/// # Safety
///
/// The range is committed, fresh, and the caller's alone.
#[cfg_attr(not(target_os = "linux"), expect(clippy::unnecessary_wraps, reason = "it can fail on Linux"))]
pub(super) unsafe fn touch(start: NonNull<u8>, size: usize) -> Result<(), crate::base::AllocError> {
    for offset in (0..size).step_by(page_size()) {
        // SAFETY: the offset lies in the range, and fresh memory is zero already.
        unsafe { start.add(offset).write_volatile(0) };
    }
    Ok(())
}
