//! Any table of functions as an [`Allocator`], hence as a parent: a pool of ours, or one of the caller's own.

use std::{alloc::Layout, ffi::c_void, ptr::NonNull};

use millpond::{
    AllocError, Allocation, Allocator, AtFork, Counts, HeapMapBuilder, Holes, Inspect, InvariantError,
    NullAllocator, PoolStats, Reclaim, Report, Requested,
};

use crate::{
    abi::{MP_IN_PLACE, MP_UNKNOWN, MP_ZERO, mp_allocator, mp_flags, mp_may_free_fn, mp_stats, mp_table},
    error::{self, MpError, aside},
    render, sources,
};

/// An allocator that C has a pointer to.
///
/// # Invariants
///
/// * It has a table with `alloc` and `free`, and outlives whoever holds this (the header asks for it).
#[derive(Clone, Debug)]
pub(crate) struct Parent(NonNull<mp_allocator>);

// SAFETY: which threads may use a parent is what the header asks of the caller: those that use its children.
unsafe impl Send for Parent {}
// SAFETY: as above.
unsafe impl Sync for Parent {}

/// A member of a table, if the table is long enough to have it.
macro_rules! member {
    ($allocator:expr, $member:ident) => {{
        let table = $crate::parent::table($allocator);
        // SAFETY: the table is valid up to its size, and the member lies within that.
        unsafe {
            let end = core::mem::offset_of!(mp_table, $member) + size_of::<usize>();
            if (*table).struct_size >= end { (*table).$member } else { None }
        }
    }};
}
pub(crate) use member;

/// The table of an allocator that is not null.
pub(crate) fn table(allocator: NonNull<mp_allocator>) -> *const mp_table {
    // SAFETY: the header asks for valid allocators.
    unsafe { allocator.as_ref() }.table
}

impl Parent {
    /// The parent that the caller names; the heap for NULL.
    ///
    /// # Safety
    ///
    /// If it is not null, it is a valid allocator that outlives the value.
    pub(crate) unsafe fn new(allocator: *mut mp_allocator) -> Result<Self, MpError> {
        let allocator = NonNull::new(allocator).unwrap_or_else(sources::heap);
        if table(allocator).is_null() {
            return Err(MpError::invalid("the parent has no table of functions"));
        }
        if member!(allocator, alloc).is_none() || member!(allocator, free).is_none() {
            return Err(MpError::invalid(
                "the parent's table lacks alloc or free, or its struct_size is not set",
            ));
        }
        Ok(Self(allocator))
    }

    /// What an alignment of 0 means to it.
    pub(crate) fn default_align(&self) -> usize {
        // SAFETY: the allocator is valid, by the invariant.
        unsafe { self.0.as_ref() }.default_align
    }

    pub(crate) fn can_reset(&self) -> bool {
        member!(self.0, reset).is_some()
    }

    pub(crate) fn can_tell_owner(&self) -> bool {
        member!(self.0, owns).is_some()
    }

    pub(crate) fn can_paint(&self) -> bool {
        member!(self.0, render).is_some()
    }

    fn ask(&self, layout: Layout, flags: mp_flags) -> Allocation {
        let alloc = member!(self.0, alloc).ok_or(AllocError::Unsupported)?;
        // SAFETY: the function is this allocator's, by the invariant.
        let block = aside(|| unsafe { alloc(self.0.as_ptr(), layout.size(), layout.align(), flags) });
        whole(block, layout.size())
    }

    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], with one alignment.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout, flags: mp_flags) -> Allocation {
        let realloc = member!(self.0, realloc).ok_or(AllocError::Unsupported)?;
        // SAFETY: the function is this allocator's, by the invariant, and the caller's promises are passed on.
        let moved = aside(|| unsafe {
            realloc(self.0.as_ptr(), block.as_ptr().cast(), old.size(), new.size(), new.align(), flags)
        });
        whole(moved, new.size())
    }

    /// Lets it give back what it can, as its sharing allows.
    pub(crate) fn trim_shared(&self) -> usize {
        // SAFETY: the function is this allocator's, by the invariant.
        member!(self.0, trim).map_or(0, |trim| aside(|| unsafe { trim(self.0.as_ptr()) }).0)
    }

    fn all_stats(&self) -> mp_stats {
        let mut stats = mp_stats::UNKNOWN;
        if let Some(ask) = member!(self.0, stats) {
            // SAFETY: the function is this allocator's, by the invariant.
            aside(|| unsafe { ask(self.0.as_ptr(), &raw mut stats) });
        }
        stats
    }
}

/// A block of exactly the size that was asked for, or the reason why there is none.
fn whole((block, error): (*mut c_void, MpError), size: usize) -> Allocation {
    match NonNull::new(block.cast()) {
        Some(start) => Ok(NonNull::slice_from_raw_parts(start, size)),
        None => Err(error.into()),
    }
}

/// Moves a block, for a change that a table's `realloc` is not asked for.
///
/// # Safety
///
/// As for [`Allocator::grow`] or [`Allocator::shrink`], whichever the sizes say.
unsafe fn relocate(parent: &Parent, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
    let moved = parent.allocate(new)?;
    // SAFETY: both blocks are live, and each is at least as long as the smaller size; the old one is the caller's to free.
    unsafe {
        block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size()));
        parent.deallocate(block, old);
    }
    Ok(moved)
}

// SAFETY: the header asks the functions of a table to keep the contract, with blocks of exactly the size that was asked
// for, and C functions do not unwind.
unsafe impl Allocator for Parent {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return NullAllocator.allocate(layout);
        }
        self.ask(layout, 0)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0
            && let Some(free) = member!(self.0, free)
        {
            // SAFETY: the function is this allocator's, and the caller's promises are passed on.
            unsafe { free(self.0.as_ptr(), block.as_ptr().cast(), layout.size(), layout.align()) };
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: the function is this allocator's, by the invariant.
        let ask = |may: mp_may_free_fn| unsafe {
            may(self.0.as_ptr(), block.as_ptr().cast(), layout.size(), layout.align())
        };
        layout.size() == 0 || member!(self.0, may_free).is_none_or(ask)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let find = member!(self.0, damage).filter(|_| layout.size() != 0)?;
        let block = block.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: the function is this allocator's, by the invariant.
        let at = unsafe { find(self.0.as_ptr(), block.cast(), layout.size(), layout.align()) };
        (!at.is_null()).then(|| at.addr())
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 { self.allocate(layout) } else { self.ask(layout, MP_ZERO) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let alike = old.size() != 0 && old.align() == new.align() && member!(self.0, realloc).is_some();
        // SAFETY: the caller's promises are passed on.
        unsafe { if alike { self.resize(block, old, new, 0) } else { relocate(self, block, old, new) } }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let alike = new.size() != 0 && old.align() == new.align() && member!(self.0, realloc).is_some();
        // SAFETY: the caller's promises are passed on.
        unsafe { if alike { self.resize(block, old, new, 0) } else { relocate(self, block, old, new) } }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() == 0 || old.align() != new.align() {
            return Err(AllocError::InPlace);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { self.resize(block, old, new, MP_IN_PLACE) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if new.size() == 0 || old.align() != new.align() {
            return Err(AllocError::InPlace);
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { self.resize(block, old, new, MP_IN_PLACE) }
    }

    /// Of the heap that is known; a table does not say.
    fn is_fine_grained(&self) -> bool {
        self.0 == sources::heap()
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.size() == 0 {
            return self.allocate(least);
        }
        if let Some(between) = member!(self.0, alloc_between) {
            let mut got = 0;
            // SAFETY: the function is this allocator's, by the invariant.
            let block = aside(|| unsafe {
                between(self.0.as_ptr(), least.size(), preferred, least.align(), &raw mut got)
            });
            return whole(block, got);
        }
        let mut size = preferred;
        while size > least.size() {
            if let Ok(layout) = Layout::from_size_align(size, least.align())
                && let Ok(block) = self.allocate(layout)
            {
                return Ok(block);
            }
            size /= 2;
        }
        self.allocate(least)
    }
}

/// A parent is held by itself: other pools may stand on it.
impl AtFork for Parent {}

/// A number, if it is known.
fn known(number: usize) -> Option<usize> {
    (number != MP_UNKNOWN).then_some(number)
}

impl Inspect for Parent {
    fn stats(&self) -> PoolStats {
        let stats = self.all_stats();
        let [chunks, held, live, free] =
            [stats.chunks, stats.held, stats.live, stats.free].map(|number| known(number).unwrap_or(0));
        PoolStats { chunks, held, live, free }
    }

    fn owns(&self, address: *const u8) -> bool {
        // SAFETY: the function is this allocator's, by the invariant.
        member!(self.0, owns).is_some_and(|owns| unsafe { owns(self.0.as_ptr(), address.cast()) })
    }

    fn check(&self) -> Result<(), InvariantError> {
        // SAFETY: the function is this allocator's, by the invariant.
        match member!(self.0, check).map(|check| aside(|| unsafe { check(self.0.as_ptr()) }).0) {
            None | Some(error::MP_OK) => Ok(()),
            Some(_) => Err(InvariantError("the allocator behind a guard is broken")),
        }
    }

    fn largest_free(&self) -> Option<usize> {
        // SAFETY: the function is this allocator's, by the invariant.
        member!(self.0, largest_free).and_then(|ask| known(unsafe { ask(self.0.as_ptr()) }))
    }

    fn holes(&self) -> Option<Holes> {
        let stats = self.all_stats();
        Some(Holes { count: known(stats.holes)?, bytes: stats.free, largest: known(stats.largest_free)? })
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        if let Some(render) = member!(self.0, render) {
            // SAFETY: the function is this allocator's.
            unsafe { render::pass(render, self.0, builder) };
        }
    }

    fn report(&self) -> Report {
        let stats = self.all_stats();
        let amount = |blocks, bytes| Some(Requested { blocks: known(blocks)?, bytes: known(bytes)? });
        let counts = || {
            Some(Counts {
                live: amount(stats.live_blocks, stats.live_bytes)?,
                peak: amount(stats.peak_blocks, stats.peak_bytes)?,
                total: amount(stats.total_blocks, stats.total_bytes)?,
                failed: known(stats.failed)?,
            })
        };
        let mut report = Report::default();
        report.counts = counts();
        report.live_blocks = known(stats.live_blocks);
        report.left = known(stats.left);
        report
    }
}

impl Reclaim for Parent {
    fn reset(&mut self) {
        if let Some(reset) = member!(self.0, reset) {
            // SAFETY: the function is this allocator's, and whoever resets it says that nobody uses its blocks.
            aside(|| unsafe { reset(self.0.as_ptr()) });
        }
    }

    fn trim(&mut self) -> usize {
        self.trim_shared()
    }
}
