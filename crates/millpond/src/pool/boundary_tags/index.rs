//! How free blocks are found again: what `SignPost` and `Tlsf` differ in.

use super::Tag;

/// The free blocks between the posts. All sizes are from block to block: with one post, multiples of the granule.
pub(in crate::pool) trait Index {
    /// The largest size that is ever asked for or put in.
    const LARGEST: usize;

    /// Puts a free block in. If nothing is put in between, `take(size)` and every smaller size will find something.
    fn insert(&mut self, tag: Tag, size: usize);

    /// Takes this free block out.
    fn remove(&mut self, tag: Tag, size: usize);

    /// Takes a free block out that is at least as large; says how large it is.
    fn take(&mut self, size: usize) -> Option<(Tag, usize)>;

    /// The free block that [`take`](Self::take) would find for this size; or what was overwritten on the way to it. `owned` says
    /// whether an address may be looked at.
    fn next(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> Result<Option<Tag>, usize>;

    /// Forgets all.
    fn clear(&mut self);

    /// Whether this free block is here, between blocks that know it, so that [`remove`](Self::remove) writes to nothing
    /// else. `owned` says whether an address may be looked at.
    fn can_remove(&self, tag: Tag, size: usize, owned: &dyn Fn(usize) -> bool) -> bool;

    /// Whether a free block of this size would come before a block that may be written to, or before none.
    fn can_insert(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> bool;

    /// Verifies that it holds `count` blocks, all of them free, in their places. `owned` says whether an address may be
    /// looked at.
    fn check(&self, count: usize, owned: &dyn Fn(usize) -> bool) -> Result<(), &'static str>;
}
