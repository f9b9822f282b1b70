//! The two levels of lists: which list a size belongs to, and which lists are not empty.
//!
//! The first level is the power of two, the second divides it into 32 equal steps. Numbered consecutively, the lists
//! form a floating-point number of six bits' precision: sizes up to 64 granules (1 KiB on 64-bit machines) each have a
//! list of their own; above that the sizes in one list differ by less than 1/32. One bit per list is set if the list is
//! not empty, and one bit per word of these bits is set if the word is not zero, so that two look-ups find the next
//! larger list.

use super::super::boundary_tags::{GRANULE, Index, List, Tag};

/// Steps of one power of two, as an exponent: 32.
const STEPS_LOG2: u32 = 5;
const STEPS: usize = 1 << STEPS_LOG2;
const GRANULE_LOG2: u32 = GRANULE.trailing_zeros();

/// The number of lists that one word of bits describes.
const WIDTH: usize = u64::BITS as usize;
/// The number of words of bits.
const WORDS: usize = 16;
const LISTS: usize = WORDS * WIDTH;

/// The largest size: 512 GiB, or 1 GiB on 32-bit machines.
const LARGEST: usize = if usize::BITS > 32 { 1 << (GRANULE_LOG2 + 35) } else { 1 << (usize::BITS - 2) };

/// The first size that shares its list with other sizes.
const COARSE: usize = 2 * STEPS * GRANULE;

/// Returns the list that a size belongs to.
#[inline(always)]
const fn list_of(size: usize) -> usize {
    if size < COARSE { size >> GRANULE_LOG2 } else { coarse_list_of(size) }
}

/// The same for sizes from [`COARSE`] on: the number is formed from the shift to the six leading bits of the size and
/// these bits.
#[inline(always)]
const fn coarse_list_of(size: usize) -> usize {
    let shift = size.ilog2() - STEPS_LOG2;
    (size >> shift) + ((shift - GRANULE_LOG2) as usize) * STEPS
}

/// Returns the first list whose sizes are all at least this one.
#[inline(always)]
const fn list_above(size: usize) -> usize {
    if size < COARSE { size >> GRANULE_LOG2 } else { coarse_list_of(size - 1) + 1 }
}

/// The free blocks, by size.
///
/// # Invariants
///
/// * A block is in the list `list_of(size)`.
/// * Bit `n % 64` of `words[n / 64]` is set if and only if list `n` is not empty.
/// * Bit `n` of `summary` is set if and only if `words[n]` is not zero.
pub(super) struct Levels {
    summary: u32,
    words: [u64; WORDS],
    lists: [List; LISTS],
}

impl Levels {
    pub(super) const EMPTY: Self =
        Self { summary: 0, words: [0; WORDS], lists: [const { List::EMPTY }; LISTS] };

    /// Returns the first non-empty list, starting at `list`.
    #[inline(always)]
    fn find(&self, list: usize) -> Option<usize> {
        let word = list / WIDTH % WORDS;
        let bits = self.words[word] & (!0 << (list % WIDTH));
        if bits != 0 {
            return Some(word * WIDTH + bits.trailing_zeros() as usize);
        }
        let words = self.summary & (!1 << word);
        if words == 0 {
            return None;
        }
        let word = words.trailing_zeros() as usize % WORDS;
        Some(word * WIDTH + self.words[word].trailing_zeros() as usize)
    }

    /// Returns the block of the largest size that `take` would find.
    pub(super) fn largest(&self) -> Option<Tag> {
        let word = self.summary.checked_ilog2()? as usize;
        let bit = self.words[word].checked_ilog2()?;
        self.lists[word * WIDTH + bit as usize].first()
    }

    /// Marks a list that was empty as not empty.
    #[inline(always)]
    fn filled(&mut self, list: usize) {
        let word = list / WIDTH % WORDS;
        debug_assert_eq!(self.words[word] >> (list % WIDTH) & 1, 0, "the list was not empty");
        self.words[word] |= 1 << (list % WIDTH);
        self.summary |= 1 << word;
    }

    /// Marks a list as empty.
    #[inline(always)]
    fn emptied(&mut self, list: usize) {
        let word = list / WIDTH % WORDS;
        debug_assert_eq!(self.words[word] >> (list % WIDTH) & 1, 1, "the list was empty");
        self.words[word] &= !(1 << (list % WIDTH));
        if self.words[word] == 0 {
            self.summary &= !(1 << word);
        }
    }

    /// Takes the first block off a list.
    #[inline(always)]
    fn pop(&mut self, list: usize, tag: Tag) {
        if self.lists[list % LISTS].pop(tag) {
            self.emptied(list);
        }
    }

    /// Tries the first block of the size's own list, which may be large enough, when no list above has a block.
    #[cold]
    #[inline(never)]
    fn take_first(&mut self, size: usize) -> Option<(Tag, usize)> {
        let list = list_of(size);
        let tag = self.lists[list % LISTS].first().filter(|tag| tag.size() >= size)?;
        self.pop(list, tag);
        Some((tag, tag.size()))
    }
}

impl Index for Levels {
    const LARGEST: usize = LARGEST;

    #[inline(always)]
    fn insert(&mut self, tag: Tag, size: usize) {
        let list = list_of(size);
        if self.lists[list % LISTS].push(tag) {
            self.filled(list);
        }
    }

    #[inline(always)]
    fn remove(&mut self, tag: Tag, size: usize) -> bool {
        let list = list_of(size);
        let unlinked = self.lists[list % LISTS].unlink(tag);
        if unlinked == Some(true) {
            self.emptied(list);
        }
        unlinked.is_some()
    }

    #[inline(always)]
    fn take(&mut self, size: usize) -> Option<(Tag, usize)> {
        let Some(list) = self.find(list_above(size)) else { return self.take_first(size) };
        debug_assert!(!self.lists[list % LISTS].is_empty(), "a bit leads to an empty list");
        let tag = self.lists[list % LISTS].first()?;
        // In lists of a single size the size is known without reading the block, which may not be in the cache.
        let found = if list < COARSE / GRANULE { list << GRANULE_LOG2 } else { tag.size() };
        self.pop(list, tag);
        Some((tag, found))
    }

    fn next(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> Result<Option<Tag>, usize> {
        let above = self.find(list_above(size));
        let list = above.unwrap_or(list_of(size));
        let Some(tag) = self.lists[list % LISTS].first() else { return Ok(None) };
        if !owned(tag.block()) || list_of(tag.size().min(LARGEST)) != list {
            return Err(tag.block());
        }
        Ok(Some(tag).filter(|tag| above.is_some() || tag.size() >= size))
    }

    fn clear(&mut self) {
        *self = Self::EMPTY;
    }

    fn can_remove(&self, tag: Tag, size: usize, owned: &dyn Fn(usize) -> bool) -> bool {
        self.lists[list_of(size) % LISTS].is_linked(tag, owned)
    }

    fn can_insert(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> bool {
        self.lists[list_of(size) % LISTS].can_push(owned)
    }

    fn check(&self, count: usize, owned: &dyn Fn(usize) -> bool) -> Result<(), &'static str> {
        let mut found = 0;
        for (number, list) in self.lists.iter().enumerate() {
            let bit = self.words[number / WIDTH] >> (number % WIDTH) & 1;
            if (bit == 1) == list.is_empty() {
                return Err("a bit is wrong about its list");
            }
            if list.is_empty() {
                continue;
            }
            found += list.check(count, owned, |tag| list_of(tag.size()) == number)?;
        }
        if (0..WORDS).any(|word| (self.summary >> word & 1 == 1) != (self.words[word] != 0)) {
            return Err("a bit is wrong about its word");
        }
        if found == count { Ok(()) } else { Err("a free block is on no list") }
    }
}

const _: () = assert!(list_above(LARGEST) < LISTS, "every size has a list");
const _: () = assert!(WORDS <= u32::BITS as usize, "the summary has a bit for each word");

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns sizes around every power of two and every step of the lists.
    fn sizes() -> impl Iterator<Item = usize> {
        let powers = (GRANULE_LOG2..LARGEST.ilog2()).flat_map(|log2| {
            let step = (1 << log2 >> STEPS_LOG2).max(GRANULE);
            (0..=STEPS).map(move |n| ((1usize << log2) + n * step) & !(GRANULE - 1))
        });
        let around = powers.flat_map(|size| [size - GRANULE, size, size + GRANULE]);
        around.filter(|&size| (2 * GRANULE..=LARGEST).contains(&size))
    }

    #[test]
    fn ranges_of_lists_ascend() {
        let mut sizes: std::vec::Vec<usize> = sizes().collect();
        sizes.sort_unstable();
        for pair in sizes.windows(2) {
            let (low, high) = (list_of(pair[0]), list_of(pair[1]));
            assert!(low == high || low + 1 == high || pair[1] - pair[0] > GRANULE, "{pair:?}: {low}, {high}");
            assert!(low <= high && high < LISTS, "{pair:?}: {low}, {high}");
        }
    }

    #[test]
    fn next_list_fits_and_wastes_less_than_a_step() {
        for size in sizes() {
            let (owns, above) = (list_of(size), list_above(size));
            let is_lowest = list_of(size - GRANULE) < owns;
            assert_eq!(above, owns + usize::from(!is_lowest), "{size}");
            if size <= STEPS * GRANULE * 2 {
                assert_eq!(owns, size / GRANULE, "small sizes have a list each");
            }
        }
    }
}
