//! One segment: a chunk of blocks, then a link for each, then the segment's own record.
//!
//! The link of a block lies where its number says, as the block does. Blocks that are handed out for the first time one after
//! the other have links on different lines of cache: or two threads that have one block each would fight about the line of
//! their links, too. So within each window of 256 blocks, 16 lines of links, the blocks are first handed out column by column.
//! Only as many windows are touched as there were blocks in use at once.

use core::ptr::NonNull;

use super::list::{Links, NONE};
use crate::base::{
    address::{WORD, align_up},
    atomic::AtomicU32,
};

/// Bytes per link.
const LINK: usize = size_of::<AtomicU32>();

/// A chunk cut into blocks.
pub(super) struct Segment {
    /// All of the chunk, as the parent handed it out. The blocks come first.
    pub(super) memory: NonNull<[u8]>,
    /// The links; each is initialised when its block is handed out for the first time.
    pub(super) links: *mut AtomicU32,
    /// Blocks.
    pub(super) count: u32,
}

/// The logarithm of how many links are on a line of cache.
const LINE: u32 = 4;

/// Blocks in a window: as many lines of links as there are links on a line.
const WINDOW: u32 = 1 << (2 * LINE);

/// The window that a block or a turn is in: its first block, and the logarithm of how many whole lines of links it has. The
/// last window of `count` blocks may have fewer.
fn window(number: u32, count: u32) -> (u32, u32) {
    let first = number & !(WINDOW - 1);
    let lines = WINDOW.min(count - first) >> LINE;
    (first, lines.max(1).ilog2())
}

/// Which of `count` blocks is handed out as this one, for the first time: in a table of 2^`rows` rows with a line of links
/// each, blocks lie along the rows and their turns come down the columns. What is behind the table is as it is.
fn in_turn(turn: u32, count: u32) -> u32 {
    let (first, rows) = window(turn, count);
    let turn = turn - first;
    first + if turn >> rows < 1 << LINE { turn >> rows | (turn & ((1 << rows) - 1)) << LINE } else { turn }
}

/// When it is the turn of this block: undoes [`in_turn`].
fn turn_of(block: u32, count: u32) -> u32 {
    let (first, rows) = window(block, count);
    let block = block - first;
    first
        + if block >> rows < 1 << LINE { block >> LINE | (block & ((1 << LINE) - 1)) << rows } else { block }
}

impl Segment {
    /// Bytes of a segment of so many blocks.
    pub(super) const fn bytes(count: usize, size: usize) -> Option<usize> {
        match count.checked_mul(size + LINK) {
            Some(bytes) => align_up(bytes, WORD).checked_add(size_of::<Self>()),
            None => None,
        }
    }

    /// How many blocks a chunk of so many bytes is cut into, `most` at most.
    pub(super) fn room(bytes: usize, size: usize, most: u32) -> usize {
        let room = bytes.saturating_sub(size_of::<Self>()) / WORD * WORD;
        (room / (size + LINK)).min(most as usize)
    }

    /// Cuts a chunk into at most `most` blocks.
    ///
    /// # Safety
    ///
    /// The chunk is the caller's, aligned to a word and for blocks, and has room for one.
    pub(super) unsafe fn cut(memory: NonNull<[u8]>, size: usize, most: u32) -> NonNull<Self> {
        let count = Self::room(memory.len(), size, most);
        let start = memory.cast::<u8>();
        // SAFETY: blocks, links and the record lie in the chunk, one behind the other: that is how `count` was chosen. A
        // block's size is a multiple of a word, so each is aligned.
        unsafe {
            let links = start.add(count * size).cast::<AtomicU32>().as_ptr();
            let record = start.add(align_up(count * (size + LINK), WORD)).cast::<Self>();
            record.write(Self { memory, links, count: count as u32 });
            record
        }
    }

    /// Where this block begins.
    pub(super) fn block(&self, block: u32, size: usize) -> NonNull<u8> {
        // SAFETY: whoever has the number has it from this segment.
        unsafe { self.memory.cast::<u8>().add(block as usize * size) }
    }

    /// Which block is at this address, if that is in the segment.
    pub(super) fn block_at(&self, address: usize, size: usize) -> Option<u32> {
        let bytes = address.wrapping_sub(self.memory.addr().get());
        (bytes < self.count as usize * size).then(|| (bytes / size) as u32)
    }

    /// Which block is handed out as this one, for the first time. Its link is initialised.
    ///
    /// # Safety
    ///
    /// It is the caller's turn.
    pub(super) unsafe fn first_time(&self, turn: u32) -> u32 {
        let block = in_turn(turn, self.count);
        // SAFETY: nobody else has the block, hence the link.
        unsafe { self.links.add(block as usize).write(AtomicU32::new(NONE)) };
        block
    }

    /// Whether this block was among the first `turns` to be handed out.
    pub(super) fn has_had(&self, block: u32, turns: u32) -> bool {
        block < self.count && turn_of(block, self.count) < turns
    }

    /// The blocks, the one that is handed out first before the others.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = u32> {
        (0..self.count).map(|turn| in_turn(turn, self.count))
    }

    pub(super) fn start(&self) -> usize {
        self.memory.addr().get()
    }

    pub(super) fn bytes_held(&self) -> usize {
        self.memory.len()
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// What is needed of the first segment: so it need not be looked up, nor its record be read.
pub(super) struct Near {
    pub(super) start: *mut u8,
    pub(super) links: *mut AtomicU32,
    /// Its blocks; zero as long as the rest may not be there.
    pub(super) count: u32,
}

impl Near {
    /// The block with this number, if it is in the first segment.
    #[inline(always)]
    pub(super) fn block(&self, number: u32, size: usize) -> Option<NonNull<u8>> {
        if number >= self.count {
            return None;
        }
        // SAFETY: the first segment has more blocks than that.
        Some(unsafe { NonNull::new_unchecked(self.start.add(number as usize * size)) })
    }

    /// The number of the block at this address, if it is in the first segment.
    #[inline(always)]
    pub(super) fn number_of(&self, address: usize, size: usize) -> Option<u32> {
        let block = address.wrapping_sub(self.start.addr()) / size;
        (block < self.count as usize).then_some(block as u32)
    }
}

impl Links for Near {
    #[inline(always)]
    fn link(&self, number: u32) -> &AtomicU32 {
        debug_assert!(number < self.count, "the number is in the first segment");
        // SAFETY: the number is in this segment, and its link was initialised when it was handed out for the first time.
        unsafe { &*self.links.add(number as usize) }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Every block has its turn, and neighbours in turn have links on different lines where there are lines enough.
    #[test]
    fn each_block_has_its_turn() {
        for count in [1u32, 2, 15, 16, 17, 31, 32, 60, 64, 100, 255, 256, 257, 300, 500, 1000, 1024] {
            let mut blocks: Vec<u32> = (0..count).map(|turn| in_turn(turn, count)).collect();
            assert!((0..count).all(|turn| turn_of(in_turn(turn, count), count) == turn), "{count}");
            assert!(count < 32 || blocks[0] >> LINE != blocks[1] >> LINE);
            blocks.sort_unstable();
            assert!(blocks.into_iter().eq(0..count), "{count}");
        }
    }

    /// However many blocks a segment has, those that are handed out first lie together.
    #[test]
    fn few_windows_are_touched() {
        for used in [1, 255, 256, 257, 5000] {
            let last = (0..used).map(|turn| in_turn(turn, 1 << 20)).max();
            assert!(last < Some(u32::next_multiple_of(used, WINDOW)), "{used}");
        }
    }
}
