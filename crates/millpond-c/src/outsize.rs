//! Pools of classes, and blocks that are too large for them.
//!
//! The library passes a request that no class serves through to the parent and does not keep track of the block. C
//! expects a pool to return everything when it is reset or destroyed, so these blocks have a record in front of them,
//! and the records form a list.
//!
//! Allocating and freeing is O(1), with a lock held briefly, plus the time of the parent. `owns` is linear in the
//! number of these blocks.

use std::{alloc::Layout, ffi::CStr, ptr::NonNull};

use lock_api::Mutex;
use millpond::{
    AllocError, Allocator, Classes, Inspect, Reclaim,
    lock::SpinLock,
    observe::{HeapMapBuilder, Holes, InvariantError, PoolStats, Report},
    raw::{Allocation, AtFork},
};

use crate::{array::Places, exported::Export, parent::Parent};

/// The record in front of a block from the parent.
struct Record {
    newer: *mut Record,
    older: *mut Record,
    /// The layout requested from the parent, including this record.
    wide: Layout,
}

/// The blocks from the parent.
///
/// # Invariants
///
/// * From `newest` on, `older` links all records, and `newer` links them in the opposite direction. There are `count`
///   records with `held` bytes, of which `live` are in blocks.
struct List {
    newest: *mut Record,
    count: usize,
    held: usize,
    live: usize,
}

// SAFETY: the records belong to the pool and are accessed only through the list.
unsafe impl Send for List {}

impl List {
    const EMPTY: Self = Self { newest: std::ptr::null_mut(), count: 0, held: 0, live: 0 };

    /// # Safety
    ///
    /// `record` must point to a record that is in no list.
    unsafe fn add(&mut self, record: *mut Record) {
        // SAFETY: the caller guarantees a valid record; by the invariant, `newest` is valid or null.
        unsafe {
            (*record).newer = std::ptr::null_mut();
            (*record).older = self.newest;
            if !self.newest.is_null() {
                (*self.newest).newer = record;
            }
            self.newest = record;
            self.count += 1;
            self.held += (*record).wide.size();
            self.live += (*record).wide.size() - front((*record).wide);
        }
    }

    /// # Safety
    ///
    /// The record must be in this list.
    unsafe fn remove(&mut self, record: *mut Record) {
        // SAFETY: the caller guarantees that the record is in this list; by the invariant, its neighbours are valid or
        // null.
        unsafe {
            let Record { newer, older, wide } = *record;
            if newer.is_null() {
                self.newest = older
            } else {
                (*newer).older = older
            }
            if !older.is_null() {
                (*older).newer = newer;
            }
            self.count -= 1;
            self.held -= wide.size();
            self.live -= wide.size() - front(wide);
        }
    }

    /// Iterates over the records; yields at most `count`.
    fn records(&self) -> impl Iterator<Item = *mut Record> {
        let mut next = self.newest;
        (0..self.count).map_while(move |_| {
            let record = (!next.is_null()).then_some(next)?;
            // SAFETY: by the invariant, every linked record is valid.
            next = unsafe { (*record).older };
            Some(record)
        })
    }

    fn check(&self) -> Result<(), InvariantError> {
        let mut newer = std::ptr::null_mut();
        for record in self.records() {
            // SAFETY: by the invariant, every linked record is valid.
            if unsafe { (*record).newer } != newer {
                return Err(InvariantError("a block above the largest class has a broken record"));
            }
            newer = record;
        }
        // SAFETY: as above.
        let is_last = newer.is_null() || unsafe { (*newer).older.is_null() };
        let count = self.records().count();
        if is_last && count == self.count {
            Ok(())
        } else {
            Err(InvariantError("a block above the largest class is lost"))
        }
    }
}

/// Returns the number of bytes in front of a block: padding and the record, which ends where the block begins.
const fn front(wide: Layout) -> usize {
    if wide.align() > size_of::<Record>() { wide.align() } else { size_of::<Record>() }
}

/// Returns the layout to request from the parent, with room for the record. Fails on overflow.
fn widened(layout: Layout) -> Result<Layout, AllocError> {
    let align = layout.align().max(align_of::<Record>());
    let wide = Layout::from_size_align(layout.size(), align).map_err(|_| AllocError::Unsupported)?;
    let size = layout.size().checked_add(front(wide)).ok_or(AllocError::Unsupported)?;
    Layout::from_size_align(size, align).map_err(|_| AllocError::Unsupported)
}

/// Alignments that classes can have, from that of the smallest granule on.
const ALIGNMENTS: [usize; 4] = [8, 16, 32, 64];

/// A pool of classes in a shell, with the blocks from the parent.
pub(crate) struct WithOutsize<S> {
    pub(crate) shell: S,
    parent: Parent,
    /// The largest size that a class serves, by alignment.
    most: [usize; ALIGNMENTS.len()],
    list: Mutex<SpinLock, List>,
}

/// Returns the largest size that one of these classes serves, for each alignment.
pub(crate) fn served(pool: &Classes) -> [usize; ALIGNMENTS.len()] {
    ALIGNMENTS.map(|align| pool.sizes().filter(|size| size % align == 0).max().unwrap_or(0))
}

impl<S: Allocator> WithOutsize<S> {
    /// Wraps a shell whose classes serve these sizes, on this parent.
    pub(crate) fn new(shell: S, parent: Parent, most: [usize; ALIGNMENTS.len()]) -> Self {
        Self { shell, parent, most, list: Mutex::new(List::EMPTY) }
    }

    /// Returns whether the shell would pass the request through to its parent.
    fn is_outsize(&self, layout: Layout) -> bool {
        let at = layout.align().trailing_zeros().saturating_sub(ALIGNMENTS[0].trailing_zeros()) as usize;
        layout.size() != 0 && self.most.get(at).is_none_or(|&most| layout.size() > most)
    }

    /// Adds a block from the parent, requested with `wide`, to the list.
    ///
    /// # Safety
    ///
    /// The block must have just been allocated from the parent with `wide`.
    unsafe fn keep(&self, block: NonNull<[u8]>, wide: Layout) -> NonNull<[u8]> {
        let before = front(wide);
        // SAFETY: the block has at least the requested length, which includes the record.
        unsafe {
            let start = block.cast::<u8>().add(before);
            let record = start.as_ptr().sub(size_of::<Record>()).cast::<Record>();
            let wide = Layout::from_size_align_unchecked(block.len(), wide.align());
            record.write(Record { newer: std::ptr::null_mut(), older: std::ptr::null_mut(), wide });
            self.list.lock().add(record);
            NonNull::slice_from_raw_parts(start, block.len() - before)
        }
    }

    /// Removes a block from the list; returns where the parent's block begins, and its layout.
    ///
    /// # Safety
    ///
    /// The block must be in the list.
    unsafe fn release(&self, block: NonNull<u8>) -> (NonNull<u8>, Layout) {
        // SAFETY: the caller guarantees that the block is in the list, so a record precedes it.
        unsafe {
            let record = block.as_ptr().sub(size_of::<Record>()).cast::<Record>();
            self.list.lock().remove(record);
            let wide = (*record).wide;
            (block.sub(front(wide)), wide)
        }
    }

    fn take(&self, layout: Layout, ask: impl FnOnce(&Parent, Layout) -> Allocation) -> Allocation {
        let wide = widened(layout)?;
        let block = ask(&self.parent, wide)?;
        // SAFETY: the parent has just allocated it with this layout.
        Ok(unsafe { self.keep(block, wide) })
    }

    /// Frees all blocks from the parent.
    fn give_back_all(&mut self) {
        loop {
            let record = self.list.get_mut().newest;
            if record.is_null() {
                return;
            }
            // SAFETY: the record is in the list, so the parent allocated the block behind it.
            unsafe {
                let (start, wide) = self.release(NonNull::new_unchecked(record.add(1).cast()));
                self.parent.deallocate(start, wide);
            }
        }
    }

    /// Resizes a block from the parent with a resize method of the parent.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`]; the block must be in the list, and its new layout must also
    /// be one for the parent.
    unsafe fn resize_outsize(
        &self,
        block: NonNull<u8>,
        new: Layout,
        resize: impl FnOnce(&Parent, NonNull<u8>, Layout, Layout) -> Allocation,
    ) -> Allocation {
        let wider = widened(new)?;
        // SAFETY: the caller guarantees that the block is in the list; whether the resize succeeds or not, the block is
        // added to the list again, with its record.
        unsafe {
            let (start, wide) = self.release(block);
            if wide.align() != wider.align() {
                self.keep(NonNull::slice_from_raw_parts(start, wide.size()), wide);
                return Err(AllocError::InPlace);
            }
            match resize(&self.parent, start, wide, wider) {
                Ok(resized) => Ok(self.keep(resized, wider)),
                Err(error) => {
                    self.keep(NonNull::slice_from_raw_parts(start, wide.size()), wide);
                    Err(error)
                }
            }
        }
    }

    /// Moves a block between the shell and the parent, according to its new size.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], depending on the sizes.
    unsafe fn relocate(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let moved = self.allocate(new)?;
        // SAFETY: both blocks are live, and each as long as the smaller size; the caller guarantees that the old one
        // may be freed.
        unsafe {
            block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size()));
            self.deallocate(block, old);
        }
        Ok(moved)
    }
}

impl<S> Drop for WithOutsize<S> {
    fn drop(&mut self) {
        while let Some(record) = NonNull::new(self.list.get_mut().newest) {
            // SAFETY: the record is in the list, so the parent allocated the block behind it.
            unsafe {
                self.list.get_mut().remove(record.as_ptr());
                let wide = record.as_ref().wide;
                self.parent.deallocate(record.add(1).cast::<u8>().sub(front(wide)), wide);
            }
        }
    }
}

/// Defines a method that resizes a block in the shell, in the parent, or, if the block may move between the two, by
/// moving it.
macro_rules! resizes {
    ($($method:ident, $moves:literal;)*) => {
        $(unsafe fn $method(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
            // SAFETY: the callee has the same contract; the layout says whether the block is from the shell or the
            // parent.
            unsafe {
                let resized = match (self.is_outsize(old), self.is_outsize(new)) {
                    (false, false) => return self.shell.$method(block, old, new),
                    (true, true) => self.resize_outsize(block, new, |parent, start, wide, wider| {
                        parent.$method(start, wide, wider)
                    }),
                    _ => Err(AllocError::InPlace),
                };
                if $moves && resized == Err(AllocError::InPlace) {
                    return self.relocate(block, old, new);
                }
                resized
            }
        })*
    };
}

// SAFETY: every block is from the shell or the parent, which fulfil the contract. A block from the parent begins behind
// the record, at a multiple of its alignment. A layout that fits a block says where it is from: a block from a class is
// returned with no more bytes than the class has, and a block from the parent is larger or has a larger alignment than
// any class.
unsafe impl<S: Allocator> Allocator for WithOutsize<S> {
    fn allocate(&self, layout: Layout) -> Allocation {
        if self.is_outsize(layout) {
            self.take(layout, |parent, wide| parent.allocate(wide))
        } else {
            self.shell.allocate(layout)
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        if self.is_outsize(layout) {
            self.take(layout, |parent, wide| parent.allocate_zeroed(wide))
        } else {
            self.shell.allocate_zeroed(layout)
        }
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller guarantees a live block with this layout; the layout says whether it is from the shell or
        // the parent.
        unsafe {
            if self.is_outsize(layout) {
                let (start, wide) = self.release(block);
                self.parent.deallocate(start, wide);
            } else {
                self.shell.deallocate(block, layout);
            }
        }
    }

    /// Returns true for every outsize layout, because the record in front of such a block cannot be read at an
    /// arbitrary address.
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.is_outsize(layout) || self.shell.may_deallocate(block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if self.is_outsize(layout) {
            return None;
        }
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.shell.damage(block, layout) }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if self.is_outsize(least) {
            return self.take(least, |parent, wide| {
                parent.allocate_between(wide, preferred.saturating_add(wide.size() - least.size()))
            });
        }
        // A block requested from the shell must belong to the shell at every size with which it may be freed.
        let at = least.align().trailing_zeros().saturating_sub(ALIGNMENTS[0].trailing_zeros()) as usize;
        self.shell.allocate_between(least, self.most.get(at).map_or(preferred, |&most| preferred.min(most)))
    }

    resizes! {
        grow, true;
        shrink, true;
        grow_in_place, false;
        shrink_in_place, false;
    }
}

impl<S: Export> AtFork for WithOutsize<S> {
    fn prepare(&self) {
        if let Some(shell) = self.shell.at_fork() {
            shell.prepare();
        }
        std::mem::forget(self.list.lock());
    }

    unsafe fn parent(&self) {
        // SAFETY: `prepare` has locked both.
        unsafe {
            self.list.force_unlock();
            if let Some(shell) = self.shell.at_fork() {
                shell.parent();
            }
        }
    }

    unsafe fn child(&self) {
        // SAFETY: as above; waiting threads leave no trace in this kind of lock, and the child has one thread.
        unsafe {
            self.list.force_unlock();
            if let Some(shell) = self.shell.at_fork() {
                shell.child();
            }
        }
    }
}

impl<S: Inspect> Inspect for WithOutsize<S> {
    fn stats(&self) -> PoolStats {
        let List { count, held, live, .. } = *self.list.lock();
        self.shell.stats().plus(PoolStats { chunks: count, held, live, free: 0 })
    }

    fn owns(&self, address: *const u8) -> bool {
        let lies_in = |record: *mut Record| {
            // SAFETY: the record is in the list, and the list is locked.
            let wide = unsafe { (*record).wide };
            let start = record.addr() + size_of::<Record>() - front(wide);
            (start..start + wide.size()).contains(&address.addr())
        };
        self.shell.owns(address) || self.list.lock().records().any(lies_in)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.shell.check()?;
        self.list.lock().check()
    }

    fn largest_free(&self) -> Option<usize> {
        self.shell.largest_free()
    }

    fn holes(&self) -> Option<Holes> {
        self.shell.holes()
    }

    fn report(&self) -> Report {
        self.shell.report()
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.shell.render(builder);
    }
}

impl<S: Reclaim + Allocator> Reclaim for WithOutsize<S> {
    fn reset(&mut self) {
        self.shell.reset();
        self.give_back_all();
    }

    fn trim(&mut self) -> usize {
        self.shell.trim()
    }
}

impl<S: Export + Inspect + Reclaim> Export for WithOutsize<S> {
    const NAME: &'static CStr = S::NAME;
    const INSPECTS: bool = true;
    const RECLAIMS: bool = true;
    const RESERVES: bool = S::RESERVES;
    const FLUSHES: bool = S::FLUSHES;
    const FORKS: bool = S::FORKS;

    fn at_fork(&self) -> Option<&dyn AtFork> {
        Some(self)
    }

    fn trim_shared(&self) -> Option<usize> {
        self.shell.trim_shared()
    }

    fn inspect(&self) -> Option<&dyn Inspect> {
        Some(self)
    }

    fn reclaim(&mut self) -> Option<&mut dyn Reclaim> {
        Some(self)
    }

    fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError> {
        if self.is_outsize(layout) { Err(AllocError::Unsupported) } else { self.shell.reserve(layout, count) }
    }

    fn allocate_many(&self, layout: Layout, places: &mut Places) -> Result<(), AllocError> {
        if !self.is_outsize(layout) {
            return self.shell.allocate_many(layout, places);
        }
        crate::array::one_by_one(
            places,
            || self.allocate(layout).map(NonNull::cast),
            |block| {
                // SAFETY: the block was allocated above with this layout and is not used anywhere else.
                unsafe { self.deallocate(block, layout) };
            },
        )
    }

    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the callee has the same requirements as this function.
        unsafe {
            if self.is_outsize(layout) {
                blocks.iter().for_each(|&block| self.deallocate(block, layout));
            } else {
                self.shell.deallocate_many(blocks, layout);
            }
        }
    }

    fn flush(&self) {
        self.shell.flush();
    }
}
