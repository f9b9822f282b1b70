//! A picture of a pool: what the bytes of its chunks are used for, in cells that are as fine as there is room for.
//!
//! Whoever wants one lends a [`HeapMapBuilder`], and the pool paints on it: so that no memory is asked for meanwhile, from nobody,
//! and so that nobody's code runs while a pool is borrowed or locked. With the feature `alloc`, [`HeapMap`] brings its own.

use core::ops::Range;

#[cfg(feature = "alloc")]
use super::Inspect;

/// How many bytes of a part of a chunk are what. The others are the pool's own: headers, posts, bits, and rests that no
/// block fits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[repr(C)]
pub struct Usage {
    /// In live blocks.
    pub live: usize,
    /// In blocks that were freed, and wait to be handed out again.
    pub free: usize,
    /// Not handed out since the chunk came, or since the last reset, as far as the pool knows.
    pub fresh: usize,
}

impl Usage {
    /// The sum of two cells.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { live: self.live + other.live, free: self.free + other.free, fresh: self.fresh + other.fresh }
    }

    /// Bytes that may be handed out now.
    #[must_use]
    pub fn available(self) -> usize {
        self.free + self.fresh
    }
}

/// A chunk in a [`HeapMapView`]. Addresses and sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[repr(C)]
pub struct ChunkMap {
    /// Where the chunk begins.
    pub address: usize,
    /// Bytes in all of it.
    pub size: usize,
    /// Where blocks begin, and the cells do.
    pub first: usize,
    /// Where blocks end, and the cells do.
    pub end: usize,
    /// The size of each block; zero where blocks are of any size.
    pub block: usize,
    /// Bytes per cell; the last one may have fewer. Where blocks are of one size, none lies in two cells.
    pub cell: usize,
    /// The number of the chunk's first cell among those of all chunks.
    pub first_cell: usize,
    /// How many cells there are.
    pub cells: usize,
    /// All of its cells together.
    pub total: Usage,
}

impl ChunkMap {
    fn holds(&self, address: usize) -> bool {
        address.wrapping_sub(self.address) < self.size
    }
}

/// What a pool is painted on: room for some chunks, and for as many cells in each.
///
/// A chunk is announced before anything in it, and what is [free](Self::free) is painted over what was said to be
/// [live](Self::live). Strokes outside of the chunks that there was room for, and beyond their blocks, leave no trace.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, HeapMapBuilder, Usage, ChunkMap, Fixed, Inspect, Local};
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
/// * The first `count` chunks are those announced; the cells from `first_cell` on are theirs, and no two share one.
/// * `sorted` says that they are so by address.
#[derive(Debug)]
pub struct HeapMapBuilder<'a> {
    chunks: &'a mut [ChunkMap],
    cells: &'a mut [Usage],
    count: usize,
    missed: usize,
    /// The chunk of the last stroke.
    last: usize,
    sorted: bool,
    chunks_only: bool,
}

impl<'a> HeapMapBuilder<'a> {
    /// A canvas for as many chunks, with an equal share of the cells for each. What they hold does not matter.
    #[must_use]
    pub fn new(chunks: &'a mut [ChunkMap], cells: &'a mut [Usage]) -> Self {
        Self { chunks, cells, count: 0, missed: 0, last: 0, sorted: true, chunks_only: false }
    }

    /// Announces a chunk: all its memory, the part that blocks may lie in, and their size if it is one for all.
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

    /// Says that these bytes are in live blocks, as far as is known.
    pub fn live(&mut self, bytes: Range<usize>) {
        self.apply_to(bytes, |cell, count| cell.live += count);
    }

    /// Says that these bytes were not handed out yet.
    pub fn fresh(&mut self, bytes: Range<usize>) {
        self.apply_to(bytes, |cell, count| cell.fresh += count);
    }

    /// Says that these bytes, which were said to be live, are free.
    pub fn free(&mut self, bytes: Range<usize>) {
        self.apply_to(bytes, |cell, count| {
            let count = count.min(cell.live);
            cell.live -= count;
            cell.free += count;
        });
    }

    /// Paints chunks that have nothing to hand out: all that is in them is the pool's own.
    pub fn chunks_only(&mut self, render: impl FnOnce(&mut Self)) {
        let before = core::mem::replace(&mut self.chunks_only, true);
        render(self);
        self.chunks_only = before;
    }

    /// Whether there is room for anything; else nobody needs to walk through blocks.
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

    /// The chunk that an address lies in: mostly that of the last stroke, else found by halving.
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

    /// What was painted, by ascending addresses.
    #[must_use]
    pub fn view(&mut self) -> HeapMapView<'_> {
        self.sort();
        HeapMapView { chunks: &self.chunks[..self.count], cells: self.cells, missed: self.missed }
    }
}

/// Rounds up to a number of bytes that is good to read: a power of two, or a multiple of 1024.
fn round(bytes: usize) -> usize {
    match bytes {
        0..=1024 => bytes.max(16).next_power_of_two(),
        _ => bytes.checked_next_multiple_of(1024).unwrap_or(bytes),
    }
}

/// A picture of a pool: its chunks by ascending addresses, and their cells.
///
/// [`text`](Self::text) and [`svg`](Self::svg) draw it.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HeapMapView<'a> {
    chunks: &'a [ChunkMap],
    cells: &'a [Usage],
    missed: usize,
}

impl<'a> HeapMapView<'a> {
    /// The chunks, each with its cells.
    pub fn chunks(self) -> impl Iterator<Item = (&'a ChunkMap, &'a [Usage])> + Clone {
        let cells = |chunk: &ChunkMap| {
            self.cells.get(chunk.first_cell..chunk.first_cell + chunk.cells).unwrap_or(&[])
        };
        self.chunks.iter().map(move |chunk| (chunk, cells(chunk)))
    }

    /// Chunks for which there was no room.
    #[must_use]
    pub fn missed(self) -> usize {
        self.missed
    }

    /// Bytes in the chunks.
    #[must_use]
    pub fn held(self) -> usize {
        self.chunks.iter().map(|chunk| chunk.size).sum()
    }

    /// All cells together.
    #[must_use]
    pub fn total(self) -> Usage {
        self.chunks.iter().fold(Usage::default(), |sum, chunk| sum.plus(chunk.total))
    }
}

/// A picture with memory of its own, from the global allocator, which is asked before and after a pool is painted, and
/// never meanwhile. So a pool may be the global allocator; then the picture shows a part of itself.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Inspect, Local, Tlsf};
///
/// let pool = Local::new(Tlsf::new());
/// let blocks = [100, 2000, 30].map(|size| pool.allocate(Layout::from_size_align(size, 8).expect("a layout")));
/// let map = pool.heap_map(64);
/// assert_eq!(map.view().held(), pool.stats().held);
/// println!("{}", map.view().text(80));
/// # drop(blocks);
/// ```
#[cfg(feature = "alloc")]
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HeapMap {
    chunks: alloc::vec::Vec<ChunkMap>,
    cells: alloc::vec::Vec<Usage>,
    missed: usize,
}

#[cfg(feature = "alloc")]
impl HeapMap {
    /// How many chunks there is room for at first. They mostly double in size, so few have more.
    const CHUNKS: usize = 32;
    /// The most cells that a chunk gets.
    const MOST_CELLS: usize = 1 << 16;
    /// How often a pool is painted at most, if it has more chunks each time.
    const TRIES: usize = 4;

    /// Paints a pool, with at most so many cells for each chunk: see [`Inspect::heap_map`].
    pub fn of<I: Inspect + ?Sized>(pool: &I, cells: usize) -> Self {
        let cells = cells.min(Self::MOST_CELLS);
        let mut room = Self::CHUNKS;
        let mut tries = Self::TRIES;
        loop {
            let mut map = Self {
                chunks: alloc::vec![ChunkMap::default(); room],
                cells: alloc::vec![Usage::default(); room * cells],
                missed: 0,
            };
            let mut builder = HeapMapBuilder::new(&mut map.chunks, &mut map.cells);
            pool.render(&mut builder);
            builder.sort();
            let (count, missed) = (builder.count, builder.missed);
            tries -= 1;
            if missed == 0 || tries == 0 {
                map.chunks.truncate(count);
                map.cells.truncate(count * cells);
                map.missed = missed;
                return map;
            }
            room += missed + missed / 2;
        }
    }

    /// The picture, to look at and to draw.
    #[must_use]
    pub fn view(&self) -> HeapMapView<'_> {
        HeapMapView { chunks: &self.chunks, cells: &self.cells, missed: self.missed }
    }
}
