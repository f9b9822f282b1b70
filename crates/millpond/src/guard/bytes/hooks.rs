//! What a guard does with the blocks that pass it, byte by byte.

use core::{alloc::Layout, panic::Location, ptr::NonNull};

use crate::{
    base::AllocError,
    traits::{AtFork, Diagnosis, InvariantError},
};

/// Where in the program a call comes from, if that is known.
pub(super) type Site = Option<&'static Location<'static>>;

/// Why a block is not handed out.
#[derive(Clone, Copy, Debug)]
pub enum Rejected {
    /// There is no memory to remember it in. It goes back to where it came from.
    Memory(AllocError),
    /// It must not be anybody's. It is not given back either: who handed it out cannot be trusted with it.
    Misuse(Diagnosis),
}

impl From<AllocError> for Rejected {
    fn from(error: AllocError) -> Self {
        Self::Memory(error)
    }
}

/// The duty of a [`Instrumented`](super::Instrumented): one implementation for pools and allocators, hence `&self`.
///
/// # Safety
///
/// Only bytes of the block, and of the margins around it, are touched, and only while the guard has the block: when it
/// is handed out, resized or taken back. No method unwinds or calls anybody else's code.
pub unsafe trait BlockHooks: AtFork {
    /// How many bytes behind each block are the guard's own.
    const BACK_MARGIN: usize = 0;

    /// How many bytes in front of each block are the guard's own, at least: zero, or a power of two. There are as many as the
    /// block's alignment, if that is more.
    const FRONT_MARGIN: usize = 0;

    /// Whether the duty reads or writes a block that is freed.
    const WRITES_FREED: bool = false;

    /// Whether what is guarded is asked for [damage](crate::RawPool::damage) before each call.
    const ASKS_FOR_DAMAGE: bool = false;

    /// Whether it makes a difference where in the program calls come from.
    const WANTS_SITES: bool = false;

    /// Whether a block may be made smaller where it is.
    const SHRINKS_IN_PLACE: bool = true;

    /// A block of this layout is about to be handed out, which has `room` bytes besides the margins. Its first `kept` bytes are
    /// to stay as they are.
    ///
    /// # Errors
    ///
    /// It cannot be handed out.
    ///
    /// # Safety
    ///
    /// The block is as long as `room`, `layout` at least, with the margins around it, and nobody else uses it.
    unsafe fn on_alloc(
        &self,
        block: NonNull<u8>,
        (layout, room): (Layout, usize),
        kept: usize,
        site: Site,
    ) -> Result<(), Rejected> {
        let _ = (block, layout, room, kept, site);
        Ok(())
    }

    /// The same, while nobody else has the guard.
    ///
    /// # Errors
    ///
    /// As for [`on_alloc`](Self::on_alloc).
    ///
    /// # Safety
    ///
    /// As for [`on_alloc`](Self::on_alloc).
    unsafe fn on_alloc_mut(&mut self, block: NonNull<u8>, fit: (Layout, usize)) -> Result<(), Rejected> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.on_alloc(block, fit, 0, None) }
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
    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        let _ = (block, layout);
        Ok(())
    }

    /// Whether [`on_free`](Self::on_free) would not be prevented, without a look at the block.
    fn may_free(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let _ = (block, layout);
        true
    }

    /// A live block is about to get another layout where it is, no larger than the one it has: from then on the rest may be
    /// somebody else's. If it does not come to that, the same is called with the layouts the other way round.
    fn set_layout(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        let _ = (block, old, new);
    }

    /// A block was resized where it is, and has `room` bytes besides the margins; its first `old.size()` bytes are to stay as
    /// they are.
    ///
    /// # Errors
    ///
    /// What it must not be resized to.
    ///
    /// # Safety
    ///
    /// The block is as long as `room`, `new` at least, with the margins around it, and nobody else uses it.
    unsafe fn on_resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        (new, room): (Layout, usize),
    ) -> Result<(), Diagnosis> {
        let _ = (block, old, new, room);
        Ok(())
    }

    /// A block is about to be freed: does what is to be done with it. If the call is [to be
    /// prevented](crate::MisuseKind::is_prevented), nothing is.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    ///
    /// # Safety
    ///
    /// As for [`verify`](Self::verify).
    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Diagnosis>;

    /// The same, while nobody else has the guard.
    ///
    /// # Errors
    ///
    /// As for [`on_free`](Self::on_free).
    ///
    /// # Safety
    ///
    /// As for [`on_free`](Self::on_free).
    unsafe fn on_free_mut(&mut self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.on_free(block, layout, None) }
    }

    /// Nothing is live any more.
    fn reset(&mut self) {}

    /// What is live although the pool is about to go: the first block, its layout, and what to say.
    fn find_leak(&self) -> Option<(usize, Layout, Diagnosis)> {
        None
    }

    /// Verifies the duty's own figures.
    fn check(&self) -> Result<(), InvariantError> {
        Ok(())
    }
}

/// How many bytes lie in front of a block of this alignment.
#[inline(always)]
pub(super) const fn front<D: BlockHooks>(align: usize) -> usize {
    if D::FRONT_MARGIN == 0 || D::FRONT_MARGIN > align { D::FRONT_MARGIN } else { align }
}

/// How many bytes the margins of a block of this alignment have in all.
#[inline(always)]
pub(super) const fn margins<D: BlockHooks>(align: usize) -> usize {
    front::<D>(align) + D::BACK_MARGIN
}

/// The layout to ask for, so that there is room for a block of `layout` and the margins; none if that is beyond all
/// memory.
#[inline(always)]
pub(super) fn with_margins<D: BlockHooks>(layout: Layout) -> Option<Layout> {
    let margins = margins::<D>(layout.align());
    if margins == 0 {
        return Some(layout);
    }
    Layout::from_size_align(layout.size().checked_add(margins)?, layout.align()).ok()
}

/// The part of a wide block that lies between the margins.
///
/// # Safety
///
/// The block is at least as long as the margins of this alignment.
#[inline(always)]
pub(super) unsafe fn without_margins<D: BlockHooks>(wide: NonNull<[u8]>, align: usize) -> NonNull<[u8]> {
    // SAFETY: the caller's promise.
    let start = unsafe { wide.cast::<u8>().add(front::<D>(align)) };
    NonNull::slice_from_raw_parts(start, wide.len() - margins::<D>(align))
}

/// Where the wide block of a block of this alignment begins. The block may be anything: an address that is too low for that
/// stays as it is.
#[inline(always)]
pub(super) fn start_with_margins<D: BlockHooks>(block: NonNull<u8>, align: usize) -> NonNull<u8> {
    NonNull::new(block.as_ptr().wrapping_sub(front::<D>(align))).unwrap_or(block)
}

/// What was asked for, of what is at least as long.
#[inline(always)]
pub(super) fn truncate(block: NonNull<[u8]>, size: usize) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.cast(), size)
}
