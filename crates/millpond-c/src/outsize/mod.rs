//! Pools of classes, and blocks that are too large for them.
//!
//! The library passes a request that no class serves through to the parent and does not keep track of the block. C
//! expects a pool to return everything when it is reset or destroyed, so these blocks have a record in front of them,
//! and the records form a list.
//!
//! Allocating and freeing is O(1), with a lock held briefly, plus the time of the parent. `owns` is linear in the
//! number of these blocks.

mod list;

use std::{alloc::Layout, ffi::CStr, ptr::NonNull};

use lock_api::Mutex;
use millpond::{
    AllocError, Allocator, Classes, Inspect, Reclaim,
    lock::SpinLock,
    observe::{HeapMapBuilder, Holes, InvariantError, PoolStats, Report},
    raw::{Allocation, AtFork},
};

use self::list::{List, Record, front, widened};
use crate::{
    array::{Places, allocate_each, deallocate_each, relocate},
    exported::{Export, ReserveFn},
    parent::Parent,
};

/// Alignments that classes can have, from that of the smallest granule on.
const ALIGNMENTS: [usize; 4] = [8, 16, 32, 64];

/// Returns the index of a layout's alignment in [`ALIGNMENTS`], or a larger one if no class has that alignment.
fn alignment_index(layout: Layout) -> usize {
    layout.align().trailing_zeros().saturating_sub(ALIGNMENTS[0].trailing_zeros()) as usize
}

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

impl<S: Export> WithOutsize<S> {
    /// Wraps a shell whose classes serve these sizes, on this parent.
    pub(crate) fn new(shell: S, parent: Parent, most: [usize; ALIGNMENTS.len()]) -> Self {
        Self { shell, parent, most, list: Mutex::new(List::EMPTY) }
    }

    /// Returns whether the shell would pass the request through to its parent.
    fn is_outsize(&self, layout: Layout) -> bool {
        let at = alignment_index(layout);
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
            record.write(Record::new(wide));
            self.list.lock().add(record);
            NonNull::slice_from_raw_parts(start, block.len() - before)
        }
    }

    fn take(&self, layout: Layout, ask: impl FnOnce(&Parent, Layout) -> Allocation) -> Allocation {
        let wide = widened(layout)?;
        let block = ask(&self.parent, wide)?;
        // SAFETY: the parent has just allocated it with this layout.
        Ok(unsafe { self.keep(block, wide) })
    }

    /// Resizes a block from the parent with a resize method of the parent.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`]; the block must be in the list, and its new layout must also
    /// be one for the parent.
    unsafe fn resize_outsize(&self, block: NonNull<u8>, new: Layout, resize: Resize<Parent>) -> Allocation {
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

    /// Resizes a block in the shell or in the parent, with a resize method of each; fails with
    /// [`InPlace`](AllocError::InPlace) if its new size belongs to the other one.
    ///
    /// # Safety
    ///
    /// As for the two methods.
    unsafe fn resize(
        &self,
        block: NonNull<u8>,
        (old, new): (Layout, Layout),
        in_shell: Resize<S>,
        in_parent: Resize<Parent>,
    ) -> Allocation {
        // SAFETY: the callees have the same contract; the layout says whether the block is from the shell or the
        // parent.
        unsafe {
            match (self.is_outsize(old), self.is_outsize(new)) {
                (false, false) => in_shell(&self.shell, block, old, new),
                (true, true) => self.resize_outsize(block, new, in_parent),
                _ => Err(AllocError::InPlace),
            }
        }
    }

    /// As [`resize`](Self::resize), but moves the block if its new size belongs to the other one, or if the parent
    /// cannot resize it.
    ///
    /// # Safety
    ///
    /// As for the two methods.
    unsafe fn resize_or_move(
        &self,
        block: NonNull<u8>,
        (old, new): (Layout, Layout),
        in_shell: Resize<S>,
        in_parent: Resize<Parent>,
    ) -> Allocation {
        // SAFETY: the callees have the same contract.
        unsafe {
            match self.resize(block, (old, new), in_shell, in_parent) {
                Err(AllocError::InPlace) if self.is_outsize(old) || self.is_outsize(new) => {
                    relocate(self, block, old, new)
                }
                resized => resized,
            }
        }
    }

    fn flush(&self) {
        if let Some(flush) = S::FLUSH {
            flush(&self.shell);
        }
    }
}

/// A method that resizes a block.
type Resize<A> = unsafe fn(&A, NonNull<u8>, Layout, Layout) -> Allocation;

impl<S> WithOutsize<S> {
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
}

impl<S> Drop for WithOutsize<S> {
    fn drop(&mut self) {
        self.give_back_all();
    }
}

// SAFETY: every block is from the shell or the parent, which fulfil the contract. A block from the parent begins behind
// the record, at a multiple of its alignment. A layout that fits a block says where it is from: a block from a class is
// returned with no more bytes than the class has, and a block from the parent is larger or has a larger alignment than
// any class.
unsafe impl<S: Export> Allocator for WithOutsize<S> {
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
        let most = self.most.get(alignment_index(least));
        self.shell.allocate_between(least, most.map_or(preferred, |&most| preferred.min(most)))
    }

    fn allocate_many(&self, layout: Layout, places: &mut Places) -> Result<(), AllocError> {
        if self.is_outsize(layout) {
            allocate_each(self, layout, places)
        } else {
            self.shell.allocate_many(layout, places)
        }
    }

    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the callees have the same requirements as this function.
        unsafe {
            if self.is_outsize(layout) {
                deallocate_each(self, blocks, layout);
            } else {
                self.shell.deallocate_many(blocks, layout);
            }
        }
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callees have the same contract.
        unsafe { self.resize_or_move(block, (old, new), S::grow, Parent::grow) }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callees have the same contract.
        unsafe { self.resize_or_move(block, (old, new), S::shrink, Parent::shrink) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callees have the same contract.
        unsafe { self.resize(block, (old, new), S::grow_in_place, Parent::grow_in_place) }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the callees have the same contract.
        unsafe { self.resize(block, (old, new), S::shrink_in_place, Parent::shrink_in_place) }
    }
}

// SAFETY: there are no parts; what is unlocked is what `prepare` locks, and the shell upholds the contract.
unsafe impl<S: Export> AtFork for WithOutsize<S> {
    fn prepare(&self) {
        if let Some(at_fork) = S::AT_FORK {
            at_fork(&self.shell).prepare();
        }
        std::mem::forget(self.list.lock());
    }

    unsafe fn parent(&self) {
        // SAFETY: `prepare` has locked both.
        unsafe {
            self.list.force_unlock();
            if let Some(at_fork) = S::AT_FORK {
                at_fork(&self.shell).parent();
            }
        }
    }

    unsafe fn child(&self) {
        // SAFETY: as above; waiting threads leave no trace in this kind of lock, and the child has one thread.
        unsafe {
            self.list.force_unlock();
            if let Some(at_fork) = S::AT_FORK {
                at_fork(&self.shell).child();
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

impl<S: Export + Reclaim> Reclaim for WithOutsize<S> {
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
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|pool| pool);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|pool| pool);
    const TRIM_SHARED: Option<fn(&Self) -> usize> =
        Some(|pool| S::TRIM_SHARED.map_or(0, |trim| trim(&pool.shell)));
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> =
        if S::AT_FORK.is_some() { Some(|pool| pool) } else { None };
    const RESERVE: Option<ReserveFn<Self>> = Some(|pool, layout, count| match S::RESERVE {
        Some(reserve) if !pool.is_outsize(layout) => reserve(&pool.shell, layout, count),
        _ => Err(AllocError::Unsupported),
    });
    const FLUSH: Option<fn(&Self)> = if S::FLUSH.is_some() { Some(Self::flush) } else { None };
}
