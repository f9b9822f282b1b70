//! The store of the strategy *Magazine*: a list of bundles in the free blocks themselves.
//!
//! What is spilled at once becomes a few bundles, each led by one of its blocks, and comes back in the same order, last
//! freed first. There are two kinds:
//!
//! * A *run* is a number of blocks at equal distances, as after frees in address order. It is a start, a count and a
//!   distance, so of all its blocks one is touched.
//! * A *packet* is half an array of blocks in any order. Its leader carries the addresses of the next blocks, these carry
//!   those of the next ones, as many as fit, and so on: for blocks of 64 bytes, 17 of 128 are touched, and all are found
//!   after three cache misses in a row, because those that are side by side in this tree are fetched side by side.
//!
//! No overhead per block. Spill and refill: O(1) for each block.
//!
//! Sources: Shao, Reppy and Appel, "Unrolling Lists" (1994), for addresses in free blocks; the tree is the implicit one of
//! Williams' heaps (1964), with as many children as a block has words.

use core::{iter, mem};

use super::{
    fresh::{Cut, Fresh, Spare},
    front::{Fronted, Store},
};
use crate::{
    base::address::{WORD, prefetch_for_writing, recover},
    contract::Flaw,
    pool::chunks::{Span, chain, link},
};

/// Freed blocks in an array of `PLACES` addresses first, in bundles behind: of many freed blocks few are touched.
///
/// Better than [`Lifo`](super::Lifo) where many blocks are live and freed in any order; `PLACES` words larger.
///
/// ```
/// use millpond::{Blocks, Fixed, Local, Magazine};
///
/// let pool = Local::new(Blocks::<(Fixed<64>, Magazine)>::new());
/// ```
pub type Magazine<const PLACES: usize = 256> = Fronted<Unrolled<PLACES>, PLACES>;

/// The store of [`Magazine`].
///
/// # Invariants
///
/// * `head` is the link to the first bundle. Following links visits each bundle once and ends at zero.
/// * The bundles have `count` blocks.
#[derive(Clone, Copy, Debug)]
pub struct Unrolled<const PLACES: usize> {
    head: usize,
    count: usize,
}

/// A link is the address of a bundle's leader, and in its lowest bits what kind of bundle it is.
const KIND: usize = 3;
/// One block.
const ONE: usize = 0;
/// A run. Its leader is the block with the lowest address, and the next word is its [`Pace`].
const RUN: usize = 1;
/// A packet of half an array.
const PACKET: usize = 2;

/// The most runs that what is spilled is divided into before it becomes a packet: runs are found one after the other.
const MOST_RUNS: usize = 4;

/// How many lower bits of a pace are the count.
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

    /// The blocks of the run whose lowest address this is.
    fn blocks(self, lowest: usize) -> impl Iterator<Item = usize> {
        let back = if self.stride < 0 { self.stride.wrapping_mul(self.count.cast_signed() - 1) } else { 0 };
        let first = lowest.wrapping_sub(back.cast_unsigned());
        iter::successors(Some(first), move |block| Some(block.wrapping_add_signed(self.stride)))
            .take(self.count)
    }
}

/// The word with this number in a free block.
fn word(block: usize, number: usize) -> *mut usize {
    recover(block + number * WORD)
}

/// Divides blocks of `size` bytes into runs of `most` at most, each with its pace.
fn runs(mut blocks: &[usize], size: usize, most: usize) -> impl Iterator<Item = (&[usize], Pace)> {
    iter::from_fn(move || {
        let distance = |pair: &[usize]| pair[1].wrapping_sub(pair[0]).cast_signed();
        let stride = blocks.first_chunk::<2>().map_or(0, |pair| distance(pair));
        // A block of one word has room for a link alone; the pace must lie in its neighbour.
        let has_room = size > WORD || stride.unsigned_abs() == size;
        let fits = (stride << COUNT_BITS) >> COUNT_BITS == stride;
        let followers = if has_room && fits {
            blocks.windows(2).take(most - 1).take_while(|pair| distance(pair) == stride).count()
        } else {
            0
        };
        let (run, rest) = blocks.split_at_checked(followers + 1)?;
        blocks = rest;
        Some((run, Pace { count: run.len(), stride: -stride }))
    })
}

impl<const PLACES: usize> Unrolled<PLACES> {
    const HALF: usize = PLACES / 2;
    /// The most blocks in a run: they must fit half an array, and their number must fit a pace.
    const LONGEST: usize = if Self::HALF >> COUNT_BITS == 0 { Self::HALF } else { (1 << COUNT_BITS) - 1 };

    /// Puts a run on the list.
    ///
    /// # Safety
    ///
    /// Its blocks are free.
    unsafe fn put_run(&mut self, run: &[usize], pace: Pace) {
        let leader = run[0].min(run[run.len() - 1]);
        // SAFETY: the leader is free and at least a word long. A run of two and more has blocks of two words, or its next
        // word is the next block.
        unsafe {
            word(leader, 0).write(self.head);
            if run.len() > 1 {
                word(leader, 1).write(pace.word());
            }
        }
        self.head = leader | if run.len() > 1 { RUN } else { ONE };
    }

    /// Puts half an array of blocks, of two words at least, on the list.
    ///
    /// # Safety
    ///
    /// They are free.
    unsafe fn put_packet(&mut self, blocks: &[usize], size: usize) {
        let mut order = blocks.iter().rev().copied();
        let carriers = order.clone();
        let Some(leader) = order.next() else { return };
        // SAFETY: the block is free.
        unsafe { word(leader, 0).write(self.head) };
        self.head = leader | PACKET;
        // The leader's first word is the link.
        let mut first = 1;
        for carrier in carriers {
            for number in first..size / WORD {
                let Some(block) = order.next() else { return };
                // SAFETY: the carrier is free and has so many words.
                unsafe { word(carrier, number).write(block) };
            }
            first = 0;
        }
    }

    /// A way through all blocks.
    fn walk(&self, cut: Cut, size: usize) -> Walk<PLACES> {
        Walk { cut, size, link: self.head, left: self.count, unread: 0, room: [0; PLACES] }
    }

    /// Writes the blocks of a bundle to the end of `room`, the one that is handed out first at the very end; gives their
    /// number and the link to the next bundle. `None` if there is not so much room, if an address that would have to be read
    /// is not known, or if there are none.
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
        // SAFETY: the leader is free, so it begins with the next link.
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
                // SAFETY: the pace lies there.
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
        // From here on in the order in which blocks are handed out.
        let last = room.len() - 1;
        room[last] = leader;
        let (mut carrier, mut first, mut filled) = (0, 1, 1);
        while filled < room.len() {
            // A carrier is known before it is needed, because each carries one at least.
            let block = room[last - carrier];
            if !is_known(block) {
                return None;
            }
            for number in first..(size / WORD).min(first + room.len() - filled) {
                // SAFETY: the block is free and has so many words.
                room[last - filled] = unsafe { word(block, number).read() };
                filled += 1;
            }
            (carrier, first) = (carrier + 1, 0);
        }
        Some(())
    }
}

impl<const PLACES: usize> Store for Unrolled<PLACES> {
    const REGION: usize = 0;
    const EMPTY: Self = Self { head: 0, count: 0 };

    unsafe fn spill(&mut self, blocks: &[usize], size: usize) {
        self.count += blocks.len();
        let divided = || runs(blocks, size, Self::LONGEST);
        let is_scattered = || divided().take(MOST_RUNS + 1).count() > MOST_RUNS;
        // SAFETY: the blocks are free.
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
        // The next one that is needed, when all these are used up.
        prefetch_for_writing(self.head & !KIND);
        let refilled = places.len() - left;
        // A run that was overwritten may say that it is longer than it is.
        self.count = self.count.saturating_sub(refilled);
        places.copy_within(left.., 0);
        refilled
    }

    fn damage(&self, fresh: &Fresh, size: usize, most: usize) -> Option<usize> {
        if self.head == 0 {
            return None;
        }
        let cut = fresh.blocks();
        let mut walk = self.walk(cut, size);
        let found = walk.by_ref().take(most).count();
        // A refill looks at the bundle behind the last one that it takes, too.
        let next = walk.link & !KIND;
        let leads_on = walk.unread != 0
            || cut.has(next) && (size > WORD || walk.link & KIND != RUN || cut.has(next + WORD));
        let is_sound = if self.count <= most { walk.is_whole() } else { found == most && leads_on };
        (!is_sound).then_some(self.head & !KIND)
    }

    unsafe fn begin(&mut self, _: Span, _: usize) {}

    fn iter(&self, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize> {
        self.walk(fresh.blocks(), size)
    }

    /// O(1).
    fn count(&self, _: &Fresh, _: usize) -> usize {
        self.count
    }

    fn settle(&mut self, fresh: &mut Fresh, size: usize) {
        let (all, cut) = (mem::replace(self, Self::EMPTY), fresh.blocks());
        let mut walk = all.walk(cut, size);
        // They are tested where they are counted, and again if that is not done.
        let spare = fresh.spare(walk.untested());
        walk.by_ref().for_each(drop);
        if !walk.is_whole() || spare.as_ref().is_some_and(Spare::is_empty) {
            *self = all;
            return;
        }
        let mut kept = Kept { store: self, batch: [0; PLACES], count: 0, size };
        // A bundle is read to its end before any of its blocks is written to.
        let mut again = all.walk(cut, size);
        if let Some(spare) = spare {
            let left = spare.left();
            again.untested().filter(|&block| !spare.has(block)).take(left).for_each(|block| kept.add(block));
            fresh.put_ahead(|cut| spare.has(cut.start));
        } else {
            let mut chained = 0;
            again.for_each(|block| link(block, &mut chained));
            chain(fresh.put_free_ahead(chained)).for_each(|block| kept.add(block));
        }
        kept.spill();
    }

    fn check(&self, fresh: &Fresh, size: usize) -> Result<(), Flaw> {
        let mut walk = self.walk(fresh.blocks(), size);
        walk.by_ref().for_each(drop);
        if walk.is_whole() {
            Ok(())
        } else {
            Err(Flaw("a free block does not carry the addresses of free blocks any more: it was overwritten"))
        }
    }
}

/// A way through all bundles, which reads at no address that is not a block's, and ends after as many blocks as there are.
struct Walk<const PLACES: usize> {
    cut: Cut,
    size: usize,
    link: usize,
    /// How many blocks are left of all.
    left: usize,
    /// The blocks of one bundle, of which these are left, up to the end of the room.
    unread: usize,
    room: [usize; PLACES],
}

impl<const PLACES: usize> Walk<PLACES> {
    /// Whether it has come to the end, after as many blocks as there are.
    fn is_whole(&self) -> bool {
        self.left == 0 && self.unread == 0 && self.link == 0
    }

    /// What is said to be the next block.
    #[inline]
    fn read(&mut self) -> Option<usize> {
        if self.left == 0 {
            return None;
        }
        if self.unread == 0 {
            let is_known = |block| self.cut.has(block);
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

    /// The blocks, of which only those are tested that something is read in: to be tested by whoever gets them.
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
        let block = self.read().filter(|&block| self.cut.has(block))?;
        self.step();
        Some(block)
    }
}

/// What is kept of all free blocks, and goes back to the store by half an array.
struct Kept<'a, const PLACES: usize> {
    store: &'a mut Unrolled<PLACES>,
    batch: [usize; PLACES],
    count: usize,
    size: usize,
}

impl<const PLACES: usize> Kept<'_, PLACES> {
    fn add(&mut self, block: usize) {
        self.batch[self.count] = block;
        self.count += 1;
        if self.count == Unrolled::<PLACES>::HALF {
            self.spill();
        }
    }

    fn spill(&mut self) {
        // SAFETY: the blocks are free, and are here alone.
        unsafe { self.store.spill(&self.batch[..self.count], self.size) };
        self.count = 0;
    }
}
