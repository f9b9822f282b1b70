//! The part of a hardened free list that every call accesses: freed blocks that are next, and those that are held back.

use core::ptr::NonNull;

use super::{
    random::Random,
    record::{self, Record, Records, Whole},
};
use crate::{
    base::address::WORD,
    pool::chunks::Span,
    traits::{Chunk, ChunkRequest},
};

/// The number of places for blocks that are handed out next.
pub(super) const PLACES: usize = 64;

/// The number of places for guesses: see [`Validated`](super::super::Validated), which guesses in the same way.
const GUESSES: usize = 64;

/// The number of bytes of blocks that are held back, unless that is more or less than the numbers below.
const HELD_BYTES: usize = 64 << 10;

/// Returns how many blocks of `size` bytes are held back.
pub(super) const fn held_blocks(size: usize) -> usize {
    match HELD_BYTES / size {
        0..16 => 16,
        blocks @ 16..=1024 => blocks & !1,
        _ => 1024,
    }
}

/// See the documentation of the module.
///
/// # Invariants
///
/// * The first `count` of `places` are addresses of distinct blocks that are free.
/// * `last` and `guesses` are addresses of records, or zero.
/// * `held` words follow this value. Those that are not zero are addresses of distinct blocks that are free, but not
///   those in `places`. The first half is a set from which a random one leaves, and the second half a ring.
pub(super) struct State {
    /// The memory of this value.
    own: Whole,
    last: usize,
    /// 2⁶⁴ divided by the block size, rounded up.
    reciprocal: u64,
    count: usize,
    places: [usize; PLACES],
    guesses: [usize; GUESSES],
    /// How many low bits of an address are ignored when it is looked up in `guesses`.
    shift: u32,
    held: usize,
    /// The place in the ring that is next.
    next: usize,
    random: Random,
}

impl State {
    /// Returns the request for the memory of a state that holds back this many blocks.
    pub(super) fn request(held: usize) -> Option<ChunkRequest> {
        record::request(size_of::<Self>() + held * WORD)
    }

    /// Creates a state in memory of its own; returns the memory if it is too small.
    ///
    /// # Safety
    ///
    /// The memory belongs to the pool alone.
    pub(super) unsafe fn create(
        own: Chunk,
        size: usize,
        held: usize,
        seed: [u32; 8],
    ) -> Result<NonNull<Self>, Chunk> {
        match Self::request(held) {
            Some(ChunkRequest { least, .. }) if record::fits(&own, least) => {}
            _ => return Err(own),
        }
        let place = own.start().cast::<Self>();
        let state = Self {
            own: Whole::of(&own),
            last: 0,
            reciprocal: u64::MAX / size as u64 + 1,
            count: 0,
            places: [0; PLACES],
            guesses: [0; GUESSES],
            shift: 0,
            held,
            next: 0,
            random: Random::new(seed),
        };
        // SAFETY: the memory is the caller's, and large and aligned enough for the state and the words behind it.
        unsafe {
            place.write(state);
            place.add(1).cast::<usize>().write_bytes(0, held);
        }
        Ok(place)
    }

    pub(super) fn own(&self) -> Whole {
        self.own
    }

    /// Returns the number of a block in the chunk of the last call, if a block of that chunk begins at this address.
    #[inline(always)]
    fn guess(&self, block: usize, size: usize) -> Option<(Record, usize)> {
        let record = Record::at(self.last)?;
        let span = record.span();
        let offset = block.wrapping_sub(span.start);
        // If the size is a constant, this is a shift; and a multiplication is faster than a division.
        let number = if size.is_power_of_two() {
            offset >> size.trailing_zeros()
        } else {
            ((u128::from(self.reciprocal) * offset as u128) >> 64) as usize
        };
        let is_there = offset < span.end - span.start && number.wrapping_mul(size) == offset;
        is_there.then_some((record, number))
    }

    /// Returns the record of the chunk in which a block lies, and the number of the block there, if there is such a
    /// block.
    #[inline(always)]
    pub(super) fn find(&mut self, records: Records, block: usize, size: usize) -> Option<(Record, usize)> {
        match self.guess(block, size) {
            None => self.find_elsewhere(records, block, size),
            found => found,
        }
    }

    #[inline(never)]
    fn find_elsewhere(&mut self, mut records: Records, block: usize, size: usize) -> Option<(Record, usize)> {
        let has_block = |record: &Record| record.span().contains(block);
        let place = (block >> self.shift) % GUESSES;
        let record = match Record::at(self.guesses[place]).filter(has_block) {
            Some(record) => record,
            None => self.look_up(records.find(has_block)?, block),
        };
        self.last = record.address();
        let offset = block - record.span().start;
        offset.is_multiple_of(size).then_some((record, offset / size))
    }

    /// Adds a record to the guesses.
    #[cold]
    fn look_up(&mut self, record: Record, block: usize) -> Record {
        let Span { start, end } = record.span();
        let shift = (end - start).ilog2().saturating_sub(GUESSES.ilog2() - 3);
        if shift > self.shift {
            (self.shift, self.guesses) = (shift, [0; GUESSES]);
        }
        self.guesses[(block >> self.shift) % GUESSES] = record.address();
        record
    }

    /// Forgets the guesses, because a record is about to disappear.
    pub(super) fn forget_guesses(&mut self) {
        (self.last, self.guesses) = (0, [0; GUESSES]);
    }

    /// Takes the block that is handed out next.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<usize> {
        self.count = self.count.checked_sub(1)?;
        self.places.get(self.count).copied()
    }

    pub(super) fn is_full(&self) -> bool {
        self.count >= PLACES
    }

    /// Adds a block that is free; there is a place.
    #[inline(always)]
    pub(super) fn push(&mut self, block: usize) {
        if let Some(place) = self.places.get_mut(self.count) {
            *place = block;
            self.count += 1;
        }
    }

    /// Removes the oldest half of the blocks that are handed out next, and returns them.
    pub(super) fn spill(&mut self) -> [usize; PLACES / 2] {
        let mut oldest = [0; PLACES / 2];
        oldest.copy_from_slice(&self.places[..PLACES / 2]);
        self.places.copy_within(PLACES / 2.., 0);
        self.count -= PLACES / 2;
        oldest
    }

    /// Replaces the blocks that are handed out next, of which there are none, in random order; `fill` writes their
    /// addresses and returns how many there are.
    pub(super) fn refill(&mut self, fill: impl FnOnce(&mut [usize], &mut Random) -> usize) -> bool {
        self.count = fill(&mut self.places, &mut self.random).min(PLACES);
        self.random.shuffle(&mut self.places[..self.count]);
        self.count != 0
    }

    fn held_mut(&mut self) -> &mut [usize] {
        // SAFETY: `held` words follow this value: this is an invariant of the type.
        unsafe { core::slice::from_raw_parts_mut((&raw mut *self).add(1).cast::<usize>(), self.held) }
    }

    fn held(&self) -> &[usize] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts((&raw const *self).add(1).cast::<usize>(), self.held) }
    }

    /// Holds a block back, and returns the one that leaves in exchange; zero if none does.
    pub(super) fn hold(&mut self, block: usize) -> usize {
        let half = self.held / 2;
        if half == 0 {
            return block;
        }
        let (chosen, next) = (self.random.below(half), self.next);
        self.next = if next + 1 == half { 0 } else { next + 1 };
        let held = self.held_mut();
        let leaves = core::mem::replace(&mut held[chosen], block);
        core::mem::replace(&mut held[half + next], leaves)
    }

    /// Removes all blocks that are held back, and calls a function with each; returns whether there were any.
    pub(super) fn release_held(&mut self, mut each: impl FnMut(usize)) -> bool {
        let mut any = false;
        for held in self.held_mut().iter_mut().filter(|held| **held != 0) {
            each(core::mem::take(held));
            any = true;
        }
        any
    }

    /// Forgets the blocks for which this is true.
    pub(super) fn forget(&mut self, is_gone: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for at in 0..self.count.min(PLACES) {
            let block = self.places[at];
            if !is_gone(block) {
                self.places[kept] = block;
                kept += 1;
            }
        }
        self.count = kept;
        self.held_mut().iter_mut().filter(|held| is_gone(**held)).for_each(|held| *held = 0);
        self.forget_guesses();
    }

    /// Returns the blocks that are handed out next, and those that are held back.
    pub(super) fn blocks(&self) -> impl Iterator<Item = usize> {
        let next = &self.places[..self.count.min(PLACES)];
        next.iter().chain(self.held().iter().filter(|held| **held != 0)).copied()
    }
}
