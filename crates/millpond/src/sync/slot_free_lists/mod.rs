//! The vacant slots of a collection that threads share: some per thread, and the others behind a lock.
//!
//! Vacant slots are linked through themselves, in batches. In each collection that it uses, a thread has free lists,
//! found by its thread index: a batch that it pops from and pushes to, and a full spare batch. If both are empty (or
//! full), it visits the depot and exchanges a whole batch. Two visits are therefore as many operations apart as a batch
//! has slots, and nothing else is shared: no lock, no atomic read-modify-write.
//!
//! * Pop and push: O(1). One operation in [`BATCH_SIZE`] visits the depot, for a few instructions. Slots that were
//!   never used are linked after the visit, outside of the lock, and only a few at first.
//! * Slots that other threads cannot reach: two batches for each thread index that is or was in use. If the parent
//!   refuses, those of unused indices are taken.
//! * Memory: none for batches; 128 bytes for the free lists of each thread, from the parent. If there is no memory for
//!   them, or if threads have no index, slots come from the depot one by one.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001). Batches are the free lists of the earlier "The Slab
//! Allocator" (1994), used here in place of magazines, since a thread that vacates a slot has its memory in cache.

mod batch;
mod depot;
#[cfg(all(test, any(loom, shuttle)))]
mod models;
mod per_thread;

use core::ops::Range;

use lock_api::RawMutex;

pub(crate) use self::batch::FreeLink;
use self::{
    batch::Batch,
    depot::{Depot, Grant},
    per_thread::PerThread,
};
use super::{
    cache_padded::CachePadded,
    growth_barrier::GrowthBarrier,
    slot_index::SlotIndex,
    thread_index::{self, MAX_THREADS, ThreadIndex},
};
use crate::{
    base::{
        AllocError, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    traits::{Allocator, AtFork, InvariantError},
};

/// Number of slots in a full batch.
pub(crate) const BATCH_SIZE: u32 = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

/// Minus one.
const MINUS_ONE: usize = usize::MAX;

/// Slots that can be linked while they are vacant.
///
/// # Safety
///
/// Each slot has a [`FreeLink`] of its own, which nothing else accesses while the slot is vacant.
pub(crate) unsafe trait SlotStorage {
    /// The parent that provides memory.
    type Parent: Allocator;

    fn parent(&self) -> &Self::Parent;

    /// Returns the link of a slot.
    ///
    /// # Safety
    ///
    /// This thread knows that the slot exists; the slot is vacant and the caller's.
    unsafe fn link(&self, slot: SlotIndex) -> *mut FreeLink;

    /// Returns the number of places of an existing segment.
    fn segment_len(&self, segment: usize) -> usize;

    /// Adds a segment to the `have` existing ones, unless another thread already has.
    fn grow(&self, have: usize) -> Result<(), AllocError>;
}

/// The vacant slots of a collection, and the number of those that are not vacant.
///
/// # Invariants
///
/// Every slot below the depot's `used` that is not held by a thread is in one batch, of a thread's free lists or of the
/// depot.
pub(crate) struct SlotFreeLists<L> {
    depot: CachePadded<Mutex<L, Depot>>,
    per_thread: PerThread,
    growth_barrier: GrowthBarrier,
    /// The count for threads without free lists.
    live: AtomicUsize,
}

impl<L: RawMutex> SlotFreeLists<L> {
    pub(crate) const fn new() -> Self {
        let depot = CachePadded(Mutex::new(Depot::new()));
        Self {
            depot,
            per_thread: PerThread::new(),
            growth_barrier: GrowthBarrier::new(),
            live: AtomicUsize::new(0),
        }
    }

    /// Returns the first place that was never handed out.
    pub(crate) fn used(&self) -> SlotIndex {
        self.depot.0.lock().used()
    }

    /// Returns the number of slots that count as filled. While other threads work, the result may belong to no single
    /// moment.
    pub(crate) fn live(&self) -> usize {
        let cached = self.per_thread.iter().fold(0, |sum: usize, lists| sum.wrapping_add(lists.live()));
        // A slot that is filled by one thread and vacated by another meanwhile may be counted only on one side.
        cached.wrapping_add(self.live.load(Ordering::Relaxed)).cast_signed().max(0).cast_unsigned()
    }

    /// Returns the address ranges of the threads' free lists.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.per_thread.memory()
    }

    /// Checks the depot, whose slots must all be vacant according to `is_vacant`.
    ///
    /// # Errors
    ///
    /// Returns the first broken invariant.
    pub(crate) fn check(
        &self,
        slots: &impl SlotStorage,
        is_vacant: impl Fn(SlotIndex) -> bool,
    ) -> Result<(), InvariantError> {
        self.depot.0.lock().check(slots, is_vacant)
    }

    /// Decrements the count of filled slots, before the slot is pushed.
    pub(crate) fn count_removal(&self) {
        match self.per_thread.current() {
            Some(lists) => lists.count(MINUS_ONE),
            None => self.count(MINUS_ONE),
        }
    }

    /// Adds to the count for threads without free lists.
    fn count(&self, change: usize) {
        self.live.fetch_add(change, Ordering::Relaxed);
    }

    /// Pops a vacant slot and counts it. The collection grows if there is none.
    ///
    /// # Errors
    ///
    /// Returns the parent's error.
    #[inline]
    pub(crate) fn pop(&self, slots: &impl SlotStorage) -> Result<SlotIndex, AllocError> {
        // SAFETY: the free lists are this thread's.
        let slot = unsafe { self.per_thread.current().and_then(|lists| lists.pop(slots)) };
        slot.map_or_else(|| self.pop_cold(slots), Ok)
    }

    /// Pushes a slot, and decrements the count of filled slots unless that was done before.
    ///
    /// # Safety
    ///
    /// This thread knows that the slot exists; the slot is vacant, of this collection, and the caller's.
    #[inline]
    pub(crate) unsafe fn push(&self, slots: &impl SlotStorage, slot: SlotIndex, is_counted: bool) {
        let change = if is_counted { MINUS_ONE } else { 0 };
        // SAFETY: the free lists are this thread's; the slot exists, is vacant, and is the caller's.
        unsafe {
            if !self.per_thread.current().is_some_and(|lists| lists.push(slots, slot, change)) {
                self.push_cold(slots, slot, change);
            }
        }
    }

    /// Pops a slot when the thread's free lists have none.
    #[cold]
    #[inline(never)]
    fn pop_cold(&self, slots: &impl SlotStorage) -> Result<SlotIndex, AllocError> {
        // SAFETY: the thread index is this thread's.
        unsafe { self.pop_at(thread_index::current_or_acquire(), slots) }
    }

    /// Pushes a slot when the thread's free lists are full.
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push).
    #[cold]
    #[inline(never)]
    unsafe fn push_cold(&self, slots: &impl SlotStorage, slot: SlotIndex, change: usize) {
        // SAFETY: the thread index is this thread's; the caller upholds the contract of `push`, which is the same.
        unsafe { self.push_at(thread_index::current_or_acquire(), slots, slot, change) };
    }

    /// Pops a slot with this thread index.
    ///
    /// # Safety
    ///
    /// The thread index is the caller's, or zero.
    unsafe fn pop_at(&self, thread: usize, slots: &impl SlotStorage) -> Result<SlotIndex, AllocError> {
        // SAFETY: the thread index is the caller's, and therefore its free lists; the slots obtained belong to the
        // caller.
        unsafe {
            let Some(lists) = self.per_thread.get_or_create(thread, slots.parent()) else {
                let (slot, _) = self.fetch(slots, 1)?;
                self.count(1);
                return Ok(slot);
            };
            if let Some(slot) = lists.pop(slots) {
                return Ok(slot);
            }
            let (slot, rest) = self.fetch(slots, lists.next_fresh())?;
            lists.count(1);
            // The parent may have called back, so the free lists may have slots by now.
            if let Some(rest) = lists.refill(rest) {
                self.depot.0.lock().push_all(slots, rest);
            }
            Ok(slot)
        }
    }

    /// Pushes a slot with this thread index, and counts.
    ///
    /// # Safety
    ///
    /// The thread index is the caller's, or zero; otherwise as for [`push`](Self::push).
    unsafe fn push_at(&self, thread: usize, slots: &impl SlotStorage, slot: SlotIndex, change: usize) {
        // SAFETY: the thread index is the caller's, and therefore its free lists; the slot exists, is vacant, and is
        // the caller's.
        unsafe {
            let Some(lists) = self.per_thread.get_or_create(thread, slots.parent()) else {
                self.count(change);
                return self.depot.0.lock().push(slots, slot);
            };
            if let Some(full) = lists.make_room() {
                self.depot.0.lock().push_full(slots, full);
            }
            lists.push(slots, slot, change);
        }
    }

    /// Takes a slot, and others with it if `wanted` is more than one, from the depot or from the parent.
    fn fetch(&self, slots: &impl SlotStorage, wanted: u32) -> Result<(SlotIndex, Batch), AllocError> {
        loop {
            // Ends the statement so that the lock is released here.
            let grant = self.depot.0.lock().give(slots, wanted);
            let have = match grant {
                Grant::Vacated(slot, rest) => return Ok((slot, rest)),
                // SAFETY: the slots have just been handed out.
                Grant::Fresh(fresh) => return Ok(unsafe { Batch::from_fresh(slots, fresh) }),
                Grant::Empty { have } => have,
            };
            let ticket = self.growth_barrier.begin();
            let grown = slots.grow(have);
            if grown.is_ok() {
                self.depot.0.lock().has_grown(have + 1);
            }
            let others_have_grown = self.growth_barrier.end(ticket, grown.is_ok());
            // Other threads may have added segments even before this one called the parent.
            let has_grown = grown.is_ok() || others_have_grown || self.depot.0.lock().room() > have;
            if let Err(error) = grown
                && !has_grown
                && !self.steal_from_idle(slots)
            {
                return Err(error);
            }
        }
    }

    /// Takes the slots in the free lists of unused thread indices; returns whether there were any.
    fn steal_from_idle(&self, slots: &impl SlotStorage) -> bool {
        let mut found = false;
        for thread in 1..MAX_THREADS {
            // SAFETY: the thread index was unused, and now belongs to this call.
            unsafe {
                if self.per_thread.get(thread).is_some()
                    && let Some(thread) = ThreadIndex::try_acquire(thread)
                {
                    found |= self.clear(thread.get(), slots);
                }
            }
        }
        found
    }

    /// Moves the slots in the free lists of a thread index to the depot; returns whether there were any.
    ///
    /// # Safety
    ///
    /// The thread index is the caller's.
    unsafe fn clear(&self, thread: usize, slots: &impl SlotStorage) -> bool {
        // SAFETY: the thread index is the caller's, and so are the slots in its free lists.
        unsafe {
            let batches = self.per_thread.get(thread).into_iter().flat_map(|lists| lists.clear());
            batches.fold(false, |any, batch| self.depot.0.lock().push_all(slots, batch) | any)
        }
    }

    /// Returns the memory of the free lists.
    ///
    /// # Safety
    ///
    /// The memory came from this parent, and no thread pops or pushes any more.
    pub(crate) unsafe fn free(&mut self, parent: &impl Allocator) {
        // SAFETY: the memory came from this parent, and no thread uses the free lists any more, as the caller
        // guarantees.
        unsafe { self.per_thread.free(parent) };
    }
}

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<L: RawMutex> AtFork for SlotFreeLists<L> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.depot.0);
        visit(&self.growth_barrier);
    }
}
