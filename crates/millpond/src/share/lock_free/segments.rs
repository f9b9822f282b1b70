//! Where the blocks of a [`LockFree`](super::LockFree) are, and their links.
//!
//! A [segment](super::segment) is a chunk with blocks and links. Each is planned twice as large as the one before, so a
//! block's number says in which segment it is: the logarithm of the number. A segment may turn out shorter than planned,
//! where the parent has no more; the numbers that it lacks are skipped. A segment is published with Release and stays until
//! the pool is held exclusively.
//!
//! From number to block: O(1). From block to number: a search among the segments, the last and largest one first. What is needed
//! of the first segment is at hand twice, the second time without a pointer to follow: after an exchange, which holds up
//! whatever comes behind it, each step counts. So a pool in one segment takes a subtraction and a division by the blocks' size.

use core::{
    alloc::Layout,
    ptr::{NonNull, null_mut},
};

use super::{
    super::{entry::Entry, growth::give_back},
    list::{HALF, Links, NONE},
    segment::{Near, Segment},
};
use crate::{
    base::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    contract::Allocator,
};

/// # Invariants
///
/// * Segments are published from the first on, without gaps; segment `s` has numbers from `2^log2·(2^s - 1)` on.
/// * The blocks that `fresh` has gone past were handed out before, and their links are initialised.
/// * `start`, `links` and `count` are as in the first segment; or `count` is still zero.
/// * So many segments as `published` says are there; there may be more.
pub(super) struct Segments {
    start: AtomicPtr<u8>,
    links: AtomicPtr<AtomicU32>,
    count: AtomicU32,
    published: AtomicUsize,
    table: [Entry<Segment>; HALF as usize],
    /// Goes through the turns of all segments, in order: the first that was not had yet.
    fresh: AtomicU32,
    /// The logarithm of how many numbers the first segment has.
    log2: u32,
    /// The blocks that the first segment is planned to have.
    first: u32,
}

/// The place of a number: which segment, and which place in it.
type Place = (usize, u32);

impl Segments {
    /// Without segments; the first will have room for `first` blocks.
    pub(super) const fn new(first: usize) -> Self {
        let mut segments = Self {
            start: AtomicPtr::new(null_mut()),
            links: AtomicPtr::new(null_mut()),
            count: AtomicU32::new(0),
            published: AtomicUsize::new(0),
            table: [const { Entry::new() }; HALF as usize],
            fresh: AtomicU32::new(0),
            log2: 0,
            first: 1,
        };
        segments.begin_with(first);
        segments
    }

    /// Lets the first segment have room for `first` blocks, if none has come yet.
    pub(super) const fn begin_with(&mut self, first: usize) {
        let most = 1 << (HALF - 2);
        self.first = if first == 0 {
            1
        } else if first > most {
            most as u32
        } else {
            first as u32
        };
        self.log2 = self.first.next_power_of_two().ilog2();
    }

    #[inline(always)]
    fn place(&self, number: u32) -> Place {
        let base = 1 << self.log2;
        if number < base {
            return (0, number);
        }
        let log2 = (number + base).ilog2();
        ((log2 - self.log2) as usize, number + base - (1 << log2))
    }

    /// The first number of a segment.
    #[inline(always)]
    pub(super) fn number(&self, segment: usize) -> u32 {
        (1 << (self.log2 + segment as u32)) - (1 << self.log2)
    }

    /// How many segments there can be. All numbers, and the one behind them, are below [`NONE`].
    fn most(&self) -> usize {
        (HALF - 1 - self.log2) as usize
    }

    /// How many blocks there can be.
    pub(super) fn most_blocks(&self) -> usize {
        self.number(self.most()) as usize
    }

    #[inline(always)]
    fn segment(&self, index: usize) -> Option<&Segment> {
        // SAFETY: a segment that was published stays until the pool is borrowed mutably.
        unsafe { self.table.get(index)?.get().as_ref() }
    }

    /// The segments, first one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment> {
        (0..self.most()).map_while(|index| self.segment(index))
    }

    /// What is needed of the first segment.
    #[inline(always)]
    pub(super) fn near(&self) -> Near {
        // The count first: while that is zero, the rest may not be there either.
        let count = self.count.load(Ordering::Acquire);
        Near { start: self.start.load(Ordering::Relaxed), links: self.links.load(Ordering::Relaxed), count }
    }

    /// The block with this number, which was handed out before, or is now.
    pub(super) fn block(&self, number: u32, size: usize) -> Option<NonNull<u8>> {
        let (segment, block) = self.place(number);
        Some(self.segment(segment)?.block(block, size))
    }

    /// The number of the block at this address.
    pub(super) fn number_of(&self, address: usize, size: usize) -> Option<u32> {
        let published = self.published.load(Ordering::Relaxed);
        let known = (0..published).rev();
        // One may be there of which that does not tell yet.
        known
            .chain(published..self.most())
            .find_map(|index| Some(self.number(index) + self.segment(index)?.block_at(address, size)?))
    }

    /// The number of a block that was never handed out, which is the caller's from now on.
    pub(super) fn claim(&self) -> Option<u32> {
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        loop {
            let (index, turn) = self.place(fresh);
            let segment = self.segment(index)?;
            let is_there = turn < segment.count;
            let next = if is_there { fresh + 1 } else { self.number(index + 1) };
            match self.fresh.compare_exchange_weak(fresh, next, Ordering::Relaxed, Ordering::Relaxed) {
                // SAFETY: nobody else has this turn.
                Ok(_) if is_there => return Some(self.number(index) + unsafe { segment.first_time(turn) }),
                Ok(_) => fresh = next,
                Err(now) => fresh = now,
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.iter().count()
    }

    /// The chunk that this segment would like, for blocks of this layout, with room for `wanted` of them at least, unless it is
    /// planned for less; `None` if there can be no such segment.
    pub(super) fn request(&self, index: usize, block: Layout, wanted: usize) -> Option<(Layout, usize)> {
        let planned = self.planned(index)? as usize;
        let least = Segment::bytes(planned.min(wanted), block.size())?;
        let preferred = Segment::bytes(planned, block.size());
        let least = Layout::from_size_align(least, block.align()).ok()?;
        Some((least, preferred.unwrap_or(least.size())))
    }

    /// How many blocks of `size` bytes this segment would have in so many bytes, of which it has asked for.
    pub(super) fn room(&self, index: usize, size: usize, bytes: usize) -> usize {
        self.planned(index).map_or(0, |planned| Segment::room(bytes, size, planned))
    }

    /// How many blocks a segment is planned to have.
    fn planned(&self, index: usize) -> Option<u32> {
        match index {
            0 => Some(self.first),
            _ => (index < self.most()).then(|| 1 << (self.log2 + index as u32)),
        }
    }

    /// Makes a chunk the next segment; none, if others were faster and there can be no more.
    ///
    /// # Safety
    ///
    /// The chunk is the caller's and meets the [`request`](Self::request) for blocks of this layout.
    pub(super) unsafe fn publish(&self, memory: NonNull<[u8]>, block: Layout) -> bool {
        let index = self.count();
        let Some(planned) = self.planned(index) else { return false };
        // SAFETY: the caller's promises are passed on.
        let segment = unsafe { Segment::cut(memory, block.size(), planned) };
        let published = self.table[index].fill(segment);
        if published {
            self.published.fetch_max(index + 1, Ordering::Relaxed);
            if index == 0 {
                // SAFETY: the segment was just published, and stays.
                self.set_first(unsafe { segment.as_ref() });
            }
        }
        published
    }

    /// Has at hand what is needed of the first segment.
    fn set_first(&self, segment: &Segment) {
        self.start.store(segment.memory.as_ptr().cast(), Ordering::Relaxed);
        self.links.store(segment.links, Ordering::Relaxed);
        self.count.store(segment.count, Ordering::Release);
    }

    /// How many numbers of a segment were handed out before.
    pub(super) fn cut(&self, index: usize, segment: &Segment) -> u32 {
        self.fresh.load(Ordering::Relaxed).saturating_sub(self.number(index)).min(segment.count)
    }

    /// In which segment a number is; `None` if it was never handed out.
    pub(super) fn index_of(&self, number: u32) -> Option<usize> {
        if number >= NONE / 2 {
            return None;
        }
        let (index, block) = self.place(number);
        let segment = self.segment(index)?;
        segment.has_had(block, self.cut(index, segment)).then_some(index)
    }

    /// As if only the numbers of the first `segments` segments had been handed out.
    pub(super) fn forget(&mut self, segments: usize) {
        let end = self.number(segments).min(self.fresh.load(Ordering::Relaxed));
        self.fresh.store(end, Ordering::Relaxed);
    }

    /// Returns the segments from this one on to the parent; says how many bytes that were.
    ///
    /// # Safety
    ///
    /// Nobody holds a block in them, and they came from this parent, for blocks of this alignment.
    pub(super) unsafe fn release<A: Allocator>(&mut self, from: usize, parent: &A, align: usize) -> usize {
        if from == 0 {
            self.count.store(0, Ordering::Relaxed);
        }
        self.published.store(from.min(self.published.load(Ordering::Relaxed)), Ordering::Relaxed);
        let mut returned = 0;
        for entry in self.table.iter().skip(from) {
            let segment = entry.get();
            entry.set(null_mut());
            if !segment.is_null() {
                // SAFETY: the record is read before its chunk goes, and nobody reads it later.
                let memory = unsafe { (*segment).memory };
                returned += memory.len();
                // SAFETY: the caller's promises.
                unsafe { give_back(parent, memory, align) };
            }
        }
        returned
    }
}

impl Links for Segments {
    fn link(&self, number: u32) -> &AtomicU32 {
        let (index, place) = self.place(number);
        // SAFETY: whoever has the number has it from a segment that was published before, and the link was initialised
        // when the number was handed out for the first time.
        unsafe { &*(*self.table[index].get()).links.add(place as usize) }
    }
}

// SAFETY: the records and links that the pointers lead to are shared as the atomics that they are made of.
unsafe impl Send for Segments {}
// SAFETY: as above.
unsafe impl Sync for Segments {}
