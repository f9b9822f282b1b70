//! Guard pages: parts of the region that end the program when it accesses them.
//!
//! Linux 6.13 and later mark pages as guards within a mapping (`MADV_GUARD_INSTALL`). Before, a guard page is a mapping
//! of its own, of which the system permits 65,530 by default; so at most 200 blocks have one there.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};

use crate::os;

pub(crate) const PAGE: usize = 4096;
/// Guards that are mappings of their own, at most.
const MOST_MAPPINGS: usize = 200;

/// Whether the system marks pages as guards.
static MARKS: AtomicBool = AtomicBool::new(false);
static MAPPINGS: AtomicUsize = AtomicUsize::new(0);

/// Finds out whether the system marks pages as guards, by marking these.
///
/// # Safety
///
/// The range must belong to a mapping of [`os::reserve`] and not be in use.
pub(crate) unsafe fn initialize(start: *mut u8, bytes: usize) {
    // SAFETY: the caller owns the range.
    MARKS.store(unsafe { os::install_guards(start, bytes) }, Relaxed);
}

/// Turns pages into guards; their contents are lost. Returns whether that succeeded.
///
/// # Safety
///
/// The pages must belong to a mapping of [`os::reserve`], and nothing may use them.
pub(crate) unsafe fn install(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller owns the range.
    MARKS.load(Relaxed) && unsafe { os::install_guards(start, bytes) }
}

/// Makes all pages of a range usable again, whatever part of them are guards.
///
/// # Safety
///
/// As for [`install`].
pub(crate) unsafe fn remove(start: *mut u8, bytes: usize) {
    if MARKS.load(Relaxed) {
        // SAFETY: the caller owns the range.
        unsafe { os::remove_guards(start, bytes) };
    }
}

/// Turns pages into guards, by a mapping of their own if necessary and possible. Returns whether there is such a
/// mapping, for [`unprotect`].
///
/// # Safety
///
/// As for [`install`].
pub(crate) unsafe fn protect(start: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller owns the range.
    if unsafe { install(start, bytes) } {
        return false;
    }
    let counted =
        MAPPINGS.fetch_update(Relaxed, Relaxed, |count| (count < MOST_MAPPINGS).then_some(count + 1));
    // SAFETY: the caller owns the range.
    let protected = counted.is_ok() && unsafe { os::protect(start, bytes) };
    if counted.is_ok() && !protected {
        MAPPINGS.fetch_sub(1, Relaxed);
    }
    protected
}

/// Makes pages usable for which [`protect`] returned `true`.
///
/// # Safety
///
/// As for [`install`].
pub(crate) unsafe fn unprotect(start: *mut u8, bytes: usize) {
    // SAFETY: the caller owns the range.
    if unsafe { os::commit(start, bytes) } {
        MAPPINGS.fetch_sub(1, Relaxed);
    }
}
