//! How free blocks are found again: what `SignPost` and `Tlsf` differ in.

use super::Post;

/// The free blocks between the posts. All sizes are from block to block: with one post, multiples of the granule.
pub(in crate::pool) trait Index {
    /// The largest size that is ever asked for or put in.
    const LARGEST: usize;

    /// Puts a free block in. If nothing is put in between, `take(size)` and every smaller size will find something.
    fn insert(&mut self, post: Post, size: usize);

    /// Takes this free block out.
    fn remove(&mut self, post: Post, size: usize);

    /// Takes a free block out that is at least as large; says how large it is.
    fn take(&mut self, size: usize) -> Option<(Post, usize)>;

    /// Forgets all.
    fn clear(&mut self);

    /// Verifies that it holds `count` blocks, all of them free, in their places. `owned` says whether an address may be
    /// looked at.
    fn check(&self, count: usize, owned: &dyn Fn(usize) -> bool) -> Result<(), &'static str>;
}
