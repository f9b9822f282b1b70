//! Orders and sizes: the size of a block of order k is 2ᵏ least blocks.

use super::lists::ORDERS;

/// The highest order. Blocks of this order are never joined.
pub(super) const TOP: usize = ORDERS - 1;

/// The binary logarithm of the size of the least block.
#[derive(Clone, Copy)]
pub(super) struct Scale(u32);

impl Scale {
    /// Creates the scale whose least block has this size, a power of two.
    pub(super) const fn new(least: usize) -> Self {
        Self(least.trailing_zeros())
    }

    pub(super) const fn least(self) -> usize {
        1 << self.0
    }

    /// Returns the size of a block, in bytes.
    #[inline(always)]
    pub(super) const fn size(self, order: usize) -> usize {
        1 << (self.0 + order as u32)
    }

    /// Returns the order of the blocks that serve `size` bytes, which is not zero.
    #[inline(always)]
    pub(super) const fn order(self, size: usize) -> usize {
        // The number of bits of `size - 1` is the logarithm of the smallest power of two that is at least `size`.
        (usize::BITS - (size - 1).leading_zeros()).saturating_sub(self.0) as usize
    }

    /// Returns the number of whole least blocks in `bytes`.
    #[inline(always)]
    pub(super) const fn count(self, bytes: usize) -> usize {
        bytes >> self.0
    }

    /// Returns the order of the largest block that begins at `start` and ends at or before `end`, both multiples of the
    /// least block; `None` if there is none.
    pub(super) fn largest_between(self, start: usize, end: usize) -> Option<usize> {
        let fits = self.count(end - start).checked_ilog2()?;
        Some(fits.min(self.count(start).trailing_zeros()).min(TOP as u32) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_order_for_a_size() {
        let scale = Scale::new(32);
        for size in 1..5000 {
            let order = scale.order(size);
            assert!(scale.size(order) >= size && (order == 0 || scale.size(order - 1) < size), "{size}");
        }
    }

    #[test]
    fn largest_block_is_aligned_and_inside() {
        let scale = Scale::new(16);
        for start in (16..600).step_by(16) {
            for end in (start..600).step_by(16) {
                let largest = scale.largest_between(start, end).map(|order| scale.size(order));
                let fits = |&size: &usize| start.is_multiple_of(size) && start + size <= end;
                assert_eq!(largest, [512, 256, 128, 64, 32, 16].into_iter().find(fits), "{start}..{end}");
            }
        }
    }
}
