//! Classes, and what is too large for them.
//!
//! The library hands a request that no class serves on to the parent and forgets it. C expects a pool to give back all it has
//! taken when it is reset or destroyed, so these blocks have a record in front of them, and the records form a list.
//!
//! Allocate and free: O(1), with a lock for a moment, on top of what the parent takes. Whether an address is owned: linear in
//! these blocks.

use std::{alloc::Layout, ffi::CStr, ptr::NonNull};

use lock_api::Mutex;
use millpond::{
    AllocError, Allocation, Allocator, AtFork, Classes, HeapMapBuilder, Holes, Inspect, InvariantError,
    PoolStats, Reclaim, Report, SpinLock,
};

use crate::{array::Places, exported::Export, parent::Parent};

/// What stands in front of a block that came from the parent.
struct Record {
    newer: *mut Record,
    older: *mut Record,
    /// What the parent was asked for, this record included.
    wide: Layout,
}

/// The blocks that came from the parent.
///
/// # Invariants
///
/// * From `newest` on, `older` leads through all records, and `newer` back. There are `count` of them, with `held` bytes, of which
///   `live` are in blocks.
struct List {
    newest: *mut Record,
    count: usize,
    held: usize,
    live: usize,
}

// SAFETY: the records are the pool's, and whoever has the list may change them.
unsafe impl Send for List {}

impl List {
    const EMPTY: Self = Self { newest: std::ptr::null_mut(), count: 0, held: 0, live: 0 };

    /// # Safety
    ///
    /// There is a record, which is in no list.
    unsafe fn add(&mut self, record: *mut Record) {
        // SAFETY: the caller's promise, and the invariant for the other one.
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
    /// The record is in this list.
    unsafe fn remove(&mut self, record: *mut Record) {
        // SAFETY: the caller's promise, and the invariant for the others.
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

    /// The records, of which there are no more than are counted.
    fn records(&self) -> impl Iterator<Item = *mut Record> {
        let mut next = self.newest;
        (0..self.count).map_while(move |_| {
            let record = (!next.is_null()).then_some(next)?;
            // SAFETY: the invariant.
            next = unsafe { (*record).older };
            Some(record)
        })
    }

    fn check(&self) -> Result<(), InvariantError> {
        let mut newer = std::ptr::null_mut();
        for record in self.records() {
            // SAFETY: the invariant.
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

/// How many bytes are in front of a block: the record, which ends where the block begins.
const fn front(wide: Layout) -> usize {
    if wide.align() > size_of::<Record>() { wide.align() } else { size_of::<Record>() }
}

/// What the parent is asked for, so that there is room for the record; none if that is beyond all memory.
fn widened(layout: Layout) -> Result<Layout, AllocError> {
    let align = layout.align().max(align_of::<Record>());
    let wide = Layout::from_size_align(layout.size(), align).map_err(|_| AllocError::Unsupported)?;
    let size = layout.size().checked_add(front(wide)).ok_or(AllocError::Unsupported)?;
    Layout::from_size_align(size, align).map_err(|_| AllocError::Unsupported)
}

/// Alignments that some class may have, from that of the smallest granule on.
const ALIGNMENTS: [usize; 4] = [8, 16, 32, 64];

/// Classes in a shell, with all that came from the parent.
pub(crate) struct Whole<S> {
    pub(crate) shell: S,
    parent: Parent,
    /// By alignment: the largest size that a class serves.
    most: [usize; ALIGNMENTS.len()],
    list: Mutex<SpinLock, List>,
}

/// The largest size that one of these classes serves, for each alignment.
pub(crate) fn served(pool: &Classes) -> [usize; ALIGNMENTS.len()] {
    ALIGNMENTS.map(|align| pool.sizes().filter(|size| size % align == 0).max().unwrap_or(0))
}

impl<S: Allocator> Whole<S> {
    /// A shell whose classes serve these sizes, on this parent.
    pub(crate) fn new(shell: S, parent: Parent, most: [usize; ALIGNMENTS.len()]) -> Self {
        Self { shell, parent, most, list: Mutex::new(List::EMPTY) }
    }

    /// Whether the shell would hand the request on to its parent.
    fn is_outsize(&self, layout: Layout) -> bool {
        let at = layout.align().trailing_zeros().saturating_sub(ALIGNMENTS[0].trailing_zeros()) as usize;
        layout.size() != 0 && self.most.get(at).is_none_or(|&most| layout.size() > most)
    }

    /// Takes a block from the parent, of which `wide` was asked for, into the list.
    ///
    /// # Safety
    ///
    /// The parent has just handed the block out.
    unsafe fn keep(&self, block: NonNull<[u8]>, wide: Layout) -> NonNull<[u8]> {
        let before = front(wide);
        // SAFETY: the block is as long as was asked for, which includes what is in front.
        unsafe {
            let start = block.cast::<u8>().add(before);
            let record = start.as_ptr().sub(size_of::<Record>()).cast::<Record>();
            let wide = Layout::from_size_align_unchecked(block.len(), wide.align());
            record.write(Record { newer: std::ptr::null_mut(), older: std::ptr::null_mut(), wide });
            self.list.lock().add(record);
            NonNull::slice_from_raw_parts(start, block.len() - before)
        }
    }

    /// Takes a block off the list: where the parent's begins, and what it was asked for.
    ///
    /// # Safety
    ///
    /// The block is in the list.
    unsafe fn release(&self, block: NonNull<u8>) -> (NonNull<u8>, Layout) {
        // SAFETY: the caller's promise.
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
        // SAFETY: the parent has just handed it out.
        Ok(unsafe { self.keep(block, wide) })
    }

    /// Gives all blocks that came from the parent back to it.
    fn give_back_all(&mut self) {
        loop {
            let record = self.list.get_mut().newest;
            if record.is_null() {
                return;
            }
            // SAFETY: the record is in the list, and the block behind it the parent's.
            unsafe {
                let (start, wide) = self.release(NonNull::new_unchecked(record.add(1).cast()));
                self.parent.deallocate(start, wide);
            }
        }
    }

    /// Resizes a block of the parent's, in the parent's way.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`]; the block is in the list, and stays the parent's.
    unsafe fn resize_outsize(
        &self,
        block: NonNull<u8>,
        new: Layout,
        resize: impl FnOnce(&Parent, NonNull<u8>, Layout, Layout) -> Allocation,
    ) -> Allocation {
        let wider = widened(new)?;
        // SAFETY: the caller's promise; whatever becomes of it, the block goes back into the list, with what is in front of it.
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

    /// Moves a block to where its new size belongs.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::grow`] or [`Allocator::shrink`], whichever the sizes say.
    unsafe fn relocate(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let moved = self.allocate(new)?;
        // SAFETY: both blocks are live, and each as long as the smaller size; the old one is the caller's to free.
        unsafe {
            block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size()));
            self.deallocate(block, old);
        }
        Ok(moved)
    }
}

impl<S> Drop for Whole<S> {
    fn drop(&mut self) {
        while let Some(record) = NonNull::new(self.list.get_mut().newest) {
            // SAFETY: the record is in the list, and the block behind it the parent's.
            unsafe {
                self.list.get_mut().remove(record.as_ptr());
                let wide = record.as_ref().wide;
                self.parent.deallocate(record.add(1).cast::<u8>().sub(front(wide)), wide);
            }
        }
    }
}

/// A method that resizes: in the shell, in the parent, or, if it may move and belongs elsewhere, by moving.
macro_rules! resizes {
    ($($method:ident, $moves:literal;)*) => {
        $(unsafe fn $method(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
            // SAFETY: the caller's promises are passed on; whose a block is, is known by its layout.
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

// SAFETY: every block is the shell's or the parent's, which keep the contract; the latter without what is in front, which is a
// multiple of the alignment long. A layout that fits a block says whose it is: what a class serves is returned with no more bytes
// than that class has, and what the parent serves is larger or more aligned than any.
unsafe impl<S: Allocator> Allocator for Whole<S> {
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
        // SAFETY: the caller's promises are passed on; whose the block is, is known by its layout.
        unsafe {
            if self.is_outsize(layout) {
                let (start, wide) = self.release(block);
                self.parent.deallocate(start, wide);
            } else {
                self.shell.deallocate(block, layout);
            }
        }
    }

    /// (What lies in front of an outsize block leads to its parent; it is not read at any address.)
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.is_outsize(layout) || self.shell.may_deallocate(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        if self.is_outsize(layout) { None } else { self.shell.damage(block, layout) }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if self.is_outsize(least) {
            return self.take(least, |parent, wide| {
                parent.allocate_between(wide, preferred.saturating_add(wide.size() - least.size()))
            });
        }
        // What is asked of the shell is the shell's at every size.
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

impl<S: Export> AtFork for Whole<S> {
    fn prepare(&self) {
        if let Some(shell) = self.shell.at_fork() {
            shell.prepare();
        }
        std::mem::forget(self.list.lock());
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller has prepared both.
        unsafe {
            self.list.force_unlock();
            if let Some(shell) = self.shell.at_fork() {
                shell.parent();
            }
        }
    }

    unsafe fn child(&self) {
        // SAFETY: as above; whoever waits for this kind of lock has left nothing in it, and the caller is alone.
        unsafe {
            self.list.force_unlock();
            if let Some(shell) = self.shell.at_fork() {
                shell.child();
            }
        }
    }
}

impl<S: Inspect> Inspect for Whole<S> {
    fn stats(&self) -> PoolStats {
        let List { count, held, live, .. } = *self.list.lock();
        self.shell.stats().plus(PoolStats { chunks: count, held, live, free: 0 })
    }

    fn owns(&self, address: *const u8) -> bool {
        let lies_in = |record: *mut Record| {
            // SAFETY: the record is in the list, which is locked.
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

impl<S: Reclaim + Allocator> Reclaim for Whole<S> {
    fn reset(&mut self) {
        self.shell.reset();
        self.give_back_all();
    }

    fn trim(&mut self) -> usize {
        self.shell.trim()
    }
}

impl<S: Export + Inspect + Reclaim> Export for Whole<S> {
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
                // SAFETY: the block was handed out above, for this layout, and nobody has seen it.
                unsafe { self.deallocate(block, layout) };
            },
        )
    }

    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the caller's promises are passed on.
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
