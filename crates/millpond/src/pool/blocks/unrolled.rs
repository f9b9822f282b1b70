//! The backing of [`Magazine`]: a list of bundles in the free blocks themselves.
//!
//! The blocks of one spill become a few bundles, each of which has one of its blocks as its leader, and come back in
//! the same order, last freed first. There are two kinds of bundles with more than one block:
//!
//! * A *run* consists of blocks at equal distances, as after frees in address order. It is described by a start, a
//!   count and a distance, so only one of its blocks is accessed.
//! * A *packet* consists of half an array of blocks in any order. Its leader holds the addresses of the next blocks,
//!   these hold those of the blocks after them, as many as fit, and so on. With blocks of 64 bytes, 17 of 128 are
//!   accessed, and all are found after three consecutive cache misses, because siblings in this tree are fetched in
//!   parallel.
//!
//! There is no overhead per block. Spill and refill: O(1) per block.
//!
//! Sources: Shao, Reppy and Appel, "Unrolling Lists" (1994), for addresses in free blocks; the tree is the implicit one
//! of Williams' heaps (1964), with as many children as a block has words.

use core::{iter, mem};

use super::{
    free_cache::{Backing, FreeCache},
    uncarved::{CarvedBlocks, EmptyChunks, Uncarved},
};
use crate::{
    base::address::{WORD, prefetch_for_writing, recover},
    pool::chunks::{Span, chain, link},
    traits::InvariantError,
};

/// Keeps freed blocks in an array of `PLACES` addresses and, beyond that, in bundles: only a few of many freed blocks
/// are accessed.
///
/// Faster than [`Lifo`](super::Lifo) if many blocks are live and freed in any order; the pool is `PLACES` words larger.
///
/// ```
/// use millpond::{Blocks, Fixed, Local, Magazine};
///
/// let pool = Local::new(Blocks::<(Fixed<64>, Magazine)>::new());
/// ```
pub type Magazine<const PLACES: usize = 256> = FreeCache<Unrolled<PLACES>, PLACES>;

/// The backing of [`Magazine`].
///
/// # Invariants
///
/// * `head` is the link to the first bundle. Following links visits each bundle once and ends at zero.
/// * The bundles have `count` blocks in total.
#[derive(Clone, Copy, Debug)]
pub struct Unrolled<const PLACES: usize> {
    head: usize,
    count: usize,
}

/// The bits of a link that hold the kind of the bundle. The other bits are the address of the bundle's leader.
const KIND: usize = 3;
/// A single block.
const ONE: usize = 0;
/// A run. Its leader is the block with the lowest address, and the second word of the leader is the [`Pace`].
const RUN: usize = 1;
/// A packet of half an array.
const PACKET: usize = 2;

/// The maximum number of runs into which a spill is divided; beyond that it becomes a packet, because runs are found
/// one after the other.
const MOST_RUNS: usize = 4;

/// The number of low bits of a pace that hold the count.
const COUNT_BITS: u32 = usize::BITS / 4;

/// The length of a run and the distance of its blocks, in the order in which they are handed out, in one word.
#[derive(Clone, Copy)]
struct Pace {
    count: usize,
    stride: isize,
}

impl Pace {
    fn word(self) -> usize {
        (self.stride << COUNT_BITS).cast_unsigned() | self.count
    }

    fn of(word: usize) -> Self {
        let count = word & ((1 << COUNT_BITS) - 1);
        Self { count, stride: word.cast_signed() >> COUNT_BITS }
    }

    /// Returns the blocks of the run whose lowest address is `lowest`.
    fn blocks(self, lowest: usize) -> impl Iterator<Item = usize> {
        let back = if self.stride < 0 { self.stride.wrapping_mul(self.count.cast_signed() - 1) } else { 0 };
        let first = lowest.wrapping_sub(back.cast_unsigned());
        iter::successors(Some(first), move |block| Some(block.wrapping_add_signed(self.stride)))
            .take(self.count)
    }
}

/// Returns a pointer to word `number` of a free block.
fn word(block: usize, number: usize) -> *mut usize {
    recover(block + number * WORD)
}

/// Divides blocks of `size` bytes into runs of at most `most` blocks, each with its pace.
fn runs(mut blocks: &[usize], size: usize, most: usize) -> impl Iterator<Item = (&[usize], Pace)> {
    iter::from_fn(move || {
        let distance = |pair: &[usize]| pair[1].wrapping_sub(pair[0]).cast_signed();
        let stride = blocks.first_chunk::<2>().map_or(0, |pair| distance(pair));
        // A block of one word has room only for a link; the pace must lie in the adjacent block.
        let has_room = size > WORD || stride.unsigned_abs() == size;
        let fits = (stride << COUNT_BITS) >> COUNT_BITS == stride;
        let followers = if has_room && fits {
            blocks.windows(2).take(most - 1).take_while(|pair| distance(pair) == stride).count()
        } else {
            0
        };
        let (run, remainder) = blocks.split_at_checked(followers + 1)?;
        blocks = remainder;
        Some((run, Pace { count: run.len(), stride: -stride }))
    })
}

impl<const PLACES: usize> Unrolled<PLACES> {
    const HALF: usize = PLACES / 2;
    /// The maximum number of blocks in a run: they must fit half an array, and their number must fit a pace.
    const LONGEST: usize = if Self::HALF >> COUNT_BITS == 0 { Self::HALF } else { (1 << COUNT_BITS) - 1 };

    /// Adds a run to the list.
    ///
    /// # Safety
    ///
    /// Its blocks are free.
    unsafe fn put_run(&mut self, run: &[usize], pace: Pace) {
        let leader = run[0].min(run[run.len() - 1]);
        // SAFETY: the leader is free and at least a word long. In a run of two or more blocks, either the blocks have
        // at least two words, or the next word is the next block.
        unsafe {
            word(leader, 0).write(self.head);
            if run.len() > 1 {
                word(leader, 1).write(pace.word());
            }
        }
        self.head = leader | if run.len() > 1 { RUN } else { ONE };
    }

    /// Adds half an array of blocks, of at least two words each, to the list.
    ///
    /// # Safety
    ///
    /// The blocks are free.
    unsafe fn put_packet(&mut self, blocks: &[usize], size: usize) {
        let mut order = blocks.iter().rev().copied();
        let carriers = order.clone();
        let Some(leader) = order.next() else { return };
        // SAFETY: the caller guarantees that the block is free.
        unsafe { word(leader, 0).write(self.head) };
        self.head = leader | PACKET;
        // The first word of the leader is the link.
        let mut first = 1;
        for carrier in carriers {
            for number in first..size / WORD {
                let Some(block) = order.next() else { return };
                // SAFETY: the carrier is free and has at least `number + 1` words.
                unsafe { word(carrier, number).write(block) };
            }
            first = 0;
        }
    }

    /// Returns an iterator over all blocks.
    fn walk(&self, carved: CarvedBlocks, size: usize) -> Walk<PLACES> {
        Walk { carved, size, link: self.head, left: self.count, unread: 0, room: [0; PLACES] }
    }

    /// Writes the blocks of a bundle to the end of `room`, the one that is handed out first at the very end. Returns
    /// their number and the link to the next bundle; `None` if there is not enough room, if an address that would have
    /// to be read is not known, or if the bundle has no blocks.
    fn unpack(
        link: usize,
        size: usize,
        room: &mut [usize],
        is_known: impl Fn(usize) -> bool,
    ) -> Option<(usize, usize)> {
        let leader = link & !KIND;
        if !is_known(leader) {
            return None;
        }
        // SAFETY: the leader is free, so it begins with the link to the next bundle.
        let next = unsafe { word(leader, 0).read() };
        let count = match link & KIND {
            ONE => {
                *room.last_mut()? = leader;
                1
            }
            RUN => {
                if size == WORD && !is_known(leader + WORD) {
                    return None;
                }
                // SAFETY: the second word of a run's leader is its pace, and lies in a known block.
                let pace =
                    Some(Pace::of(unsafe { word(leader, 1).read() })).filter(|pace| pace.count != 0)?;
                let end = room.len();
                let places = &mut room[end.checked_sub(pace.count)?..];
                places.iter_mut().rev().zip(pace.blocks(leader)).for_each(|(place, block)| *place = block);
                pace.count
            }
            _ => {
                let start = room.len().checked_sub(Self::HALF)?;
                Self::unpack_packet(leader, size, &mut room[start..], is_known)?;
                Self::HALF
            }
        };
        Some((count, next))
    }

    /// Fills `room` with the blocks of a packet, its leader last.
    fn unpack_packet(
        leader: usize,
        size: usize,
        room: &mut [usize],
        is_known: impl Fn(usize) -> bool,
    ) -> Option<()> {
        // From here on, positions are in the order in which blocks are handed out.
        let last = room.len() - 1;
        room[last] = leader;
        let (mut carrier, mut first, mut filled) = (0, 1, 1);
        while filled < room.len() {
            // A carrier is found before it is needed, because each one holds at least one address.
            let block = room[last - carrier];
            if !is_known(block) {
                return None;
            }
            for number in first..(size / WORD).min(first + room.len() - filled) {
                // SAFETY: the block is free and has at least `number + 1` words.
                room[last - filled] = unsafe { word(block, number).read() };
                filled += 1;
            }
            (carrier, first) = (carrier + 1, 0);
        }
        Some(())
    }
}

impl<const PLACES: usize> Backing for Unrolled<PLACES> {
    const REGION: usize = 0;
    const EMPTY: Self = Self { head: 0, count: 0 };

    unsafe fn spill(&mut self, blocks: &[usize], size: usize) {
        self.count += blocks.len();
        let divided = || runs(blocks, size, Self::LONGEST);
        let is_scattered = || divided().take(MOST_RUNS + 1).count() > MOST_RUNS;
        // SAFETY: the caller guarantees that the blocks are free and not in the backing already.
        unsafe {
            if blocks.len() == Self::HALF && size > WORD && is_scattered() {
                self.put_packet(blocks, size);
            } else {
                divided().for_each(|(run, pace)| self.put_run(run, pace));
            }
        }
    }

    fn refill(&mut self, places: &mut [usize], size: usize) -> usize {
        let mut left = places.len();
        while self.head != 0
            && let Some((count, next)) = Self::unpack(self.head, size, &mut places[..left], |_| true)
        {
            (self.head, left) = (next, left - count);
        }
        // The next leader, needed when all of these are used up.
        prefetch_for_writing(self.head & !KIND);
        let refilled = places.len() - left;
        // A run that was overwritten may contain a count that is too large.
        self.count = self.count.saturating_sub(refilled);
        places.copy_within(left.., 0);
        refilled
    }

    fn damage(&self, uncarved: &Uncarved, size: usize, most: usize) -> Option<usize> {
        if self.head == 0 {
            return None;
        }
        let carved = uncarved.blocks();
        let mut walk = self.walk(carved, size);
        let found = walk.by_ref().take(most).count();
        // A refill also reads the bundle behind the last one that it takes.
        let next = walk.link & !KIND;
        let leads_on = walk.unread != 0
            || carved.has(next) && (size > WORD || walk.link & KIND != RUN || carved.has(next + WORD));
        let is_sound = if self.count <= most { walk.is_whole() } else { found == most && leads_on };
        (!is_sound).then_some(self.head & !KIND)
    }

    unsafe fn begin(&mut self, _: Span, _: usize) {}

    fn iter(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        self.walk(uncarved.blocks(), size)
    }

    /// O(1).
    fn count(&self, _: &Uncarved, _: usize) -> usize {
        self.count
    }

    fn collect_empty(&mut self, uncarved: &mut Uncarved, size: usize) {
        let (all, carved) = (mem::replace(self, Self::EMPTY), uncarved.blocks());
        let mut walk = all.walk(carved, size);
        // The blocks are checked when they are counted, or below if they are not counted.
        let empty_chunks = uncarved.empty_chunks(walk.untested());
        walk.by_ref().for_each(drop);
        if !walk.is_whole() || empty_chunks.as_ref().is_some_and(EmptyChunks::is_empty) {
            *self = all;
            return;
        }
        let mut refilled = Refill { backing: self, batch: [0; PLACES], count: 0, size };
        // A bundle is read completely before any of its blocks is written to.
        let mut again = all.walk(carved, size);
        if let Some(empty_chunks) = empty_chunks {
            let left = empty_chunks.left();
            again
                .untested()
                .filter(|&block| !empty_chunks.has(block))
                .take(left)
                .for_each(|block| refilled.add(block));
            uncarved.make_reusable(|carved| empty_chunks.has(carved.start));
        } else {
            let mut chained = 0;
            again.for_each(|block| link(block, &mut chained));
            chain(uncarved.make_free_reusable(chained)).for_each(|block| refilled.add(block));
        }
        refilled.spill();
    }

    fn check(&self, uncarved: &Uncarved, size: usize) -> Result<(), InvariantError> {
        let mut walk = self.walk(uncarved.blocks(), size);
        walk.by_ref().for_each(drop);
        if walk.is_whole() {
            Ok(())
        } else {
            Err(InvariantError(
                "a free block does not carry the addresses of free blocks any more: it was overwritten",
            ))
        }
    }
}

/// An iterator over all bundles, which reads only addresses of carved blocks, and ends after `count` blocks.
struct Walk<const PLACES: usize> {
    carved: CarvedBlocks,
    size: usize,
    link: usize,
    /// How many blocks are left in total.
    left: usize,
    /// How many blocks of the current bundle are left, at the end of `room`.
    unread: usize,
    room: [usize; PLACES],
}

impl<const PLACES: usize> Walk<PLACES> {
    /// Returns whether the end of the list was reached after exactly `count` blocks.
    fn is_whole(&self) -> bool {
        self.left == 0 && self.unread == 0 && self.link == 0
    }

    /// Returns the next block, which has not been checked.
    #[inline]
    fn read(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        if self.unread == 0 {
            let is_known = |block| self.carved.has(block);
            let unpacked = Unrolled::<PLACES>::unpack(self.link, self.size, &mut self.room, is_known);
            (self.unread, self.link) = unpacked?;
        }
        Some(self.room[PLACES - self.unread])
    }

    #[inline]
    fn step(&mut self) {
        self.unread -= 1;
        self.left -= 1;
    }

    /// Returns an iterator over the blocks that checks only those that it reads; the caller must check the others.
    fn untested(&mut self) -> impl Iterator<Item = usize> {
        iter::from_fn(|| {
            let block = self.read()?;
            self.step();
            Some(block)
        })
    }
}

impl<const PLACES: usize> Iterator for Walk<PLACES> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let block = self.read().filter(|&block| self.carved.has(block))?;
        self.step();
        Some(block)
    }
}

/// The free blocks that are kept; they return to the backing by half an array.
struct Refill<'a, const PLACES: usize> {
    backing: &'a mut Unrolled<PLACES>,
    batch: [usize; PLACES],
    count: usize,
    size: usize,
}

impl<const PLACES: usize> Refill<'_, PLACES> {
    fn add(&mut self, block: usize) {
        self.batch[self.count] = block;
        self.count += 1;
        if self.count == Unrolled::<PLACES>::HALF {
            self.spill();
        }
    }

    fn spill(&mut self) {
        // SAFETY: the blocks are free, and are not in the backing.
        unsafe { self.backing.spill(&self.batch[..self.count], self.size) };
        self.count = 0;
    }
}
