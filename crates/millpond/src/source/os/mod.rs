//! The operating system's page calls behind one contract: reserve, commit, decommit, release.
//!
//! * `reserve(size)` takes address space without memory behind it; touching it faults.
//! * `commit(start, size)` puts zeroed memory behind a part of it.
//! * `decommit(start, size)` takes the memory away again and keeps the addresses.
//! * `release(start, size)` gives a whole reservation back.
//! * `map(size)` is reserve and commit in one call; `map_aligned(size, align)` the same for more than page alignment.
//!
//! Starts and sizes are multiples of `page_size()`. Every call returns the system's error code on failure.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(super) use unix::{commit, decommit, map, map_aligned, page_size, release, reserve};
#[cfg(windows)]
pub(super) use windows::{commit, decommit, map, map_aligned, page_size, release, reserve};
