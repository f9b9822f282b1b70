//! A heap map with memory of its own.

use alloc::vec::Vec;

use crate::traits::{ChunkMap, HeapMapBuilder, HeapMapView, Inspect, Usage};

/// Methods for everything that implements [`Inspect`].
pub trait InspectExt: Inspect {
    /// Returns a map of what the bytes of each chunk are used for, in at most `cells` cells per chunk: see
    /// [`render`](Inspect::render). Allocates 24 bytes per cell, for 32 chunks or more, from the global allocator, not
    /// from the pool.
    fn heap_map(&self, cells: usize) -> HeapMap {
        HeapMap::of(self, cells)
    }
}

impl<I: Inspect + ?Sized> InspectExt for I {}

/// A heap map with memory of its own, from the global allocator. It allocates before and after a pool is rendered,
/// never during that. So the pool may be the global allocator itself; then the map shows a part of itself.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Inspect, Local, Tlsf, observe::InspectExt};
///
/// let pool = Local::new(Tlsf::new());
/// let blocks = [100, 2000, 30].map(|size| pool.allocate(Layout::from_size_align(size, 8).expect("a layout")));
/// let map = pool.heap_map(64);
/// assert_eq!(map.view().held(), pool.stats().held);
/// println!("{}", map.view().text(80));
/// # drop(blocks);
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct HeapMap {
    chunks: Vec<ChunkMap>,
    cells: Vec<Usage>,
    missed: usize,
}

impl HeapMap {
    /// Room for this many chunks at first. Chunks usually double in size, so few pools have more.
    const CHUNKS: usize = 32;
    /// Upper bound on the cells of a chunk.
    const MOST_CELLS: usize = 1 << 16;
    /// Upper bound on how often a pool is rendered, if it has more chunks each time.
    const TRIES: usize = 4;

    /// Renders a pool, with at most `cells` cells for each chunk: see [`InspectExt::heap_map`].
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
            let (count, missed) = builder.finish();
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

    /// Returns a view of the map, for reading and drawing.
    #[must_use]
    pub fn view(&self) -> HeapMapView<'_> {
        HeapMapView { chunks: &self.chunks, cells: &self.cells, missed: self.missed }
    }
}
