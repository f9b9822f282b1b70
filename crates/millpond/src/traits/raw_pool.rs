//! The trait of pools: pure data structures that carve blocks from chunks.

use core::{alloc::Layout, ptr::NonNull};

use super::{Chunk, ChunkRequest, PoolHooks};
use crate::base::AllocError;

/// A pool as a pure data structure. It requests no memory itself: chunks are added to it.
///
/// Pools take `&mut self`, know no parent, hold no lock and call nothing back. A shell such as [`Local`](crate::Local)
/// owns a pool together with its parent and makes an [`Allocator`](crate::Allocator) of the two.
///
/// # Contract
///
/// A *layout fits* a live block if its size lies between the size that was requested and the size that was returned
/// (both included) and its alignment is the one requested.
///
/// # Safety
///
/// Blocks that are handed out lie in chunks that were added and not released, are aligned as requested, are at least as
/// large as requested, and no two live ones overlap. No method unwinds or calls foreign code. If the type also
/// implements [`Inspect`](crate::Inspect), the same holds for its methods, and `owns` answers correctly. The same holds
/// for the methods of [`PoolHooks`], and [`passes_through`](PoolHooks::passes_through) gives the same answer for every
/// layout that fits a live block as it gave for the requested one.
pub unsafe trait RawPool: PoolHooks {
    /// Allocates a block of at least `layout.size()` bytes. Returns `None` if no block is free. The size is never zero:
    /// shells serve such requests themselves.
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>>;

    /// Allocates a block on the fast path, the part of [`allocate`](Self::allocate) that is worth inlining everywhere.
    /// Returns `None` if `allocate` must be called instead.
    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.allocate(layout)
    }

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// `block` is live and was handed out by this pool, and `layout` fits it.
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout);

    /// Frees a block on the fast path, the part of [`deallocate`](Self::deallocate) that is worth inlining everywhere.
    /// Returns false without doing anything if the shell must handle the call: for zero bytes, or a layout that
    /// [`passes_through`](PoolHooks::passes_through) the pool.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Self::deallocate), if the block belongs to the pool.
    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let ours = layout.size() != 0 && !self.passes_through(layout);
        if ours {
            // SAFETY: the caller upholds the contract of `deallocate` if the block belongs to the pool, and it does
            // unless its layout passes through.
            unsafe { self.deallocate(block, layout) };
        }
        ours
    }

    /// Returns the chunk with which [`allocate`](Self::allocate) would succeed for `layout`; `None` if no chunk would
    /// help.
    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest>;

    /// Adds a chunk from which blocks are carved.
    ///
    /// # Errors
    ///
    /// Returns the chunk if it would not let a request for `layout` succeed: it is smaller or less aligned than what
    /// [`chunk_request`](Self::chunk_request) returns now. If another thread came first, this may differ from what it
    /// returned before.
    ///
    /// # Safety
    ///
    /// The chunk belongs to the pool alone until the pool releases it.
    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk>;

    /// Finds out which chunks hold no live block, if the pool does not keep track of that, so that there are more to
    /// [release](Release::Empty). A shell calls it once before it releases chunks one by one.
    fn collect_empty(&mut self) {}

    /// Releases a chunk: with [`Empty`](Release::Empty) one that is known to hold no live block, if there is one; with
    /// [`Any`](Release::Any) any chunk, whose blocks are then dead.
    fn release_chunk(&mut self, which: Release) -> Option<Chunk>;

    /// Declares every block dead and keeps every chunk.
    fn reset(&mut self);

    /// Changes the size of a live block in place, or its alignment to another one that it happens to have. Returns
    /// `None` if the block must move. The contents are kept.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Self::deallocate) with `old`; `new.size()` is not zero. On success `new` fits the block,
    /// on failure `old` still does.
    #[inline]
    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let _ = (block, old, new);
        None
    }
}

/// A pool that can say which chunks it needs before blocks are requested, so that a shell can reserve room.
pub trait Reserve: RawPool {
    /// Returns a chunk that would bring the pool closer to serving `count` requests for `layout` in a row; `None` if it
    /// needs none. May count the free blocks: O(`count`).
    ///
    /// # Errors
    ///
    /// Returns the reason if the pool can never serve that many requests, whatever chunks it gets:
    /// [`AllocError::Unsupported`] for a layout that it does not serve, [`AllocError::Exhausted`] for more than the
    /// address space holds, or the error of a guard such as [`Limit`](crate::guard::Limit).
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError>;

    /// As [`add_chunk`](RawPool::add_chunk), for a chunk that [`reserve_request`](Self::reserve_request) has asked for.
    ///
    /// # Errors
    ///
    /// Returns the chunk if it would not help.
    ///
    /// # Safety
    ///
    /// As for [`add_chunk`](RawPool::add_chunk).
    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        let _ = count;
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is that of `add_chunk`.
        unsafe { self.add_chunk(chunk, layout) }
    }

    /// Releases the chunk that was added last for such requests, if nothing has been carved from it. If a reservation
    /// fails, shells use this to undo its preparations.
    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        let _ = (layout, count);
        self.release_chunk(Release::Empty)
    }
}

/// A pool that knows which of its blocks are live. Shells expose this: see [`Local::live`](crate::Local::live).
pub trait Live: RawPool {
    /// Returns an iterator over the live blocks, as handed out. Takes `&mut self` because some pools first flush their
    /// caches of free blocks.
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>>;
}

/// A pool that can go back to an earlier state: a [`Stack`](crate::Stack), alone or behind guards. Shells build scopes
/// on it: see [`Local::scope`](crate::Local::scope).
///
/// # Safety
///
/// [`release`](Self::release) makes no block dead that was handed out before the mark was made, and a mark made by
/// [`mark`](Self::mark) does not affect earlier ones.
pub unsafe trait Rewind: RawPool {
    /// The state to go back to.
    type Mark;

    /// Returns a mark of the current state.
    fn mark(&mut self) -> Self::Mark;

    /// Goes back to a mark: every block handed out since is dead.
    ///
    /// # Safety
    ///
    /// * The mark is this pool's. Since it was made, neither it nor an earlier mark was released, and the pool was not
    ///   reset. (Chunks that are [`Empty`](Release::Empty) may have been released: marks stay valid.)
    /// * No block that was handed out or resized since is used any more.
    unsafe fn release(&mut self, mark: Self::Mark);
}

/// Which chunks a pool is asked to release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Only a chunk in which no live block lies: see [`RawPool::collect_empty`].
    Empty,
    /// Any chunk: the pool is about to be dropped.
    Any,
}
