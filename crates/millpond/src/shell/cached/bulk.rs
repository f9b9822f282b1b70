//! Many blocks at once, through the magazines: one visit to the depot per magazine, and none while the blocks at hand
//! last.

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
        let Some(class) = self.class_map.class(layout) else {
            return bulk::reserve(self.pool(), &self.parent, layout, count);
        };
        bulk::reserve(self.pool(), &self.parent, self.class_map.layout(class), count)?;
        // Without magazines, blocks come from the depot, which is equally correct.
        // SAFETY: the index is the current thread's.
        let _ = unsafe { self.ready(thread_index::current_or_acquire(), class) };
        Ok(())
    }

    /// Fills every place with a block for `layout`, or none of them. Visits the depot once per magazine.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; no block is taken in that case.
    pub fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        allocate(self, layout, places)
    }

    /// Frees many blocks of one layout. Visits the depot once per magazine.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`], for each block; no block occurs twice.
    pub unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate` for each block.
        unsafe { deallocate(self, blocks, layout) };
    }
}

/// Fills every place, one after the other, or none of them.
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

/// Frees blocks, one after the other.
///
/// # Safety
///
/// As for [`Allocator::deallocate`], for each block.
#[inline]
pub(super) unsafe fn deallocate(to: &impl Allocator, blocks: &[NonNull<u8>], layout: Layout) {
    for &block in blocks {
        // SAFETY: the caller upholds the contract of `deallocate` for each block.
        unsafe { to.deallocate(block, layout) };
    }
}
