//! Reserving blocks. (Many blocks at once come from the magazines, one after the other: that takes one visit to the
//! depot per magazine, and none while the blocks at hand last.)

use core::alloc::Layout;

use super::{Cached, config::CacheConfig};
use crate::{
    base::AllocError,
    pool::{ClassMap, SizeClasses},
    shell::bulk,
    sync::thread_index,
    traits::{Allocator, Reserve},
};

impl<P: SizeClasses, A: Allocator, C: CacheConfig> Cached<P, A, C> {
    /// Grows the pool, if necessary, until it can serve `count` requests for `layout` without its parent, and gives the
    /// current thread its magazines if the parent has memory for them. Blocks cached by threads are not counted.
    ///
    /// Other threads may take what was reserved for this one, and each needs memory for magazines of its own.
    ///
    /// # Errors
    ///
    /// Returns the parent's error, or [`AllocError::Unsupported`] for a layout that the pool never serves.
    pub fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve,
    {
        let Some(class) = self.class(layout) else {
            return bulk::reserve(self.pool(), &self.parent, layout, count);
        };
        bulk::reserve(self.pool(), &self.parent, self.class_map.layout(class), count)?;
        // Without magazines, blocks come from the depot, which is equally correct.
        // SAFETY: the index is the current thread's.
        let _ = unsafe { self.ready(thread_index::current_or_acquire(), class) };
        Ok(())
    }
}
