//! A map of a heap over time: a column for each moment, and a row for each range of addresses. Addresses that no moment
//! has anything at are left out, so rows that are side by side need not be neighbours.

use std::ops::Range;

use super::pages::{PAGE, Pages};

/// Max number of rows.
const ROWS: usize = 256;
/// Max number of cells that are kept of a moment, before it is known which rows there are.
const CELLS: u64 = 1 << 14;

/// What is on pages side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Bytes in live blocks,
    pub(crate) used: u64,
    /// and bytes of pages with live blocks, and of resident ones without.
    pub(crate) held: u64,
}

impl Cell {
    fn add(&mut self, more: Self) {
        self.used = self.used.saturating_add(more.used);
        self.held = self.held.saturating_add(more.held);
    }
}

/// The map.
#[derive(Debug, Default)]
pub(crate) struct Grid {
    /// Bytes that a row stands for.
    pub(crate) row_bytes: u64,
    /// For each moment its rows, from low addresses to high ones.
    pub(crate) columns: Vec<Vec<Cell>>,
}

/// A map in the making.
#[derive(Debug, Default)]
pub(super) struct GridBuilder {
    /// Base-2 logarithm of the pages in a unit of addresses.
    shift: u32,
    /// For each moment the units that are not empty, ascending.
    columns: Vec<Vec<(u64, Cell)>>,
}

impl GridBuilder {
    /// Adds the next moment.
    pub(super) fn add(&mut self, pages: &Pages) {
        let runs = pages.with_blocks.iter().map(|run| (run.pages.clone(), run.used));
        let empty = pages.empty.iter().flatten().map(|range| (range.clone(), 0));
        let mut ranges: Vec<(Range<u64>, u64)> = runs.chain(empty).collect();
        ranges.sort_unstable_by_key(|(range, _)| range.start);
        while self.units(&ranges) > CELLS {
            self.coarsen();
        }
        let mut column: Vec<(u64, Cell)> = Vec::new();
        for (range, used) in ranges {
            let mut start = range.start;
            while start < range.end {
                let unit = start >> self.shift;
                let end = range.end.min((unit + 1) << self.shift);
                let pages = end - start;
                merge(
                    &mut column,
                    unit,
                    Cell { used: pages.saturating_mul(used), held: pages.saturating_mul(PAGE) },
                );
                start = end;
            }
        }
        self.columns.push(column);
    }

    /// Returns the number of units in which ranges lie, at most; those of one unit are counted once.
    fn units(&self, ranges: &[(Range<u64>, u64)]) -> u64 {
        let (mut count, mut next) = (0_u64, 0);
        for (range, _) in ranges {
            let (first, last) = (range.start >> self.shift, (range.end - 1) >> self.shift);
            count = count.saturating_add((last + 1).saturating_sub(first.max(next)));
            next = last + 1;
        }
        count
    }

    /// Doubles the size of a unit.
    fn coarsen(&mut self) {
        self.shift += 1;
        for column in &mut self.columns {
            let mut merged = Vec::new();
            column.iter().for_each(|&(unit, cell)| merge(&mut merged, unit / 2, cell));
            *column = merged;
        }
    }

    pub(super) fn finish(self) -> Grid {
        let mut units: Vec<u64> = self.columns.iter().flatten().map(|&(unit, _)| unit).collect();
        units.sort_unstable();
        units.dedup();
        let per_row = units.len().div_ceil(ROWS).max(1);
        let rows = units.len().div_ceil(per_row);
        let column = |column: Vec<(u64, Cell)>| {
            let mut cells = vec![Cell::default(); rows];
            for (unit, cell) in column {
                let row = units.partition_point(|&other| other < unit) / per_row;
                cells[row].add(cell);
            }
            cells
        };
        let row_bytes = (per_row as u64) << self.shift << PAGE.ilog2();
        Grid { row_bytes, columns: self.columns.into_iter().map(column).collect() }
    }
}

/// Adds a cell that comes after the others, or belongs to the last.
fn merge(column: &mut Vec<(u64, Cell)>, unit: u64, more: Cell) {
    match column.last_mut() {
        Some((last, cell)) if *last == unit => {
            cell.add(more);
        }
        _ => column.push((unit, more)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::pages::tests::block, *};
    use crate::replay::{Located, Resident};

    fn add(builder: &mut GridBuilder, blocks: &[Located], resident: Option<&Resident<'_>>) {
        builder.add(&Pages::new(blocks, |stack| stack, resident));
    }

    #[test]
    fn gaps_between_addresses_are_cut() {
        let mut builder = GridBuilder::default();
        add(&mut builder, &[block(0, 100, 1), block(1 << 40, PAGE, 1)], None);
        let resident = Resident { now: vec![0..1, 7..8, 1 << 28..(1 << 28) + 1], before: &[] };
        add(&mut builder, &[block(1 << 40, 9, 1)], Some(&resident));
        let grid = builder.finish();
        assert_eq!(grid.row_bytes, PAGE);
        let cell = |used, held| Cell { used, held };
        let first = vec![cell(100, PAGE), cell(0, 0), cell(PAGE, PAGE)];
        assert_eq!(grid.columns, [first, vec![cell(0, PAGE), cell(0, PAGE), cell(9, PAGE)]]);
    }

    #[test]
    fn large_heaps_have_as_many_rows_and_the_same_sums() {
        let mut builder = GridBuilder::default();
        let blocks: Vec<_> =
            (0..100_000).map(|number| block(number * 3 * PAGE, 100 + number % 7, 1)).collect();
        add(&mut builder, &blocks[..10], None);
        add(&mut builder, &blocks, None);
        let giant = block(1 << 50, 1 << 45, 1);
        add(&mut builder, &[blocks[5], giant], None);
        let grid = builder.finish();
        let sum = |column: &[Cell]| column.iter().map(|cell| cell.used).sum::<u64>();
        let expected = |blocks: &[Located]| blocks.iter().map(|block| block.usable).sum::<u64>();
        assert!(grid.columns.iter().all(|column| column.len() <= ROWS && column.len() > 100));
        let sums: Vec<_> = grid.columns.iter().map(|column| sum(column)).collect();
        assert_eq!(sums, [expected(&blocks[..10]), expected(&blocks), expected(&[blocks[5], giant])]);
        assert!(
            grid.columns.iter().flatten().all(|cell| cell.used <= cell.held && cell.held <= grid.row_bytes)
        );
    }
}
