//! One header, and the words around it.
//!
//! ```text
//!          ┌ tag ┐┌──────────── block ────────────┐┌ tag ┐┌─ …
//! live:    │ size ││ the caller's, to the last byte ││ size ││
//! free:    │ size ││ next │ prev │   …   │  size   ││ size ││
//!          └──────┘└───────────────────────────────┘└──────┘└─ …
//! ```
//!
//! A header is one word in front of its block: the distance to the next block, and two flags in the low bits that are
//! always zero in a distance. A free block repeats its size in its last word, so that the block behind can find it; a
//! live block does not.

use core::mem::MaybeUninit;

use crate::base::address::{WORD, recover};

/// The alignment of blocks, and of their sizes including the header, in bytes: 16 on 64-bit machines.
pub(in crate::pool) const GRANULE: usize = 2 * WORD;
/// The size of the smallest block, including its header: room for the two links of a free block and the repeated size.
pub(in crate::pool) const MIN_BLOCK: usize = 4 * WORD;

/// This block is free.
const FREE: usize = 1;
/// The block in front of this one is free.
const PREV_FREE: usize = 2;
const FLAGS: usize = FREE | PREV_FREE;

/// A block with its header, identified by the address of the block.
///
/// # Invariants
///
/// The word in front of the address is a header, in a chunk that was added and exposed and that is divided into blocks
/// by headers. All methods rely on this. The address is a multiple of [`GRANULE`] and not zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::pool) struct Tag(usize);

impl Tag {
    /// Returns the block at an address.
    ///
    /// # Safety
    ///
    /// The invariant holds, or will hold after the first call, which must be to [`set_live`](Self::set_live) or
    /// [`set_free`](Self::set_free).
    #[inline(always)]
    pub(in crate::pool) unsafe fn at(block: usize) -> Self {
        Self(block)
    }

    /// Returns the address of the block.
    #[inline(always)]
    pub(in crate::pool) fn block(self) -> usize {
        self.0
    }

    #[inline(always)]
    fn read(self, address: usize) -> usize {
        // SAFETY: callers pass the address of a word in this block, of its header, or of the end of a free block in
        // front of it; see the invariant.
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

    /// Reads the header once.
    #[inline(always)]
    pub(in crate::pool) fn header(self) -> Header {
        Header(self.word())
    }

    /// Returns the word where the header behind this block would lie if the size of the block were `likely`, which is a
    /// lower bound. The read is volatile so that the compiler does not move it behind another read.
    #[inline(always)]
    pub(in crate::pool) fn speculate(self, likely: usize) -> MaybeUninit<Header> {
        // SAFETY: the word lies in this block or is the header behind it; it may have any value.
        unsafe { recover::<MaybeUninit<Header>>(self.0 + likely - WORD).read_volatile() }
    }

    /// Returns the number of bytes from this block to the next: the block and one header.
    #[inline(always)]
    pub(in crate::pool) fn size(self) -> usize {
        self.header().size()
    }

    /// Returns the block behind this one, whose size is `size`.
    #[inline(always)]
    pub(in crate::pool) fn after(self, size: usize) -> Self {
        Self(self.0 + size)
    }

    /// Returns the free block in front, and its size. Only valid if the header says that there is one.
    #[inline(always)]
    pub(in crate::pool) fn before(self) -> (Self, usize) {
        let size = self.read(self.0 - 2 * WORD);
        // A size that was overwritten may lead anywhere: functions that only read compare the address before they
        // follow it.
        (Self(self.0.wrapping_sub(size)), size)
    }

    /// Returns whether a free block of this size, as its header says, ends with the same size. If its header was
    /// overwritten, what lies there may be anything.
    #[inline(always)]
    pub(in crate::pool) fn ends_with(self, size: usize) -> bool {
        self.after(size).before().1 == size
    }

    /// Writes the header of a live block.
    #[inline(always)]
    pub(in crate::pool) fn set_live(self, size: usize, prev_free: bool) {
        self.set_word(size | if prev_free { PREV_FREE } else { 0 });
    }

    /// Writes the header of a free block, and its size at its end. No other free block is adjacent to it.
    #[inline(always)]
    pub(in crate::pool) fn set_free(self, size: usize) {
        self.set_word(size | FREE);
        self.write(self.0 + size - 2 * WORD, size);
    }

    /// Records whether the block in front is free.
    #[inline(always)]
    pub(in crate::pool) fn set_prev_free(self, prev_free: bool) {
        let word = self.word();
        self.set_word(if prev_free { word | PREV_FREE } else { word & !PREV_FREE });
    }

    /// Returns the link of a free block to the next in its list; zero at the end of the list.
    #[inline(always)]
    pub(super) fn next(self) -> usize {
        self.read(self.0)
    }

    #[inline(always)]
    pub(super) fn set_next(self, next: usize) {
        self.write(self.0, next);
    }

    /// Returns the link of a free block to the previous one in its list. Stale in the first block of a list.
    #[inline(always)]
    pub(super) fn prev(self) -> usize {
        self.read(self.0 + WORD)
    }

    #[inline(always)]
    pub(super) fn set_prev(self, prev: usize) {
        self.write(self.0 + WORD, prev);
    }
}

/// The header of a block.
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
