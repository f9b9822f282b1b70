//! Heap maps: drawn as text for a terminal and as SVG, which does not allocate, and with memory of their own.

mod svg;
mod text;
#[cfg(feature = "alloc")]
mod with_memory;

use core::fmt;

use crate::traits::{ChunkMap, HeapMapView, Usage};
#[cfg(feature = "alloc")]
pub use with_memory::{HeapMap, InspectExt};

impl<'a> HeapMapView<'a> {
    /// Displays the map as text for a terminal of `columns` columns: one line per chunk, with one character per cell,
    /// or per several cells if there are too many. The height of a bar is the share of live bytes; `·` is free, and a
    /// blank was not handed out yet.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Blocks, Fixed, Local, observe::InspectExt};
    ///
    /// let pool = Local::new(Blocks::<Fixed<64>>::new().with_capacity(64));
    /// let layout = Layout::new::<[u64; 8]>();
    /// let blocks: Vec<_> = (0..50).filter_map(|_| pool.allocate(layout).ok()).collect();
    /// // SAFETY: the blocks are live, and this pool handed them out for this layout.
    /// blocks[10..30].iter().for_each(|block| unsafe { pool.deallocate(block.cast(), layout) });
    ///
    /// let map = pool.heap_map(16);
    /// let text = map.view().text(80).to_string();
    /// assert!(text.contains("▕██▄····▄████▄···▏"), "{text}");
    /// ```
    #[must_use]
    pub fn text(self, columns: usize) -> impl fmt::Display + use<'a> {
        text::Text { view: self, columns, signs: &text::UNICODE }
    }

    /// Displays the map like [`text`](Self::text), using only ASCII: `#` is live, `+` and `-` are partly live, `.` is
    /// free.
    ///
    /// ```
    /// use millpond::{Local, Tlsf, observe::InspectExt};
    ///
    /// assert!(Local::new(Tlsf::new()).heap_map(16).view().ascii(80).to_string().is_ascii());
    /// ```
    #[must_use]
    pub fn ascii(self, columns: usize) -> impl fmt::Display + use<'a> {
        text::Text { view: self, columns, signs: &text::ASCII }
    }

    /// Displays the map as a self-contained SVG file, 960 pixels wide, with a title, totals and a legend. Each cell is
    /// filled, from the bottom, by what is live, free, and not handed out yet; 128 cells per line.
    ///
    /// ```
    /// use millpond::{Linear, Local, observe::InspectExt};
    ///
    /// let svg = Local::new(Linear::new()).heap_map(512).view().svg("Meshes & names").to_string();
    /// assert!(svg.starts_with("<svg ") && svg.contains("Meshes &amp; names"));
    /// ```
    #[must_use]
    pub fn svg(self, title: &'a str) -> impl fmt::Display + use<'a> {
        svg::Svg { view: self, title }
    }
}

/// A cell to draw: its use, and its size in bytes.
#[derive(Clone, Copy, Default)]
struct CellUsage {
    usage: Usage,
    bytes: usize,
}

impl CellUsage {
    fn plus(self, other: Self) -> Self {
        Self { usage: self.usage.plus(other.usage), bytes: self.bytes + other.bytes }
    }
}

/// Returns the cells of a chunk, or the whole chunk as one cell if there was no room for any.
fn cells<'a>(chunk: &'a ChunkMap, cells: &'a [Usage]) -> impl Iterator<Item = CellUsage> + 'a {
    let length = chunk.end - chunk.first;
    let whole = (cells.is_empty() && length != 0).then_some(CellUsage { usage: chunk.total, bytes: length });
    let each = cells.iter().enumerate().map(move |(number, &usage)| {
        let bytes = chunk.cell.min(length.saturating_sub(number * chunk.cell));
        CellUsage { usage, bytes }
    });
    whole.into_iter().chain(each)
}

/// Returns the number of cells that are drawn.
fn count(cells: &[Usage]) -> usize {
    cells.len().max(1)
}

/// A number of bytes in human-readable form.
struct Bytes(usize);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let Some(unit) = (self.0.max(1).ilog2() as usize / 10).checked_sub(1) else {
            return write!(f, "{} B", self.0);
        };
        let value = self.0 as f64 / (1u64 << (10 * (unit + 1))) as f64;
        let digits = usize::from(value < 100.0 && value % 1.0 != 0.0);
        write!(f, "{value:.digits$} {}", UNITS[unit])
    }
}

/// The totals of a map, in one sentence.
struct Totals<'a>(HeapMapView<'a>);

impl fmt::Display for Totals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, total) = (self.0.held(), self.0.total());
        let own = held.saturating_sub(total.live + total.available());
        let chunks = self.0.chunks().count();
        write!(f, "{chunks} {}, {}", if chunks == 1 { "chunk" } else { "chunks" }, Bytes(held))?;
        for (what, bytes) in
            [("live", total.live), ("free", total.free), ("fresh", total.fresh), ("the pool's own", own)]
        {
            let percent = 100.0 * bytes as f64 / held.max(1) as f64;
            write!(f, ", {what} {} ({percent:.1} %)", Bytes(bytes))?;
        }
        match self.0.missed() {
            0 => Ok(()),
            missed => write!(f, "; {missed} more not shown"),
        }
    }
}
