//! Two-level segregated fit: blocks of any size from one region, in constant time.
//!
//! Free blocks stand between posts (`posts`), in lists by size (`levels.rs`); bitmaps find the first list whose blocks
//! are all large enough, in two look-ups. So neither allocating nor freeing ever searches.
//!
//! * Allocate, free, resize in place: O(1), whatever is live. Trim: O(chunks). Reset: O(chunks + lists). Drop: as a reset.
//! * Worst case without pockets, in instructions on x86-64 with rustc 1.95: 152 to allocate, 211 if aligned beyond two
//!   words, 125 to free, 128 to resize in place. With pockets, which are the default, 132 to free, and to allocate as much
//!   as without, until nothing but what is in pockets is left for a request: then up to 528 pocketed blocks are freed in
//!   the same call, which took 79,391. `cargo run --release --example worst` finds these numbers.
//! * Overhead: a post of one word per block (8 bytes on 64-bit). Rounding, apart from that: post and block together are a
//!   multiple of 16, and at least 32, bytes; 64-bit.
//! * Fit: up to 1 KiB the smallest free block that is large enough. Above that a free block that is less than 1/32
//!   larger than the request may be passed over for a larger one; when there is no larger one, it is taken if it is the
//!   first on its list.
//!
//! Source: Masmano, Ripoll, Crespo, Real, "TLSF: A New Dynamic Memory Allocator for Real-Time Systems" (2004).

mod levels;
mod pockets;

use core::{alloc::Layout, ptr::NonNull};

use self::levels::Levels;
pub use self::pockets::{Direct, Front, Pockets};
use super::posts::{Need, Posts};
use crate::{
    base::address::{self, WORD},
    contract::{Canvas, Chunk, ChunkRequest, Flaw, Holes, Inspect, RawPool, Snapshot, Surrender},
};

/// Pockets hold at most one byte in so many.
const SHARE: usize = 8;

/// A pool for blocks of any size and alignment, in constant time.
///
/// It has 8 KiB of list heads, whatever it holds; for a few kilobytes of memory take [`SignPost`](crate::SignPost).
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Owned, Tlsf};
///
/// let mut pool = Owned::new(Tlsf::new());
/// let picture = pool.allocate(Layout::from_size_align(70_000, 64)?)?;
/// let name = pool.allocate(Layout::new::<[u8; 12]>())?;
/// assert_eq!(picture.addr().get() % 64, 0);
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(picture.cast(), Layout::from_size_align(70_000, 64)?) };
/// assert!(pool.pool().largest_free() >= 70_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Pockets
///
/// `Tlsf::new()` lets up to eight freed blocks of each size up to a kilobyte wait in pockets, to be handed out again as
/// they are: twice as fast where blocks come and go, and O(1). In return, freed blocks of up to 270 KB in all (on 64-bit
/// machines), and at most an eighth of what the pool holds, are not merged for a while. They are when nothing else is left
/// for a request, and when chunks are to go, and then one operation takes as long as it takes to free all of them.
///
/// Where every single operation has to be short, `Tlsf::without_pockets()` merges each freed block at once.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Direct, Local, Tlsf};
///
/// let pool: Local<Tlsf<Direct>> = Local::new(Tlsf::without_pockets());
/// ```
///
/// # Overwritten memory
///
/// A write past the end of a block overwrites the word in front of the next one. A block is not freed or resized if that word
/// says another size than its layout allows: it is out of use until a reset. That costs nothing. Whether the words of its
/// neighbours, and the links between free blocks, are whole is tested by questions such as
/// [`check`](crate::Inspect::check), by a trim, and behind [`Checked`](crate::Checked) before every call: a call alone follows
/// them, because testing them would make every call slower.
///
/// # Invariants
///
/// Those of the posts, the lists and the pockets: see the sources of `posts`, `levels` and `pockets`.
pub struct Tlsf<F: Front = Pockets> {
    posts: Posts<Levels>,
    front: F,
}

impl Tlsf {
    /// A pool without chunks that keeps some freed blocks in pockets.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_front()
    }
}

impl Tlsf<Direct> {
    /// A pool without chunks that merges each freed block at once: no operation ever takes long.
    #[must_use]
    pub const fn without_pockets() -> Self {
        Self::with_front()
    }
}

impl<F: Front> Tlsf<F> {
    const fn with_front() -> Self {
        Self { posts: Posts::new(Levels::EMPTY), front: F::EMPTY }
    }

    /// The largest size in bytes that would now be served without a new chunk, at an alignment of two words, and
    /// without looking into pockets. O(1), but for finding out that the block lies in a chunk: O(chunks).
    #[must_use]
    pub fn largest_free(&self) -> usize {
        let largest = self.posts.index().largest();
        largest.and_then(|post| self.posts.bytes_at(post.block())).unwrap_or(0)
    }

    /// What is free, and in how many pieces; blocks in pockets are not looked at. Linear in the number of blocks.
    #[must_use]
    pub fn holes(&self) -> Holes {
        self.posts.holes()
    }

    /// The blocks in pockets, each with its bytes, as far as their posts are whole.
    fn pocketed(&self) -> impl Iterator<Item = (usize, usize)> {
        self.front.blocks().filter_map(|(block, _)| Some((block, self.posts.bytes_at(block)?)))
    }

    /// Frees what is in pockets; says whether there was anything.
    fn empty_pockets(&mut self) -> bool {
        let mut any = false;
        while let Some((block, size)) = self.front.drain() {
            // SAFETY: to the posts, what is in a pocket is live, and no more than a granule larger than was needed.
            unsafe { self.posts.deallocate(recover_block(block), size) };
            any = true;
        }
        any
    }

    /// Frees what is in pockets. A block that was overwritten, or whose neighbour was, is out of use until a reset.
    fn empty_sound_pockets(&mut self) {
        while let Some((block, size)) = self.front.drain() {
            if self.posts.damage_around(block, size).is_none() {
                // SAFETY: as above.
                unsafe { self.posts.deallocate(recover_block(block), size) };
            }
        }
    }

    /// Where something was overwritten that is followed when a block is handed out. What is in pockets is freed if nothing else
    /// is left, as it would be then.
    fn damage_ahead(&mut self, need: Need) -> Option<usize> {
        if need.is_granular() && self.front.has(need.size) {
            return None;
        }
        if !need.is_granular() {
            // A free block that is found may still be too small when it is aligned.
            self.empty_sound_pockets();
        }
        match self.posts.damage_ahead(need) {
            Ok(false) => {
                self.empty_sound_pockets();
                self.posts.damage_ahead(need).err()
            }
            found => found.err(),
        }
    }

    #[inline(always)]
    fn allocate_between_posts(&mut self, need: Need) -> Option<NonNull<[u8]>> {
        match self.posts.allocate(need) {
            Some(block) => Some(block),
            None => self.allocate_from_pockets(need),
        }
    }

    /// When there is nothing for a request but, perhaps, what is in pockets.
    #[cold]
    #[inline(never)]
    fn allocate_from_pockets(&mut self, need: Need) -> Option<NonNull<[u8]>> {
        if self.empty_pockets() { self.posts.allocate(need) } else { None }
    }

    /// The way past empty pockets, out of line so that the way through them is short.
    #[inline(never)]
    fn allocate_past_pockets(&mut self, need: Need) -> Option<NonNull<[u8]>> {
        self.allocate_between_posts(need)
    }

    /// The way past full pockets.
    ///
    /// # Safety
    ///
    /// As for [`Posts::deallocate`].
    #[inline(never)]
    unsafe fn deallocate_past_pockets(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.posts.deallocate(block, size) };
    }

    /// Lets pockets have their share of what the pool holds.
    fn share_with_pockets(&mut self) {
        self.front.set_most(self.posts.held() / SHARE);
    }
}

/// A block in a pocket as a pointer.
///
/// # Safety
///
/// The block lies in a chunk that was exposed.
unsafe fn recover_block(block: usize) -> NonNull<u8> {
    // SAFETY: the caller's promise; blocks are not at address zero.
    unsafe { address::block(block, 0) }.cast()
}

impl<F: Front> Default for Tlsf<F> {
    fn default() -> Self {
        Self::with_front()
    }
}

// SAFETY: `Posts` hands out what its index holds, which is free, and cuts it between posts: see its invariants. What is
// in a pocket was freed, is live to the posts, and is taken out when it is handed out again. Nothing here unwinds.
unsafe impl<F: Front> RawPool for Tlsf<F> {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let need = Need::of(layout, Posts::<Levels>::LARGEST)?;
        if need.is_granular()
            && let Some(block) = self.front.take(need.size)
        {
            // SAFETY: the block lies in a chunk, and is at least this large, with its post.
            return Some(unsafe { address::block(block, need.size - WORD) });
        }
        if F::KEEPS { self.allocate_past_pockets(need) } else { self.allocate_between_posts(need) }
    }

    #[inline]
    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let size = Need::size(layout);
        if self.front.keep(block.addr().get(), size) {
            return;
        }
        // SAFETY: the caller's promises are passed on; no block is smaller than what fits it needs.
        unsafe {
            if F::KEEPS {
                self.deallocate_past_pockets(block, size);
            } else {
                self.posts.deallocate(block, size);
            }
        }
    }

    fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            Some(block) => self.posts.damage_around(block.addr().get(), Need::size(layout)),
            None => self.damage_ahead(Need::of(layout, Posts::<Levels>::LARGEST)?),
        }
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.posts.wants(layout)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller's promises are passed on.
        let adopted = unsafe { self.posts.adopt(chunk, layout) };
        self.share_with_pockets();
        adopted
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        self.empty_sound_pockets();
        let chunk = self.posts.surrender(which);
        self.share_with_pockets();
        chunk
    }

    fn reset(&mut self) {
        self.front = F::EMPTY;
        self.share_with_pockets();
        self.posts.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.posts.resize_in_place(block, old, new) }
    }
}

impl<F: Front> Inspect for Tlsf<F> {
    fn stats(&self) -> Snapshot {
        let stats = self.posts.stats();
        // Where posts were overwritten, a block in a pocket may be part of a free one.
        let pocketed = self.pocketed().map(|(_, bytes)| bytes).sum::<usize>().min(stats.live);
        Snapshot { live: stats.live - pocketed, free: stats.free + pocketed, ..stats }
    }

    fn largest_free(&self) -> Option<usize> {
        Some(Self::largest_free(self))
    }

    fn holes(&self) -> Option<Holes> {
        Some(Self::holes(self))
    }

    fn paint(&self, canvas: &mut Canvas<'_>) {
        self.posts.paint(canvas);
        self.pocketed().for_each(|(block, bytes)| canvas.free(block..block + bytes));
    }

    fn owns(&self, address: *const u8) -> bool {
        self.posts.owns(address)
    }

    fn check(&self) -> Result<(), Flaw> {
        self.posts.check()?;
        let mut pocketed = self.front.blocks();
        if pocketed.all(|(block, size)| self.posts.is_live(block, size)) {
            Ok(())
        } else {
            Err(Flaw("a block in a pocket is free, smaller than the pocket's, or no block"))
        }
    }
}
