//! What a guard does with the blocks that pass it, byte by byte.

use core::{alloc::Layout, panic::Location, ptr::NonNull};

use crate::{
    base::AllocError,
    contract::{Finding, Flaw},
};

/// Where in the program a call comes from, if that is known.
pub(super) type Site = Option<&'static Location<'static>>;

/// The duty of a [`Keeper`](super::Keeper): one implementation for pools and allocators, hence `&self`.
///
/// # Safety
///
/// Only bytes of the block, and of the margin behind it, are touched, and only while the guard has the block: when it
/// is handed out, resized or taken back. No method unwinds or calls anybody else's code.
pub unsafe trait Duty {
    /// How many bytes behind each block are the guard's own.
    const MARGIN: usize = 0;

    /// Whether it makes a difference where in the program calls come from.
    const WANTS_SITES: bool = false;

    /// Whether a block may be made smaller where it is.
    const SHRINKS_IN_PLACE: bool = true;

    /// A block of this layout is about to be handed out. Its first `kept` bytes are to stay as they are.
    ///
    /// # Errors
    ///
    /// It cannot be handed out, for want of memory to remember it in.
    ///
    /// # Safety
    ///
    /// The block is as long as `layout` and the margin together, and nobody else uses it.
    unsafe fn hand_out(
        &self,
        block: NonNull<u8>,
        layout: Layout,
        kept: usize,
        site: Site,
    ) -> Result<(), AllocError> {
        let _ = (block, layout, kept, site);
        Ok(())
    }

    /// A block is about to be resized: is all well with it? Nothing is changed.
    ///
    /// # Errors
    ///
    /// What is not.
    ///
    /// # Safety
    ///
    /// The block is live and of this layout, unless the duty is to find out.
    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        let _ = (block, layout);
        Ok(())
    }

    /// A block was resized where it is; its first `old.size()` bytes are to stay as they are.
    ///
    /// # Safety
    ///
    /// The block is as long as `new` and the margin together, and nobody else uses it.
    unsafe fn resized(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        let _ = (block, old, new);
    }

    /// A block is about to be freed: does what is to be done with it. If the call is [to be
    /// prevented](crate::Cause::is_prevented), nothing is.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    ///
    /// # Safety
    ///
    /// As for [`verify`](Self::verify).
    unsafe fn take_back(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Finding>;

    /// Nothing is live any more.
    fn reset(&mut self) {}

    /// What is live although the pool is about to go: the first block, its layout, and what to say.
    fn leak(&self) -> Option<(usize, Layout, Finding)> {
        None
    }

    /// Verifies the duty's own figures.
    fn check(&self) -> Result<(), Flaw> {
        Ok(())
    }
}

/// The layout to ask for, so that there is room for a block of `layout` and the margin; none if that is beyond all
/// memory.
#[inline(always)]
pub(super) fn widened<D: Duty>(layout: Layout) -> Option<Layout> {
    if D::MARGIN == 0 {
        return Some(layout);
    }
    Layout::from_size_align(layout.size().checked_add(D::MARGIN)?, layout.align()).ok()
}

/// What was asked for, of what is at least as long.
#[inline(always)]
pub(super) fn cut(block: NonNull<[u8]>, size: usize) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.cast(), size)
}
