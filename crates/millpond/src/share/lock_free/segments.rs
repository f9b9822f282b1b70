//! Where the blocks of a [`LockFree`](super::LockFree) are, and their links.
//!
//! A segment is a chunk: blocks, then a link for each, then the segment's own record. Each is planned twice as large as the
//! one before, so a block's number says in which segment it is: the logarithm of the number. A segment may turn out shorter
//! than planned, where the parent has no more; the numbers that it lacks are skipped. A segment is published with Release
//! and stays until the pool is held exclusively.
//!
//! From number to block: O(1), in the first segment without a second look. From block to number: a search among the
//! segments, the first one first; so a pool in one segment takes a subtraction and a division by the blocks' size.

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
        atomic::{AtomicPtr, AtomicU32, Ordering},
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
            record.write(Self { memory, links, count: count as u32 });
            record
        }
    }

    /// Where the block with this number in the segment is.
    #[inline(always)]
    fn block(&self, offset: u32, size: usize) -> NonNull<u8> {
        // SAFETY: whoever has the number has it from this segment.
        unsafe { self.memory.cast::<u8>().add(offset as usize * size) }
    }

    /// Which block of the segment starts at this address, if any.
    #[inline(always)]
    fn offset_of(&self, address: usize, size: usize) -> Option<u32> {
        let bytes = address.wrapping_sub(self.memory.addr().get());
        (bytes < self.count as usize * size).then(|| (bytes / size) as u32)
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
/// * A number below `fresh` that its segment has was handed out before, and its link is initialised.
pub(super) struct Segments {
    table: [AtomicPtr<Segment>; HALF as usize],
    /// The first number that was never handed out.
    fresh: AtomicU32,
    /// The logarithm of how many numbers the first segment has.
    log2: u32,
    /// The blocks that the first segment is planned to have.
    first: u32,
}

/// The place of a number: which segment, and which block of it.
type Place = (usize, u32);

impl Segments {
    /// Without segments; the first will have room for `first` blocks.
    pub(super) const fn new(first: usize) -> Self {
        let mut segments = Self {
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
        let (segment, offset) = self.place(number);
        Some(self.segment(segment)?.block(offset, size))
    }

    /// The number of the block at this address.
    #[inline(always)]
    pub(super) fn number_of(&self, address: usize, size: usize) -> Option<u32> {
        if let Some(number) = self.segment(0)?.offset_of(address, size) {
            return Some(number);
        }
        let mut later = (1..).zip(self.iter().skip(1));
        later.find_map(|(index, segment)| Some(self.number(index) + segment.offset_of(address, size)?))
    }

    /// The number of a block that was never handed out, which is the caller's from now on.
    pub(super) fn claim(&self) -> Option<u32> {
        let mut number = self.fresh.load(Ordering::Relaxed);
        loop {
            let (index, offset) = self.place(number);
            let segment = self.segment(index)?;
            let is_there = offset < segment.count;
            let next = if is_there { number + 1 } else { self.number(index + 1) };
            match self.fresh.compare_exchange_weak(number, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) if is_there => {
                    // SAFETY: the link is this thread's until the block is freed: nobody else has the number.
                    unsafe { segment.links.add(offset as usize).write(AtomicU32::new(NONE)) };
                    return Some(number);
                }
                Ok(_) => number = next,
                Err(now) => number = now,
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
        self.table[index]
            .compare_exchange(null_mut(), segment.as_ptr(), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// How many numbers of a segment were handed out before.
    pub(super) fn cut(&self, index: usize, segment: &Segment) -> u32 {
        self.fresh.load(Ordering::Relaxed).saturating_sub(self.number(index)).min(segment.count)
    }

    /// In which segment a number is; `None` if it was never handed out.
    pub(super) fn index_of(&self, number: u32) -> Option<usize> {
        let (index, offset) = self.place(number);
        (number < NONE / 2 && offset < self.cut(index, self.segment(index)?)).then_some(index)
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
        let (index, offset) = self.place(number);
        // SAFETY: whoever has the number has it from a segment that was published before, and the link was initialised
        // when the number was handed out for the first time.
        unsafe { &*(*self.table[index].load(Ordering::Acquire)).links.add(offset as usize) }
    }
}

// SAFETY: the records and links that the pointers lead to are shared as the atomics that they are made of.
unsafe impl Send for Segments {}
// SAFETY: as above.
unsafe impl Sync for Segments {}
