//! The vacant slots of a collection that threads share: some for each thread, and all others behind a lock.
//!
//! Vacant slots are linked through themselves, in chains. A thread has a *shelf* in each collection that it uses, found by
//! the thread's number: a chain that it takes from and puts to, and a full one to spare. When both are empty (or full), it
//! visits the depot and exchanges a whole chain. So between two visits lie as many operations as a chain has slots, and
//! nothing else is shared: no lock, no atomic read-modify-write.
//!
//! * Take and put: O(1). One in [`BATCH_SIZE`] visits the depot, for a few instructions; slots that were never used are linked
//!   after that, outside of the lock, and few at first.
//! * Slots held back from other threads: two chains for each number that is leased or was. When the parent refuses, those of
//!   numbers that nobody has are taken.
//! * Memory: none for chains; a line of 128 bytes for each shelf, from the parent. Where there is none, and where threads
//!   have no numbers, slots come from the depot one by one.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001); the chains are their predecessors, "The Slab Allocator" (1994),
//! put in their place, since whoever vacates a slot has its memory at hand.

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
    traits::{Allocator, InvariantError, at_fork},
};

/// How many slots a full chain has.
pub(crate) const BATCH_SIZE: u32 = if cfg!(all(test, any(loom, shuttle))) { 2 } else { 32 };

/// Minus one.
const MINUS_ONE: usize = usize::MAX;

/// Slots whose vacant ones are linked.
///
/// # Safety
///
/// A slot has a [`FreeLink`] of its own, which nobody else touches while it is vacant.
pub(crate) unsafe trait SlotStorage {
    /// What memory comes from.
    type Parent: Allocator;

    fn parent(&self) -> &Self::Parent;

    /// Where a slot's link is.
    ///
    /// # Safety
    ///
    /// The slot is there, as this thread knows, and is vacant, and the caller's.
    unsafe fn link(&self, slot: SlotIndex) -> *mut FreeLink;

    /// How many places a segment has that is there.
    fn segment_len(&self, segment: usize) -> usize;

    /// Makes room for one more segment than `have`, all of which are there, unless another thread has.
    fn grow(&self, have: usize) -> Result<(), AllocError>;
}

/// Which slots of a collection are vacant, and how many are not.
///
/// # Invariants
///
/// Every slot below the depot's `used` that is not in somebody's hands is in one chain, of a shelf or of the depot.
pub(crate) struct SlotFreeLists<L> {
    depot: CachePadded<Mutex<L, Depot>>,
    per_thread: PerThread,
    growth_barrier: GrowthBarrier,
    /// What threads without a shelf have counted.
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

    /// The first place that was in nobody's hands yet.
    pub(crate) fn used(&self) -> SlotIndex {
        self.depot.0.lock().used()
    }

    /// How many slots count as filled. While other threads are at work, that of a moment that may never have been.
    pub(crate) fn live(&self) -> usize {
        let shelved = self.per_thread.iter().fold(0, |sum: usize, lists| sum.wrapping_add(lists.live()));
        // A slot that is filled by one thread and vacated by another may count once only, if that happens meanwhile.
        shelved.wrapping_add(self.live.load(Ordering::Relaxed)).cast_signed().max(0).cast_unsigned()
    }

    /// Where the shelves lie: addresses.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.per_thread.memory()
    }

    /// Verifies what the depot has, of which every slot has to be vacant, as `is_vacant` says.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    pub(crate) fn check(
        &self,
        slots: &impl SlotStorage,
        is_vacant: impl Fn(SlotIndex) -> bool,
    ) -> Result<(), InvariantError> {
        self.depot.0.lock().check(slots, is_vacant)
    }

    /// Counts a slot less, before it is put back.
    pub(crate) fn count_removal(&self) {
        match self.per_thread.current() {
            Some(lists) => lists.count(MINUS_ONE),
            None => self.count(MINUS_ONE),
        }
    }

    /// Counts for a thread without a shelf.
    fn count(&self, change: usize) {
        self.live.fetch_add(change, Ordering::Relaxed);
    }

    /// Takes a slot that is vacant, and counts it. The collection grows if there is none.
    ///
    /// # Errors
    ///
    /// What the parent says.
    #[inline]
    pub(crate) fn pop(&self, slots: &impl SlotStorage) -> Result<SlotIndex, AllocError> {
        // SAFETY: the shelf is this thread's.
        let slot = unsafe { self.per_thread.current().and_then(|lists| lists.pop(slots)) };
        slot.map_or_else(|| self.pop_cold(slots), Ok)
    }

    /// Puts a slot back, and counts it less if that was not done before.
    ///
    /// # Safety
    ///
    /// The slot is there, as this thread knows, and is vacant, and the caller's, and of this collection.
    #[inline]
    pub(crate) unsafe fn push(&self, slots: &impl SlotStorage, slot: SlotIndex, is_counted: bool) {
        let change = if is_counted { MINUS_ONE } else { 0 };
        // SAFETY: the shelf is this thread's, and the caller's promise.
        unsafe {
            if !self.per_thread.current().is_some_and(|lists| lists.push(slots, slot, change)) {
                self.push_cold(slots, slot, change);
            }
        }
    }

    /// Takes a slot when the shelf has none.
    #[cold]
    #[inline(never)]
    fn pop_cold(&self, slots: &impl SlotStorage) -> Result<SlotIndex, AllocError> {
        // SAFETY: the number is this thread's.
        unsafe { self.pop_at(thread_index::current_or_acquire(), slots) }
    }

    /// Puts a slot back when the shelf has no room.
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push).
    #[cold]
    #[inline(never)]
    unsafe fn push_cold(&self, slots: &impl SlotStorage, slot: SlotIndex, change: usize) {
        // SAFETY: the number is this thread's, and the caller's promise.
        unsafe { self.push_at(thread_index::current_or_acquire(), slots, slot, change) };
    }

    /// Takes a slot with this number.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero.
    unsafe fn pop_at(&self, thread: usize, slots: &impl SlotStorage) -> Result<SlotIndex, AllocError> {
        // SAFETY: the number is the caller's, hence its shelf; the slots that come are its own.
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
            // The parent may have called back, and then there is something on the shelf by now.
            if let Some(rest) = lists.refill(rest) {
                self.depot.0.lock().push_all(slots, rest);
            }
            Ok(slot)
        }
    }

    /// Puts a slot back with this number, and counts.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero, and the rest as for [`push`](Self::push).
    unsafe fn push_at(&self, thread: usize, slots: &impl SlotStorage, slot: SlotIndex, change: usize) {
        // SAFETY: the number is the caller's, hence its shelf, and the caller's promise.
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

    /// Takes a slot, and others with it if more than one is wanted, from the depot or from the parent.
    fn fetch(&self, slots: &impl SlotStorage, wanted: u32) -> Result<(SlotIndex, Batch), AllocError> {
        loop {
            // The lock is free again when that is known.
            let grant = self.depot.0.lock().give(slots, wanted);
            let have = match grant {
                Grant::Vacated(slot, rest) => return Ok((slot, rest)),
                // SAFETY: the slots have just been given out.
                Grant::Fresh(fresh) => return Ok(unsafe { Batch::from_fresh(slots, fresh) }),
                Grant::NullAllocator { have } => have,
            };
            let ticket = self.growth_barrier.begin();
            let grown = slots.grow(have);
            if grown.is_ok() {
                self.depot.0.lock().has_grown(have + 1);
            }
            let others_have_grown = self.growth_barrier.end(ticket, grown.is_ok());
            // Others may have grown even before this thread began.
            let has_grown = grown.is_ok() || others_have_grown || self.depot.0.lock().room() > have;
            if let Err(error) = grown
                && !has_grown
                && !self.steal_from_idle(slots)
            {
                return Err(error);
            }
        }
    }

    /// Takes what is on the shelves of numbers that nobody has; says whether there was anything.
    fn steal_from_idle(&self, slots: &impl SlotStorage) -> bool {
        let mut found = false;
        for thread in 1..MAX_THREADS {
            // SAFETY: the number was nobody's, and is now this call's.
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

    /// Puts what is on the shelf of a number into the depot; says whether there was anything.
    ///
    /// # Safety
    ///
    /// The number is the caller's.
    unsafe fn clear(&self, thread: usize, slots: &impl SlotStorage) -> bool {
        // SAFETY: the number is the caller's, and so are the slots on its shelf.
        unsafe {
            let batches = self.per_thread.get(thread).into_iter().flat_map(|lists| lists.clear());
            batches.fold(false, |any, batch| self.depot.0.lock().push_all(slots, batch) | any)
        }
    }

    /// Returns the memory of the shelves.
    ///
    /// # Safety
    ///
    /// The parent is the one that it came from, and nobody takes or puts any more.
    pub(crate) unsafe fn free(&mut self, parent: &impl Allocator) {
        // SAFETY: the caller's promise.
        unsafe { self.per_thread.free(parent) };
    }
}

at_fork!([L: RawMutex] SlotFreeLists<L>: depot.0, growth_barrier);
