//! What a pool is: a pure data structure that cuts chunks into blocks.

use core::{alloc::Layout, ptr::NonNull};

use super::{Chunk, ChunkRequest, PoolHooks};
use crate::base::AllocError;

/// A pool as a pure data structure. It asks nobody for memory: it is given chunks.
///
/// Pools take `&mut self`, know no parent, hold no lock and call nobody back; a shell such as [`Local`](crate::Local)
/// owns one together with its parent and makes an [`Allocator`](crate::Allocator) of the two.
///
/// # Contract
///
/// A *layout fits* a live block if its size lies between the size that was requested and the size that was returned
/// (both included) and its alignment is the one requested.
///
/// # Safety
///
/// Blocks that are handed out lie in adopted chunks that were not surrendered, are aligned as asked, are at least as
/// large as asked, and no two live ones overlap. No method unwinds or calls anybody else's code, and if the type
/// implements [`Inspect`](crate::Inspect) too, this holds for its methods, and `owns` tells the truth.
/// The same holds for the methods of [`PoolHooks`], and [`passes_through`](PoolHooks::passes_through) gives the same answer for
/// every layout that fits a live block as it gave for the requested one.
pub unsafe trait RawPool: PoolHooks {
    /// Hands out a block for `layout`, at least as large; `None` if none is free. Never serves a size of zero: shells
    /// answer that without asking.
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>>;

    /// The part of [`allocate`](Self::allocate) that is worth inlining everywhere: hands out a block if that takes no
    /// call, and `None` means that `allocate` must be asked.
    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.allocate(layout)
    }

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// `block` is live, was handed out by this pool, and `layout` fits it.
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout);

    /// The part of [`deallocate`](Self::deallocate) that is worth inlining everywhere: false, and nothing done, for what
    /// a shell must think about: no bytes at all, or a layout that [`passes_through`](Self::passes_through) the pool.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Self::deallocate), if the block is the pool's.
    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let ours = layout.size() != 0 && !self.passes_through(layout);
        if ours {
            // SAFETY: the caller's promises are passed on.
            unsafe { self.deallocate(block, layout) };
        }
        ours
    }

    /// The chunk that would let [`allocate`](Self::allocate) succeed for `layout`; `None` if none ever would.
    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest>;

    /// Takes a chunk to cut.
    ///
    /// # Errors
    ///
    /// The chunk itself, if it would not let a request for `layout` succeed: it is smaller or less aligned than
    /// [`chunk_request`](Self::chunk_request) says now. (What was asked for a moment ago may not be, if another thread came first.)
    ///
    /// # Safety
    ///
    /// The chunk is the pool's alone until it is surrendered.
    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk>;

    /// Finds out which chunks hold no live block, where that is not known all the time, so that there are more to
    /// [`Empty`](Release::Empty). A shell calls it once before it asks for them one by one.
    fn collect_empty(&mut self) {}

    /// Gives up a chunk: one that is known to hold no live block if there is one to [`Empty`](Release::Empty), or
    /// [`Any`](Release::Any) at all, whose blocks are then dead.
    fn release_chunk(&mut self, which: Release) -> Option<Chunk>;

    /// Declares every block dead and keeps every chunk.
    fn reset(&mut self);

    /// Gives a live block another size, or another alignment that it happens to have, where it is; `None` if it must
    /// move. Its contents stay.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Self::deallocate) with `old`; `new.size()` is not zero. On success `new` fits the block
    /// from now on, on failure `old` still does.
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

/// A pool that can say what it lacks before it is asked for blocks, so that a shell can have room ready.
pub trait Reserve: RawPool {
    /// A chunk that would bring the pool nearer to serving `count` requests for `layout` in a row; `None` if it lacks
    /// none for that. May count the free blocks: O(`count`).
    ///
    /// # Errors
    ///
    /// Why the pool can never serve so many, whatever chunks it gets: [`AllocError::Unsupported`] for a layout that it does not
    /// serve, [`AllocError::Exhausted`] for more than addresses can tell apart, or what a guard such as
    /// [`Limit`](crate::Limit) says.
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError>;

    /// As [`add_chunk`](RawPool::add_chunk), for a chunk that [`reserve_request`](Self::reserve_request) has asked for.
    ///
    /// # Errors
    ///
    /// The chunk itself, if it would not help.
    ///
    /// # Safety
    ///
    /// As for [`add_chunk`](RawPool::add_chunk).
    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        let _ = count;
        // SAFETY: the caller's promises are passed on.
        unsafe { self.add_chunk(chunk, layout) }
    }

    /// Gives up the chunk that was adopted last for such requests, if nothing has been cut from it. Shells undo with it what
    /// they have prepared for a reservation that fails.
    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        let _ = (layout, count);
        self.release_chunk(Release::Empty)
    }
}

/// A pool that knows which of its blocks are live. Shells pass it on: see [`Local::live`](crate::Local::live).
pub trait Live: RawPool {
    /// The live blocks, as handed out. It takes `&mut self` because some pools put back first what they keep at hand.
    fn live(&mut self) -> impl Iterator<Item = NonNull<[u8]>>;
}

/// A pool that can go back to where it stood: a [`Stack`](crate::Stack), alone or behind guards. Shells make scopes of it:
/// see [`Local::scope`](crate::Local::scope).
///
/// # Safety
///
/// [`release`](Self::release) makes dead no block that was handed out before the mark was made, and a mark that is made by
/// [`mark`](Self::mark) after others does not disturb them.
pub unsafe trait Rewind: RawPool {
    /// Where the pool stood.
    type Mark;

    /// Remembers where the pool stands now.
    fn mark(&mut self) -> Self::Mark;

    /// Goes back to a mark: what was handed out since is dead.
    ///
    /// # Safety
    ///
    /// * The mark is this pool's, and neither it nor one made before it was released, nor the pool reset, since it was made.
    ///   (Chunks to [`Empty`](Release::Empty) may have been surrendered: marks stay good.)
    /// * Nobody uses what was handed out since, or was resized since.
    unsafe fn release(&mut self, mark: Self::Mark);
}

/// Which chunk a pool is asked to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// One that no live block lies in: see [`RawPool::collect_empty`].
    Empty,
    /// Any: the pool is about to go.
    Any,
}
