//! A heap map as text for a terminal.

use core::fmt::{self, Write};

use super::{Bytes, CellUsage, Totals, cells, count};
use crate::traits::{ChunkMap, HeapMapView, Usage};

/// The characters that represent cells.
pub(crate) struct Glyphs {
    /// Live, from a small share to all of the cell.
    live: &'static [char],
    free: char,
    fresh: char,
    /// Entirely the pool's own.
    own: char,
    edges: [char; 2],
    legend: &'static str,
}

pub(crate) const UNICODE: Glyphs = Glyphs {
    live: &['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'],
    free: '·',
    fresh: ' ',
    own: '╌',
    edges: ['▕', '▏'],
    legend: "█ live  ▄ half of it  · free  ╌ the pool's own  blank: fresh",
};

pub(crate) const ASCII: Glyphs = Glyphs {
    live: &['-', '+', '#'],
    free: '.',
    fresh: ' ',
    own: '=',
    edges: ['[', ']'],
    legend: "# live  + two thirds of it  - less  . free  = the pool's own  blank: fresh",
};

pub(crate) struct Text<'a> {
    pub(crate) view: HeapMapView<'a>,
    pub(crate) columns: usize,
    pub(crate) signs: &'static Glyphs,
}

/// Columns before the cells, columns after them, and the minimum number of columns for them.
const FRONT: usize = 26;
const BEHIND: usize = 12;
const LEAST: usize = 8;

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Totals(self.view))?;
        for (chunk, cells) in self.view.chunks() {
            self.line(f, chunk, cells)?;
        }
        writeln!(f, "{}", self.signs.legend)
    }
}

impl Text<'_> {
    fn line(&self, f: &mut fmt::Formatter<'_>, chunk: &ChunkMap, usages: &[Usage]) -> fmt::Result {
        let room = self.columns.saturating_sub(FRONT + BEHIND).max(LEAST);
        let group = count(usages).div_ceil(room);
        // `pad` cannot be used here: the sizes are not strings.
        write!(f, "{:#014x} ", chunk.address)?;
        write!(f, "{:>9} ", Padded(chunk.size))?;
        f.write_char(self.signs.edges[0])?;
        let mut cells = cells(chunk, usages).peekable();
        while cells.peek().is_some() {
            f.write_char(
                self.signs.of(cells.by_ref().take(group).fold(CellUsage::default(), CellUsage::plus)),
            )?;
        }
        f.write_char(self.signs.edges[1])?;
        writeln!(f, " {}", Bytes(chunk.cell * group))
    }
}

impl Glyphs {
    fn of(&self, cell: CellUsage) -> char {
        let Usage { live, free, fresh } = cell.usage;
        let levels = self.live.len();
        match (live, free.max(fresh)) {
            (0, 0) => self.own,
            (0, most) if most == fresh => self.fresh,
            (0, _) => self.free,
            _ => {
                let share = live as f64 / (live + free + fresh) as f64;
                self.live[((share * levels as f64) as usize).clamp(1, levels) - 1]
            }
        }
    }
}

/// A number of bytes that can be padded.
struct Padded(usize);

impl fmt::Display for Padded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Truncated { bytes: [0; 16], length: 0 };
        write!(text, "{}", Bytes(self.0))?;
        f.pad(core::str::from_utf8(&text.bytes[..text.length]).unwrap_or_default())
    }
}

/// A short string.
struct Truncated {
    bytes: [u8; 16],
    length: usize,
}

impl Write for Truncated {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = self.bytes.get_mut(self.length..self.length + text.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length += text.len();
        Ok(())
    }
}
