//! The memo of a thread: stacks that were seen, by return address and stack pointer, each with all words of memory on
//! which it depends.
//!
//! If an entry has the return address and the stack pointer of a call, the rule of the first frame is the same, and so is
//! the address of the word that holds the next return address. If that word is the same too, the rule of the next frame
//! is, and so on. So equal words mean an equal stack, and each word can be read as safely as by walking, because its
//! address follows from the words before it. That requires to compare them in this order, and to stop at the first
//! difference: a stack of a coroutine may have been unmapped, and a smaller one may be in its place.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::{
    cache::hash,
    frame::{Stack, replace},
    word,
};

/// Pairs of words in the ring of entries.
const PAIRS: usize = 1 << 15;

/// Entries by hash.
const SLOTS: usize = 1 << 11;

/// Pairs at the start of an entry.
const HEAD: usize = 3;

/// Max pairs in an entry; longer stacks are not remembered.
const MOST: usize = 1024;

/// Calls between two judgements of whether the memo pays.
const PERIOD: u32 = 1024;

/// Max misses in a period in which it does.
const MISSES: u32 = PERIOD * 2 / 5;

/// Periods without the memo before it is tried again.
const PAUSE: u32 = 16;

/// The memo; all zeros at first. Entries are in a ring, and the oldest are overwritten. An entry consists of pairs of an
/// address and the word there: first the return address; then bp and what is said about the entry, with an address
/// that is not used; then all others in the order in which a walk reads them.
///
/// Signal handlers of the thread may use the memo at any time. They take other parts of the ring, and before anything
/// read from it counts, it is checked that it was not overwritten meanwhile. Every first word of a pair is an address
/// within the stack, so even a pair that was just overwritten can be followed.
#[repr(C)]
pub(crate) struct Memo {
    /// Number of pairs written so far.
    head: AtomicU64,
    /// Entries that begin before this number of pairs are forgotten.
    floor: AtomicU64,
    /// Calls and misses in this period.
    calls: AtomicU32,
    misses: AtomicU32,
    /// 0: in the first period of use, which is not judged; 1: in use; otherwise the periods of pause so far, plus one.
    phase: AtomicU32,
    /// Where an entry begins, plus one; 0: none.
    slots: [AtomicU64; SLOTS],
    ring: [[AtomicU64; 2]; PAIRS],
}

impl Memo {
    /// Returns the node of the call whose return address is at `sp`.
    ///
    /// # Safety
    ///
    /// There must be such a call on this thread, with this value of bp.
    #[inline(always)]
    pub(crate) unsafe fn find(&self, sp: u64, bp: u64) -> Option<u32> {
        self.calls.store(self.calls.load(Relaxed) + 1, Relaxed);
        // SAFETY: the caller guarantees a return address there.
        let ip = unsafe { word(sp) };
        let start = self.slot(ip, sp).load(Relaxed).wrapping_sub(1);
        if !self.is_kept(start) || self.pair(start) != (sp, ip) {
            return None;
        }
        let (_, entry_bp) = self.pair(start + 1);
        let (_, about) = self.pair(start + 2);
        let needs_bp = about >> 48 != 0;
        if needs_bp && entry_bp != bp {
            return None;
        }
        // An entry does not go round the end of the ring.
        let first = start as usize % PAIRS + HEAD;
        let end = (first + (about >> 32 & 0xffff) as usize).min(PAIRS);
        // SAFETY: the range is within the ring.
        for [address, value] in unsafe { self.ring.get_unchecked(first.min(end)..end) } {
            // SAFETY: the address follows from the words compared so far, as the module's documentation explains.
            if unsafe { word(address.load(Relaxed)) } != value.load(Relaxed) {
                return None;
            }
        }
        self.is_kept(start).then_some(about as u32)
    }

    #[inline(always)]
    fn slot(&self, ip: u64, sp: u64) -> &AtomicU64 {
        let slot = (hash(ip, sp) >> (64 - SLOTS.ilog2())) as usize;
        // SAFETY: the upper bits of a hash, as many as make numbers below `SLOTS`.
        unsafe { self.slots.get_unchecked(slot) }
    }

    #[inline(always)]
    fn at(&self, at: u64) -> &[AtomicU64; 2] {
        // SAFETY: the remainder is below the length.
        unsafe { self.ring.get_unchecked(at as usize % PAIRS) }
    }

    #[inline(always)]
    fn pair(&self, at: u64) -> (u64, u64) {
        let [address, value] = self.at(at);
        (address.load(Relaxed), value.load(Relaxed))
    }

    /// Returns whether the entry that begins there has not been overwritten or forgotten; `u64::MAX`: no entry.
    #[inline(always)]
    fn is_kept(&self, start: u64) -> bool {
        let head = self.head.load(Relaxed);
        start < head && start >= self.floor.load(Relaxed) && head - start <= PAIRS as u64
    }

    /// Forgets all entries.
    pub(crate) fn forget(&self) {
        self.floor.store(self.head.load(Relaxed), Relaxed);
    }

    /// Returns whether the memo is in use. Call after each miss, and for each call while it is not in use.
    pub(crate) fn miss(&self) -> bool {
        let misses = self.misses.load(Relaxed) + 1;
        self.misses.store(misses, Relaxed);
        let mut phase = self.phase.load(Relaxed);
        if self.calls.load(Relaxed) >= PERIOD {
            phase = match phase {
                0 => 1,
                1 if misses <= MISSES => 1,
                phase if phase <= PAUSE => phase + 1,
                _ => 0,
            };
            self.phase.store(phase, Relaxed);
            self.calls.store(0, Relaxed);
            self.misses.store(0, Relaxed);
        }
        phase <= 1
    }

    /// Returns whether [`Memo::find`] is worth a call; if not, counts this one.
    #[inline(always)]
    pub(crate) fn is_in_use(&self) -> bool {
        let in_use = self.phase.load(Relaxed) <= 1;
        if !in_use {
            self.calls.store(self.calls.load(Relaxed) + 1, Relaxed);
        }
        in_use
    }

    /// Remembers a stack for the call whose return address is at `sp`.
    pub(crate) fn fill(&self, sp: u64, bp: u64, stack: &Stack<'_>, node: u32) {
        let Some(count) = stack.word_count().filter(|&count| count <= MOST) else { return };
        let Some((start, end)) = self.reserve((HEAD + count) as u64) else { return };
        let leaf = stack.leaf();
        let about = u64::from(node) | (count as u64) << 32 | u64::from(leaf.needs_bp()) << 48;
        let mut at = start;
        let mut put = |address: u64, value: u64| {
            let [first, second] = self.at(at);
            first.store(address, Relaxed);
            second.store(value, Relaxed);
            at += 1;
        };
        put(sp, leaf.ip);
        put(sp, bp);
        put(sp, about);
        stack.each_word(put);
        let ip = leaf.ip;
        if self.head.load(Relaxed) == end {
            self.slot(ip, sp).store(start + 1, Relaxed);
        } else {
            // A signal handler has come between. Had it gone round the whole ring, its entries would be damaged now.
            self.forget();
        }
    }

    /// Reserves pairs that follow each other in the ring; returns the first, and the one after the last.
    fn reserve(&self, length: u64) -> Option<(u64, u64)> {
        (0..4).find_map(|_| {
            let head = self.head.load(Relaxed);
            let left = PAIRS as u64 - head % PAIRS as u64;
            let start = if left < length { head + left } else { head };
            replace(&self.head, head, start + length).then_some((start, start + length))
        })
    }
}
