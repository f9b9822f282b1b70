//! Slots: what one thread caches of one size class, and the hot path.

use core::ptr::NonNull;

use super::{
    config::{CacheConfig, CacheOptions},
    magazine::{Magazine, SENTINEL_TOP, is_end},
};
use crate::{
    base::{
        address::recover,
        atomic::{
            Ordering::Relaxed,
            unmodelled::{AtomicPtr, AtomicUsize},
        },
    },
    pool::MAX_CLASSES,
};

/// Capacity of a magazine in blocks at first.
const INITIAL_CAPACITY: usize = 15;

/// Two magazines: loaded and spare. The fields are atomics so that statistics can be read while the slot is in use;
/// exclusive use is ensured elsewhere, so no ordering is needed.
///
/// # Invariants
///
/// * Both magazines exist, or neither does.
/// * The spare one is empty or full.
/// * No block is in two magazines.
pub(super) struct ThreadMagazines {
    top: AtomicPtr<usize>,
    bottom: AtomicPtr<usize>,
    spare_top: AtomicPtr<usize>,
    spare_bottom: AtomicPtr<usize>,
    /// Capacity of a magazine in blocks when it is next emptied or exchanged.
    limit: AtomicUsize,
    /// The last reclaim epoch that the owner has observed.
    reclaim_epoch: AtomicUsize,
}

/// The slots, one per class, of threads that have none: never written to.
pub(super) static VACANT: [ThreadMagazines; MAX_CLASSES] = [const { ThreadMagazines::new() }; MAX_CLASSES];

impl ThreadMagazines {
    /// Creates a slot without magazines.
    pub(super) const fn new() -> Self {
        Self {
            top: AtomicPtr::new(SENTINEL_TOP),
            bottom: AtomicPtr::new(SENTINEL_TOP),
            spare_top: AtomicPtr::new(SENTINEL_TOP),
            spare_bottom: AtomicPtr::new(SENTINEL_TOP),
            limit: AtomicUsize::new(INITIAL_CAPACITY),
            reclaim_epoch: AtomicUsize::new(0),
        }
    }

    /// Forgets the magazines.
    pub(super) fn reset(&self) {
        self.set_loaded(Magazine::<CacheOptions>::NONE);
        self.set_spare(Magazine::<CacheOptions>::NONE);
        self.limit.store(INITIAL_CAPACITY, Relaxed);
    }

    /// Pops a block; returns `None` if the loaded magazine is empty.
    ///
    /// # Safety
    ///
    /// The slot is not in use by another thread.
    #[inline(always)]
    pub(super) unsafe fn pop(&self) -> Option<NonNull<u8>> {
        let top = self.top.load(Relaxed);
        // SAFETY: the word at the top is a block's address or zero.
        let block = NonNull::new(recover::<u8>(unsafe { top.read() }))?;
        self.top.store(top.wrapping_sub(1), Relaxed);
        Some(block)
    }

    /// Pushes a block; returns `false` if the loaded magazine is full.
    ///
    /// # Safety
    ///
    /// The slot is not in use by another thread, and the block is of its class, free, and in no magazine.
    #[inline(always)]
    pub(super) unsafe fn push<C: CacheConfig>(&self, block: NonNull<u8>) -> bool {
        let top = self.top.load(Relaxed).wrapping_add(1);
        if is_end::<C>(top) {
            return false;
        }
        // SAFETY: the magazine has a word there, which is above its blocks.
        unsafe { top.write(block.addr().get()) };
        self.top.store(top, Relaxed);
        true
    }

    /// Returns whether the slot has magazines.
    pub(super) fn is_ready(&self) -> bool {
        self.top.load(Relaxed) != SENTINEL_TOP
    }

    pub(super) fn loaded<C: CacheConfig>(&self) -> Magazine<C> {
        Magazine::new(self.top.load(Relaxed), self.bottom.load(Relaxed))
    }

    pub(super) fn spare<C: CacheConfig>(&self) -> Magazine<C> {
        Magazine::new(self.spare_top.load(Relaxed), self.spare_bottom.load(Relaxed))
    }

    pub(super) fn set_loaded<C: CacheConfig>(&self, magazine: Magazine<C>) {
        self.top.store(magazine.top, Relaxed);
        self.bottom.store(magazine.bottom, Relaxed);
    }

    pub(super) fn set_spare<C: CacheConfig>(&self, spare: Magazine<C>) {
        debug_assert!(spare.is_empty() || spare.is_full(), "a spare magazine is empty or full");
        self.spare_top.store(spare.top, Relaxed);
        self.spare_bottom.store(spare.bottom, Relaxed);
    }

    pub(super) fn swap<C: CacheConfig>(&self) {
        let loaded = self.loaded::<C>();
        self.set_loaded(self.spare::<C>());
        self.set_spare(loaded);
    }

    /// Returns the current capacity of a magazine, at most `most` blocks.
    pub(super) fn limit(&self, most: usize) -> usize {
        self.limit.load(Relaxed).min(most)
    }

    /// Doubles the capacity of the next magazine, up to `most` blocks.
    pub(super) fn raise_limit(&self, most: usize) {
        self.limit.store((2 * self.limit(most) + 1).min(most), Relaxed);
    }

    /// Returns whether there is a reclaim epoch that the owner has not observed. If so, it counts as observed, and the
    /// capacity is reset.
    pub(super) fn observe_epoch(&self, reclaim_epoch: usize) -> bool {
        let has_changed = self.reclaim_epoch.load(Relaxed) != reclaim_epoch;
        if has_changed {
            self.reclaim_epoch.store(reclaim_epoch, Relaxed);
            self.limit.store(INITIAL_CAPACITY, Relaxed);
        }
        has_changed
    }
}
