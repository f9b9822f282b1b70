//! Models of vacant slots, with batches of two: the exchange of batches, searches, and keys whose slot is reused.

use core::cell::UnsafeCell as Cell;
use std::vec::Vec;

use lock_api::{GuardSend, RawMutex};

use super::*;
use crate::{
    base::atomic::{
        UnsafeCell,
        model::{Arc, check, thread},
    },
    source::Heap,
    sync::{SlotState, SpinLock},
};

/// Number of slots in the only segment.
const SLOTS: u32 = 32;

/// Slots, each with a link and with a cell that its user touches.
struct Segment {
    links: [Cell<FreeLink>; SLOTS as usize],
    cells: [UnsafeCell<()>; SLOTS as usize],
    /// Number of segments that the parent has handed out, at most one.
    grant: AtomicUsize,
}

impl Segment {
    fn new() -> Self {
        Self {
            links: [const { Cell::new(FreeLink::NEW) }; SLOTS as usize],
            cells: [const { UnsafeCell::new(()) }; SLOTS as usize],
            grant: AtomicUsize::new(0),
        }
    }

    fn touch(&self, slot: SlotIndex) {
        self.cells[slot.position() as usize].with_mut(|_| ());
    }
}

// SAFETY: each slot has a link of its own; there is one segment.
unsafe impl SlotStorage for Segment {
    type Parent = Heap;

    fn parent(&self) -> &Heap {
        &Heap
    }

    unsafe fn link(&self, slot: SlotIndex) -> *mut FreeLink {
        self.touch(slot);
        self.links[slot.position() as usize].get()
    }

    fn segment_len(&self, _: usize) -> usize {
        SLOTS as usize
    }

    fn grow(&self, _: usize) -> Result<(), AllocError> {
        let first = self.grant.fetch_add(1, Ordering::Relaxed) == 0;
        if first { Ok(()) } else { Err(AllocError::Exhausted) }
    }
}

struct Model<L> {
    free_lists: SlotFreeLists<L>,
    slots: Segment,
}

// SAFETY: the cells are empty, and which thread uses which link when is what the models check.
unsafe impl<L: RawMutex + Sync> Sync for Model<L> {}

impl<L: RawMutex + Send + Sync + 'static> Model<L> {
    /// A model without slots. Everything is touched before other threads start.
    fn bare() -> Self {
        let model = Self { free_lists: SlotFreeLists::new(), slots: Segment::new() };
        (0..SLOTS).for_each(|thread| model.slots.touch(SlotIndex::ZERO.skip(thread)));
        model.slots.grant.load(Ordering::Relaxed);
        let ticket = model.free_lists.growth_barrier.begin();
        model.free_lists.growth_barrier.end(ticket, false);
        assert_eq!((model.free_lists.used(), model.free_lists.live()), (SlotIndex::ZERO, 0));
        for thread in (1..MAX_THREADS).filter_map(ThreadIndex::try_acquire) {
            let _ = model.free_lists.per_thread.get_or_create(thread.get(), &Heap);
            // SAFETY: the thread index is held.
            assert!(!unsafe { model.free_lists.clear(thread.get(), &model.slots) });
        }
        model
    }

    /// A model with this number of vacant slots.
    fn new(vacant: u32) -> Arc<Self> {
        let (model, thread) = (Self::bare(), ThreadIndex::try_acquire(1).expect("it is free"));
        let taken = model.pop(thread.get(), SLOTS as usize);
        assert_eq!(taken.len(), SLOTS as usize);
        model.give(thread.get(), taken.into_iter().take(vacant as usize).collect());
        // SAFETY: the thread index is held.
        unsafe { model.free_lists.clear(thread.get(), &model.slots) };
        drop(thread);
        Arc::new(model)
    }

    /// Pops up to `count` slots with this thread index.
    fn pop(&self, thread: usize, count: usize) -> Vec<SlotIndex> {
        let pop = || {
            // SAFETY: the thread index is the caller's.
            let slot = unsafe { self.free_lists.pop_at(thread, &self.slots).ok() };
            slot.inspect(|&slot| self.slots.touch(slot))
        };
        core::iter::from_fn(pop).take(count).collect()
    }

    fn give(&self, thread: usize, fresh: Vec<SlotIndex>) {
        for slot in fresh {
            self.slots.touch(slot);
            // SAFETY: the thread index is the caller's, and the slot was popped and is pushed once.
            unsafe { self.free_lists.push_at(thread, &self.slots, slot, MINUS_ONE) };
        }
    }

    /// Acts as a thread that pops `count` slots and pushes them again; its index is returned, and its free lists keep
    /// their slots.
    fn visit(&self, count: usize) {
        let thread = ThreadIndex::acquire().expect("there are more indices than threads");
        let fresh = self.pop(thread.get(), count);
        self.give(thread.get(), fresh);
    }

    /// Checks that after all other threads have ended, one thread gets every slot, each once.
    fn has(&self, count: usize) {
        let thread = ThreadIndex::acquire().expect("the others have returned theirs");
        let mut all = self.pop(thread.get(), usize::MAX);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a slot is lost or duplicated");
    }
}

/// Runs two threads, and then searches for every slot.
fn two<L: RawMutex<GuardMarker = GuardSend> + Send + Sync + 'static>(
    preemptions: usize,
    vacant: u32,
    work: [fn(&Model<L>); 2],
) {
    check(preemptions, move || {
        let model = Model::new(vacant);
        let threads = work.map(|work| {
            let model = Arc::clone(&model);
            thread::spawn(move || work(&model))
        });
        for thread in threads {
            thread.join().expect("no thread panics");
        }
        model.has(vacant as usize);
    });
}

#[test]
fn batches_are_exchanged() {
    // Five slots fill more than both batches: some go to the depot and may be popped by the other thread.
    two::<SpinLock>(2, 8, [|model| model.visit(5), |model| model.visit(5)]);
}

#[test]
fn stealing_while_threads_start_and_end() {
    // Three slots: the first thread leaves some in its free lists, while the second wants all three.
    two::<SpinLock>(2, 3, [|model| model.visit(2), |model| model.visit(3)]);
}

/// A parent with one segment, which refuses the thread that did not get it: both threads get a slot nevertheless.
fn two_ask(one_of_them: fn(&Model<SpinLock>)) {
    check(2, move || {
        let model = Arc::new(Model::bare());
        let other = Arc::clone(&model);
        let other = thread::spawn(move || one_of_them(&other));
        asks(&model);
        other.join().expect("no panic");
    });
}

/// Acts as a thread that needs one slot.
fn asks(model: &Model<SpinLock>) {
    let thread = ThreadIndex::acquire().expect("there are more indices than threads");
    assert_eq!(model.pop(thread.get(), 1).len(), 1, "memory has run out");
}

#[test]
fn refused_thread_waits_for_another_segment() {
    two_ask(asks);
}

/// The request is not registered with the barrier.
#[cfg(loom)]
#[test]
#[should_panic = "memory has run out"]
fn unregistered_request_is_caught() {
    two_ask(|model| {
        if model.slots.grow(0).is_ok() {
            model.free_lists.depot.0.lock().has_grown(1);
        }
    });
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn depot_behind_a_lock_without_acquire_is_caught() {
    use crate::sync::{RawTicketLock, ordering::BrokenAcquire};
    two::<RawTicketLock<BrokenAcquire>>(2, 8, [|model| model.visit(5), |model| model.visit(5)]);
}

/// Unused thread indices are acquired for the search: otherwise, a thread may start and use the free lists that are
/// being searched.
#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn stealing_without_an_index_is_caught() {
    // SAFETY: unsound on purpose: the index is not acquired.
    let steal_from_idle = |model: &Model<SpinLock>| _ = unsafe { model.free_lists.clear(1, &model.slots) };
    two(2, 3, [|model| model.visit(2), steal_from_idle]);
}

#[cfg(loom)]
#[test]
#[should_panic = "Causality violation"]
fn two_threads_with_one_index_are_caught() {
    let visit = |model: &Model<SpinLock>| model.give(1, model.pop(1, 1));
    two(2, 3, [visit, visit]);
}

/// A slot that holds one value after another.
struct Tenancy {
    occupancy: SlotState,
    value: UnsafeCell<u32>,
}

// SAFETY: that readers and writers exclude each other is what the model checks.
unsafe impl Sync for Tenancy {}

impl Tenancy {
    fn read(&self) -> u32 {
        // SAFETY: as above.
        self.value.with(|value| unsafe { *value })
    }

    fn write(&self, new: u32) {
        // SAFETY: as above.
        self.value.with_mut(|value| unsafe { *value = new });
    }
}

/// A thread removes the value of generation 1 and inserts another one into the slot, while a second thread has the key
/// of the first.
fn a_slot_comes_again(reads: fn(&Tenancy)) {
    check(3, move || {
        let tenancy = Arc::new(Tenancy { occupancy: SlotState::at(0), value: UnsafeCell::new(1) });
        tenancy.occupancy.publish(1);
        assert_eq!(tenancy.read(), 1);
        let other = Arc::clone(&tenancy);
        let other = thread::spawn(move || reads(&other));
        if tenancy.occupancy.begin_removal(1) == Some(true) {
            tenancy.write(0);
            assert!(tenancy.occupancy.vacate());
            let generation = tenancy.occupancy.next_generation();
            tenancy.write(generation);
            tenancy.occupancy.publish(generation);
        }
        other.join().expect("no panic");
    });
}

#[test]
fn stale_key_finds_nothing_in_a_reused_slot() {
    a_slot_comes_again(|tenancy| {
        if tenancy.occupancy.begin_read(1) {
            assert_eq!(tenancy.read(), 1, "the key found another value");
            let _ = tenancy.occupancy.end_read();
        }
    });
}

#[cfg(loom)]
#[test]
#[should_panic]
fn reader_that_does_not_enter_is_caught() {
    a_slot_comes_again(|tenancy| {
        if tenancy.occupancy.generation() == Some(1) {
            assert_eq!(tenancy.read(), 1, "the key found another value");
        }
    });
}
