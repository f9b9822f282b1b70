//! The two levels of lists: which list a size belongs to, and which lists are not empty.
//!
//! The first level is the power of two, the second divides it into 32 equal steps. Numbered through, the lists are a
//! floating-point number of six bits' precision: sizes up to 64 granules (1 KiB on 64-bit) each have a list of their
//! own, and above that the sizes in one list differ by less than 1/32. A bit per list says that it is not empty, and
//! a bit per word of such bits that the word is not zero, so that two look-ups find the next larger list.

use super::super::posts::{GRANULE, Index, List, Post};

/// Steps of one power of two, as an exponent: 32.
const STEPS_LOG2: u32 = 5;
const STEPS: usize = 1 << STEPS_LOG2;
const GRANULE_LOG2: u32 = GRANULE.trailing_zeros();

/// Lists that one word of bits describes.
const WIDTH: usize = u64::BITS as usize;
/// Words of bits.
const WORDS: usize = 16;
const LISTS: usize = WORDS * WIDTH;

/// The largest size: 512 GiB, or 1 GiB on 32-bit machines.
const LARGEST: usize = if usize::BITS > 32 { 1 << (GRANULE_LOG2 + 35) } else { 1 << (usize::BITS - 2) };

/// The power of two by which sizes like this one are divided to get their step.
#[inline(always)]
const fn shift(size: usize) -> u32 {
    (usize::BITS - 1 - (size | (STEPS << GRANULE_LOG2)).leading_zeros()) - STEPS_LOG2
}

/// The list that a size belongs to.
#[inline(always)]
const fn list_of(size: usize) -> usize {
    let shift = shift(size);
    (size >> shift) + ((shift - GRANULE_LOG2) as usize) * STEPS
}

/// The first list whose sizes are all at least this one.
#[inline(always)]
const fn list_above(size: usize) -> usize {
    let shift = shift(size);
    ((size + (1 << shift) - 1) >> shift) + ((shift - GRANULE_LOG2) as usize) * STEPS
}

/// The free blocks, by size.
///
/// # Invariants
///
/// * A block is in the list `list_of(size)`.
/// * Bit `n % 64` of `words[n / 64]` is set exactly if list `n` is not empty.
/// * Bit `n` of `summary` is set exactly if `words[n]` is not zero.
pub(super) struct Levels {
    summary: u32,
    words: [u64; WORDS],
    lists: [List; LISTS],
}

impl Levels {
    pub(super) const EMPTY: Self =
        Self { summary: 0, words: [0; WORDS], lists: [const { List::EMPTY }; LISTS] };

    /// The first list from `list` on that is not empty.
    #[inline(always)]
    fn find(&self, list: usize) -> Option<usize> {
        let word = list / WIDTH;
        let bits = self.words[word] & (!0 << (list % WIDTH));
        if bits != 0 {
            return Some(word * WIDTH + bits.trailing_zeros() as usize);
        }
        let words = self.summary & (!1 << word);
        if words == 0 {
            return None;
        }
        let word = words.trailing_zeros() as usize;
        Some(word * WIDTH + self.words[word].trailing_zeros() as usize)
    }

    /// The largest size that `take` would find.
    pub(super) fn largest(&self) -> usize {
        let Some(word) = self.summary.checked_ilog2() else { return 0 };
        let word = word as usize;
        let list = self.words[word].checked_ilog2().map(|bit| &self.lists[word * WIDTH + bit as usize]);
        list.and_then(List::first).map_or(0, Post::size)
    }

    /// Notes that a list is empty.
    #[inline(always)]
    fn emptied(&mut self, list: usize) {
        let word = list / WIDTH;
        self.words[word] &= !(1 << (list % WIDTH));
        if self.words[word] == 0 {
            self.summary &= !(1 << word);
        }
    }

    /// The last resort when no list above has a block: the first block of the size's own list may be large enough.
    #[cold]
    fn take_first(&mut self, size: usize) -> Option<Post> {
        let list = list_of(size);
        let post = self.lists[list].first().filter(|post| post.size() >= size)?;
        self.lists[list].pop(post);
        if self.lists[list].is_empty() {
            self.emptied(list);
        }
        Some(post)
    }
}

impl Index for Levels {
    const LARGEST: usize = LARGEST;

    #[inline(always)]
    fn insert(&mut self, post: Post, size: usize) {
        let list = list_of(size);
        self.lists[list].push(post);
        self.words[list / WIDTH] |= 1 << (list % WIDTH);
        self.summary |= 1 << (list / WIDTH);
    }

    #[inline(always)]
    fn remove(&mut self, post: Post, size: usize) {
        let list = list_of(size);
        self.lists[list].unlink(post);
        if self.lists[list].is_empty() {
            self.emptied(list);
        }
    }

    #[inline(always)]
    fn take(&mut self, size: usize) -> Option<Post> {
        let Some(list) = self.find(list_above(size)) else { return self.take_first(size) };
        let post = self.lists[list].first()?;
        self.lists[list].pop(post);
        if self.lists[list].is_empty() {
            self.emptied(list);
        }
        Some(post)
    }

    fn clear(&mut self) {
        *self = Self::EMPTY;
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
            found += list.check(count, owned, |post| list_of(post.size()) == number)?;
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

    /// Sizes around every power of two and every step that the lists know.
    fn sizes() -> impl Iterator<Item = usize> {
        let powers = (GRANULE_LOG2..LARGEST.ilog2()).flat_map(|log2| {
            let step = (1 << log2 >> STEPS_LOG2).max(GRANULE);
            (0..=STEPS).map(move |n| ((1usize << log2) + n * step) & !(GRANULE - 1))
        });
        let around = powers.flat_map(|size| [size - GRANULE, size, size + GRANULE]);
        around.filter(|&size| (2 * GRANULE..=LARGEST).contains(&size))
    }

    #[test]
    fn lists_hold_ascending_ranges_of_sizes() {
        let mut sizes: std::vec::Vec<usize> = sizes().collect();
        sizes.sort_unstable();
        for pair in sizes.windows(2) {
            let (low, high) = (list_of(pair[0]), list_of(pair[1]));
            assert!(low == high || low + 1 == high || pair[1] - pair[0] > GRANULE, "{pair:?}: {low}, {high}");
            assert!(low <= high && high < LISTS, "{pair:?}: {low}, {high}");
        }
    }

    #[test]
    fn the_list_above_holds_no_smaller_size_and_wastes_less_than_a_step() {
        for size in sizes() {
            let (own, above) = (list_of(size), list_above(size));
            let is_lowest = list_of(size - GRANULE) < own;
            assert_eq!(above, own + usize::from(!is_lowest), "{size}");
            if size <= STEPS * GRANULE * 2 {
                assert_eq!(own, size / GRANULE, "small sizes have a list each");
            }
        }
    }
}
