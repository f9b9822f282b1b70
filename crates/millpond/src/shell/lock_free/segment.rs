//! One segment: a chunk of blocks, and a table with a link for each.
//!
//! Blocks come and go: a [trim](super::trim) returns them to the parent while none of them is live. The table stays as
//! long as the pool, because a thread that was stopped while it popped a block reads the block's link, whatever has
//! become of the block. The table is therefore a chunk of its own, except for the first segment, which is one chunk and
//! stays: a small pool calls its parent once.
//!
//! The link of a block lies where its number says, as the block does. Blocks that are handed out for the first time one
//! after another have links on different cache lines: otherwise two threads with one block each would contend for the
//! line of their links. Within each window of 256 blocks, which has 16 lines of links, blocks are therefore first
//! handed out column by column. Only as many windows are touched as there were blocks in use at once.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering},
    sync::treiber_stack::{LinkTable, NIL},
};

/// Size of a link in bytes.
const LINK: usize = size_of::<AtomicU32>();

/// The record at the start of a table. The links lie behind it.
///
/// # Invariants
///
/// * A thread that sees that the blocks are `here` sees their `start`, or that of later ones.
pub(super) struct Segment {
    pub(super) links: *mut AtomicU32,
    /// The start of the blocks, or of those that were here last.
    start: AtomicPtr<u8>,
    /// Size of the blocks' chunk in bytes.
    bytes: AtomicUsize,
    /// Number of blocks.
    pub(super) count: u32,
    /// Whether the table lies in the chunk of the blocks, behind them.
    is_whole: bool,
    /// Equal to `count` while the blocks are here, zero while the parent has them.
    here: AtomicU32,
    /// Number of links that were initialized before the blocks came, in order of turns.
    initialised: AtomicU32,
}

/// Logarithm of the number of links on a cache line.
const LINE: u32 = 4;

/// Number of blocks in a window: as many lines of links as there are links on a line.
const WINDOW: u32 = 1 << (2 * LINE);

/// Returns the window of a block or turn: its first block, and the logarithm of its number of whole lines of links. The
/// last window of `count` blocks may have fewer.
fn window(number: u32, count: u32) -> (u32, u32) {
    let first = number & !(WINDOW - 1);
    let lines = WINDOW.min(count - first) >> LINE;
    (first, lines.max(1).ilog2())
}

/// Returns which of `count` blocks is handed out at this turn, for the first time: in a table of 2^`rows` rows with a
/// line of links each, blocks lie along the rows and turns run down the columns. The order after the table is
/// unchanged.
fn in_turn(turn: u32, count: u32) -> u32 {
    let (first, rows) = window(turn, count);
    let turn = turn - first;
    first + if turn >> rows < 1 << LINE { turn >> rows | (turn & ((1 << rows) - 1)) << LINE } else { turn }
}

/// Returns the turn of this block: the inverse of [`in_turn`].
fn turn_of(block: u32, count: u32) -> u32 {
    let (first, rows) = window(block, count);
    let block = block - first;
    first
        + if block >> rows < 1 << LINE { block >> LINE | (block & ((1 << LINE) - 1)) << rows } else { block }
}

impl Segment {
    /// Returns how many blocks fit in `bytes` bytes, along with their table.
    pub(super) fn room(bytes: usize, size: usize) -> usize {
        bytes.saturating_sub(size_of::<Self>()) / (size + LINK)
    }

    /// Returns the layout of `count` blocks.
    pub(super) fn blocks(count: usize, block: Layout) -> Option<Layout> {
        Layout::from_size_align(count.checked_mul(block.size())?, block.align()).ok()
    }

    /// Returns the layout of the table for `count` blocks, including its record.
    pub(super) fn table(count: usize) -> Option<Layout> {
        let bytes = count.checked_mul(LINK)?.checked_add(size_of::<Self>())?;
        Layout::from_size_align(bytes, align_of::<Self>()).ok()
    }

    /// Returns the layout of `count` blocks with their table behind them.
    pub(super) fn whole(count: usize, block: Layout) -> Option<Layout> {
        let bytes = Self::blocks(count, block)?.size().checked_add(Self::table(count)?.size())?;
        Layout::from_size_align(bytes, block.align()).ok()
    }

    /// Carves a chunk into at most `max_blocks` blocks and their table.
    ///
    /// # Safety
    ///
    /// The chunk is the caller's, aligned as the layout requires, and has room for at least one block.
    pub(super) unsafe fn carve(memory: NonNull<[u8]>, size: usize, max_blocks: usize) -> NonNull<Self> {
        let count = Self::room(memory.len(), size).min(max_blocks);
        // SAFETY: blocks and table lie in the chunk, one after the other, because `count` was chosen that way. The
        // block size is a multiple of a word, so the table is aligned, too.
        unsafe { Self::write(memory.cast().add(count * size), memory, count as u32, true) }
    }

    /// Writes the table of a segment whose blocks are in this chunk.
    ///
    /// # Safety
    ///
    /// Both are the caller's, have room for `count` blocks and their links, and are aligned as the layouts require.
    pub(super) unsafe fn write(
        table: NonNull<u8>,
        blocks: NonNull<[u8]>,
        count: u32,
        is_whole: bool,
    ) -> NonNull<Self> {
        let record = table.cast::<Self>();
        // SAFETY: record and links lie in the table, one after the other.
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
        // A model checker creates an atomic when it is first accessed, which must happen before others can do so.
        #[cfg(all(test, any(loom, shuttle)))]
        // SAFETY: the record was just written.
        unsafe { record.as_ref() }.touch();
        record
    }

    #[cfg(all(test, any(loom, shuttle)))]
    fn touch(&self) {
        let _ = (self.start.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let _ = (self.here.load(Ordering::Relaxed), self.initialised.load(Ordering::Relaxed));
    }

    /// Records where the blocks are from now on. The segment is closed by the caller.
    pub(super) fn come(&self, blocks: NonNull<[u8]>) {
        self.start.store(blocks.as_ptr().cast(), Ordering::Relaxed);
        self.bytes.store(blocks.len(), Ordering::Relaxed);
        self.here.store(self.count, Ordering::Release);
    }

    /// Records that the blocks are no longer here, and returns their chunk. `had` of them were handed out. The segment
    /// is closed by the caller.
    pub(super) fn go(&self, had: u32) -> Option<NonNull<[u8]>> {
        self.here.store(0, Ordering::Relaxed);
        let initialised = self.initialised.load(Ordering::Relaxed);
        self.initialised.store(initialised.max(had), Ordering::Relaxed);
        self.memory()
    }

    /// Returns the chunk of the blocks, or of those that were here last.
    fn memory(&self) -> Option<NonNull<[u8]>> {
        let start = NonNull::new(self.start.load(Ordering::Relaxed))?;
        Some(NonNull::slice_from_raw_parts(start, self.bytes.load(Ordering::Relaxed)))
    }

    /// Returns the start of a block. If the blocks were returned, that is the former address, which is not accessed,
    /// since no thread has the block's number.
    #[inline(always)]
    pub(super) fn block(&self, block: u32, size: usize) -> NonNull<u8> {
        let start = self.start.load(Ordering::Relaxed);
        // SAFETY: a block that is here lies in the chunk, and the address of one that was here was not null.
        unsafe { NonNull::new_unchecked(start.wrapping_add(block as usize * size)) }
    }

    /// Returns the block at this address, if it lies in the segment.
    ///
    /// A live block that lies elsewhere is never found: if blocks of this segment were at that address, they were
    /// returned before that block came, so the thread that holds it sees that they were returned, or their new address.
    pub(super) fn block_at(&self, address: usize, size: usize) -> Option<u32> {
        let here = self.here.load(Ordering::Acquire);
        let bytes = address.wrapping_sub(self.start.load(Ordering::Relaxed).addr());
        (bytes < here as usize * size).then(|| (bytes / size) as u32)
    }

    #[inline(always)]
    pub(super) fn link(&self, block: u32) -> &AtomicU32 {
        // SAFETY: the table has a link for each block, and a number is obtained from the thread that initialized its
        // link.
        unsafe { &*self.links.add(block as usize) }
    }

    /// Returns the block that is handed out at this turn, for the first time since the blocks came. Its link is
    /// initialized.
    ///
    /// # Safety
    ///
    /// The turn is the caller's.
    pub(super) unsafe fn first_time(&self, turn: u32) -> u32 {
        let block = in_turn(turn, self.count);
        if turn >= self.initialised.load(Ordering::Relaxed) {
            // SAFETY: no other thread has or ever had the block, so none reads the link.
            unsafe { self.links.add(block as usize).write(AtomicU32::new(NIL)) };
        }
        block
    }

    /// Returns whether this block was among the first `turns` to be handed out.
    pub(super) fn was_handed_out(&self, block: u32, turns: u32) -> bool {
        block < self.count && turn_of(block, self.count) < turns
    }

    /// Returns the blocks in the order in which they are first handed out.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = u32> {
        (0..self.count).map(|turn| in_turn(turn, self.count))
    }

    /// Returns how many blocks are here: all or none.
    pub(super) fn here(&self) -> u32 {
        self.here.load(Ordering::Acquire)
    }

    /// Returns whether blocks and links are in one chunk, so that the blocks stay as long as the links.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns whether the blocks may be returned to the parent.
    pub(super) fn may_go(&self) -> bool {
        !self.is_whole && self.here() != 0
    }

    /// Returns the chunk of the blocks, if they are here.
    pub(super) fn blocks_here(&self) -> Option<NonNull<[u8]>> {
        self.memory().filter(|_| self.here() != 0)
    }

    /// Returns the chunk of the table, if it has one of its own.
    pub(super) fn table_apart(&self) -> Option<NonNull<[u8]>> {
        // SAFETY: the record precedes the links.
        let record = unsafe { self.links.cast::<Self>().sub(1) };
        let table = NonNull::new(record.cast()).filter(|_| !self.is_whole)?;
        Some(NonNull::slice_from_raw_parts(table, size_of::<Self>() + self.count as usize * LINK))
    }

    /// Returns both chunks.
    pub(super) fn chunks(&self) -> impl Iterator<Item = NonNull<[u8]>> {
        self.blocks_here().into_iter().chain(self.table_apart())
    }
}

/// The data of the first segment, so that neither the table of segments nor the record has to be read.
pub(super) struct FirstSegment {
    pub(super) start: *mut u8,
    pub(super) links: *mut AtomicU32,
    /// Number of blocks; zero as long as the other fields may not be set.
    pub(super) count: u32,
}

impl FirstSegment {
    /// Returns the block with this number, if it is in the first segment.
    #[inline(always)]
    pub(super) fn block(&self, number: u32, size: usize) -> Option<NonNull<u8>> {
        if number >= self.count {
            return None;
        }
        // SAFETY: the first segment has more blocks than `number`.
        Some(unsafe { NonNull::new_unchecked(self.start.add(number as usize * size)) })
    }

    /// Returns the number of the block at this address, if it is in the first segment.
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
        // SAFETY: the number is in this segment, and its link was initialized when the block was first handed out.
        unsafe { &*self.links.add(number as usize) }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Every block has its turn, and neighbours in turn have links on different lines if there are enough lines.
    #[test]
    fn each_block_is_carved_once() {
        for count in [1u32, 2, 15, 16, 17, 31, 32, 60, 64, 100, 255, 256, 257, 300, 500, 1000, 1024] {
            let mut blocks: Vec<u32> = (0..count).map(|turn| in_turn(turn, count)).collect();
            assert!((0..count).all(|turn| turn_of(in_turn(turn, count), count) == turn), "{count}");
            assert!(count < 32 || blocks[0] >> LINE != blocks[1] >> LINE);
            blocks.sort_unstable();
            assert!(blocks.into_iter().eq(0..count), "{count}");
        }
    }

    /// However many blocks a segment has, those that are handed out first lie close together.
    #[test]
    fn few_windows_are_touched() {
        for used in [1, 255, 256, 257, 5000] {
            let last = (0..used).map(|turn| in_turn(turn, 1 << 20)).max();
            assert!(last < Some(u32::next_multiple_of(used, WINDOW)), "{used}");
        }
    }
}
