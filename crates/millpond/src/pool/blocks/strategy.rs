//! What becomes of freed blocks: the interface that every strategy implements.

use core::ptr::NonNull;

use super::fresh::Fresh;
use crate::contract::Flaw;

/// What becomes of blocks that are freed, and which one is handed out next. Chosen by type: [`Lifo`](super::Lifo),
/// [`Magazine`](super::Magazine), [`Compact`](super::Compact).
///
/// The trait is sealed: how a strategy works is between it and [`Blocks`](super::Blocks).
pub trait Strategy: Sealed {}

/// The working part of [`Strategy`].
pub trait Sealed {
    /// The size, hence the alignment, of the regions that chunks are to lie in, in bytes; zero if any chunk will do.
    const REGION: usize;

    /// The state without a single free block.
    const EMPTY: Self;

    /// Takes a free block.
    fn take_freed(&mut self) -> Option<NonNull<u8>>;

    /// Takes a free block, or cuts fresh ones of `size` bytes if none is free.
    fn take(&mut self, fresh: &mut Fresh, size: usize) -> Option<NonNull<u8>>;

    /// Puts a block of `size` bytes back.
    ///
    /// # Safety
    ///
    /// The block was taken from this pool, is at least a word long and as aligned, and nobody uses it any more.
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize);

    /// Forgets all free blocks.
    fn clear(&mut self);

    /// The addresses of all free blocks of `size` bytes, in no particular order.
    fn free(&self, size: usize) -> impl Iterator<Item = usize>;

    /// Makes the chunks fresh again in which no block of `size` bytes is live, and forgets their free blocks.
    fn settle(&mut self, fresh: &mut Fresh, size: usize);

    /// The strategy's own invariants, beyond those of its free blocks.
    ///
    /// # Errors
    ///
    /// The first invariant found broken.
    fn check(&self, size: usize) -> Result<(), Flaw>;
}
