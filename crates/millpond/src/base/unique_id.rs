//! Numbers that are unique in the process.

use super::atomic::{Ordering, unmodelled::AtomicU64};

/// Returns a number that was never returned before: 2⁶⁴ numbers do not run out.
pub(crate) fn unique_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
