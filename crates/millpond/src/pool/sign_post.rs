//! A region cut between sign posts: each post says how far it is to the next, and whether the block between is free.
//!
//! Free blocks are on one list, last freed first. *First fit* takes the first that is large enough, *best fit* the
//! smallest that is. The rest is split off and stays free; a block that is freed is merged with its free neighbours at
//! once.
//!
//! * Allocate: O(free blocks). Free, resize in place: O(1). Trim: O(chunks). Reset: O(chunks).
//! * Worst case of one call: allocating looks at every free block, twice if aligned beyond the granule; freeing merges with
//!   two neighbours, whatever is live. A call that grows looks twice, and has the parent's time besides.
//! * Overhead: a post of one word per block (8 bytes on 64-bit), and none of the pool's own to speak of. Rounding, apart
//!   from that: post and block together are a multiple of 16, and at least 32, bytes; 64-bit.
//!
//! Source: Knuth, "The Art of Computer Programming", volume 1, section 2.5 (1968).

use core::{alloc::Layout, ptr::NonNull};

use super::posts::{GRANULE, Index, List, Need, Post, Posts};
use crate::contract::{Canvas, Chunk, ChunkRequest, Flaw, Holes, Inspect, RawPool, Snapshot, Surrender};

/// A pool for blocks of any size in a small region, a few words large itself. For more than some hundred free blocks,
/// or when time must not depend on them, take [`Tlsf`](crate::Tlsf).
///
/// A kilobyte for values of all types, wiped when they are freed:
///
/// ```
/// use core::{alloc::Layout, mem::MaybeUninit};
/// use millpond::{Buffer, Owned, SignPost};
///
/// let mut memory = [MaybeUninit::uninit(); 1024];
/// let mut pool = Owned::new_in(SignPost::first_fit().wiping(), Buffer::new(&mut memory));
/// let numbers = pool.allocate(Layout::new::<[i32; 5]>())?.cast::<[i32; 5]>();
/// // SAFETY: the block is live and as large and aligned as five numbers.
/// unsafe { numbers.write([1, 2, 3, 4, 5]) };
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(numbers.cast(), Layout::new::<[i32; 5]>()) };
///
/// let text = pool.allocate(Layout::new::<[u8; 5]>())?.cast::<[u8; 5]>();
/// assert_eq!(text.addr(), numbers.addr()); // the same bytes again,
/// // SAFETY: the block is live, five bytes long, and a wiping pool hands out zeros.
/// assert_eq!(unsafe { text.read() }, [0; 5]); // and nothing is left in them
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Overwritten memory
///
/// As for [`Tlsf`](crate::Tlsf#overwritten-memory).
///
/// # Invariants
///
/// Those of the posts: see the sources of `posts`.
pub struct SignPost {
    posts: Posts<FreeList>,
    wiping: bool,
}

/// How a free block is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    First,
    Best,
}

impl SignPost {
    /// A pool without chunks that takes the first free block that is large enough: the quicker way.
    #[must_use]
    pub const fn first_fit() -> Self {
        Self::new(Fit::First)
    }

    /// A pool without chunks that takes the smallest free block that is large enough: looks at all of them, unless one
    /// fits exactly.
    #[must_use]
    pub const fn best_fit() -> Self {
        Self::new(Fit::Best)
    }

    const fn new(fit: Fit) -> Self {
        Self { posts: Posts::new(FreeList { fit, list: List::EMPTY }), wiping: false }
    }

    /// The same pool, which sets every byte to zero: of a block when it is freed, so that nothing stays readable, and
    /// again when it is handed out, so that the pool's own posts and links are not seen either. Costs O(size).
    #[must_use]
    pub const fn wiping(mut self) -> Self {
        self.wiping = true;
        self
    }

    /// The largest size in bytes that would now be served without a new chunk, at an alignment of two words. O(free
    /// blocks).
    #[must_use]
    pub fn largest_free(&self) -> usize {
        self.holes().largest
    }

    /// What is free, and in how many pieces. Linear in the number of blocks.
    #[must_use]
    pub fn holes(&self) -> Holes {
        self.posts.holes()
    }

    /// Zeroes the bytes of a block from `from` on.
    ///
    /// # Safety
    ///
    /// All of the block is the pool's, or just handed out.
    unsafe fn wipe(&self, block: NonNull<[u8]>, from: usize) {
        if self.wiping && from < block.len() {
            // SAFETY: the bytes lie within the block, which the caller promises is nobody else's.
            unsafe { block.cast::<u8>().add(from).write_bytes(0, block.len() - from) };
        }
    }
}

// SAFETY: `Posts` hands out what its index holds, which is free, and cuts it between posts: see its invariants. Nothing
// here unwinds.
unsafe impl RawPool for SignPost {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let block = self.posts.allocate(Need::of(layout, FreeList::LARGEST)?)?;
        // SAFETY: the block was just handed out.
        unsafe { self.wipe(block, 0) };
        Some(block)
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let need = Need::size(layout);
        // SAFETY: the block is live, as the caller promises, until the last call.
        unsafe {
            if self.wiping {
                let Some(all) = Posts::<FreeList>::all_of(block, need) else { return };
                self.wipe(all, 0);
            }
            self.posts.deallocate(block, need);
        }
    }

    fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            Some(block) => self.posts.damage_around(block.addr().get(), Need::size(layout)),
            None => self.posts.damage_ahead(Need::of(layout, FreeList::LARGEST)?).err(),
        }
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.posts.wants(layout)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.posts.adopt(chunk, layout) }
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        self.posts.surrender(which)
    }

    fn reset(&mut self) {
        self.posts.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the block is live, as the caller promises, and what it grows by was free; what it shrinks by is wiped
        // first, which is right only if it does shrink: a smaller size is never refused but for its alignment.
        unsafe {
            let all = Posts::<FreeList>::all_of(block, Need::size(old))?;
            if new.size() < all.len() && block.addr().get().is_multiple_of(new.align()) {
                self.wipe(all, new.size());
            }
            let resized = self.posts.resize_in_place(block, old, new)?;
            self.wipe(resized, all.len());
            Some(resized)
        }
    }
}

impl Inspect for SignPost {
    fn stats(&self) -> Snapshot {
        self.posts.stats()
    }

    fn largest_free(&self) -> Option<usize> {
        Some(Self::holes(self).largest)
    }

    fn holes(&self) -> Option<Holes> {
        Some(Self::holes(self))
    }

    fn paint(&self, canvas: &mut Canvas<'_>) {
        self.posts.paint(canvas);
    }

    fn owns(&self, address: *const u8) -> bool {
        self.posts.owns(address)
    }

    fn check(&self) -> Result<(), Flaw> {
        self.posts.check()
    }
}

/// All free blocks on one list.
struct FreeList {
    fit: Fit,
    list: List,
}

impl FreeList {
    /// The block for a request of this size, of those on the list, and its size.
    #[inline(always)]
    fn choose(&self, size: usize, posts: impl Iterator<Item = Post>) -> Option<(Post, usize)> {
        let mut found = None;
        for post in posts {
            let this = post.size();
            if this < size {
                continue;
            }
            if found.is_none_or(|(_, least)| this < least) {
                found = Some((post, this));
            }
            if self.fit == Fit::First || this == size {
                break;
            }
        }
        found
    }
}

impl Index for FreeList {
    const LARGEST: usize = (isize::MAX as usize) & !(GRANULE - 1);

    fn insert(&mut self, post: Post, _size: usize) {
        self.list.push(post);
    }

    fn remove(&mut self, post: Post, _size: usize) {
        self.list.unlink(post);
    }

    fn take(&mut self, size: usize) -> Option<(Post, usize)> {
        let found = self.choose(size, self.list.posts())?;
        self.list.unlink(found.0);
        Some(found)
    }

    fn next(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> Result<Option<Post>, usize> {
        let mut damage = None;
        let mut steps = 0usize;
        // Brent's way to notice that a list leads in a circle: every block is compared with the last one whose number is a
        // power of two.
        let mut last = 0;
        let sound = self.list.posts_while(|at| {
            steps += 1;
            let is_sound = owned(at) && at != last;
            if steps.is_power_of_two() {
                last = at;
            }
            if !is_sound {
                damage = Some(at);
            }
            is_sound
        });
        let found = self.choose(size, sound);
        damage.map_or(Ok(found.map(|(post, _)| post)), Err)
    }

    fn clear(&mut self) {
        self.list = List::EMPTY;
    }

    fn can_remove(&self, post: Post, _size: usize, owned: &dyn Fn(usize) -> bool) -> bool {
        self.list.is_linked(post, owned)
    }

    fn can_insert(&self, _size: usize, owned: &dyn Fn(usize) -> bool) -> bool {
        self.list.can_push(owned)
    }

    fn check(&self, count: usize, owned: &dyn Fn(usize) -> bool) -> Result<(), &'static str> {
        let found = self.list.check(count, owned, |_| true)?;
        if found == count { Ok(()) } else { Err("a free block is on no list") }
    }
}
