//! Tables in plain characters: a heading, a line of dashes, columns to the right but the first.

use comfy_table::{CellAlignment, Table, presets::NOTHING};

/// Lays out rows under headings, indented like the text around.
pub(super) fn render(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines.join("\n") + "\n"
}
