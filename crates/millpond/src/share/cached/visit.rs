//! The cold path: visits to the depot, and what happens when memory has run out.
//!
//! A visit asks the parent only outside of the lock and while the slot is whole, because the parent, or a user's policy, may
//! call back into this very pool: what is in the slot is looked at anew afterwards.

use core::{alloc::Layout, ptr::NonNull};

use lock_api::RawMutex;

use super::{
    Cached, Part,
    depot::Depot,
    magazine::Magazine,
    numbers::{self, NUMBERS, Number},
    slot::Slot,
    table,
};
use crate::{
    base::{AllocError, MutexGuard, address::prefetch_for_writing, atomic::Ordering},
    pool::{Blocks, ClassMap, SizeClasses},
    share::{
        policy::{Fail, Policy},
        shell::{self, Packed, Reach},
    },
    traits::{Allocator, RawPool},
};

/// A magazine carries no more than so many bytes of blocks, but for the first.
const MOST_BYTES: usize = 64 << 10;

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Cached<P, A, L, O, PLACES> {
    /// The pool behind the lock, as a shell sees it.
    pub(super) fn pool(&self) -> impl Reach<Pool = Depot<P, PLACES>> {
        self.part(|depot| depot)
    }

    fn part<Q: RawPool>(&self, choose: fn(&mut Depot<P, PLACES>) -> &mut Q) -> impl Reach<Pool = Q> {
        Part { depot: &self.depot, growth: &self.growth, choose }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, L, Depot<P, PLACES>> {
        self.depot.lock()
    }

    /// What a thread allocates when its magazine has nothing.
    #[cold]
    #[inline(never)]
    pub(super) fn allocate_cold(&self, layout: Layout) -> Packed {
        // SAFETY: the number is the current thread's.
        unsafe { self.allocate_at(numbers::current_or_lease(), layout) }
    }

    /// What a thread frees when its magazine has no place.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[cold]
    #[inline(never)]
    pub(super) unsafe fn deallocate_cold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the number is the current thread's, and the caller's promises are passed on.
        unsafe { self.deallocate_at(numbers::current_or_lease(), block, layout) };
    }

    /// Allocates with this number: from the slot, the depot, the parent. The first block comes before the magazines, which
    /// might otherwise take all that a small parent has.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero.
    pub(super) unsafe fn allocate_at(&self, number: usize, layout: Layout) -> Packed {
        let search = Search { pool: self, number, layout };
        let Some(class) = self.class_map.class(layout) else {
            return shell::allocate_cold(self.pool(), layout, &self.parent, &search);
        };
        let (whole, slot) = (self.class_map.layout(class), self.slots.ready(number, class));
        // SAFETY: the number is the caller's, hence the slot.
        if let Some(block) = slot.and_then(|slot| unsafe { self.refill(slot, class, number) }) {
            return Packed::pack(Ok(NonNull::slice_from_raw_parts(block, whole.size())));
        }
        let block = shell::allocate_cold(self.pool(), whole, &self.parent, &search);
        if slot.is_none() && block.unpack().is_ok() {
            // Without magazines, blocks come from the depot, which is as good.
            // SAFETY: the number is the caller's.
            let _ = unsafe { self.ready(number, class) };
        }
        block
    }

    /// Frees with this number: into the slot, or into the pool.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero, and the rest as for [`Allocator::deallocate`].
    pub(super) unsafe fn deallocate_at(&self, number: usize, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises, for the slot and for the block, which goes back as what it was taken as.
        unsafe {
            let Some(class) = self.class_map.class(layout) else {
                return shell::deallocate(self.pool(), &self.parent, block, layout);
            };
            let in_slot = self
                .ready(number, class)
                .is_some_and(|slot| self.spill(slot, class, number) && slot.push::<PLACES>(block));
            if !in_slot {
                shell::deallocate(self.pool(), &self.parent, block, self.class_map.layout(class));
            }
        }
    }

    /// The most blocks of a class that a magazine carries.
    fn most(&self, class: usize) -> usize {
        (MOST_BYTES / self.class_map.layout(class).size()).clamp(1, Magazine::<PLACES>::MOST)
    }

    /// The slot of a number for a class of blocks, with magazines; `None` if there is no memory for them, or no number.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or zero.
    pub(super) unsafe fn ready(&self, number: usize, class: usize) -> Option<&Slot> {
        if number == 0 {
            return None;
        }
        self.ensure_slots(number)?;
        let slot = &self.slots.of(number)[class];
        if !slot.is_ready() {
            let magazines = (self.new_magazine()?, self.new_magazine());
            slot.hears_of(self.famine.load(Ordering::Relaxed));
            let limit = slot.limit(self.most(class));
            // The parent may have called back, and then the slot has its magazines.
            let wanted = !slot.is_ready();
            // SAFETY: the magazines are new, and the slot is the caller's.
            unsafe {
                match magazines {
                    (first, Some(second)) if wanted => {
                        slot.load(Magazine::<PLACES>::empty(first, limit));
                        slot.keep(Magazine::<PLACES>::empty(second, limit));
                    }
                    (first, second) => {
                        let mut depot = self.lock();
                        [Some(first), second].into_iter().flatten().for_each(|base| depot.put_away(base));
                        return if wanted { None } else { Some(slot) };
                    }
                }
            }
        }
        Some(slot)
    }

    /// Makes sure that a number has slots; `None` if there is no memory for them.
    fn ensure_slots(&self, number: usize) -> Option<()> {
        if self.slots.get(number).is_some() {
            return Some(());
        }
        let classes = self.class_map.classes();
        let memory = self.cut(Depot::slots, table::layout_for(classes))?;
        // SAFETY: the memory was just cut for so many slots.
        let slots = unsafe { table::make(memory, number, classes) };
        // SAFETY: they are there until they are given up.
        if !unsafe { self.slots.give(number, slots) } {
            // The parent has called back, and then the number has its slots.
            self.return_slots(slots);
        }
        Some(())
    }

    fn return_slots(&self, slots: NonNull<Slot>) {
        let layout = table::layout_for(self.class_map.classes());
        // SAFETY: the slots were cut and made there, and nobody uses them.
        unsafe { self.lock().slots().deallocate(table::memory_of(slots), layout) };
    }

    /// Takes the slots of a number away, which have no magazines.
    pub(super) fn give_up_slots(&mut self, number: usize) {
        if let Some(slots) = self.slots.take(number) {
            self.return_slots(slots);
        }
    }

    /// An unused magazine; `None` if there is no memory for one.
    fn new_magazine(&self) -> Option<NonNull<usize>> {
        self.cut(|depot| &mut depot.magazines, Depot::<P, PLACES>::MAGAZINE).map(NonNull::cast)
    }

    /// A piece of memory for what the depot cuts for itself.
    fn cut(&self, from: fn(&mut Depot<P, PLACES>) -> &mut Blocks, layout: Layout) -> Option<NonNull<u8>> {
        shell::allocate(self.part(from), (&self.parent, &Fail), layout).ok().map(NonNull::cast)
    }

    /// Takes a block when the magazine in use is empty, if that takes no parent.
    ///
    /// # Safety
    ///
    /// The slot is the caller's, and is ready.
    unsafe fn refill(&self, slot: &Slot, class: usize, number: usize) -> Option<NonNull<u8>> {
        // SAFETY: the slot is the caller's; its magazine, once it is known to be empty, too.
        unsafe {
            let most = self.most(class);
            if let Some(block) = slot.pop() {
                return Some(block);
            }
            if slot.spare::<PLACES>().is_full() {
                // So the thread goes back and forth by more than a magazine.
                slot.raise_limit(most);
                slot.swap::<PLACES>();
                return slot.pop();
            }
            slot.hears_of(self.famine.load(Ordering::Relaxed));
            let empty = slot.loaded::<PLACES>();
            let layout = self.class_map.layout(class);
            let mut depot = self.lock();
            match depot.take_full((class, layout.size())) {
                Some((full, filler)) => {
                    depot.put_away(empty.base());
                    drop(depot);
                    slot.load(full);
                    if filler != number {
                        // The blocks are in another processor's cache, and will be written to.
                        full.blocks().for_each(prefetch_for_writing);
                    }
                }
                None => {
                    let limit = slot.limit(most);
                    slot.load(depot.fill(empty.base(), layout, limit));
                }
            }
            slot.raise_limit(most);
            slot.pop()
        }
    }

    /// Makes a place in the magazine in use; false if the slot has been emptied instead, because memory has run out.
    ///
    /// # Safety
    ///
    /// The slot is the caller's, and is ready.
    unsafe fn spill(&self, slot: &Slot, class: usize, number: usize) -> bool {
        let (most, size) = (self.most(class), self.class_map.layout(class).size());
        if slot.hears_of(self.famine.load(Ordering::Relaxed)) {
            // SAFETY: the slot is the caller's.
            unsafe { self.flush_slot(slot, class) };
            return false;
        }
        loop {
            let loaded = slot.loaded::<PLACES>();
            if !loaded.is_full() {
                return true;
            }
            if loaded.room() < slot.limit(most) {
                // SAFETY: the magazine is the caller's, and the limit is what it may carry at most.
                slot.load(unsafe { loaded.stretched(slot.limit(most)) });
                return true;
            }
            let full = slot.spare::<PLACES>();
            if full.is_full() {
                let mut depot = self.lock();
                let Some(base) = depot.magazine() else {
                    drop(depot);
                    match self.new_magazine() {
                        // For the next round: the parent may have called back.
                        // SAFETY: the magazine is new.
                        Some(base) => unsafe { self.lock().put_away(base) },
                        None => {
                            // SAFETY: the slot is the caller's.
                            unsafe { self.flush_slot(slot, class) };
                            return false;
                        }
                    }
                    continue;
                };
                // SAFETY: the spare magazine is full of blocks of this class, and is the caller's; the other one is unused.
                unsafe {
                    depot.put_full((class, size), full, number);
                    drop(depot);
                    slot.raise_limit(most);
                    let empty = Magazine::<PLACES>::empty(base, slot.limit(most));
                    // Whoever used it last may have been another processor, and its words are about to be written.
                    empty.fetch();
                    slot.keep(empty);
                }
            }
            slot.swap::<PLACES>();
        }
    }

    /// Gives back what is in a slot.
    ///
    /// # Safety
    ///
    /// Nobody else uses the slot, which is of this class.
    unsafe fn flush_slot(&self, slot: &Slot, class: usize) {
        let (layout, mut depot) = (self.class_map.layout(class), self.lock());
        let magazines = [slot.loaded::<PLACES>(), slot.spare()];
        slot.load(Magazine::<PLACES>::NONE);
        slot.keep(Magazine::<PLACES>::NONE);
        for magazine in magazines {
            // SAFETY: the magazine is in no slot any more.
            unsafe { depot.empty(magazine, layout) };
        }
    }

    /// Gives back what the slots of a number hold; says how many blocks that were.
    ///
    /// # Safety
    ///
    /// The number is the caller's, or nobody uses the pool, or it is zero.
    pub(super) unsafe fn flush_number(&self, number: usize) -> usize {
        let mut blocks = 0;
        for (class, slot) in self.slots.get(number).into_iter().flatten().enumerate() {
            self.slots.uses.note(number);
            if slot.is_ready() {
                blocks += slot.loaded::<PLACES>().count() + slot.spare::<PLACES>().count();
                // SAFETY: the slot is the caller's.
                unsafe { self.flush_slot(slot, class) };
            }
        }
        blocks
    }

    /// Takes what is in the slots of numbers that nobody has, and asks the others for theirs; says how many blocks came.
    pub(super) fn search(&self) -> usize {
        self.famine.fetch_add(1, Ordering::Relaxed);
        let mut found = 0;
        for number in 1..NUMBERS {
            if self.slots.is_used(number)
                && let Some(number) = Number::claim(number)
            {
                // SAFETY: the number was nobody's, and is now this call's.
                found += unsafe { self.flush_number(number.get()) };
            }
        }
        found
    }
}

/// What is done when the parent has nothing more: a search, in what this thread holds too, since blocks of other classes may be
/// all that keeps a chunk from going back; and then what the user's policy says.
pub(super) struct Search<'a, P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> {
    pub(super) pool: &'a Cached<P, A, L, O, PLACES>,
    /// The caller's, or zero.
    pub(super) number: usize,
    /// What was requested: the pool is asked for whole blocks.
    pub(super) layout: Layout,
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Policy
    for Search<'_, P, A, L, O, PLACES>
{
    fn try_again(&self, _: Layout, error: AllocError) -> bool {
        // SAFETY: the number is the caller's.
        let flush = || unsafe { self.pool.flush_number(self.number) };
        if error != AllocError::Unsupported {
            // Of the class that is wanted, this thread holds nothing.
            let own = if P::ClassMap::CLASSES > 1 { flush() } else { 0 };
            if own + self.pool.search() != 0 {
                return true;
            }
        }
        let again = self.pool.policy.try_again(self.layout, error);
        if again {
            // What the policy has freed is in this thread's slot, where the loop does not look.
            flush();
        }
        again
    }
}
