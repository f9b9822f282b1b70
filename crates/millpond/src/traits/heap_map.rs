//! A map of a pool: what the bytes of its chunks are used for, in cells as fine as there is room for.
//!
//! The caller lends a [`HeapMapBuilder`] to the pool, which renders into it. So no memory is requested and no foreign
//! code runs while a pool is borrowed or locked. With the feature `alloc`, `HeapMap` has memory of its own.

use core::ops::Range;

/// The use of the bytes in a part of a chunk. Bytes that are not counted here are the pool's own: headers, boundary
/// tags, bitmaps, and remainders too small for a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[repr(C)]
#[non_exhaustive]
pub struct Usage {
    /// Bytes in live blocks.
    pub live: usize,
    /// Bytes in freed blocks that can be handed out again.
    pub free: usize,
    /// Bytes that were not handed out since the chunk was added or since the last reset, as far as the pool knows.
    pub fresh: usize,
}

impl Usage {
    /// Returns the sum of two cells.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { live: self.live + other.live, free: self.free + other.free, fresh: self.fresh + other.fresh }
    }

    /// Returns how many bytes may be handed out now.
    #[must_use]
    pub fn available(self) -> usize {
        self.free + self.fresh
    }
}

/// A chunk in a [`HeapMapView`]. Addresses and sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[repr(C)]
#[non_exhaustive]
pub struct ChunkMap {
    /// The address at which the chunk begins.
    pub address: usize,
    /// The size of the whole chunk.
    pub size: usize,
    /// The address at which blocks, and the cells, begin.
    pub first: usize,
    /// The address at which blocks, and the cells, end.
    pub end: usize,
    /// The size of each block; zero if blocks are of any size.
    pub block: usize,
    /// Bytes per cell; the last cell may have fewer. If blocks are of one size, no block lies in two cells.
    pub cell: usize,
    /// The index of the chunk's first cell among the cells of all chunks.
    pub first_cell: usize,
    /// The number of cells.
    pub cells: usize,
    /// The sum of all cells.
    pub total: Usage,
}

impl ChunkMap {
    fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.address) < self.size
    }
}

/// Builds a heap map, with room for some chunks and for an equal number of cells in each.
///
/// A pool announces a chunk before anything in it, and marks bytes as [free](Self::free) after it marked them as
/// [live](Self::live). Ranges outside of the chunks for which there was room, or beyond their blocks, are ignored.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{
///     Allocator, Blocks, Fixed, Inspect, Local, observe::{ChunkMap, HeapMapBuilder, Usage},
/// };
///
/// let pool = Local::new(Blocks::<Fixed<64>>::new().with_capacity(64));
/// let block = pool.allocate(Layout::new::<u64>())?;
///
/// let (mut chunks, mut cells) = ([ChunkMap::default(); 4], [Usage::default(); 4 * 16]);
/// let mut builder = HeapMapBuilder::new(&mut chunks, &mut cells);
/// pool.render(&mut builder);
/// let view = builder.view();
/// let (chunk, cells) = view.chunks().next().expect("the pool has a chunk");
/// assert_eq!((chunk.size, cells.len(), chunk.cell), (4096, 16, 4 * 64));
/// assert_eq!((cells[0].live, chunk.total.live), (64, 64));
/// # let _ = block;
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * The first `count` chunks are those announced; the cells from `first_cell` on belong to them, and no two chunks
///   share one.
/// * `sorted` says whether they are in the order of their addresses.
#[derive(Debug)]
pub struct HeapMapBuilder<'a> {
    chunks: &'a mut [ChunkMap],
    cells: &'a mut [Usage],
    count: usize,
    missed: usize,
    /// The chunk of the last range.
    last: usize,
    sorted: bool,
    chunks_only: bool,
}

impl<'a> HeapMapBuilder<'a> {
    /// Creates a builder for `chunks.len()` chunks, with an equal share of the cells for each. The contents of both
    /// slices are ignored.
    #[must_use]
    pub fn new(chunks: &'a mut [ChunkMap], cells: &'a mut [Usage]) -> Self {
        Self { chunks, cells, count: 0, missed: 0, last: 0, sorted: true, chunks_only: false }
    }

    /// Announces a chunk: all its memory, the part in which blocks may lie, and their size if all have the same.
    pub fn chunk(&mut self, memory: Range<usize>, blocks: Range<usize>, block: Option<usize>) {
        let share = self.cells.len() / self.chunks.len().max(1);
        let first_cell = self.count * share;
        let Some(place) = self.chunks.get_mut(self.count) else {
            self.missed += 1;
            return;
        };
        let length = blocks.end.saturating_sub(blocks.start);
        let cell = match (share, block) {
            (0, _) => length,
            (_, Some(block)) => length.div_ceil(share).checked_next_multiple_of(block).unwrap_or(length),
            (_, None) => round(length.div_ceil(share)),
        };
        let cells = if share == 0 { 0 } else { length.div_ceil(cell.max(1)).min(share) };
        *place = ChunkMap {
            address: memory.start,
            size: memory.end.saturating_sub(memory.start),
            first: blocks.start,
            end: blocks.start + length,
            block: block.unwrap_or(0),
            cell,
            first_cell,
            cells,
            total: Usage::default(),
        };
        self.cells[first_cell..first_cell + cells].fill(Usage::default());
        self.sorted &= self.count == 0 || self.chunks[self.count - 1].address < memory.start;
        self.last = self.count;
        self.count += 1;
    }

    /// Marks bytes as lying in live blocks, as far as is known.
    pub fn live(&mut self, bytes: Range<usize>) {
        self.apply_to(bytes, |cell, count| cell.live += count);
    }

    /// Marks bytes as not yet handed out.
    pub fn fresh(&mut self, bytes: Range<usize>) {
        self.apply_to(bytes, |cell, count| cell.fresh += count);
    }

    /// Marks bytes as free that were marked as live before.
    pub fn free(&mut self, bytes: Range<usize>) {
        self.apply_to(bytes, |cell, count| {
            let count = count.min(cell.live);
            cell.live -= count;
            cell.free += count;
        });
    }

    /// Renders chunks that have nothing to hand out: everything in them counts as the pool's own.
    pub fn chunks_only(&mut self, render: impl FnOnce(&mut Self)) {
        let before = core::mem::replace(&mut self.chunks_only, true);
        render(self);
        self.chunks_only = before;
    }

    /// Returns whether there is room for anything. If not, pools need not walk through their blocks.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.chunks.is_empty() && !self.chunks_only
    }

    fn apply_to(&mut self, bytes: Range<usize>, apply: impl Fn(&mut Usage, usize)) {
        if self.chunks_only {
            return;
        }
        let Some(chunk) = self.find(bytes.start) else { return };
        let (start, end) = (bytes.start.max(chunk.first), bytes.end.min(chunk.end));
        if start >= end {
            return;
        }
        apply(&mut chunk.total, end - start);
        let (first, cell) = (chunk.first, chunk.cell);
        let cells = chunk.first_cell..chunk.first_cell + chunk.cells;
        let mut at = start;
        while at < end && !cells.is_empty() {
            let number = (at - first) / cell;
            let behind = (number + 1).saturating_mul(cell).saturating_add(first).min(end);
            apply(&mut self.cells[cells.start + number], behind - at);
            at = behind;
        }
    }

    /// Finds the chunk in which an address lies: usually that of the last range, otherwise by binary search.
    fn find(&mut self, address: usize) -> Option<&mut ChunkMap> {
        if !self.chunks[..self.count].get(self.last).is_some_and(|chunk| chunk.holds(address)) {
            self.sort();
            let after = self.chunks[..self.count].partition_point(|chunk| chunk.address <= address);
            self.last = after.checked_sub(1)?;
        }
        Some(&mut self.chunks[self.last]).filter(|chunk| chunk.holds(address))
    }

    fn sort(&mut self) {
        if !self.sorted {
            self.chunks[..self.count].sort_unstable_by_key(|chunk| chunk.address);
            self.sorted = true;
        }
    }

    /// Sorts the chunks; returns how many there are, and for how many there was no room.
    #[cfg(feature = "alloc")]
    pub(crate) fn finish(mut self) -> (usize, usize) {
        self.sort();
        (self.count, self.missed)
    }

    /// Returns the finished map, in the order of addresses.
    #[must_use]
    pub fn view(&mut self) -> HeapMapView<'_> {
        self.sort();
        HeapMapView { chunks: &self.chunks[..self.count], cells: self.cells, missed: self.missed }
    }
}

/// Rounds up to a readable number of bytes: a power of two, or a multiple of 1024.
fn round(bytes: usize) -> usize {
    match bytes {
        0..=1024 => bytes.max(16).next_power_of_two(),
        _ => bytes.checked_next_multiple_of(1024).unwrap_or(bytes),
    }
}

/// A map of a pool: its chunks in the order of addresses, and their cells.
///
/// [`text`](Self::text) and [`svg`](Self::svg) draw it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HeapMapView<'a> {
    pub(crate) chunks: &'a [ChunkMap],
    pub(crate) cells: &'a [Usage],
    pub(crate) missed: usize,
}

impl<'a> HeapMapView<'a> {
    /// Returns the chunks, each with its cells.
    pub fn chunks(self) -> impl Iterator<Item = (&'a ChunkMap, &'a [Usage])> + Clone {
        let cells = |chunk: &ChunkMap| {
            self.cells.get(chunk.first_cell..chunk.first_cell + chunk.cells).unwrap_or(&[])
        };
        self.chunks.iter().map(move |chunk| (chunk, cells(chunk)))
    }

    /// Returns the number of chunks for which there was no room.
    #[must_use]
    pub fn missed(self) -> usize {
        self.missed
    }

    /// Returns the number of bytes in the chunks.
    #[must_use]
    pub fn held(self) -> usize {
        self.chunks.iter().map(|chunk| chunk.size).sum()
    }

    /// Returns the sum of all cells.
    #[must_use]
    pub fn total(self) -> Usage {
        self.chunks.iter().fold(Usage::default(), |sum, chunk| sum.plus(chunk.total))
    }
}
