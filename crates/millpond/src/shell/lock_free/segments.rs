//! The blocks of a [`LockFree`](super::LockFree) and their links.
//!
//! A [segment](super::segment) is a chunk of blocks and a table of links. Each is planned twice as large as the one
//! before, so the logarithm of a block's number identifies the segment. A segment may be shorter than planned if the
//! parent has no more memory; the numbers that it lacks are skipped. A segment's table is published with Release and
//! stays until the pool is borrowed exclusively; its blocks may be returned, and come back elsewhere.
//!
//! From number to block: O(1). From block to number: a search in the segments, the last and largest one first. The data
//! of the first segment is stored twice, the second time without a pointer to follow: after an exchange, which delays
//! everything behind it, each step counts. A pool in one segment therefore takes one subtraction and one division by
//! the block size.

use core::ptr::{NonNull, null_mut};

use super::{
    segment::{FirstSegment, Segment},
    turns::Turns,
};
use crate::{
    base::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    sync::{
        growth_barrier::return_chunk,
        once_link::OnceLink,
        ordering::Orderings,
        treiber_stack::{INDEX_BITS, LinkTable, NIL},
    },
    traits::Allocator,
};

/// The segments of a pool, and the data of the first one.
///
/// # Invariants
///
/// * Segments are published in order, without gaps; the numbers of segment `s` begin at `2^log2·(2^s - 1)`.
/// * The blocks whose turns were taken have been handed out since they came, and their links are initialized.
/// * `start`, `links` and `count` are those of the first segment, which stays; or `count` is still zero.
/// * At least `published` segments exist.
#[repr(C)]
pub(in crate::shell) struct Segments<T> {
    start: AtomicPtr<u8>,
    links: AtomicPtr<AtomicU32>,
    count: AtomicU32,
    published: AtomicUsize,
    /// Logarithm of the number of block numbers in the first segment.
    log2: u32,
    /// Number of blocks planned for the first segment.
    first: u32,
    table: [OnceLink<Segment, T>; INDEX_BITS as usize],
    /// The turns of each segment.
    turns: [Turns<T>; INDEX_BITS as usize],
}

/// The position of a number: the segment and the place in it.
type Position = (usize, u32);

impl<T: Orderings> Segments<T> {
    /// Creates an empty table; the first segment will have room for `first` blocks.
    pub(super) const fn new(first: usize) -> Self {
        let mut segments = Self {
            start: AtomicPtr::new(null_mut()),
            links: AtomicPtr::new(null_mut()),
            count: AtomicU32::new(0),
            published: AtomicUsize::new(0),
            log2: 0,
            first: 1,
            table: [const { OnceLink::new() }; INDEX_BITS as usize],
            turns: [const { Turns::new() }; INDEX_BITS as usize],
        };
        segments.begin_with(first);
        segments
    }

    /// Sets the capacity of the first segment to `first` blocks, if no segment exists yet.
    pub(super) const fn begin_with(&mut self, first: usize) {
        let max_blocks = 1 << (INDEX_BITS - 2);
        self.first = if first == 0 {
            1
        } else if first > max_blocks {
            max_blocks as u32
        } else {
            first as u32
        };
        self.log2 = self.first.next_power_of_two().ilog2();
    }

    #[inline(always)]
    fn place(&self, number: u32) -> Position {
        let base = 1 << self.log2;
        if number < base {
            return (0, number);
        }
        let log2 = (number + base).ilog2();
        ((log2 - self.log2) as usize, number + base - (1 << log2))
    }

    /// Returns the first number of a segment.
    #[inline(always)]
    pub(super) fn number(&self, segment: usize) -> u32 {
        (1 << (self.log2 + segment as u32)) - (1 << self.log2)
    }

    /// Returns the maximum number of segments. All numbers, and the one after the last, are below [`NIL`].
    fn max_segments(&self) -> usize {
        (INDEX_BITS - 1 - self.log2) as usize
    }

    /// Returns the maximum number of blocks.
    pub(super) fn max_blocks(&self) -> usize {
        self.number(self.max_segments()) as usize
    }

    #[inline(always)]
    pub(super) fn segment(&self, index: usize) -> Option<&Segment> {
        // SAFETY: a segment that was published stays until the pool is borrowed mutably.
        unsafe { self.table.get(index)?.get().as_ref() }
    }

    /// Returns the segments in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment> {
        (0..self.max_segments()).map_while(|index| self.segment(index))
    }

    /// Returns the segments known to exist, last one first, followed by those that may have been published since.
    fn newest_first(&self) -> impl Iterator<Item = (usize, &Segment)> {
        let published = self.published.load(Ordering::Relaxed);
        let order = (0..published).rev().chain(published..self.max_segments());
        order.filter_map(|index| Some((index, self.segment(index)?)))
    }

    /// Returns the data of the first segment.
    #[inline(always)]
    pub(super) fn first_segment(&self) -> FirstSegment {
        // The count first: while it is zero, the other fields may not be set either.
        let count = self.count.load(Ordering::Acquire);
        FirstSegment {
            start: self.start.load(Ordering::Relaxed),
            links: self.links.load(Ordering::Relaxed),
            count,
        }
    }

    /// Returns the block with this number, which was handed out before or is being handed out.
    pub(super) fn block(&self, number: u32, size: usize) -> Option<NonNull<u8>> {
        let (segment, block) = self.place(number);
        Some(self.segment(segment)?.block(block, size))
    }

    /// Returns the number of the block at this address.
    pub(super) fn number_of(&self, address: usize, size: usize) -> Option<u32> {
        self.newest_first()
            .find_map(|(index, segment)| Some(self.number(index) + segment.block_at(address, size)?))
    }

    /// Claims a block that was never handed out, or not since its segment came back, for the caller; returns its
    /// number.
    pub(super) fn claim(&self) -> Option<u32> {
        self.newest_first().find_map(|(index, segment)| {
            let turn = self.turns[index].claim(segment.count)?;
            // SAFETY: no other thread has this turn.
            Some(self.number(index) + unsafe { segment.first_time(turn) })
        })
    }

    /// Returns the number of segments.
    pub(super) fn count(&self) -> usize {
        self.iter().count()
    }

    /// Returns the first segment, from index `from` on, whose blocks were returned.
    pub(super) fn gone(&self, from: usize) -> Option<(usize, &Segment)> {
        self.iter().enumerate().skip(from).find(|&(index, _)| self.turns[index].are_gone())
    }

    /// Returns the number of blocks planned for a segment.
    pub(super) fn planned(&self, index: usize) -> Option<u32> {
        match index {
            0 => Some(self.first),
            _ => (index < self.max_segments()).then(|| 1 << (self.log2 + index as u32)),
        }
    }

    /// Publishes the next segment; returns `false` if other threads were faster, there are too many, or it has more
    /// blocks than there are numbers for.
    pub(super) fn publish(&self, segment: NonNull<Segment>) -> bool {
        let index = self.count();
        // SAFETY: the segment is complete; if it is published, it stays.
        let new = unsafe { segment.as_ref() };
        let has_numbers = self.planned(index).is_some_and(|planned| new.count <= planned);
        // Threads may create the first segment at the same time. Its blocks can never go, so that of one thread suffices.
        let is_next = index == 0 || !new.is_whole();
        let published = has_numbers && is_next && self.table[index].try_set(segment);
        if published {
            self.published.fetch_max(index + 1, Ordering::Relaxed);
            if index == 0 {
                self.set_first(new);
            }
        }
        published
    }

    /// Stores the data of the first segment.
    fn set_first(&self, segment: &Segment) {
        self.start.store(segment.block(0, 0).as_ptr(), Ordering::Relaxed);
        self.links.store(segment.links, Ordering::Relaxed);
        self.count.store(segment.count, Ordering::Release);
    }

    /// Takes the blocks of a segment, of which the caller holds all `had` that were handed out; fails if another one is
    /// handed out meanwhile.
    pub(super) fn dismiss(&self, index: usize, had: u32) -> Option<NonNull<[u8]>> {
        let (segment, turns) = (self.segment(index)?, &self.turns[index]);
        if !turns.close(had) {
            return None;
        }
        let blocks = segment.go(had);
        turns.leave();
        blocks
    }

    /// Gives blocks to a segment again; returns `false` if other threads were faster.
    pub(super) fn recall(&self, index: usize, blocks: NonNull<[u8]>) -> bool {
        let Some(segment) = self.segment(index) else { return false };
        let is_mine = self.turns[index].claim_gone();
        if is_mine {
            segment.come(blocks);
            self.turns[index].open();
        }
        is_mine
    }

    /// Returns how many numbers of a segment were handed out.
    pub(super) fn had(&self, index: usize) -> u32 {
        self.turns[index].had()
    }

    /// Returns the segment of a number; `None` if it was not handed out.
    pub(super) fn index_of(&self, number: u32) -> Option<usize> {
        if number >= NIL / 2 {
            return None;
        }
        let (index, block) = self.place(number);
        self.segment(index)?.was_handed_out(block, self.had(index)).then_some(index)
    }

    /// Resets the turns to the state in which no number was handed out.
    pub(super) fn forget(&mut self) {
        self.turns.iter_mut().for_each(Turns::forget);
    }

    /// Returns the segments from this one on to the parent, with blocks and tables; returns their total size in bytes.
    ///
    /// # Safety
    ///
    /// No thread holds a block in them, and they came from this parent, for blocks of this alignment.
    pub(super) unsafe fn release<A: Allocator>(&mut self, from: usize, parent: &A, align: usize) -> usize {
        self.published.store(from.min(self.published.load(Ordering::Relaxed)), Ordering::Relaxed);
        let mut returned = 0;
        for (link, turns) in self.table.iter().zip(&mut self.turns).skip(from) {
            let segment = NonNull::new(link.get());
            link.overwrite(null_mut());
            *turns = Turns::new();
            // SAFETY: the record is not read afterwards; the caller guarantees that no block in the segment is held and
            // that it came from this parent.
            returned += segment.map_or(0, |segment| unsafe { discard(segment, parent, align) });
        }
        if from == 0 {
            self.count.store(0, Ordering::Relaxed);
        }
        returned
    }
}

/// Returns a segment to the parent: its blocks, if they are here, and its table. Returns the total size in bytes.
///
/// # Safety
///
/// The segment is not in use, and it came from this parent, for blocks of this alignment.
pub(super) unsafe fn discard<A: Allocator>(segment: NonNull<Segment>, parent: &A, align: usize) -> usize {
    // SAFETY: the record exists; it is read before its chunk is returned.
    let (blocks, table) = unsafe { (segment.as_ref().blocks_here(), segment.as_ref().table_apart()) };
    let chunks = [blocks.map(|blocks| (blocks, align)), table.map(|table| (table, align_of::<Segment>()))];
    chunks.into_iter().flatten().fold(0, |bytes, (chunk, align)| {
        // SAFETY: the segment is not in use and came from this parent, as the caller guarantees.
        unsafe { return_chunk(parent, chunk, align) };
        bytes + chunk.len()
    })
}

impl<T: Orderings> LinkTable for Segments<T> {
    fn link(&self, number: u32) -> &AtomicU32 {
        let (index, block) = self.place(number);
        // SAFETY: a number is obtained from a segment that was published before.
        unsafe { &*self.table[index].get() }.link(block)
    }

    fn look(&self, number: u32) -> u32 {
        let (index, block) = self.place(number);
        self.segment(index).map_or(NIL, |segment| segment.link(block).load(Ordering::Relaxed))
    }
}

// SAFETY: the records and links that the pointers lead to consist of atomics and are shared as such.
unsafe impl<T> Send for Segments<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Segments<T> {}
