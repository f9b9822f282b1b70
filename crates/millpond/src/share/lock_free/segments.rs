//! Where the blocks of a [`LockFree`](super::LockFree) are, and their links.
//!
//! A segment is a chunk: blocks, then a link for each, then the segment's own record. Each is planned twice as large as the
//! one before, so a block's number says in which segment it is: the logarithm of the number. A segment may turn out shorter
//! than planned, where the parent has no more; the numbers that it lacks are skipped. A segment is published with Release
//! and stays until the pool is held exclusively.
//!
//! From number to block: O(1). From block to number: a search among the segments, the first one first; so a pool in one
//! segment takes a subtraction and a division by the blocks' size. What is needed of the first segment is at hand twice, the
//! second time without a pointer to follow: after an exchange, which holds up whatever comes behind it, each step counts.
//!
//! A number is the place of a link, and blocks that are neighbours have links on different lines of cache: or two threads that
//! have one block each would fight about the line of their links too.

use core::{
    alloc::Layout,
    ptr::{NonNull, null_mut},
};

use super::{
    super::growth::give_back,
    list::{HALF, Links, NONE},
};
use crate::{
    base::{
        address::{WORD, align_up},
        atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    },
    contract::Allocator,
};

/// Bytes per link.
const LINK: usize = size_of::<AtomicU32>();

/// A chunk cut into blocks.
pub(super) struct Segment {
    /// All of the chunk, as the parent handed it out. The blocks come first.
    memory: NonNull<[u8]>,
    /// The links; each is initialised when its block is handed out for the first time.
    links: *mut AtomicU32,
    /// Blocks.
    count: u32,
    /// See [`block_of`].
    rows: u32,
}

/// The logarithm of how many links are on a line of cache.
const LINE: u32 = 4;

/// Which block of a segment has the link at `place`: in a table of 2^`rows` rows with a line of links each, places go along
/// the rows and blocks down the columns. What is behind the table is as it is.
#[inline(always)]
fn block_of(place: u32, rows: u32) -> u32 {
    if place >> rows < 1 << LINE { place >> LINE | (place & ((1 << LINE) - 1)) << rows } else { place }
}

/// Where the link of this block of a segment is: undoes [`block_of`].
#[inline(always)]
fn place_of(block: u32, rows: u32) -> u32 {
    if block >> rows < 1 << LINE { block >> rows | (block & ((1 << rows) - 1)) << LINE } else { block }
}

impl Segment {
    /// Bytes of a segment of so many blocks.
    const fn bytes(count: usize, size: usize) -> Option<usize> {
        match count.checked_mul(size + LINK) {
            Some(bytes) => align_up(bytes, WORD).checked_add(size_of::<Self>()),
            None => None,
        }
    }

    /// Cuts a chunk into at most `most` blocks.
    ///
    /// # Safety
    ///
    /// The chunk is the caller's, aligned to a word and for blocks, and has room for one.
    unsafe fn cut(memory: NonNull<[u8]>, size: usize, most: u32) -> NonNull<Self> {
        let room = (memory.len() - size_of::<Self>()) / WORD * WORD;
        let count = (room / (size + LINK)).min(most as usize);
        let start = memory.cast::<u8>();
        // SAFETY: blocks, links and the record lie in the chunk, one behind the other: that is how `count` was chosen. A
        // block's size is a multiple of a word, so each is aligned.
        unsafe {
            let links = start.add(count * size).cast::<AtomicU32>().as_ptr();
            let record = start.add(align_up(count * (size + LINK), WORD)).cast::<Self>();
            record.write(Self { memory, links, count: count as u32, rows: (count >> LINE).max(1).ilog2() });
            record
        }
    }

    /// The block whose link is at `place`.
    #[inline(always)]
    fn block(&self, place: u32, size: usize) -> NonNull<u8> {
        // SAFETY: whoever has the number has it from this segment.
        unsafe { self.memory.cast::<u8>().add(block_of(place, self.rows) as usize * size) }
    }

    /// Where the link of the block at this address is, if that is in the segment.
    #[inline(always)]
    fn place_at(&self, address: usize, size: usize) -> Option<u32> {
        let bytes = address.wrapping_sub(self.memory.addr().get());
        (bytes < self.count as usize * size).then(|| place_of((bytes / size) as u32, self.rows))
    }

    pub(super) fn start(&self) -> usize {
        self.memory.addr().get()
    }

    pub(super) fn bytes_held(&self) -> usize {
        self.memory.len()
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// # Invariants
///
/// * Segments are published from the first on, without gaps; segment `s` has numbers from `2^log2·(2^s - 1)` on.
/// * The blocks that `fresh` has gone past were handed out before, and their links are initialised.
/// * `start`, `links`, `rows` and `bytes` are as in the first segment, or some of them are still zero.
pub(super) struct Segments {
    start: AtomicPtr<u8>,
    links: AtomicPtr<AtomicU32>,
    rows: AtomicU32,
    /// Bytes of the blocks in the first segment.
    bytes: AtomicUsize,
    table: [AtomicPtr<Segment>; HALF as usize],
    /// Goes through the blocks of all segments, in order: the first that was never handed out.
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
            rows: AtomicU32::new(0),
            bytes: AtomicUsize::new(0),
            table: [const { AtomicPtr::new(null_mut()) }; HALF as usize],
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

    #[inline(always)]
    fn segment(&self, index: usize) -> Option<&Segment> {
        // SAFETY: a segment that was published stays until the pool is borrowed mutably.
        unsafe { self.table.get(index)?.load(Ordering::Acquire).as_ref() }
    }

    /// The segments, first one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment> {
        (0..self.most()).map_while(|index| self.segment(index))
    }

    /// The block with this number, which was handed out before, or is now.
    #[inline(always)]
    pub(super) fn block(&self, number: u32, size: usize) -> Option<NonNull<u8>> {
        if number >> self.log2 == 0
            && let Some(start) = NonNull::new(self.start.load(Ordering::Acquire))
        {
            let block = block_of(number, self.rows.load(Ordering::Relaxed));
            // SAFETY: whoever has the number has it from the first segment.
            return Some(unsafe { start.add(block as usize * size) });
        }
        let (segment, place) = self.place(number);
        Some(self.segment(segment)?.block(place, size))
    }

    /// The number of the block at this address.
    #[inline(always)]
    pub(super) fn number_of(&self, address: usize, size: usize) -> Option<u32> {
        // In this order: while there are no bytes, the rest may not be there either.
        let bytes = self.bytes.load(Ordering::Acquire);
        let offset = address.wrapping_sub(self.start.load(Ordering::Relaxed).addr());
        if offset < bytes {
            return Some(place_of((offset / size) as u32, self.rows.load(Ordering::Relaxed)));
        }
        self.search(address, size)
    }

    #[inline(never)]
    fn search(&self, address: usize, size: usize) -> Option<u32> {
        let mut segments = (0..).zip(self.iter());
        segments.find_map(|(index, segment)| Some(self.number(index) + segment.place_at(address, size)?))
    }

    /// The number of a block that was never handed out, which is the caller's from now on.
    pub(super) fn claim(&self) -> Option<u32> {
        let mut fresh = self.fresh.load(Ordering::Relaxed);
        loop {
            let (index, block) = self.place(fresh);
            let segment = self.segment(index)?;
            let is_there = block < segment.count;
            let next = if is_there { fresh + 1 } else { self.number(index + 1) };
            match self.fresh.compare_exchange_weak(fresh, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if is_there => {
                    let place = place_of(block, segment.rows);
                    // SAFETY: the link is this thread's until the block is freed: nobody else has the number.
                    unsafe { segment.links.add(place as usize).write(AtomicU32::new(NONE)) };
                    return Some(self.number(index) + place);
                }
                Ok(_) => fresh = next,
                Err(now) => fresh = now,
            }
        }
    }

    /// The chunk that the next segment would like, for blocks of this layout; `None` if there can be no more.
    pub(super) fn request(&self, block: Layout) -> Option<(Layout, usize)> {
        let least = Segment::bytes(1, block.size())?;
        let preferred = Segment::bytes(self.planned(self.iter().count())? as usize, block.size());
        let least = Layout::from_size_align(least, block.align()).ok()?;
        Some((least, preferred.unwrap_or(least.size())))
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
        let index = self.iter().count();
        let Some(planned) = self.planned(index) else { return false };
        // SAFETY: the caller's promises are passed on.
        let segment = unsafe { Segment::cut(memory, block.size(), planned) };
        let published = self.table[index]
            .compare_exchange(null_mut(), segment.as_ptr(), Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if published && index == 0 {
            // SAFETY: the segment was just published, and stays.
            self.set_first(unsafe { segment.as_ref() }, block.size());
        }
        published
    }

    /// Has at hand what is needed of the first segment.
    fn set_first(&self, segment: &Segment, size: usize) {
        self.links.store(segment.links, Ordering::Release);
        self.rows.store(segment.rows, Ordering::Relaxed);
        self.start.store(segment.memory.as_ptr().cast(), Ordering::Release);
        self.bytes.store(segment.count as usize * size, Ordering::Release);
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
        let (index, place) = self.place(number);
        let segment = self.segment(index)?;
        (block_of(place, segment.rows) < self.cut(index, segment)).then_some(index)
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
            self.bytes.store(0, Ordering::Relaxed);
            self.start.store(null_mut(), Ordering::Relaxed);
            self.links.store(null_mut(), Ordering::Relaxed);
        }
        let mut returned = 0;
        for entry in self.table.iter().skip(from) {
            let segment = entry.load(Ordering::Acquire);
            entry.store(null_mut(), Ordering::Relaxed);
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
    #[inline(always)]
    fn link(&self, number: u32) -> &AtomicU32 {
        let (mut links, mut place) = (self.links.load(Ordering::Acquire), number);
        if number >> self.log2 != 0 || links.is_null() {
            (links, place) = self.link_beyond(number);
        }
        // SAFETY: whoever has the number has it from a segment that was published before, and the link was initialised
        // when the number was handed out for the first time.
        unsafe { &*links.add(place as usize) }
    }
}

impl Segments {
    /// The links of the segment that has this number, and the place of its link among them.
    #[inline(never)]
    fn link_beyond(&self, number: u32) -> (*mut AtomicU32, u32) {
        let (index, place) = self.place(number);
        // SAFETY: as in `link`.
        (unsafe { (*self.table[index].load(Ordering::Acquire)).links }, place)
    }
}

// SAFETY: the records and links that the pointers lead to are shared as the atomics that they are made of.
unsafe impl Send for Segments {}
// SAFETY: as above.
unsafe impl Sync for Segments {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Every block has one link, and neighbours have theirs on different lines where there are lines enough.
    #[test]
    fn each_block_has_a_link_of_its_own() {
        for count in [1u32, 2, 15, 16, 17, 31, 32, 60, 64, 100, 1000, 1024] {
            let rows = (count >> LINE).max(1).ilog2();
            let mut blocks: Vec<u32> = (0..count).map(|place| block_of(place, rows)).collect();
            assert!((0..count).all(|place| place_of(block_of(place, rows), rows) == place), "{count}");
            assert_eq!(rows > 0, count >= 32);
            assert!(rows == 0 || place_of(0, rows) >> LINE != place_of(1, rows) >> LINE);
            blocks.sort_unstable();
            assert!(blocks.into_iter().eq(0..count), "{count}");
        }
    }
}
