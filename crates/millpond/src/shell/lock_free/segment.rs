//! One segment: a chunk of blocks, and a table with a link for each.
//!
//! Blocks come and go: a [trim](super::trim) returns them to the parent while nothing in them is live. The table stays as long as the
//! pool, because a thread that was stopped while it took a block reads the block's link, whatever has become of the block. So it
//! is a chunk of its own; but for the first segment, which is one chunk and stays: a small pool asks its parent once.
//!
//! The link of a block lies where its number says, as the block does. Blocks that are handed out for the first time one after
//! the other have links on different lines of cache: or two threads that have one block each would fight about the line of
//! their links, too. So within each window of 256 blocks, 16 lines of links, the blocks are first handed out column by column.
//! Only as many windows are touched as there were blocks in use at once.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    sync::treiber_stack::{LinkTable, NIL},
};

/// Bytes per link.
const LINK: usize = size_of::<AtomicU32>();

/// The record at the start of a table. The links lie behind it.
///
/// # Invariants
///
/// * Who sees that blocks are `here` sees their `start`, or that of later ones.
pub(super) struct Segment {
    pub(super) links: *mut AtomicU32,
    /// The blocks, or those that were here last.
    start: AtomicPtr<u8>,
    /// Bytes of their chunk.
    bytes: AtomicUsize,
    /// Blocks.
    pub(super) count: u32,
    /// Whether the table lies in the chunk of the blocks, behind them.
    is_whole: bool,
    /// As `count` while the blocks are here, zero while the parent has them.
    here: AtomicU32,
    /// Links that were initialised before the blocks were here, in turn.
    initialised: AtomicU32,
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
    /// How many blocks there is room for in so many bytes, along with their table.
    pub(super) fn room(bytes: usize, size: usize) -> usize {
        bytes.saturating_sub(size_of::<Self>()) / (size + LINK)
    }

    /// The layout of so many blocks.
    pub(super) fn blocks(count: usize, block: Layout) -> Option<Layout> {
        Layout::from_size_align(count.checked_mul(block.size())?, block.align()).ok()
    }

    /// The layout of the table for so many blocks, its record included.
    pub(super) fn table(count: usize) -> Option<Layout> {
        let bytes = count.checked_mul(LINK)?.checked_add(size_of::<Self>())?;
        Layout::from_size_align(bytes, align_of::<Self>()).ok()
    }

    /// The layout of so many blocks with their table behind them.
    pub(super) fn whole(count: usize, block: Layout) -> Option<Layout> {
        let bytes = Self::blocks(count, block)?.size().checked_add(Self::table(count)?.size())?;
        Layout::from_size_align(bytes, block.align()).ok()
    }

    /// Cuts a chunk into at most `max_segments` blocks and their table.
    ///
    /// # Safety
    ///
    /// The chunk is the caller's, aligned as the layout says, and has room for one.
    pub(super) unsafe fn cut(memory: NonNull<[u8]>, size: usize, max_segments: usize) -> NonNull<Self> {
        let count = Self::room(memory.len(), size).min(max_segments);
        // SAFETY: blocks and table lie in the chunk, one behind the other: that is how `count` was chosen. A block's size is a
        // multiple of a word, so the table is aligned, too.
        unsafe { Self::write(memory.cast().add(count * size), memory, count as u32, true) }
    }

    /// Writes the table of a segment whose blocks are in this chunk.
    ///
    /// # Safety
    ///
    /// Both are the caller's, have room for `count` blocks and their links, and are aligned as the layouts say.
    pub(super) unsafe fn write(
        table: NonNull<u8>,
        blocks: NonNull<[u8]>,
        count: u32,
        is_whole: bool,
    ) -> NonNull<Self> {
        let record = table.cast::<Self>();
        // SAFETY: record and links lie in the table, one behind the other.
        unsafe {
            record.write(Self {
                links: record.add(1).cast().as_ptr(),
                start: AtomicPtr::new(blocks.as_ptr().cast()),
                bytes: AtomicUsize::new(blocks.len()),
                count,
                is_whole,
                here: AtomicU32::new(count),
                initialised: AtomicU32::new(0),
            });
        }
        record
    }

    /// Says where the blocks are from now on. Their segment is closed, and the caller's.
    pub(super) fn come(&self, blocks: NonNull<[u8]>) {
        self.start.store(blocks.as_ptr().cast(), Ordering::Relaxed);
        self.bytes.store(blocks.len(), Ordering::Relaxed);
        self.here.store(self.count, Ordering::Release);
    }

    /// Says that the blocks are not here any more, and where they were. `had` of them were handed out. Their segment is closed,
    /// and the caller's.
    pub(super) fn go(&self, had: u32) -> Option<NonNull<[u8]>> {
        self.here.store(0, Ordering::Relaxed);
        let initialised = self.initialised.load(Ordering::Relaxed);
        self.initialised.store(initialised.max(had), Ordering::Relaxed);
        self.memory()
    }

    /// The chunk of the blocks, or of those that were here last.
    fn memory(&self) -> Option<NonNull<[u8]>> {
        let start = NonNull::new(self.start.load(Ordering::Relaxed))?;
        Some(NonNull::slice_from_raw_parts(start, self.bytes.load(Ordering::Relaxed)))
    }

    /// Where this block begins. If the blocks have gone, that is where it was: it is not touched, and nobody has its number.
    #[inline(always)]
    pub(super) fn block(&self, block: u32, size: usize) -> NonNull<u8> {
        let start = self.start.load(Ordering::Relaxed);
        // SAFETY: a block that is here lies in the chunk, and the address of one that was there was not null.
        unsafe { NonNull::new_unchecked(start.wrapping_add(block as usize * size)) }
    }

    /// Which block is at this address, if that is in the segment.
    ///
    /// A live block that is elsewhere is never found: if blocks of this segment were where it is, they went before it came, and so
    /// whoever has it sees that they have gone, or where they are since.
    pub(super) fn block_at(&self, address: usize, size: usize) -> Option<u32> {
        let here = self.here.load(Ordering::Acquire);
        let bytes = address.wrapping_sub(self.start.load(Ordering::Relaxed).addr());
        (bytes < here as usize * size).then(|| (bytes / size) as u32)
    }

    #[inline(always)]
    pub(super) fn link(&self, block: u32) -> &AtomicU32 {
        // SAFETY: the table has a link for each block, and whoever has a number has it from who initialised its link.
        unsafe { &*self.links.add(block as usize) }
    }

    /// Which block is handed out as this one, for the first time since the blocks came. Its link is initialised.
    ///
    /// # Safety
    ///
    /// It is the caller's turn.
    pub(super) unsafe fn first_time(&self, turn: u32) -> u32 {
        let block = in_turn(turn, self.count);
        if turn >= self.initialised.load(Ordering::Relaxed) {
            // SAFETY: nobody else has the block, or ever had it: so nobody reads the link.
            unsafe { self.links.add(block as usize).write(AtomicU32::new(NIL)) };
        }
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

    /// How many blocks are here: all, or none.
    pub(super) fn here(&self) -> u32 {
        self.here.load(Ordering::Acquire)
    }

    /// Whether the blocks may go.
    pub(super) fn may_go(&self) -> bool {
        !self.is_whole && self.here() != 0
    }

    /// The chunk of the blocks, if they are here.
    pub(super) fn blocks_here(&self) -> Option<NonNull<[u8]>> {
        self.memory().filter(|_| self.here() != 0)
    }

    /// The chunk of the table, if it has one of its own.
    pub(super) fn table_apart(&self) -> Option<NonNull<[u8]>> {
        // SAFETY: the record is in front of the links.
        let record = unsafe { self.links.cast::<Self>().sub(1) };
        let table = NonNull::new(record.cast()).filter(|_| !self.is_whole)?;
        Some(NonNull::slice_from_raw_parts(table, size_of::<Self>() + self.count as usize * LINK))
    }

    /// Both.
    pub(super) fn chunks(&self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.blocks_here().into_iter().chain(self.table_apart())
    }
}

/// What is needed of the first segment: so it need not be looked up, nor its record be read.
pub(super) struct FirstSegment {
    pub(super) start: *mut u8,
    pub(super) links: *mut AtomicU32,
    /// Its blocks; zero as long as the rest may not be there.
    pub(super) count: u32,
}

impl FirstSegment {
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

impl LinkTable for FirstSegment {
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
