//! One moment of a program as text.

use super::{
    about::{BOLD, shortened},
    frames, table,
};
use crate::{
    top::{About, Column, Row, Snapshot, cells},
    trace,
};

/// Max number of characters of a command line that are shown.
const LINE: usize = 100;

/// Returns the report.
pub(crate) fn snapshot(about: &About, snapshot: &Snapshot, rows: &[&Row]) -> String {
    let process = match about.process {
        0 => String::new(),
        process => format!("process {process}, "),
    };
    let mut text = format!(
        "{BOLD}{}{BOLD:#}\n{process}{}, {}\n{}\n{}\n",
        shortened(&about.command_line, LINE),
        cells::state(snapshot, about.is_live),
        cells::marks(snapshot),
        cells::totals(snapshot),
        cells::method(snapshot),
    );
    let is_selected = snapshot.generation.mark > 0;
    text.extend(cells::generation(snapshot).map(|line| line + "\n"));
    let columns: Vec<_> =
        Column::ALL.into_iter().filter(|&column| is_selected || column != Column::Selected).collect();
    let is_sampled = snapshot.factor > 1;
    let mut headings = vec!["site"];
    for column in &columns {
        headings.push(column.heading());
        headings.extend((is_sampled && column.may_be_estimated()).then_some("±"));
    }
    let cells = rows.iter().zip(1..).map(|(row, number)| {
        let mut cells = vec![format!("  {number}")];
        for &column in &columns {
            cells.push(cells::cell(column, &row.figures));
            let has_margin = is_sampled && column.may_be_estimated();
            cells.extend(has_margin.then(|| cells::margin_of(column, &row.figures)));
        }
        cells
    });
    text.push('\n');
    text.push_str(&table::render(&headings, cells.collect()));
    text.push('\n');
    for (row, number) in rows.iter().zip(1..) {
        text.push_str(&format!("  {number:>2}  {}\n", site(row)));
    }
    let hidden = snapshot.rows.len() - rows.len();
    if hidden > 0 {
        text.push_str(&format!("      {hidden} more call sites\n"));
    }
    for note in &snapshot.notes {
        text.push_str(&format!("  {}\n", trace::printable(note)));
    }
    text
}

/// Describes a site.
pub(crate) fn site(row: &Row) -> String {
    match row.is_pending {
        true => "(call stacks that are new)".into(),
        false => frames::chain(&row.frames, &row.through),
    }
}
