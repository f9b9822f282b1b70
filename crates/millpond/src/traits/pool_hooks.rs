//! What a shell asks a pool besides memory.

use core::{alloc::Layout, ptr::NonNull};

use super::PendingReport;
use crate::base::AllocError;

/// Queries and notifications of a shell that most pools leave to their defaults. Guards override them.
///
/// Every method has a default that does nothing, so a pool without guards writes `impl PoolHooks for MyPool {}`. A type
/// that wraps another pool delegates each hook that it does not handle itself.
///
/// The [contract of `RawPool`](crate::raw::RawPool#safety) covers the hooks of the same type.
pub trait PoolHooks {
    /// Returns whether a shell passes requests of this layout straight to its parent, both when it allocates and when
    /// it frees. The answer is the same for every layout that fits the block that was requested.
    #[inline(always)]
    fn passes_through(&self, layout: Layout) -> bool {
        let _ = layout;
        false
    }

    /// Checks whether a request of this layout may be served, provided that there is a chunk for it. Shells ask before
    /// they request a chunk from the parent. Guards such as [`Limit`](crate::guard::Limit) refuse here.
    ///
    /// # Errors
    ///
    /// Returns the reason for the refusal.
    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        let _ = layout;
        Ok(())
    }

    /// Returns whether a call of [`deallocate`](crate::raw::RawPool::deallocate) would be performed: false if it would
    /// be reported as misuse and prevented. The block is not accessed, whatever its address. Guards that write to freed
    /// blocks ask first. The default is true, which is right for pools that do not detect misuse.
    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let _ = (block, layout);
        true
    }

    /// Returns the address of a word of the pool's own that was overwritten and that a call would follow: a call that
    /// frees or resizes `block`, or that allocates if `block` is `None`. The word lies in memory that users of the pool
    /// can reach. Returns `None` if all such words are as the pool wrote them. Calls do not look themselves; guards
    /// that detect misuse ask first. The default is `None`, which is right for pools that keep nothing between their
    /// blocks.
    ///
    /// # Safety
    ///
    /// If there is a `block`, it is live and was handed out by this pool, and `layout` fits it.
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let _ = (block, layout);
        None
    }

    /// Records that a request has failed, for guards that count failures. A request that only had to wait for a chunk
    /// has not failed.
    fn note_failure(&mut self, layout: Layout) {
        let _ = layout;
    }

    /// Releases free memory that is held back, and returns whether there was any. Shells call this when their parent
    /// has no memory, and then retry.
    fn release_held(&mut self) -> bool {
        false
    }

    /// Looks for blocks that are still live, because the pool is about to be dropped, and reports them if there should
    /// be none.
    fn before_drop(&mut self) {}

    /// Takes the next report of misuse that waits in the pool or in a guard around it. Shells ask at the end of every
    /// call that was not hot, until there is none, and deliver it outside of every borrow and lock.
    fn pending_report(&mut self) -> Option<PendingReport> {
        None
    }
}
