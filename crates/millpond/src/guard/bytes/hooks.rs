//! What a guard does with the bytes of the blocks that pass it.

use core::{alloc::Layout, panic::Location, ptr::NonNull};

use crate::{
    base::AllocError,
    traits::{AtFork, Diagnosis, InvariantError},
};

/// The place in the program from which a call comes, if known.
pub(super) type Site = Option<&'static Location<'static>>;

/// A block that is about to be handed out.
#[derive(Clone, Copy, Debug)]
pub struct NewBlock {
    pub(super) start: NonNull<u8>,
    pub(super) layout: Layout,
    /// The number of bytes besides the margins, at least as many as `layout` has.
    pub(super) room: usize,
    /// The number of bytes at the start that must not be changed.
    pub(super) kept: usize,
    /// The place of the call, which only tables record.
    pub(super) site: Site,
}

/// A block that was resized in place.
#[derive(Clone, Copy, Debug)]
pub struct ResizedBlock {
    pub(super) start: NonNull<u8>,
    /// The old layout, whose bytes must not be changed.
    pub(super) old: Layout,
    pub(super) new: Layout,
    /// The number of bytes besides the margins, at least as many as `new` has.
    pub(super) room: usize,
}

/// The reason why a block is not handed out.
#[derive(Clone, Copy, Debug)]
pub enum Rejected {
    /// There is no memory to record it. It is freed.
    Memory(AllocError),
    /// It must not be handed out. It is not freed either, because the pool that handed it out cannot be trusted.
    Misuse(Diagnosis),
}

impl From<AllocError> for Rejected {
    fn from(error: AllocError) -> Self {
        Self::Memory(error)
    }
}

/// The hooks of an [`Instrumented`](super::Instrumented): one implementation for pools and allocators, so they take
/// `&self`.
///
/// # Safety
///
/// Only bytes of the block and of the margins around it are accessed, and only while the guard has the block: when it
/// is handed out, resized or freed. No method unwinds or calls foreign code.
pub unsafe trait BlockHooks: AtFork {
    /// The number of bytes behind each block that belong to the guard.
    const BACK_MARGIN: usize = 0;

    /// The minimum number of bytes in front of each block that belong to the guard: zero, or a power of two. If the
    /// block's alignment is larger, there are as many as that.
    const FRONT_MARGIN: usize = 0;

    /// Whether the hooks read or write a block that is freed.
    const WRITES_FREED: bool = false;

    /// Whether what is guarded is asked for [damage](crate::raw::PoolHooks::damage) before each call.
    const ASKS_FOR_DAMAGE: bool = false;

    /// Whether the hooks use the places in the program from which calls come.
    const WANTS_SITES: bool = false;

    /// Whether a block may shrink in place.
    const SHRINKS_IN_PLACE: bool = true;

    /// Called before a block is handed out.
    ///
    /// # Errors
    ///
    /// Returns the reason if the block cannot be handed out.
    ///
    /// # Safety
    ///
    /// The block has `room` bytes, at least as many as `layout`, with the margins around it, and nothing else uses it.
    unsafe fn on_alloc(&self, block: NewBlock) -> Result<(), Rejected> {
        let _ = block.site;
        Ok(())
    }

    /// Does the same with exclusive access to the guard.
    ///
    /// # Errors
    ///
    /// As for [`on_alloc`](Self::on_alloc).
    ///
    /// # Safety
    ///
    /// As for [`on_alloc`](Self::on_alloc).
    unsafe fn on_alloc_mut(&mut self, block: NewBlock) -> Result<(), Rejected> {
        // SAFETY: the caller upholds the contract of `on_alloc_mut`, which is that of `on_alloc`.
        unsafe { self.on_alloc(block) }
    }

    /// Called before a block is resized, to check it. Changes nothing.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the block.
    ///
    /// # Safety
    ///
    /// The block is live and of this layout, unless checking that is what the hooks are for.
    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        let _ = (block, layout);
        Ok(())
    }

    /// Returns whether [`on_free`](Self::on_free) would be performed rather than prevented. The block is not accessed.
    fn may_free(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let _ = (block, layout);
        true
    }

    /// Called before a live block gets another layout in place that is no larger than its own: afterwards the remainder
    /// may be handed out again. If resizing fails, it is called again with the two layouts exchanged.
    fn set_layout(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        let _ = (block, old, new);
    }

    /// Called after a block was resized in place.
    ///
    /// # Errors
    ///
    /// Returns the reason if the block must not be resized.
    ///
    /// # Safety
    ///
    /// The block has `room` bytes, at least as many as `new`, with the margins around it, and nothing else uses it.
    unsafe fn on_resize(&self, block: ResizedBlock) -> Result<(), Diagnosis> {
        let _ = block;
        Ok(())
    }

    /// Called before a block is freed. If the call is [to be prevented](crate::observe::MisuseKind::is_prevented),
    /// nothing is changed.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the block.
    ///
    /// # Safety
    ///
    /// As for [`verify`](Self::verify).
    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Diagnosis>;

    /// Does the same with exclusive access to the guard.
    ///
    /// # Errors
    ///
    /// As for [`on_free`](Self::on_free).
    ///
    /// # Safety
    ///
    /// As for [`on_free`](Self::on_free).
    unsafe fn on_free_mut(&mut self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        // SAFETY: the caller upholds the contract of `on_free_mut`, which is that of `on_free`.
        unsafe { self.on_free(block, layout, None) }
    }

    /// Called when nothing is live any more.
    fn reset(&mut self) {}

    /// Returns what is live although the pool is about to be dropped: the first block, its layout, and the diagnosis.
    fn find_leak(&self) -> Option<(usize, Layout, Diagnosis)> {
        None
    }

    /// Verifies the hooks' own state.
    fn check(&self) -> Result<(), InvariantError> {
        Ok(())
    }
}

/// Returns how many bytes lie in front of a block of this alignment.
#[inline(always)]
pub(super) const fn front<D: BlockHooks>(align: usize) -> usize {
    if D::FRONT_MARGIN == 0 || D::FRONT_MARGIN > align { D::FRONT_MARGIN } else { align }
}

/// Returns how many bytes the margins of a block of this alignment have in total.
#[inline(always)]
pub(super) const fn margins<D: BlockHooks>(align: usize) -> usize {
    front::<D>(align) + D::BACK_MARGIN
}

/// Returns the layout to request for a block of `layout` with its margins; `None` if it is too large.
#[inline(always)]
pub(super) fn with_margins<D: BlockHooks>(layout: Layout) -> Option<Layout> {
    let margins = margins::<D>(layout.align());
    if margins == 0 {
        return Some(layout);
    }
    Layout::from_size_align(layout.size().checked_add(margins)?, layout.align()).ok()
}

/// Returns the part of a wide block that lies between the margins.
///
/// # Safety
///
/// The block is at least as long as the margins of this alignment.
#[inline(always)]
pub(super) unsafe fn without_margins<D: BlockHooks>(wide: NonNull<[u8]>, align: usize) -> NonNull<[u8]> {
    // SAFETY: the caller guarantees that the block is at least as long as the margins.
    let start = unsafe { wide.cast::<u8>().add(front::<D>(align)) };
    NonNull::slice_from_raw_parts(start, wide.len() - margins::<D>(align))
}

/// Returns the start of the wide block around a block of this alignment. The block may be any address: one that is too
/// low stays as it is.
#[inline(always)]
pub(super) fn start_with_margins<D: BlockHooks>(block: NonNull<u8>, align: usize) -> NonNull<u8> {
    NonNull::new(block.as_ptr().wrapping_sub(front::<D>(align))).unwrap_or(block)
}

/// Returns the first `size` bytes of a block, which is at least as long.
#[inline(always)]
pub(super) fn truncate(block: NonNull<[u8]>, size: usize) -> NonNull<[u8]> {
    NonNull::slice_from_raw_parts(block.cast(), size)
}

/// The reason why a block was not resized in place.
pub(super) enum NotResized<E> {
    /// It would have to move.
    Moves,
    /// What is behind the guard has refused.
    Refused(E),
    /// The hooks have detected misuse.
    Misuse(Diagnosis),
}

/// Resizes a block with its margins in place, by `inner`, and calls the hooks before and after.
///
/// # Safety
///
/// The block is live, its layout is `old`, neither size is zero, and its owner does not use it during the call. `inner`
/// resizes the block that it receives from the first layout to the second, or leaves it as it was.
pub(super) unsafe fn resize<D: BlockHooks, E>(
    hooks: &D,
    block: NonNull<u8>,
    (old, new): (Layout, Layout),
    inner: impl FnOnce(NonNull<u8>, Layout, Layout) -> Result<NonNull<[u8]>, E>,
) -> Result<NonNull<[u8]>, NotResized<E>> {
    let shrinks = new.size() < old.size();
    if front::<D>(old.align()) != front::<D>(new.align()) || (shrinks && !D::SHRINKS_IN_PLACE) {
        return Err(NotResized::Moves);
    }
    let (Some(wide), Some(wider)) = (with_margins::<D>(old), with_margins::<D>(new)) else {
        return Err(NotResized::Moves);
    };
    let grows = new.size() > old.size();
    if !grows {
        hooks.set_layout(block, old, new);
    }
    let resized = inner(start_with_margins::<D>(block, old.align()), wide, wider).map_err(|refused| {
        if !grows {
            hooks.set_layout(block, new, old);
        }
        NotResized::Refused(refused)
    })?;
    // SAFETY: the block is at least as long as `wider`.
    let resized = unsafe { without_margins::<D>(resized, new.align()) };
    let changed = ResizedBlock { start: block, old, new, room: resized.len() };
    // SAFETY: the block now has that length, and the caller guarantees that its owner does not use it.
    match unsafe { hooks.on_resize(changed) } {
        Ok(()) => Ok(truncate(resized, new.size())),
        Err(diagnosis) => Err(NotResized::Misuse(diagnosis)),
    }
}
