//! Shelves: what one thread has of the vacant slots of a collection, and where that is found.

use core::{
    alloc::Layout,
    ops::Range,
    ptr::{self, NonNull},
};

use super::{BATCH_SIZE, SlotStorage, batch::Batch};
use crate::{
    base::atomic::{Ordering::Relaxed, UnsafeCell, unmodelled::AtomicUsize},
    sync::{
        cache_padded::CachePadded,
        once_link::OnceLink,
        slot_index::SlotIndex,
        thread_index::{self, MAX_THREADS},
    },
    traits::Allocator,
};

/// How many slots that were never used a thread takes at first.
const INITIAL_FRESH: u32 = 2;

/// What belongs to one thread number.
pub(crate) struct ThreadLists {
    batches: UnsafeCell<Batches>,
    /// How many slots were taken with this number, less those whose values were removed. Others read it.
    live: AtomicUsize,
}

/// # Invariants
///
/// The spare chain is empty or full, the other is never more than full.
struct Batches {
    open: Batch,
    spare: Batch,
    /// How many slots that were never used come next.
    fresh: u32,
}

impl ThreadLists {
    const fn new() -> Self {
        let batches = Batches { open: Batch::EMPTY, spare: Batch::EMPTY, fresh: INITIAL_FRESH };
        Self { batches: UnsafeCell::new(batches), live: AtomicUsize::new(0) }
    }

    #[inline(always)]
    pub(crate) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn count(&self, change: usize) {
        self.live.store(self.live().wrapping_add(change), Relaxed);
    }

    /// # Safety
    ///
    /// The shelf is the caller's.
    #[inline(always)]
    unsafe fn with<R>(&self, use_it: impl FnOnce(&mut Batches) -> R) -> R {
        // SAFETY: nobody else uses it, and what uses it here does not come back.
        self.batches.with_mut(|batches| use_it(unsafe { &mut *batches }))
    }

    /// Takes a slot, if the shelf has one, and counts it.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's, and of these slots.
    #[inline(always)]
    pub(crate) unsafe fn pop(&self, slots: &impl SlotStorage) -> Option<SlotIndex> {
        // SAFETY: the caller's promise.
        let slot = unsafe {
            self.with(|batches| {
                if batches.open.is_empty() {
                    (batches.open, batches.spare) = (batches.spare, Batch::EMPTY);
                }
                batches.open.pop(slots)
            })
        }?;
        self.count(1);
        Some(slot)
    }

    /// Puts a slot back, and counts so many slots less or more; false if there is no room.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's, and so is the slot, which is there and vacant.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, slots: &impl SlotStorage, slot: SlotIndex, change: usize) -> bool {
        // SAFETY: the caller's promise.
        let has_put = unsafe {
            self.with(|batches| {
                let has_room = !batches.open.is_full();
                if has_room {
                    batches.open.push(slots, slot);
                }
                has_room
            })
        };
        if has_put {
            self.count(change);
        }
        has_put
    }

    /// Makes room for a slot; what has to go for that is a full chain.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's.
    pub(crate) unsafe fn make_room(&self) -> Option<Batch> {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|batches| {
                if !batches.open.is_full() {
                    return None;
                }
                let spare = core::mem::replace(&mut batches.spare, batches.open);
                batches.open = Batch::EMPTY;
                (!spare.is_empty()).then_some(spare)
            })
        }
    }

    /// How many slots that were never used the shelf takes now. Twice as many the next time.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's.
    pub(crate) unsafe fn next_fresh(&self) -> u32 {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|batches| {
                let fresh = batches.fresh;
                batches.fresh = (2 * fresh).min(BATCH_SIZE);
                fresh
            })
        }
    }

    /// Puts a chain on the shelf, if it is empty; else hands it back.
    ///
    /// # Safety
    ///
    /// The shelf and the chain are the caller's.
    pub(crate) unsafe fn refill(&self, batch: Batch) -> Option<Batch> {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|batches| {
                if !batches.open.is_empty() {
                    return Some(batch);
                }
                batches.open = batch;
                None
            })
        }
    }

    /// Takes all that is there.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's.
    pub(crate) unsafe fn clear(&self) -> [Batch; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|batches| {
                [&mut batches.open, &mut batches.spare].map(|batch| core::mem::replace(batch, Batch::EMPTY))
            })
        }
    }
}

/// In as many groups as it takes, each twice as large as the one before.
const GROUPS: usize = MAX_THREADS.ilog2() as usize;

/// The shelves, by thread number.
///
/// # Invariants
///
/// An entry is empty or points to `1 << group` shelves, those of the numbers from `1 << group` on, that stay as long as
/// they are borrowed.
pub(crate) struct PerThread([OnceLink<CachePadded<ThreadLists>>; GROUPS]);

// SAFETY: a shelf is used by whoever has its number, alone.
unsafe impl Sync for PerThread {}

fn layout(group: usize) -> Layout {
    // It is small: the largest is for half of all numbers.
    Layout::array::<CachePadded<ThreadLists>>(1 << group).unwrap_or(Layout::new::<CachePadded<ThreadLists>>())
}

impl PerThread {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLink::new() }; GROUPS])
    }

    /// The shelf of this thread, if it has one.
    #[inline(always)]
    pub(crate) fn current(&self) -> Option<&ThreadLists> {
        self.get(thread_index::current())
    }

    /// The shelf of a number, if it has one.
    #[inline(always)]
    pub(crate) fn get(&self, thread: usize) -> Option<&ThreadLists> {
        let group = thread.checked_ilog2()?;
        let per_thread = NonNull::new(self.0.get(group as usize)?.get())?;
        // SAFETY: the group has a shelf for each of its numbers, and stays as long as it is borrowed.
        Some(unsafe { &per_thread.add(thread - (1 << group)).as_ref().0 })
    }

    /// The shelf of a number; `None` if there is no memory for it, or no number.
    pub(crate) fn get_or_create(&self, thread: usize, parent: &impl Allocator) -> Option<&ThreadLists> {
        if self.get(thread).is_none() {
            let group = thread.checked_ilog2()? as usize;
            let per_thread = parent.allocate(layout(group)).ok()?.cast::<CachePadded<ThreadLists>>();
            // SAFETY: there is room for so many, and if they are not shown to anybody, they go back.
            unsafe {
                (0..1 << group)
                    .for_each(|index| per_thread.add(index).write(CachePadded(ThreadLists::new())));
                if !self.0[group].try_set(per_thread) {
                    parent.deallocate(per_thread.cast(), layout(group));
                }
            }
        }
        self.get(thread)
    }

    /// Where they lie: addresses.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.0.iter().enumerate().filter_map(|(group, link)| {
            let start = NonNull::new(link.get())?.addr().get();
            Some(start..start + layout(group).size())
        })
    }

    /// All that there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ThreadLists> {
        let groups = self.0.iter().enumerate().filter_map(|(group, link)| {
            let per_thread = NonNull::new(link.get())?;
            // SAFETY: the group has so many, and stays as long as it is borrowed.
            Some(unsafe { NonNull::slice_from_raw_parts(per_thread, 1 << group).as_ref() })
        });
        groups.flatten().map(|lists| &lists.0)
    }

    /// Returns the memory.
    ///
    /// # Safety
    ///
    /// The parent is the one that it came from, and nobody uses a shelf any more.
    pub(crate) unsafe fn free(&mut self, parent: &impl Allocator) {
        for (group, link) in self.0.iter().enumerate() {
            if let Some(per_thread) = NonNull::new(link.get()) {
                link.overwrite(ptr::null_mut());
                // SAFETY: they were handed out for this layout.
                unsafe { parent.deallocate(per_thread.cast(), layout(group)) };
            }
        }
    }
}
