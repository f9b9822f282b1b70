//! The backing of [`AddressOrdered`]: a bit per block, in regions that are aligned to their size.
//!
//! The address of a free block, rounded down to the region size, is the address of its region, where its bit is set.
//! Refilling takes whole words of bits, lowest address first, so an aged pool hands blocks out in address order: blocks
//! that are allocated consecutively are adjacent in memory, and live blocks gather in few pages. A summary has a bit
//! per word of bits that is not zero. Regions with set bits form a list, so the only search is for the lowest bit of a
//! few words.
//!
//! * Spill: O(1) per block. Refill: O(1) per word taken, plus a scan of the summary (a bit per 64 blocks of a region).
//! * Overhead: a bit and a 64th per block, and the header of each region; the parent must support alignments as large
//!   as a region.
//!
//! The bits also record which blocks are live: see [`Blocks::live`](super::Blocks::live).

use super::{
    free_cache::{Backing, FreeCache},
    region_header::{Header, header_of, words},
    uncarved::Uncarved,
};
use crate::{base::address::recover, pool::chunks::Span, traits::InvariantError};

/// Keeps freed blocks in an array of `PLACES` addresses and, beyond that, in bitmaps: blocks are reused in address
/// order.
///
/// Better than [`Magazine`](super::Magazine) if blocks that were allocated together are traversed together long
/// afterwards; and live blocks can be listed. Chunks are at most `REGION` bytes, a power of two, and aligned to that.
///
/// ```
/// use millpond::{Blocks, Fixed, Local, Pages, pool::AddressOrdered};
///
/// let pool = Local::new_in(Blocks::<(Fixed<64>, AddressOrdered)>::new(), Pages);
/// ```
pub type AddressOrdered<const PLACES: usize = 256, const REGION: usize = { 1 << 20 }> =
    FreeCache<Regions<REGION>, PLACES>;

/// The backing of [`AddressOrdered`].
///
/// # Invariants
///
/// * A bit is set in a region if and only if the block is in this backing.
/// * A summary bit is set if and only if its word of bits is not zero.
/// * A region with a set bit is `current` or on the list `ready`, and is `listed` if and only if it is one of the two.
#[derive(Debug)]
pub struct Regions<const REGION: usize> {
    /// The region from which the array is refilled, or zero.
    current: usize,
    /// The first of the other regions with set bits, or zero.
    ready: usize,
}

/// The bits of one region.
#[derive(Clone, Copy)]
struct Bits {
    base: usize,
    words: usize,
    size: usize,
}

impl Bits {
    fn header(self) -> *mut Header {
        header_of(self.base)
    }

    fn summary(self, index: usize) -> *mut u64 {
        recover(self.base + crate::pool::chunks::HEADER_SIZE + size_of::<Header>() + index * 8)
    }

    fn word(self, index: usize) -> *mut u64 {
        self.summary(self.words.div_ceil(64) + index)
    }

    fn first(self) -> usize {
        // SAFETY: the region has begun, so it has a header.
        unsafe { (*self.header()).first }
    }

    /// Sets the bit of a block.
    fn set(self, block: usize, reciprocal: u64) {
        let number = (((block - self.first()) as u64 * reciprocal) >> RECIPROCAL_SHIFT) as usize;
        debug_assert_eq!(self.first() + number * self.size, block, "freed an address that is no block's");
        // SAFETY: the block lies in the region, so the region has its bit and its summary bit.
        unsafe {
            let word = self.word(number / 64);
            debug_assert_eq!((*word >> (number % 64)) & 1, 0, "freed a block that is free");
            if *word == 0 {
                *self.summary(number / 4096) |= 1 << (number / 64 % 64);
            }
            *word |= 1 << (number % 64);
        }
    }

    /// Returns the number of the lowest word of bits that is not zero.
    fn lowest(self) -> Option<usize> {
        (0..self.words.div_ceil(64)).find_map(|index| {
            // SAFETY: the summary has more than `index` words.
            let summary = unsafe { *self.summary(index) };
            (summary != 0).then(|| index * 64 + summary.trailing_zeros() as usize)
        })
    }

    /// Returns whether the bit of the block with this number is set.
    fn is_set(self, number: usize) -> bool {
        // SAFETY: the caller passes the number of a block of the region.
        unsafe { (*self.word(number / 64) >> (number % 64)) & 1 == 1 }
    }

    /// Returns how many bits are set.
    fn count(self) -> usize {
        // SAFETY: there are `words` words of bits.
        (0..self.words).map(|index| unsafe { *self.word(index) }.count_ones() as usize).sum()
    }

    /// Returns all blocks whose bit is set.
    fn blocks(self) -> impl Iterator<Item = usize> {
        (0..self.words).flat_map(move |index| {
            // SAFETY: there are `words` words of bits.
            let mut bits = unsafe { *self.word(index) };
            core::iter::from_fn(move || {
                let bit = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
                bits &= bits - 1;
                Some(self.first() + (index * 64 + bit) * self.size)
            })
        })
    }
}

/// An offset within a region, multiplied by the reciprocal of the block size and shifted right by this number of bits,
/// is the number of the block. This is exact for offsets and sizes below 2²², because the error is less than 2⁻⁴² of
/// the offset.
const RECIPROCAL_SHIFT: u32 = 42;

fn reciprocal(size: usize) -> u64 {
    (1u64 << RECIPROCAL_SHIFT).div_ceil(size as u64)
}

impl<const REGION: usize> Regions<REGION> {
    const MASK: usize = {
        assert!(
            REGION.is_power_of_two() && REGION >= 4096 && REGION <= 1 << 22,
            "a region is 4 KiB to 4 MiB, a power of two"
        );
        !(REGION - 1)
    };

    fn bits(base: usize, size: usize) -> Bits {
        Bits { base, words: words(size, REGION), size }
    }

    /// Returns the regions with set bits, as far as the list is intact: regions behind a header that was overwritten
    /// cannot be found.
    fn listed(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = Bits> {
        let is_region = |&base: &usize| uncarved.begun().any(|span| Self::is_whole(base, span));
        let others = core::iter::successors(Some(self.ready).filter(is_region), move |&base| {
            // SAFETY: the address is that of a region that has begun.
            Some(unsafe { (*header_of(base)).next }).filter(is_region)
        });
        let others = others.take(uncarved.chunks.count());
        Some(self.current).filter(is_region).into_iter().chain(others).map(move |base| Self::bits(base, size))
    }

    /// Returns whether the region at `base` is the one whose blocks lie in `span`, and its header agrees.
    fn is_whole(base: usize, span: Span) -> bool {
        // SAFETY: the address is compared first: it is that of a region that has begun.
        base == span.start & Self::MASK && unsafe { (*header_of(base)).first == span.start }
    }

    /// Returns how many regions with set bits there are up to the end of the list; `None` if the list does not end.
    fn list_length(&self, uncarved: &Uncarved) -> Option<usize> {
        let (mut base, mut length) = (self.ready, 0);
        while base != 0 {
            if length == uncarved.chunks.count() || !uncarved.begun().any(|span| Self::is_whole(base, span)) {
                return None;
            }
            // SAFETY: the address is that of a region that has begun.
            base = unsafe { (*header_of(base)).next };
            length += 1;
        }
        Some(length)
    }

    /// Removes from the list the regions that are no longer marked as listed. The list is intact.
    fn unlist(&mut self) {
        // SAFETY: `current` and the regions on the list have begun.
        let header = |base: usize| unsafe { &mut *header_of(base) };
        if self.current != 0 && header(self.current).listed == 0 {
            self.current = 0;
        }
        let mut link = &mut self.ready;
        while *link != 0 {
            let region = header(*link);
            if region.listed != 0 {
                link = &mut region.next;
            } else {
                *link = region.next;
            }
        }
    }

    /// Takes the lowest words of `bits`, in ascending order of addresses, until `places` has no room for another one.
    /// If there is not even room for one word, takes a part of it.
    fn take_words(bits: Bits, places: &mut [usize]) -> usize {
        let mut taken = 0;
        while let Some(index) = bits.lowest() {
            // SAFETY: the word exists, and the region belongs to this pool.
            let mut word = unsafe { *bits.word(index) };
            if taken != 0 && word.count_ones() as usize > places.len() - taken {
                break;
            }
            let first = bits.first() + index * 64 * bits.size;
            while word != 0 && taken < places.len() {
                places[taken] = first + word.trailing_zeros() as usize * bits.size;
                taken += 1;
                word &= word - 1;
            }
            // SAFETY: as above.
            unsafe {
                *bits.word(index) = word;
                if word != 0 {
                    break;
                }
                *bits.summary(index / 64) &= !(1 << (index % 64));
            }
        }
        taken
    }
}

impl<const PLACES: usize, const REGION: usize> AddressOrdered<PLACES, REGION> {
    /// Returns the blocks of `size` bytes in the carved part of a region that are not free, ascending. The array in
    /// front must be empty.
    pub(super) fn live(carved: Span, size: usize) -> impl Iterator<Item = usize> {
        let bits = Regions::<REGION>::bits(carved.start & Regions::<REGION>::MASK, size);
        let count = (carved.end - carved.start) / size;
        (0..count).filter(move |&number| !bits.is_set(number)).map(move |number| carved.start + number * size)
    }
}

impl<const REGION: usize> Backing for Regions<REGION> {
    const REGION: usize = REGION;
    const EMPTY: Self = Self { current: 0, ready: 0 };

    unsafe fn spill(&mut self, blocks: &[usize], size: usize) {
        let reciprocal = reciprocal(size);
        let any = Self::bits(0, size);
        for &block in blocks {
            let bits = Bits { base: block & Self::MASK, ..any };
            bits.set(block, reciprocal);
            // SAFETY: the region of the block has begun.
            let header = unsafe { &mut *bits.header() };
            if header.listed == 0 {
                header.listed = 1;
                header.next = self.ready;
                self.ready = bits.base;
            }
        }
    }

    fn refill(&mut self, places: &mut [usize], size: usize) -> usize {
        loop {
            if self.current != 0 {
                let taken = Self::take_words(Self::bits(self.current, size), places);
                if taken != 0 {
                    places[..taken].reverse();
                    return taken;
                }
                // SAFETY: the current region has begun.
                unsafe { (*Self::bits(self.current, size).header()).listed = 0 };
            }
            self.current = self.ready;
            if self.current == 0 {
                return 0;
            }
            // SAFETY: a region on the list has begun.
            self.ready = unsafe { (*Self::bits(self.current, size).header()).next };
        }
    }

    unsafe fn begin(&mut self, span: Span, size: usize) {
        let bits = Self::bits(span.start & Self::MASK, size);
        let words = bits.words.div_ceil(64) + bits.words;
        // SAFETY: the chunk begins at the start of the region, and the header lies in front of the span.
        unsafe {
            bits.header().write(Header { first: span.start, next: 0, listed: 0 });
            bits.summary(0).write_bytes(0, words);
        }
    }

    fn iter(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        self.listed(uncarved, size).flat_map(Bits::blocks)
    }

    /// O(blocks / 64).
    fn count(&self, uncarved: &Uncarved, size: usize) -> usize {
        self.listed(uncarved, size).map(Bits::count).sum()
    }

    fn collect_empty(&mut self, uncarved: &mut Uncarved, size: usize) {
        if self.list_length(uncarved).is_none() {
            return;
        }
        uncarved.make_reusable(|carved| {
            let bits = Self::bits(carved.start & Self::MASK, size);
            let is_empty = bits.count() * size == carved.end - carved.start;
            if is_empty {
                // SAFETY: blocks of the region have been carved, so it has begun.
                unsafe { (*bits.header()).listed = 0 };
            }
            is_empty
        });
        self.unlist();
    }

    fn check(&self, uncarved: &Uncarved, size: usize) -> Result<(), InvariantError> {
        let current_is_whole =
            self.current == 0 || uncarved.begun().any(|span| Self::is_whole(self.current, span));
        if !current_is_whole || self.list_length(uncarved).is_none() {
            return Err(InvariantError(
                "the header of a region does not say where its blocks are: it was overwritten",
            ));
        }
        for bits in self.listed(uncarved, size) {
            // SAFETY: a region on the list has begun.
            if unsafe { (*bits.header()).listed != 1 } {
                return Err(InvariantError("a region on the list is marked as not listed"));
            }
            // SAFETY: `index` is less than the number of words, and there is a summary for them.
            let agrees = |index: usize| unsafe {
                (*bits.word(index) != 0) == ((*bits.summary(index / 64) >> (index % 64)) & 1 == 1)
            };
            if !(0..bits.words).all(agrees) {
                return Err(InvariantError("a summary bit disagrees with its word"));
            }
        }
        Ok(())
    }
}
