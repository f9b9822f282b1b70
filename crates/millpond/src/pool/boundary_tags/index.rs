//! The index of free blocks, in which `SignPost` and `Tlsf` differ.

use super::Tag;

/// The free blocks of a set of chunks. All sizes include the header and are multiples of the granule.
pub(in crate::pool) trait Index {
    /// The largest size that is ever requested or inserted.
    const LARGEST: usize;

    /// Inserts a free block. Unless something else is inserted in between, `take(size)` and `take` of every smaller
    /// size will find a block.
    fn insert(&mut self, tag: Tag, size: usize);

    /// Removes this free block. Returns false, without doing anything, if its links were overwritten.
    fn remove(&mut self, tag: Tag, size: usize) -> bool;

    /// Takes a free block of at least this size; returns it and its size. The size is that in the header of the block,
    /// which may have been overwritten.
    fn take(&mut self, size: usize) -> Option<(Tag, usize)>;

    /// Returns the free block that [`take`](Self::take) would find for this size, or an overwritten address on the way
    /// to it. `owned` returns whether an address may be read.
    fn next(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> Result<Option<Tag>, usize>;

    /// Forgets all blocks.
    fn clear(&mut self);

    /// Returns whether this free block is in the index, between blocks that link to it, so that
    /// [`remove`](Self::remove) writes to nothing else. `owned` returns whether an address may be read.
    fn can_remove(&self, tag: Tag, size: usize, owned: &dyn Fn(usize) -> bool) -> bool;

    /// Returns whether a free block of this size would be linked in front of a block that may be written to, or in
    /// front of none. `owned` returns whether an address may be read.
    fn can_insert(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> bool;

    /// Checks that the index holds `count` blocks, all of them free and in the right lists. `owned` returns whether an
    /// address may be read.
    fn check(&self, count: usize, owned: &dyn Fn(usize) -> bool) -> Result<(), &'static str>;
}
