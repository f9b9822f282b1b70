//! From a size to its class: two small tables, no arithmetic that branches on the number of classes.

/// Sizes up to this one are looked up in steps of [`FINE`].
pub(super) const SMALL: usize = 1024;
const FINE: usize = 8;
const COARSE: usize = 256;

/// The largest size that any class may have.
pub(super) const LARGEST: usize = 32 << 10;
/// The most classes there may be.
pub(super) const MOST: usize = 64;

/// Rounds a block size up to one that the table can tell from its neighbours.
pub(super) const fn round(size: usize) -> usize {
    size.next_multiple_of(if size <= SMALL { FINE } else { COARSE })
}

/// Which class serves a size.
///
/// # Invariants
///
/// * For every size up to `largest`, the entry is the first class whose blocks are at least as large; but size zero goes
///   to the class [`MOST`], which has no blocks.
/// * No entry is above [`MOST`].
#[derive(Clone)]
pub(super) struct Table {
    small: [u8; SMALL / FINE + 1],
    large: [u8; LARGEST / COARSE + 1],
    largest: usize,
}

impl Table {
    /// The table for classes of these sizes, which are rounded, ascending and at most [`MOST`].
    pub(super) fn new(sizes: &[usize]) -> Self {
        let class = |size: usize| sizes.partition_point(|&class| class < size) as u8;
        Self {
            small: core::array::from_fn(|index| if index == 0 { MOST as u8 } else { class(index * FINE) }),
            large: core::array::from_fn(|index| class(index * COARSE)),
            largest: sizes.last().copied().unwrap_or(0),
        }
    }

    /// The class for a size that is at most [`SMALL`] and at most the largest class: at most [`MOST`].
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

    /// The first class whose blocks hold `size` bytes; `None` if there is none.
    #[inline(always)]
    pub(super) fn class(&self, size: usize) -> Option<usize> {
        if size > self.largest {
            return None;
        }
        Some(if size <= SMALL { self.small(size) } else { usize::from(self.large[size.div_ceil(COARSE)]) })
    }
}

/// The default sizes: every 16 bytes up to 128, then four per doubling, so that at most a fifth of a block is wasted.
pub(super) fn four_per_doubling() -> impl Iterator<Item = usize> {
    let fine = (1..=8).map(|step| step * 16);
    let coarse = (7u32..).flat_map(|log2| (5..=8).map(move |quarter| quarter << (log2 - 2)));
    fine.chain(coarse).take_while(|&size| size <= LARGEST)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn every_size_gets_the_first_class_that_holds_it() {
        for sizes in [&[8][..], &[24, 40, 1000], &[16, 1280, 32768], &[1024, 1280], &[32768]] {
            let table = Table::new(sizes);
            for size in 1..=LARGEST + 300 {
                let expected = sizes.iter().position(|&class| class >= size);
                assert_eq!(table.class(size), expected, "{size} among {sizes:?}");
            }
        }
    }

    #[test]
    fn the_default_sizes_waste_at_most_a_fifth_above_the_granule() {
        let sizes: Vec<usize> = four_per_doubling().collect();
        assert!(sizes.len() <= MOST && sizes.is_sorted() && sizes.last() == Some(&LARGEST));
        assert!(sizes.iter().all(|&size| round(size) == size));
        for pair in sizes.windows(2).filter(|pair| pair[0] >= 64) {
            let waste = pair[1] - (pair[0] + 1);
            assert!(waste * 5 <= pair[1], "{} then {}", pair[0], pair[1]);
        }
    }
}
