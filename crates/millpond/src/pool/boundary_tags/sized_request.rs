//! What a request needs.

use core::alloc::Layout;

use super::{GRANULE, MIN_BLOCK, Tag};
use crate::base::address::{WORD, align_up};

/// The size, including the header, of a block that serves a request, and the requested alignment.
#[derive(Clone, Copy)]
pub(in crate::pool) struct SizedRequest {
    pub(in crate::pool) size: usize,
    align: usize,
}

impl SizedRequest {
    /// Returns what a layout needs; `None` if its size is zero or exceeds `largest`.
    #[inline(always)]
    pub(in crate::pool) fn of(layout: Layout, largest: usize) -> Option<Self> {
        if layout.size().wrapping_sub(1) >= largest - GRANULE {
            return None;
        }
        Some(Self { size: Self::size(layout), align: layout.align() })
    }

    /// Returns the size, including the header, of a block for this layout. Layouts are small enough for the sum not to
    /// overflow.
    #[inline(always)]
    pub(in crate::pool) fn size(layout: Layout) -> usize {
        align_up(layout.size() + WORD, GRANULE).max(MIN_BLOCK)
    }

    /// Returns whether the alignment of every block is sufficient.
    #[inline(always)]
    pub(in crate::pool) fn is_granular(self) -> bool {
        self.align <= GRANULE
    }

    /// Returns the size of a free block that holds the request wherever the block starts.
    pub(super) fn anywhere(self) -> usize {
        // In front of the aligned block, there is either no gap or one that is large enough for a block.
        if self.is_granular() { self.size } else { self.size + self.align + (MIN_BLOCK - GRANULE) }
    }

    /// Returns how many bytes of a free block are left in front of the aligned one; `None` if that does not fit.
    pub(super) fn gap(self, tag: Tag, size: usize) -> Option<usize> {
        let padding = |address: usize| address.wrapping_neg() & (self.align - 1);
        let block = tag.block();
        let gap = match padding(block) {
            0 => 0,
            gap if gap >= MIN_BLOCK => gap,
            _ => MIN_BLOCK + padding(block.wrapping_add(MIN_BLOCK)),
        };
        (size >= self.size && gap <= size - self.size).then_some(gap)
    }
}
