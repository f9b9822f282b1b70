//! Maps a size to its class with two small tables, without arithmetic that branches on the number of classes.

/// Sizes up to this one are looked up in steps of [`FINE`].
pub(super) const SMALL: usize = 1024;
const FINE: usize = 8;
const COARSE: usize = 256;

/// The maximum size of a class.
pub(super) const LARGEST: usize = 32 << 10;
/// The maximum number of classes.
pub(super) const MOST: usize = 64;

/// Rounds a block size up to one that the table can distinguish from its neighbours.
pub(super) const fn round(size: usize) -> usize {
    size.next_multiple_of(if size <= SMALL { FINE } else { COARSE })
}

/// Which class serves a size.
///
/// # Invariants
///
/// * For every size up to `largest`, the entry is the first class whose blocks are at least as large. The exception is
///   size zero, which is mapped behind the last class, where there are no blocks.
/// * No entry is above the number of classes, which is at most [`MOST`]; `largest` is at most [`LARGEST`].
#[derive(Clone, Copy)]
pub(super) struct Table {
    small: [u8; SMALL / FINE + 1],
    /// Has another element type than `small`: otherwise the compiler merges the two look-ups into one, which is longer
    /// for small sizes.
    large: [i8; LARGEST / COARSE + 1],
    largest: usize,
}

impl Table {
    /// Creates the table for classes of these sizes, which are rounded, ascending and at most [`MOST`].
    pub(super) const fn new(sizes: &[usize]) -> Self {
        let largest = if sizes.is_empty() { 0 } else { sizes[sizes.len() - 1] };
        let (mut small, mut large) = ([0; SMALL / FINE + 1], [0; LARGEST / COARSE + 1]);
        let mut index = 0;
        while index < small.len() {
            small[index] = too_small(sizes, index * FINE) as u8;
            index += 1;
        }
        index = 0;
        while index < large.len() {
            large[index] = too_small(sizes, index * COARSE) as i8;
            index += 1;
        }
        small[0] = sizes.len() as u8;
        Self { small, large, largest }
    }

    /// Returns the class for a size that is at most [`SMALL`] and at most the largest class. The result is at most
    /// [`MOST`].
    #[inline(always)]
    pub(super) fn small(&self, size: usize) -> usize {
        debug_assert!(size <= SMALL && size <= self.largest);
        #[expect(
            clippy::manual_div_ceil,
            reason = "small sizes do not overflow, and the compiler need not think of it"
        )]
        let index = (size + (FINE - 1)) / FINE;
        // SAFETY: the table has an entry for every size up to `SMALL`.
        usize::from(unsafe { *self.small.get_unchecked(index) })
    }

    /// Returns the class for a size above [`SMALL`], if a class is large enough. The result is at most [`MOST`].
    #[inline(always)]
    pub(super) fn large(&self, size: usize) -> Option<usize> {
        if size > self.largest {
            return None;
        }
        #[expect(
            clippy::manual_div_ceil,
            reason = "such sizes do not overflow, and the compiler need not think of it"
        )]
        let index = (size + (COARSE - 1)) / COARSE;
        // SAFETY: the table has an entry for every size up to `LARGEST`.
        Some(isize::from(unsafe { *self.large.get_unchecked(index) }).cast_unsigned())
    }

    /// Returns the first class whose blocks hold `size` bytes; `None` if there is none.
    #[inline(always)]
    pub(super) fn lookup(&self, size: usize) -> Option<usize> {
        if size <= SMALL.min(self.largest) { Some(self.small(size)) } else { self.large(size) }
    }
}

/// Returns how many classes are too small for a size. These are the first ones, because sizes ascend. O(log classes).
const fn too_small(sizes: &[usize], size: usize) -> usize {
    let (mut from, mut to) = (0, sizes.len());
    while from < to {
        let middle = usize::midpoint(from, to);
        if sizes[middle] < size {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

/// The default sizes: every 16 bytes up to 128, then four per doubling, so that at most a fifth of a block is wasted.
pub(super) const FOUR_PER_DOUBLING: [usize; 40] = {
    let mut sizes = [0; 40];
    let mut index = 0;
    while index < sizes.len() {
        sizes[index] = match index {
            0..8 => (index + 1) * 16,
            _ => (index % 4 + 5) << (index / 4 + 3),
        };
        index += 1;
    }
    sizes
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_gets_the_first_class_that_fits() {
        for sizes in [&[8][..], &[24, 40, 1000], &[16, 1280, 32768], &[1024, 1280], &[32768]] {
            let table = Table::new(sizes);
            for size in 1..=LARGEST + 300 {
                let expected = sizes.iter().position(|&class| class >= size);
                assert_eq!(table.lookup(size), expected, "{size} among {sizes:?}");
            }
        }
    }

    #[test]
    fn default_sizes_waste_at_most_a_fifth() {
        let sizes = FOUR_PER_DOUBLING;
        assert!(sizes.len() <= MOST && sizes.is_sorted() && sizes.last() == Some(&LARGEST));
        assert!(sizes.iter().all(|&size| round(size) == size));
        for pair in sizes.windows(2).filter(|pair| pair[0] >= 64) {
            let waste = pair[1] - (pair[0] + 1);
            assert!(waste * 5 <= pair[1], "{} then {}", pair[0], pair[1]);
        }
    }
}
