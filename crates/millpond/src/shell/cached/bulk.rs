//! Many blocks at once, through the magazines: a visit to the depot for each magazine, and none while those at hand last.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use lock_api::RawMutex;

use super::Cached;
use crate::{
    base::{AllocError, uninit::assume_init_ref},
    pool::{ClassMap, SizeClasses},
    shell::{bulk, oom::OomPolicy},
    sync::thread_index,
    traits::{Allocator, Reserve},
};

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: OomPolicy, const WORDS: usize> Cached<P, A, L, O, WORDS> {
    /// Lets the pool grow, if need be, until it can serve `count` requests for `layout` without its parent; and gives the
    /// current thread its magazines, if the parent has memory for them. What threads hold is not counted on.
    ///
    /// Other threads may take what was meant for this one, and each needs memory for magazines of its own.
    ///
    /// # Errors
    ///
    /// What the parent says, or [`AllocError::Unsupported`] for a layout that the pool never serves.
    pub fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve,
    {
        let Some(class) = self.class_map.class(layout) else {
            return bulk::reserve(self.pool(), &self.parent, layout, count);
        };
        bulk::reserve(self.pool(), &self.parent, self.class_map.layout(class), count)?;
        // Without magazines, blocks come from the depot, which is as good.
        // SAFETY: the number is the current thread's.
        let _ = unsafe { self.ready(thread_index::current_or_acquire(), class) };
        Ok(())
    }

    /// Fills every place with a block for `layout`; or none. Visits the depot once for each magazine.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; no block is taken then.
    pub fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        allocate(self, layout, places)
    }

    /// Takes many blocks of one layout back. Visits the depot once for each magazine.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`], for each block; no block is there twice.
    pub unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { deallocate(self, blocks, layout) };
    }
}

/// Fills every place, one after the other; or none.
#[inline]
pub(super) fn allocate(
    from: &impl Allocator,
    layout: Layout,
    places: &mut [MaybeUninit<NonNull<u8>>],
) -> Result<(), AllocError> {
    for place in 0..places.len() {
        match from.allocate(layout) {
            Ok(block) => places[place].write(block.cast()),
            Err(error) => {
                // SAFETY: the places before this one were written, with blocks that are live and of this layout.
                unsafe { deallocate(from, assume_init_ref(&places[..place]), layout) };
                return Err(error);
            }
        };
    }
    Ok(())
}

/// Takes blocks back, one after the other.
///
/// # Safety
///
/// As for [`Allocator::deallocate`], for each block.
#[inline]
pub(super) unsafe fn deallocate(to: &impl Allocator, blocks: &[NonNull<u8>], layout: Layout) {
    for &block in blocks {
        // SAFETY: the caller's promises are passed on.
        unsafe { to.deallocate(block, layout) };
    }
}
