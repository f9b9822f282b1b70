//! Shelves: what one thread has of the vacant slots of a collection, and where that is found.

use core::{
    alloc::Layout,
    ops::Range,
    ptr::{self, NonNull},
};

use super::{FULL, Linked, chain::Chain};
use crate::{
    base::atomic::{Ordering::Relaxed, UnsafeCell, unmodelled::AtomicUsize},
    share::{
        entry::Entry,
        line::Line,
        numbers::{self, NUMBERS},
        places::Place,
    },
    traits::Allocator,
};

/// How many slots that were never used a thread takes at first.
const LEAST: u32 = 2;

/// What belongs to one thread number.
pub(super) struct Shelf {
    chains: UnsafeCell<Chains>,
    /// How many slots were taken with this number, less those whose values were removed. Others read it.
    live: AtomicUsize,
}

/// # Invariants
///
/// The spare chain is empty or full, the other is never more than full.
struct Chains {
    open: Chain,
    spare: Chain,
    /// How many slots that were never used come next.
    fresh: u32,
}

impl Shelf {
    const fn new() -> Self {
        let chains = Chains { open: Chain::EMPTY, spare: Chain::EMPTY, fresh: LEAST };
        Self { chains: UnsafeCell::new(chains), live: AtomicUsize::new(0) }
    }

    #[inline(always)]
    pub(super) fn live(&self) -> usize {
        self.live.load(Relaxed)
    }

    #[inline(always)]
    pub(super) fn count(&self, change: usize) {
        self.live.store(self.live().wrapping_add(change), Relaxed);
    }

    /// # Safety
    ///
    /// The shelf is the caller's.
    #[inline(always)]
    unsafe fn with<R>(&self, use_it: impl FnOnce(&mut Chains) -> R) -> R {
        // SAFETY: nobody else uses it, and what uses it here does not come back.
        self.chains.with_mut(|chains| use_it(unsafe { &mut *chains }))
    }

    /// Takes a slot, if the shelf has one, and counts it.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's, and of these slots.
    #[inline(always)]
    pub(super) unsafe fn take(&self, slots: &impl Linked) -> Option<Place> {
        // SAFETY: the caller's promise.
        let place = unsafe {
            self.with(|chains| {
                if chains.open.is_empty() {
                    (chains.open, chains.spare) = (chains.spare, Chain::EMPTY);
                }
                chains.open.take(slots)
            })
        }?;
        self.count(1);
        Some(place)
    }

    /// Puts a slot back, and counts so many slots less or more; false if there is no room.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's, and so is the slot, which is there and vacant.
    #[inline(always)]
    pub(super) unsafe fn put(&self, slots: &impl Linked, place: Place, change: usize) -> bool {
        // SAFETY: the caller's promise.
        let has_put = unsafe {
            self.with(|chains| {
                let has_room = !chains.open.is_full();
                if has_room {
                    chains.open.put(slots, place);
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
    pub(super) unsafe fn make_room(&self) -> Option<Chain> {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|chains| {
                if !chains.open.is_full() {
                    return None;
                }
                let spare = core::mem::replace(&mut chains.spare, chains.open);
                chains.open = Chain::EMPTY;
                (!spare.is_empty()).then_some(spare)
            })
        }
    }

    /// How many slots that were never used the shelf takes now. Twice as many the next time.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's.
    pub(super) unsafe fn next_fresh(&self) -> u32 {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|chains| {
                let fresh = chains.fresh;
                chains.fresh = (2 * fresh).min(FULL);
                fresh
            })
        }
    }

    /// Puts a chain on the shelf, if it is empty; else hands it back.
    ///
    /// # Safety
    ///
    /// The shelf and the chain are the caller's.
    pub(super) unsafe fn refill(&self, chain: Chain) -> Option<Chain> {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|chains| {
                if !chains.open.is_empty() {
                    return Some(chain);
                }
                chains.open = chain;
                None
            })
        }
    }

    /// Takes all that is there.
    ///
    /// # Safety
    ///
    /// The shelf is the caller's.
    pub(super) unsafe fn clear(&self) -> [Chain; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            self.with(|chains| {
                [&mut chains.open, &mut chains.spare].map(|chain| core::mem::replace(chain, Chain::EMPTY))
            })
        }
    }
}

/// In as many groups as it takes, each twice as large as the one before.
const GROUPS: usize = NUMBERS.ilog2() as usize;

/// The shelves, by thread number.
///
/// # Invariants
///
/// An entry is empty or points to `1 << group` shelves, those of the numbers from `1 << group` on, that stay as long as
/// they are borrowed.
pub(super) struct Shelves([Entry<Line<Shelf>>; GROUPS]);

// SAFETY: a shelf is used by whoever has its number, alone.
unsafe impl Sync for Shelves {}

fn layout(group: usize) -> Layout {
    // It is small: the largest is for half of all numbers.
    Layout::array::<Line<Shelf>>(1 << group).unwrap_or(Layout::new::<Line<Shelf>>())
}

impl Shelves {
    pub(super) const fn new() -> Self {
        Self([const { Entry::new() }; GROUPS])
    }

    /// The shelf of this thread, if it has one.
    #[inline(always)]
    pub(super) fn of_thread(&self) -> Option<&Shelf> {
        self.get(numbers::current())
    }

    /// The shelf of a number, if it has one.
    #[inline(always)]
    pub(super) fn get(&self, number: usize) -> Option<&Shelf> {
        let group = number.checked_ilog2()?;
        let shelves = NonNull::new(self.0.get(group as usize)?.get())?;
        // SAFETY: the group has a shelf for each of its numbers, and stays as long as it is borrowed.
        Some(unsafe { &shelves.add(number - (1 << group)).as_ref().0 })
    }

    /// The shelf of a number; `None` if there is no memory for it, or no number.
    pub(super) fn ensure(&self, number: usize, parent: &impl Allocator) -> Option<&Shelf> {
        if self.get(number).is_none() {
            let group = number.checked_ilog2()? as usize;
            let shelves = parent.allocate(layout(group)).ok()?.cast::<Line<Shelf>>();
            // SAFETY: there is room for so many, and if they are not shown to anybody, they go back.
            unsafe {
                (0..1 << group).for_each(|index| shelves.add(index).write(Line(Shelf::new())));
                if !self.0[group].fill(shelves) {
                    parent.deallocate(shelves.cast(), layout(group));
                }
            }
        }
        self.get(number)
    }

    /// Where they lie: addresses.
    pub(super) fn memory(&self) -> impl Iterator<Item = Range<usize>> + Clone {
        self.0.iter().enumerate().filter_map(|(group, entry)| {
            let start = NonNull::new(entry.get())?.addr().get();
            Some(start..start + layout(group).size())
        })
    }

    /// All that there are.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Shelf> {
        let groups = self.0.iter().enumerate().filter_map(|(group, entry)| {
            let shelves = NonNull::new(entry.get())?;
            // SAFETY: the group has so many, and stays as long as it is borrowed.
            Some(unsafe { NonNull::slice_from_raw_parts(shelves, 1 << group).as_ref() })
        });
        groups.flatten().map(|shelf| &shelf.0)
    }

    /// Returns the memory.
    ///
    /// # Safety
    ///
    /// The parent is the one that it came from, and nobody uses a shelf any more.
    pub(super) unsafe fn free(&mut self, parent: &impl Allocator) {
        for (group, entry) in self.0.iter().enumerate() {
            if let Some(shelves) = NonNull::new(entry.get()) {
                entry.set(ptr::null_mut());
                // SAFETY: they were handed out for this layout.
                unsafe { parent.deallocate(shelves.cast(), layout(group)) };
            }
        }
    }
}
