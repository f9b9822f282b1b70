//! A heap map as SVG.
//!
//! Everything of the same colour is one path, and adjacent cells of the same level are one rectangle, so a map of many
//! thousand cells is a small file.

use core::fmt::{self, Write};

use super::{Bytes, CellUsage, Totals, cells, count};
use crate::traits::{ChunkMap, HeapMapView, Usage};

pub(crate) struct Svg<'a> {
    pub(crate) view: HeapMapView<'a>,
    pub(crate) title: &'a str,
}

/// All lengths are in pixels.
const WIDTH: usize = 960;
const MARGIN: usize = 32;
/// Cells per line.
const COLUMNS: usize = 128;
const CELL: usize = (WIDTH - 2 * MARGIN) / COLUMNS;
const HEIGHT: usize = 16;
const LINE: usize = HEIGHT + 2;
/// Height above the first chunk: title, totals and legend.
const HEAD: usize = 116;
/// Height above the cells of a chunk, and below them.
const LABEL: usize = 18;
const GAP: usize = 12;

/// What fills cells, from the bottom, with the colour of each; the remainder is the pool's own.
const KINDS: [(&str, &str); 3] = [("live", "#1f5fa8"), ("free", "#f2a541"), ("fresh", "#dcebd9")];
const OWN: (&str, &str) = ("the pool's own", "#8b8f94");

/// Returns how many lines of cells a chunk takes.
fn lines(cells: &[Usage]) -> usize {
    count(cells).div_ceil(COLUMNS)
}

impl fmt::Display for Svg<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heights = self.view.chunks().map(|(_, cells)| LABEL + lines(cells) * LINE + GAP);
        let height = HEAD + heights.sum::<usize>() + MARGIN / 2;
        self.head(f, height)?;
        let mut y = HEAD;
        for (chunk, cells) in self.view.chunks() {
            draw(f, chunk, cells, y)?;
            y += LABEL + lines(cells) * LINE + GAP;
        }
        f.write_str("</svg>\n")
    }
}

impl Svg<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>, height: usize) -> fmt::Result {
        let (title, totals) = (EscapedXml(self.title), Totals(self.view));
        writeln!(
            f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"#222\">"
        )?;
        writeln!(f, "<title>{title}</title>\n<desc>{totals}</desc>")?;
        writeln!(f, "<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>")?;
        writeln!(f, "<text x=\"{MARGIN}\" y=\"36\" font-size=\"20\" font-weight=\"600\">{title}</text>")?;
        writeln!(f, "<text x=\"{MARGIN}\" y=\"60\">{totals}</text>")?;
        for (number, (what, colour)) in KINDS.iter().chain([&OWN]).enumerate() {
            let x = MARGIN + 110 * number;
            writeln!(f, "<rect x=\"{x}\" y=\"76\" width=\"14\" height=\"14\" fill=\"{colour}\"/>")?;
            writeln!(f, "<text x=\"{}\" y=\"88\">{what}</text>", x + 20)?;
        }
        Ok(())
    }
}

/// Draws a chunk below `y`.
fn draw(f: &mut fmt::Formatter<'_>, chunk: &ChunkMap, usages: &[Usage], y: usize) -> fmt::Result {
    let available = chunk.total.live + chunk.total.available();
    let percent = 100.0 * chunk.total.live as f64 / available.max(1) as f64;
    write!(f, "<text x=\"{MARGIN}\" y=\"{}\" font-size=\"12\">", y + 12)?;
    write!(f, "{:#x}: {}, {percent:.1} % live", chunk.address, Bytes(chunk.size))?;
    if chunk.block != 0 {
        write!(f, ", blocks of {}", Bytes(chunk.block))?;
    }
    writeln!(f, ", a cell is {}</text>", Bytes(chunk.cell))?;
    let top = y + LABEL;
    for line in 0..lines(usages) {
        let width = CELL * count(usages).saturating_sub(line * COLUMNS).min(COLUMNS);
        let (y, colour) = (top + line * LINE, OWN.1);
        writeln!(
            f,
            "<rect x=\"{MARGIN}\" y=\"{y}\" width=\"{width}\" height=\"{HEIGHT}\" fill=\"{colour}\"/>"
        )?;
    }
    let Usage { live, free, fresh } = chunk.total;
    let there = |kind: usize| [live, free, fresh][kind] != 0;
    for (kind, (_, colour)) in KINDS.iter().enumerate().filter(|&(kind, _)| there(kind)) {
        write!(f, "<path fill=\"{colour}\" d=\"")?;
        let mut run = Run::default();
        for (number, cell) in cells(chunk, usages).enumerate() {
            let (column, y) = (number % COLUMNS, top + number / COLUMNS * LINE);
            let [low, high] = [level(cell, kind), level(cell, kind + 1)];
            let next = Run { column, cells: 1, y: y + HEIGHT - high, height: high - low };
            run = run.followed_by(next, f)?;
        }
        run.write(f)?;
        f.write_str("\"/>\n")?;
    }
    Ok(())
}

/// Returns the level to which a cell is filled by the kinds before this one. Live bytes are always visible, however few
/// they are.
fn level(cell: CellUsage, kind: usize) -> usize {
    let Usage { live, free, fresh } = cell.usage;
    let below: usize = [live, free, fresh][..kind].iter().sum();
    let level = (HEIGHT as f64 * below as f64 / cell.bytes.max(1) as f64 + 0.5) as usize;
    level.max(usize::from(kind != 0 && live != 0)).min(HEIGHT)
}

/// Adjacent cells that look alike.
#[derive(Clone, Copy, Default)]
struct Run {
    column: usize,
    cells: usize,
    y: usize,
    height: usize,
}

impl Run {
    /// Extends the run by the next cell if it looks alike; otherwise writes this run and returns the next one.
    fn followed_by(self, next: Self, f: &mut fmt::Formatter<'_>) -> Result<Self, fmt::Error> {
        // A cell at the start of a line has another `y`.
        if self.y == next.y && self.height == next.height {
            return Ok(Self { cells: self.cells + 1, ..self });
        }
        self.write(f)?;
        Ok(next)
    }

    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.height == 0 {
            return Ok(());
        }
        let (x, width) = (MARGIN + self.column * CELL, self.cells * CELL);
        write!(f, "M{x} {}h{width}v{}h-{width}z", self.y, self.height)
    }
}

/// Text within XML. Characters that XML cannot represent are left out.
struct EscapedXml<'a>(&'a str);

impl fmt::Display for EscapedXml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\t' | '\n' | '\r' => f.write_char(' ')?,
                '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {}
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}
