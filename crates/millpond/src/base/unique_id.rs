//! Numbers that nothing else ever has.

use super::atomic::{AtomicU64, Ordering, static_const};

/// A number that was never given before: 2⁶⁴ are not used up.
pub(crate) fn unique_id() -> u64 {
    static_const! {
        static NEXT: AtomicU64 = AtomicU64::new(1);
    }
    NEXT.fetch_add(1, Ordering::Relaxed)
}
