//! Any table of functions as an [`Allocator`], and so as a parent: that of an allocator of this library, or a custom
//! one.

use std::{
    alloc::Layout,
    ffi::c_void,
    ptr::{self, NonNull},
};

use millpond::{
    AllocError, Allocator, Inspect, Reclaim,
    observe::{Counts, HeapMapBuilder, Holes, InvariantError, PoolStats, Report, Requested},
    raw::{Allocation, AtFork},
    source::NullAllocator,
};

use crate::{
    abi::{
        MP_IN_PLACE, MP_OK, MP_UNKNOWN, MP_ZERO, mp_allocator, mp_flags, mp_may_free_fn, mp_stats, mp_table,
    },
    array::relocate,
    error::{MpError, aside},
    render, sources,
};

/// An allocator that C has a pointer to.
///
/// # Invariants
///
/// * The allocator has a table with `alloc` and `free`, and outlives this value, as the header requires.
#[derive(Clone, Debug)]
pub(crate) struct Parent(NonNull<mp_allocator>);

// SAFETY: the header requires that a parent may be used by all threads that use its children.
unsafe impl Send for Parent {}
// SAFETY: as above.
unsafe impl Sync for Parent {}

/// A table without functions, from which [`member`] learns where a table has its members.
static EMPTY: mp_table = mp_table {
    struct_size: size_of::<mp_table>(),
    name: ptr::null(),
    alloc: None,
    realloc: None,
    free: None,
    destroy: None,
    alloc_between: None,
    reset: None,
    trim: None,
    owns: None,
    largest_free: None,
    stats: None,
    check: None,
    each: None,
    render: None,
    reserve: None,
    alloc_many: None,
    free_many: None,
    flush: None,
    impossible: None,
    may_free: None,
    damage: None,
};

/// Returns a member of an allocator's table; `None` if the table, which may be from an earlier version of the header,
/// is too short to contain it.
#[inline(always)]
pub(crate) fn member<F: Copy + 'static>(
    allocator: NonNull<mp_allocator>,
    of: impl FnOnce(&'static mp_table) -> &'static Option<F>,
) -> Option<F> {
    let offset = ptr::from_ref(of(&EMPTY)).addr().wrapping_sub((&raw const EMPTY).addr());
    assert!(offset <= size_of::<mp_table>() - size_of::<Option<F>>(), "not a member of the table");
    let table = table(allocator);
    // SAFETY: the table is valid up to its size, and has a member of this type at this offset, as `EMPTY` has.
    unsafe {
        let is_long_enough = (*table).struct_size >= offset + size_of::<Option<F>>();
        if is_long_enough { table.byte_add(offset).cast::<Option<F>>().read() } else { None }
    }
}

/// Returns the table of an allocator.
pub(crate) fn table(allocator: NonNull<mp_allocator>) -> *const mp_table {
    // SAFETY: the header requires valid allocators.
    unsafe { allocator.as_ref() }.table
}

impl Parent {
    /// Returns the parent that the caller specifies; the heap for NULL.
    ///
    /// # Safety
    ///
    /// If `allocator` is not null, it must be a valid allocator that outlives the value.
    pub(crate) unsafe fn new(allocator: *mut mp_allocator) -> Result<Self, MpError> {
        let allocator = NonNull::new(allocator).unwrap_or_else(sources::heap);
        if table(allocator).is_null() {
            return Err(MpError::invalid("the parent or inner allocator has no table: set its member table"));
        }
        if member(allocator, |table| &table.alloc).is_none()
            || member(allocator, |table| &table.free).is_none()
        {
            return Err(MpError::invalid(
                "the table of the parent or inner allocator must have alloc, free, and struct_size set to sizeof(mp_table)",
            ));
        }
        Ok(Self(allocator))
    }

    /// Returns the alignment that 0 stands for.
    pub(crate) fn default_align(&self) -> usize {
        // SAFETY: the allocator is valid, by the invariant.
        unsafe { self.0.as_ref() }.default_align
    }

    pub(crate) fn can_reset(&self) -> bool {
        member(self.0, |table| &table.reset).is_some()
    }

    pub(crate) fn can_tell_owner(&self) -> bool {
        member(self.0, |table| &table.owns).is_some()
    }

    pub(crate) fn can_paint(&self) -> bool {
        member(self.0, |table| &table.render).is_some()
    }

    fn ask(&self, layout: Layout, flags: mp_flags) -> Allocation {
        let alloc = member(self.0, |table| &table.alloc).ok_or(AllocError::Unsupported)?;
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        let block = aside(|| unsafe { alloc(self.0.as_ptr(), layout.size(), layout.align(), flags) });
        whole(block, layout.size())
    }

    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`]; both layouts must have the same alignment.
    unsafe fn resize(&self, block: NonNull<u8>, old: Layout, new: Layout, flags: mp_flags) -> Allocation {
        let realloc = member(self.0, |table| &table.realloc).ok_or(AllocError::Unsupported)?;
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table; the caller guarantees
        // that the block is live and was allocated with `old`.
        let moved = aside(|| unsafe {
            realloc(self.0.as_ptr(), block.as_ptr().cast(), old.size(), new.size(), new.align(), flags)
        });
        whole(moved, new.size())
    }

    /// Trims the parent, as its sharing allows.
    pub(crate) fn trim_shared(&self) -> usize {
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        member(self.0, |table| &table.trim).map_or(0, |trim| aside(|| unsafe { trim(self.0.as_ptr()) }).0)
    }

    fn all_stats(&self) -> mp_stats {
        let mut stats = mp_stats::UNKNOWN;
        if let Some(ask) = member(self.0, |table| &table.stats) {
            // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
            aside(|| unsafe { ask(self.0.as_ptr(), &raw mut stats) });
        }
        stats
    }
}

/// Returns a block of exactly the requested size, or the error.
fn whole((block, error): (*mut c_void, MpError), size: usize) -> Allocation {
    match NonNull::new(block.cast()) {
        Some(start) => Ok(NonNull::slice_from_raw_parts(start, size)),
        None => Err(error.into()),
    }
}

// SAFETY: the header requires the functions of a table to fulfil the contract; blocks have exactly the requested size,
// and C functions do not unwind.
unsafe impl Allocator for Parent {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return NullAllocator.allocate(layout);
        }
        self.ask(layout, 0)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0
            && let Some(free) = member(self.0, |table| &table.free)
        {
            // SAFETY: the function is from this allocator's table; the caller guarantees a live block of this layout.
            unsafe { free(self.0.as_ptr(), block.as_ptr().cast(), layout.size(), layout.align()) };
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        let ask = |may: mp_may_free_fn| unsafe {
            may(self.0.as_ptr(), block.as_ptr().cast(), layout.size(), layout.align())
        };
        layout.size() == 0 || member(self.0, |table| &table.may_free).is_none_or(ask)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let find = member(self.0, |table| &table.damage).filter(|_| layout.size() != 0)?;
        let block = block.map_or(ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        let at = unsafe { find(self.0.as_ptr(), block.cast(), layout.size(), layout.align()) };
        (!at.is_null()).then(|| at.addr())
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 { self.allocate(layout) } else { self.ask(layout, MP_ZERO) }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let alike =
            old.size() != 0 && old.align() == new.align() && member(self.0, |table| &table.realloc).is_some();
        // SAFETY: the caller guarantees a live block with layout `old`, as the callee requires.
        unsafe { if alike { self.resize(block, old, new, 0) } else { relocate(self, block, old, new) } }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let alike =
            new.size() != 0 && old.align() == new.align() && member(self.0, |table| &table.realloc).is_some();
        // SAFETY: the caller guarantees a live block with layout `old`, as the callee requires.
        unsafe { if alike { self.resize(block, old, new, 0) } else { relocate(self, block, old, new) } }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() == 0 || old.align() != new.align() {
            return Err(AllocError::InPlace);
        }
        // SAFETY: the caller guarantees a live block with layout `old`, as the callee requires.
        unsafe { self.resize(block, old, new, MP_IN_PLACE) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if new.size() == 0 || old.align() != new.align() {
            return Err(AllocError::InPlace);
        }
        // SAFETY: the caller guarantees a live block with layout `old`, as the callee requires.
        unsafe { self.resize(block, old, new, MP_IN_PLACE) }
    }

    /// Returns true for the heap only; tables do not contain this property.
    fn is_fine_grained(&self) -> bool {
        self.0 == sources::heap()
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.size() == 0 {
            return self.allocate(least);
        }
        if let Some(between) = member(self.0, |table| &table.alloc_between) {
            let mut got = 0;
            // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
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

/// Does nothing: a parent is registered itself, because it may have several children.
// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for Parent {}

/// Converts `MP_UNKNOWN` to `None`.
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
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        member(self.0, |table| &table.owns)
            .is_some_and(|owns| unsafe { owns(self.0.as_ptr(), address.cast()) })
    }

    fn check(&self) -> Result<(), InvariantError> {
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        match member(self.0, |table| &table.check).map(|check| aside(|| unsafe { check(self.0.as_ptr()) }).0)
        {
            None | Some(MP_OK) => Ok(()),
            Some(_) => Err(InvariantError(
                "the memory of the allocator behind a guard was overwritten: call mp_check for it",
            )),
        }
    }

    fn largest_free(&self) -> Option<usize> {
        // SAFETY: by the invariant, the allocator is valid, and the function is from its table.
        member(self.0, |table| &table.largest_free).and_then(|ask| known(unsafe { ask(self.0.as_ptr()) }))
    }

    fn holes(&self) -> Option<Holes> {
        let stats = self.all_stats();
        Some(Holes { count: known(stats.holes)?, bytes: stats.free, largest: known(stats.largest_free)? })
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        if let Some(render) = member(self.0, |table| &table.render) {
            // SAFETY: the function is from this allocator's table.
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
        if let Some(reset) = member(self.0, |table| &table.reset) {
            // SAFETY: the function is from this allocator's table; the caller of `reset` guarantees that its blocks are
            // no longer used.
            aside(|| unsafe { reset(self.0.as_ptr()) });
        }
    }

    fn trim(&mut self) -> usize {
        self.trim_shared()
    }
}
