//! Pockets: a few blocks of each small size that were freed and wait to be asked for again, unmerged.
//!
//! A program that frees a block of some size soon asks for that size again. A block in a pocket is neither merged nor
//! looked at: its address lies in a small array, and nothing of the block itself is read or written, so nothing waits
//! for memory that the processor has long forgotten. To the posts it is a live block.
//!
//! Weinstock and Wulf, "Quick Fit: An Efficient Algorithm for Heap Storage Allocation" (1988), with a bound.

use super::super::boundary_tags::GRANULE;

/// How many blocks one pocket holds.
const DEPTH: usize = 8;
/// Sizes, from block to block, that have a pocket: up to the granule that holds a kilobyte and its post on 64-bit.
const LISTS: usize = 66;

/// Where freed blocks wait, if they do.
pub trait QuickList: sealed::QuickList {}

pub(super) mod sealed {
    /// What `Tlsf` asks of its front. Sizes are from block to block; blocks are addresses.
    pub trait QuickList {
        /// A front that holds nothing.
        const EMPTY: Self;

        /// Whether it ever holds anything.
        const ENABLED: bool;

        /// A block of at least this size.
        fn pop(&mut self, size: usize) -> Option<usize>;

        /// How many bytes it may hold, from now on.
        fn set_limit(&mut self, bytes: usize);

        /// Keeps a block of at least this size; says whether it does.
        fn push(&mut self, block: usize, size: usize) -> bool;

        /// Whether there is a block that [`pop`](Self::pop) would find.
        fn has(&self, size: usize) -> bool;

        /// Any block, with the size that it was kept with, until there is none.
        fn pop_any(&mut self) -> Option<(usize, usize)>;

        /// The blocks, each with a size that it has at least.
        fn blocks(&self) -> impl Iterator<Item = (usize, usize)>;
    }
}

/// No pockets: freed blocks are merged at once. See [`Tlsf`](crate::Tlsf).
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

/// Up to eight freed blocks of each size up to a kilobyte wait in pockets. See [`Tlsf`](crate::Tlsf).
///
/// # Invariants
///
/// * Pocket `n` holds `counts[n]` blocks, at most `DEPTH`, in the first places of `blocks[n]`: live blocks to the posts,
///   of at least `n` granules each.
/// * `held` is the sum of these granules, in bytes.
pub struct WithQuickList {
    held: usize,
    /// What `held` does not grow beyond.
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
