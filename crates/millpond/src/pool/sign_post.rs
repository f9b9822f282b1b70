//! Boundary tags: a region is divided into blocks by headers, each of which holds the distance to the next and whether
//! its block is free.
//!
//! Free blocks are on one list, last freed first. *First fit* takes the first block that is large enough, *best fit*
//! the smallest one. The remainder is split off and stays free; a freed block is merged with its free neighbours at
//! once.
//!
//! * Allocate: O(free blocks). Free, resize in place: O(1). Trim: O(chunks). Reset: O(chunks).
//! * Worst case of one call: allocating examines every free block, twice if the alignment exceeds the granule; freeing
//!   merges with two neighbours, independently of what is live. A call that grows searches twice and also takes the
//!   parent's time.
//! * Overhead: a header of one word per block (8 bytes on 64-bit machines); the pool itself is a few words. In
//!   addition, sizes are rounded: header and block together take a multiple of 16 and at least 32 bytes on 64-bit
//!   machines.
//!
//! Source: Knuth, "The Art of Computer Programming", volume 1, section 2.5 (1968).

use core::{alloc::Layout, ptr::NonNull};

use super::boundary_tags::{BoundaryTags, GRANULE, Index, List, SizedRequest, Tag};
use crate::traits::{
    Chunk, ChunkRequest, HeapMapBuilder, Holes, Inspect, InvariantError, PoolHooks, PoolStats, RawPool,
    Release,
};

/// A pool for blocks of any size in a small region; the pool itself takes a few words. With more than a few hundred
/// free blocks, or if the time of a call must not depend on their number, use [`Tlsf`](crate::Tlsf).
///
/// One kilobyte for values of all types, wiped when they are freed:
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
/// assert_eq!(text.addr(), numbers.addr()); // the same memory again,
/// // SAFETY: the block is live, five bytes long, and a wiping pool hands out zeros.
/// assert_eq!(unsafe { text.read() }, [0; 5]); // with its old contents wiped
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Overwritten memory
///
/// The same as for [`Tlsf`](crate::Tlsf#overwritten-memory).
///
/// # Invariants
///
/// Those of the boundary tags: see the module `boundary_tags`.
pub struct SignPost {
    tags: BoundaryTags<FitList>,
    wiping: bool,
}

/// How a free block is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    First,
    Best,
}

impl SignPost {
    /// Creates a pool without chunks that takes the first free block that is large enough: the faster method.
    #[must_use]
    pub const fn first_fit() -> Self {
        Self::new(Fit::First)
    }

    /// Creates a pool without chunks that takes the smallest free block that is large enough. It examines all free
    /// blocks, unless one fits exactly.
    #[must_use]
    pub const fn best_fit() -> Self {
        Self::new(Fit::Best)
    }

    const fn new(fit: Fit) -> Self {
        Self { tags: BoundaryTags::new(FitList { fit, list: List::EMPTY }), wiping: false }
    }

    /// Sets every byte of a block to zero when the block is freed, so that nothing stays readable, and again when it is
    /// allocated, so that the pool's own headers and links are not visible either. Costs O(size).
    #[must_use]
    pub const fn wiping(mut self) -> Self {
        self.wiping = true;
        self
    }

    /// Returns the largest size, in bytes, that can be allocated without a new chunk, at an alignment of two words.
    /// O(free blocks).
    #[must_use]
    pub fn largest_free(&self) -> usize {
        self.holes().largest
    }

    /// Returns how much memory is free, and in how many pieces. O(blocks).
    #[must_use]
    pub fn holes(&self) -> Holes {
        self.tags.holes()
    }

    /// Zeroes the bytes of a block from `from` on.
    ///
    /// # Safety
    ///
    /// The whole block belongs to the pool, or was just allocated.
    unsafe fn wipe(&self, block: NonNull<[u8]>, from: usize) {
        if self.wiping && from < block.len() {
            // SAFETY: the bytes lie within the block, and the caller guarantees that nothing else uses it.
            unsafe { block.cast::<u8>().add(from).write_bytes(0, block.len() - from) };
        }
    }
}

// SAFETY: `BoundaryTags` hands out blocks of its index, which are free, and splits them at headers: see its invariants.
// Nothing here unwinds.
unsafe impl RawPool for SignPost {
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let block = self.tags.allocate(SizedRequest::of(layout, FitList::LARGEST)?)?;
        // SAFETY: the block was just allocated.
        unsafe { self.wipe(block, 0) };
        Some(block)
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        let need = SizedRequest::size(layout);
        // SAFETY: the caller guarantees that the block is live, which it is until the last call.
        unsafe {
            if self.wiping {
                let Some(all) = BoundaryTags::<FitList>::all_of(block, need) else { return };
                self.wipe(all, 0);
            }
            self.tags.deallocate(block, need);
        }
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.tags.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`: the chunk belongs to this pool alone.
        unsafe { self.tags.add_chunk(chunk, layout) }
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.tags.release_chunk(which)
    }

    fn reset(&mut self) {
        self.tags.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller guarantees that the block is live, and the bytes that it grows by were free. The bytes
        // that it shrinks by are wiped first, which is correct because shrinking succeeds: a smaller size is refused
        // only because of its alignment.
        unsafe {
            let all = BoundaryTags::<FitList>::all_of(block, SizedRequest::size(old))?;
            if new.size() < all.len() && block.addr().get().is_multiple_of(new.align()) {
                self.wipe(all, new.size());
            }
            let resized = self.tags.resize_in_place(block, old, new)?;
            self.wipe(resized, all.len());
            Some(resized)
        }
    }
}

impl PoolHooks for SignPost {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        match block {
            Some(block) => self.tags.damage_around(block.addr().get(), SizedRequest::size(layout)),
            None => self.tags.damage_ahead(SizedRequest::of(layout, FitList::LARGEST)?).err(),
        }
    }
}

impl Inspect for SignPost {
    fn stats(&self) -> PoolStats {
        self.tags.stats()
    }

    fn largest_free(&self) -> Option<usize> {
        Some(Self::holes(self).largest)
    }

    fn holes(&self) -> Option<Holes> {
        Some(Self::holes(self))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.tags.render(builder);
    }

    fn owns(&self, address: *const u8) -> bool {
        self.tags.owns(address)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.tags.check()
    }
}

/// All free blocks on one list.
struct FitList {
    fit: Fit,
    list: List,
}

impl FitList {
    /// Returns the block on the list that serves a request of this size, and the block's size.
    #[inline(always)]
    fn choose(&self, size: usize, tags: impl Iterator<Item = Tag>) -> Option<(Tag, usize)> {
        let mut found = None;
        for tag in tags {
            let this = tag.size();
            if this < size {
                continue;
            }
            if found.is_none_or(|(_, least)| this < least) {
                found = Some((tag, this));
            }
            if self.fit == Fit::First || this == size {
                break;
            }
        }
        found
    }
}

impl Index for FitList {
    const LARGEST: usize = (isize::MAX as usize) & !(GRANULE - 1);

    fn insert(&mut self, tag: Tag, _size: usize) {
        self.list.push(tag);
    }

    fn remove(&mut self, tag: Tag, _size: usize) -> bool {
        self.list.unlink(tag).is_some()
    }

    fn take(&mut self, size: usize) -> Option<(Tag, usize)> {
        let found = self.choose(size, self.list.tags())?;
        self.list.unlink(found.0)?;
        Some(found)
    }

    fn next(&self, size: usize, owned: &dyn Fn(usize) -> bool) -> Result<Option<Tag>, usize> {
        let mut damage = None;
        let mut steps = 0usize;
        // Brent's cycle detection: every block is compared with the last one whose number is a power of two.
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
        damage.map_or(Ok(found.map(|(tag, _)| tag)), Err)
    }

    fn clear(&mut self) {
        self.list = List::EMPTY;
    }

    fn can_remove(&self, tag: Tag, _size: usize, owned: &dyn Fn(usize) -> bool) -> bool {
        self.list.is_linked(tag, owned)
    }

    fn can_insert(&self, _size: usize, owned: &dyn Fn(usize) -> bool) -> bool {
        self.list.can_push(owned)
    }

    fn check(&self, count: usize, owned: &dyn Fn(usize) -> bool) -> Result<(), &'static str> {
        let found = self.list.check(count, owned, |_| true)?;
        if found == count { Ok(()) } else { Err("a free block is on no list") }
    }
}
