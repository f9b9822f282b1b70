//! The free lists of each thread in a collection, and how they are found.

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

/// Number of slots that were never used which a thread takes at first.
const INITIAL_FRESH: u32 = 2;

/// The data of one thread index.
pub(crate) struct ThreadLists {
    batches: UnsafeCell<Batches>,
    /// Number of slots taken with this thread index, minus those whose values were removed with it. Read by other
    /// threads.
    live: AtomicUsize,
}

/// The batches of one thread.
///
/// # Invariants
///
/// The spare batch is empty or full; the other one is at most full.
struct Batches {
    open: Batch,
    spare: Batch,
    /// Number of slots that were never used to take next time.
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

    /// Calls `use_it` with the batches.
    ///
    /// # Safety
    ///
    /// The free lists are the caller's.
    #[inline(always)]
    unsafe fn with<R>(&self, use_it: impl FnOnce(&mut Batches) -> R) -> R {
        // SAFETY: the caller has exclusive access, and `use_it` does not come back here.
        self.batches.with_mut(|batches| use_it(unsafe { &mut *batches }))
    }

    /// Pops a slot, if there is one, and counts it.
    ///
    /// # Safety
    ///
    /// The free lists are the caller's, and of these slots.
    #[inline(always)]
    pub(crate) unsafe fn pop(&self, slots: &impl SlotStorage) -> Option<SlotIndex> {
        // SAFETY: the free lists are the caller's, and of these slots.
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

    /// Pushes a slot, and adds `change` to the count of slots. Returns `false` if there is no room.
    ///
    /// # Safety
    ///
    /// The free lists are the caller's, and so is the slot, which exists and is vacant.
    #[inline(always)]
    pub(crate) unsafe fn push(&self, slots: &impl SlotStorage, slot: SlotIndex, change: usize) -> bool {
        // SAFETY: the free lists and the slot, which exists and is vacant, are the caller's.
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

    /// Makes room for a slot; returns the full batch that was removed for that, if any.
    ///
    /// # Safety
    ///
    /// The free lists are the caller's.
    pub(crate) unsafe fn make_room(&self) -> Option<Batch> {
        // SAFETY: the free lists are the caller's.
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

    /// Returns the number of slots that were never used to take this time. It doubles each time.
    ///
    /// # Safety
    ///
    /// The free lists are the caller's.
    pub(crate) unsafe fn next_fresh(&self) -> u32 {
        // SAFETY: the free lists are the caller's.
        unsafe {
            self.with(|batches| {
                let fresh = batches.fresh;
                batches.fresh = (2 * fresh).min(BATCH_SIZE);
                fresh
            })
        }
    }

    /// Stores a batch in the free lists if they are empty; otherwise returns it.
    ///
    /// # Safety
    ///
    /// The free lists and the batch are the caller's.
    pub(crate) unsafe fn refill(&self, batch: Batch) -> Option<Batch> {
        // SAFETY: the free lists are the caller's.
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

    /// Takes all batches.
    ///
    /// # Safety
    ///
    /// The free lists are the caller's.
    pub(crate) unsafe fn clear(&self) -> [Batch; 2] {
        // SAFETY: the free lists are the caller's.
        unsafe {
            self.with(|batches| {
                [&mut batches.open, &mut batches.spare].map(|batch| core::mem::replace(batch, Batch::EMPTY))
            })
        }
    }
}

/// Number of groups of thread indices, each twice as large as the one before.
const GROUPS: usize = MAX_THREADS.ilog2() as usize;

/// The free lists of all threads, by thread index.
///
/// # Invariants
///
/// An entry is empty or points to the free lists of `1 << group` threads, those with the indices from `1 << group` on,
/// which stay valid as long as `self` is borrowed.
pub(crate) struct PerThread([OnceLink<CachePadded<ThreadLists>>; GROUPS]);

// SAFETY: free lists are used by the holder of their thread index alone.
unsafe impl Sync for PerThread {}

fn layout(group: usize) -> Layout {
    // The layout is small: the largest group has half of all indices.
    Layout::array::<CachePadded<ThreadLists>>(1 << group).unwrap_or(Layout::new::<CachePadded<ThreadLists>>())
}

impl PerThread {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLink::new() }; GROUPS])
    }

    /// Returns the free lists of the current thread, if it has any.
    #[inline(always)]
    pub(crate) fn current(&self) -> Option<&ThreadLists> {
        self.get(thread_index::current())
    }

    /// Returns the free lists of a thread index, if it has any.
    #[inline(always)]
    pub(crate) fn get(&self, thread: usize) -> Option<&ThreadLists> {
        let group = thread.checked_ilog2()?;
        let per_thread = NonNull::new(self.0.get(group as usize)?.get())?;
        // SAFETY: the group has an entry for each of its indices, and stays valid as long as `self` is borrowed.
        Some(unsafe { &per_thread.add(thread - (1 << group)).as_ref().0 })
    }

    /// Returns the free lists of a thread index, creating them if needed; returns `None` if there is no memory for
    /// them, or if the index is zero.
    pub(crate) fn get_or_create(&self, thread: usize, parent: &impl Allocator) -> Option<&ThreadLists> {
        if self.get(thread).is_none() {
            let group = thread.checked_ilog2()? as usize;
            let per_thread = parent.allocate(layout(group)).ok()?.cast::<CachePadded<ThreadLists>>();
            // SAFETY: the block has room for the whole group, and is returned if it is not published.
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

    /// Returns the address ranges of the groups.
    pub(crate) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.0.iter().enumerate().filter_map(|(group, link)| {
            let start = NonNull::new(link.get())?.addr().get();
            Some(start..start + layout(group).size())
        })
    }

    /// Returns the free lists of all groups that exist.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &ThreadLists> {
        let groups = self.0.iter().enumerate().filter_map(|(group, link)| {
            let per_thread = NonNull::new(link.get())?;
            // SAFETY: the group has this number of entries, and stays valid as long as `self` is borrowed.
            Some(unsafe { NonNull::slice_from_raw_parts(per_thread, 1 << group).as_ref() })
        });
        groups.flatten().map(|lists| &lists.0)
    }

    /// Returns the memory.
    ///
    /// # Safety
    ///
    /// The memory came from this parent, and the free lists are no longer used.
    pub(crate) unsafe fn free(&mut self, parent: &impl Allocator) {
        for (group, link) in self.0.iter().enumerate() {
            if let Some(per_thread) = NonNull::new(link.get()) {
                link.overwrite(ptr::null_mut());
                // SAFETY: the group was allocated with this layout.
                unsafe { parent.deallocate(per_thread.cast(), layout(group)) };
            }
        }
    }
}
