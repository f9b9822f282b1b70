//! One post, and what stands around it.
//!
//! ```text
//!          ┌ tag ┐┌──────────── block ────────────┐┌ tag ┐┌─ …
//! live:    │ size ││ the holder's, to the last byte ││ size ││
//! free:    │ size ││ next │ prev │   …   │  size   ││ size ││
//!          └──────┘└───────────────────────────────┘└──────┘└─ …
//! ```
//!
//! A post is one word in front of its block: the distance to the next block, and two flags in the low bits that are
//! always zero in a distance. A free block repeats its size in its last word, so that the block behind it finds it; a
//! live block does not, and needs to tell nobody.

use core::mem::MaybeUninit;

use crate::base::address::{WORD, recover};

/// Blocks start, and their sizes with the post are, at multiples of this many bytes: 16 on 64-bit machines.
pub(in crate::pool) const GRANULE: usize = 2 * WORD;
/// The smallest block with its post: room for a free block's two links and the repeated size.
pub(in crate::pool) const MIN_BLOCK: usize = 4 * WORD;

/// This block is free.
const FREE: usize = 1;
/// The block in front of this one is free.
const PREV_FREE: usize = 2;
const FLAGS: usize = FREE | PREV_FREE;

/// A block with its post, known by the address of the block.
///
/// # Invariant
///
/// The word in front of the address is a post, in a chunk that was adopted and exposed and whose blocks are cut
/// between posts. All methods rest on this. The address is a multiple of [`GRANULE`] and not zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::pool) struct Tag(usize);

impl Tag {
    /// The post in front of a block.
    ///
    /// # Safety
    ///
    /// The invariant holds, or does after the first call, to [`set_live`](Self::set_live) or [`free`](Self::free).
    #[inline(always)]
    pub(in crate::pool) unsafe fn at(block: usize) -> Self {
        Self(block)
    }

    /// Where the block starts.
    #[inline(always)]
    pub(in crate::pool) fn block(self) -> usize {
        self.0
    }

    #[inline(always)]
    fn read(self, address: usize) -> usize {
        // SAFETY: callers pass the address of a word in this block, of its post, or of a free block's end in front of
        // it; see the invariant.
        unsafe { recover::<usize>(address).read() }
    }

    #[inline(always)]
    fn write(self, address: usize, word: usize) {
        // SAFETY: as for `read`.
        unsafe { recover::<usize>(address).write(word) };
    }

    #[inline(always)]
    fn word(self) -> usize {
        self.read(self.0 - WORD)
    }

    #[inline(always)]
    fn set_word(self, word: usize) {
        self.write(self.0 - WORD, word);
    }

    /// What the post says, read once.
    #[inline(always)]
    pub(in crate::pool) fn header(self) -> Header {
        Header(self.word())
    }

    /// The word where a post behind this block would stand if the block were `likely` bytes large, which it is at least.
    /// Read here and not later: the compiler does not move it behind another read.
    #[inline(always)]
    pub(in crate::pool) fn speculate(self, likely: usize) -> MaybeUninit<Header> {
        // SAFETY: the word lies in this block or is the post behind it; it may be anything.
        unsafe { recover::<MaybeUninit<Header>>(self.0 + likely - WORD).read_volatile() }
    }

    /// Bytes from this block to the next: the block and one post.
    #[inline(always)]
    pub(in crate::pool) fn size(self) -> usize {
        self.header().size()
    }

    /// The post behind this block, which is `size` bytes large.
    #[inline(always)]
    pub(in crate::pool) fn after(self, size: usize) -> Self {
        Self(self.0 + size)
    }

    /// The free block in front, with its size. Only if the sign says that there is one.
    #[inline(always)]
    pub(in crate::pool) fn before(self) -> (Self, usize) {
        let size = self.read(self.0 - 2 * WORD);
        // A size that was overwritten leads anywhere: who only looks compares before it follows.
        (Self(self.0.wrapping_sub(size)), size)
    }

    /// Puts the post of a live block here.
    #[inline(always)]
    pub(in crate::pool) fn set_live(self, size: usize, prev_free: bool) {
        self.set_word(size | if prev_free { PREV_FREE } else { 0 });
    }

    /// Puts the post of a free block here, and its size at its end. No other free block touches it.
    #[inline(always)]
    pub(in crate::pool) fn set_free(self, size: usize) {
        self.set_word(size | FREE);
        self.write(self.0 + size - 2 * WORD, size);
    }

    /// Notes that the block in front is free, or that it is not.
    #[inline(always)]
    pub(in crate::pool) fn set_prev_free(self, prev_free: bool) {
        let word = self.word();
        self.set_word(if prev_free { word | PREV_FREE } else { word & !PREV_FREE });
    }

    /// The link of a free block to the next in its list; zero ends the list.
    #[inline(always)]
    pub(super) fn next(self) -> usize {
        self.read(self.0)
    }

    #[inline(always)]
    pub(super) fn set_next(self, next: usize) {
        self.write(self.0, next);
    }

    /// The link of a free block to the one that has it as its next. Stale in the first of a list.
    #[inline(always)]
    pub(super) fn prev(self) -> usize {
        self.read(self.0 + WORD)
    }

    #[inline(always)]
    pub(super) fn set_prev(self, prev: usize) {
        self.write(self.0 + WORD, prev);
    }
}

/// The word of a post.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(in crate::pool) struct Header(usize);

impl Header {
    #[inline(always)]
    pub(in crate::pool) fn size(self) -> usize {
        self.0 & !FLAGS
    }

    #[inline(always)]
    pub(in crate::pool) fn is_free(self) -> bool {
        self.0 & FREE != 0
    }

    #[inline(always)]
    pub(in crate::pool) fn is_prev_free(self) -> bool {
        self.0 & PREV_FREE != 0
    }
}

const _: () = assert!(FLAGS < GRANULE, "sizes leave the flags' bits alone");
