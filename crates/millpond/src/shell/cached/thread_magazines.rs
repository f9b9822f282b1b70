//! Slots: what one thread has of one class of blocks, and the hot path.

use core::ptr::NonNull;

use super::magazine::{MAX_WORDS, Magazine, SENTINEL_TOP, is_end};
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

/// How many blocks a magazine has room for at first.
const INITIAL_CAPACITY: usize = 15;

/// Two magazines: one in use, and a spare one. The fields are atomics so that statistics can be taken while the slot is
/// in use; who uses it is settled elsewhere, and no ordering is needed.
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
    /// How many blocks a magazine has room for when it is next emptied or exchanged.
    limit: AtomicUsize,
    /// The last famine that the owner has given for.
    reclaim_epoch: AtomicUsize,
}

/// The slots, one for each class, of threads that have none: never written to.
pub(super) static VACANT: [ThreadMagazines; MAX_CLASSES] = [const { ThreadMagazines::new() }; MAX_CLASSES];

impl ThreadMagazines {
    /// A slot without magazines.
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
        self.set_loaded(Magazine::<MAX_WORDS> { top: SENTINEL_TOP, bottom: SENTINEL_TOP });
        self.set_spare(Magazine::<MAX_WORDS> { top: SENTINEL_TOP, bottom: SENTINEL_TOP });
        self.limit.store(INITIAL_CAPACITY, Relaxed);
    }

    /// Takes a block; `None` if the magazine in use is empty.
    ///
    /// # Safety
    ///
    /// Nobody else uses the slot.
    #[inline(always)]
    pub(super) unsafe fn pop(&self) -> Option<NonNull<u8>> {
        let top = self.top.load(Relaxed);
        // SAFETY: the word at the top is a block's address or zero.
        let block = NonNull::new(recover::<u8>(unsafe { top.read() }))?;
        self.top.store(top.wrapping_sub(1), Relaxed);
        Some(block)
    }

    /// Puts a block back; false if the magazine in use is full.
    ///
    /// # Safety
    ///
    /// Nobody else uses the slot, and the block is of its class, free, and in no magazine.
    #[inline(always)]
    pub(super) unsafe fn push<const WORDS: usize>(&self, block: NonNull<u8>) -> bool {
        let top = self.top.load(Relaxed).wrapping_add(1);
        if is_end::<WORDS>(top) {
            return false;
        }
        // SAFETY: the magazine has a word there, which is above its blocks.
        unsafe { top.write(block.addr().get()) };
        self.top.store(top, Relaxed);
        true
    }

    /// Whether it has magazines.
    pub(super) fn is_ready(&self) -> bool {
        self.top.load(Relaxed) != SENTINEL_TOP
    }

    pub(super) fn loaded<const WORDS: usize>(&self) -> Magazine<WORDS> {
        Magazine { top: self.top.load(Relaxed), bottom: self.bottom.load(Relaxed) }
    }

    pub(super) fn spare<const WORDS: usize>(&self) -> Magazine<WORDS> {
        Magazine { top: self.spare_top.load(Relaxed), bottom: self.spare_bottom.load(Relaxed) }
    }

    pub(super) fn set_loaded<const WORDS: usize>(&self, magazine: Magazine<WORDS>) {
        self.top.store(magazine.top, Relaxed);
        self.bottom.store(magazine.bottom, Relaxed);
    }

    pub(super) fn set_spare<const WORDS: usize>(&self, spare: Magazine<WORDS>) {
        self.spare_top.store(spare.top, Relaxed);
        self.spare_bottom.store(spare.bottom, Relaxed);
    }

    pub(super) fn swap<const WORDS: usize>(&self) {
        let loaded = self.loaded::<WORDS>();
        self.set_loaded(self.spare::<WORDS>());
        self.set_spare(loaded);
    }

    /// How many blocks a magazine has room for.
    pub(super) fn limit(&self, most: usize) -> usize {
        self.limit.load(Relaxed).min(most)
    }

    /// Makes the next magazine twice as large, up to `most` blocks.
    pub(super) fn raise_limit(&self, most: usize) {
        self.limit.store((2 * self.limit(most) + 1).min(most), Relaxed);
    }

    /// Whether a famine has begun that the owner has not given for; from now on it has, and starts small again.
    pub(super) fn observe_epoch(&self, reclaim_epoch: usize) -> bool {
        let news = self.reclaim_epoch.load(Relaxed) != reclaim_epoch;
        if news {
            self.reclaim_epoch.store(reclaim_epoch, Relaxed);
            self.limit.store(INITIAL_CAPACITY, Relaxed);
        }
        news
    }
}
