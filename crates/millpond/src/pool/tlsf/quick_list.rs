//! The quick list: a few freed blocks of each small size that are kept unmerged for the next request.
//!
//! A program that frees a block of some size often requests that size again soon. A block on the quick list is neither
//! merged nor accessed: its address lies in a small array, and no part of the block itself is read or written, so
//! nothing waits for memory that has left the cache. To the boundary tags it is a live block.
//!
//! Source: Weinstock and Wulf, "Quick Fit: An Efficient Algorithm for Heap Storage Allocation" (1988), with a bound.

use super::super::boundary_tags::GRANULE;

/// The number of blocks kept per size.
const DEPTH: usize = 8;
/// The number of sizes, header included, that are kept: up to the granule that holds a kilobyte and its header on
/// 64-bit machines.
const LISTS: usize = 66;

/// Whether and where freed blocks are kept unmerged.
pub trait QuickList: sealed::QuickList {}

pub(super) mod sealed {
    /// The interface of the quick list to `Tlsf`. Sizes include the header; blocks are addresses.
    pub trait QuickList {
        /// A quick list without blocks.
        const EMPTY: Self;

        /// Whether it ever holds a block.
        const ENABLED: bool;

        /// Takes a block of at least this size.
        fn pop(&mut self, size: usize) -> Option<usize>;

        /// Sets the maximum number of bytes that it holds.
        fn set_limit(&mut self, bytes: usize);

        /// Keeps a block of at least this size; returns whether there was room.
        fn push(&mut self, block: usize, size: usize) -> bool;

        /// Returns whether [`pop`](Self::pop) would find a block.
        fn has(&self, size: usize) -> bool;

        /// Takes any block, with the size that it was kept with; `None` if there is none.
        fn pop_any(&mut self) -> Option<(usize, usize)>;

        /// Returns the blocks, each with a lower bound of its size.
        fn blocks(&self) -> impl Iterator<Item = (usize, usize)>;
    }
}

/// No quick list: freed blocks are merged at once. See [`Tlsf`](crate::Tlsf).
#[derive(Debug)]
pub struct NoQuickList;

impl QuickList for NoQuickList {}

impl sealed::QuickList for NoQuickList {
    const EMPTY: Self = Self;
    const ENABLED: bool = false;

    #[inline(always)]
    fn pop(&mut self, _size: usize) -> Option<usize> {
        None
    }

    fn set_limit(&mut self, _bytes: usize) {}

    #[inline(always)]
    fn push(&mut self, _block: usize, _size: usize) -> bool {
        false
    }

    fn has(&self, _size: usize) -> bool {
        false
    }

    #[inline(always)]
    fn pop_any(&mut self) -> Option<(usize, usize)> {
        None
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        core::iter::empty()
    }
}

/// Keeps up to eight freed blocks of each size up to a kilobyte. See [`Tlsf`](crate::Tlsf).
///
/// # Invariants
///
/// * List `n` holds `counts[n]` blocks, at most `DEPTH`, in the first places of `blocks[n]`: live blocks to the
///   boundary tags, of at least `n` granules each.
/// * `held` is the sum of these granules, in bytes.
pub struct WithQuickList {
    held: usize,
    /// The maximum of `held`.
    most: usize,
    counts: [u8; LISTS],
    blocks: [[usize; DEPTH]; LISTS],
}

impl QuickList for WithQuickList {}

impl sealed::QuickList for WithQuickList {
    const ENABLED: bool = true;
    const EMPTY: Self = Self { held: 0, most: 0, counts: [0; LISTS], blocks: [[0; DEPTH]; LISTS] };

    #[inline(always)]
    fn pop(&mut self, size: usize) -> Option<usize> {
        let count = self.counts.get_mut(size / GRANULE)?;
        let left = usize::from(*count).checked_sub(1)?;
        *count = left as u8;
        self.held -= size;
        Some(self.blocks[size / GRANULE][left % DEPTH])
    }

    fn set_limit(&mut self, bytes: usize) {
        self.most = bytes;
    }

    #[inline(always)]
    fn push(&mut self, block: usize, size: usize) -> bool {
        let Some(count) = self.counts.get_mut(size / GRANULE) else { return false };
        let place = usize::from(*count);
        if place == DEPTH || self.held + size > self.most {
            return false;
        }
        let blocks = &self.blocks[size / GRANULE];
        debug_assert!(!blocks[..place].contains(&block), "freed a block that is free");
        self.held += size;
        self.blocks[size / GRANULE][place % DEPTH] = block;
        *count += 1;
        true
    }

    fn has(&self, size: usize) -> bool {
        self.counts.get(size / GRANULE).is_some_and(|&count| count != 0)
    }

    fn pop_any(&mut self) -> Option<(usize, usize)> {
        let size = self.counts.iter().position(|&count| count != 0)? * GRANULE;
        Some((self.pop(size)?, size))
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, usize)> {
        let quick_list = self.blocks.iter().zip(&self.counts).enumerate();
        quick_list.flat_map(|(list, (blocks, &count))| {
            blocks.iter().take(count.into()).map(move |&block| (block, list * GRANULE))
        })
    }
}
