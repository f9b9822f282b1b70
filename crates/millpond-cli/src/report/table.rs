//! Tables in plain characters: headings, a line of dashes, all columns except the first aligned to the right.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets::NOTHING};

use crate::terminal;

/// Formats rows under headings, indented as the surrounding text; on a terminal, headings are wrapped to fit its width.
pub(super) fn render(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    lay_out(headings, rows, terminal::width())
}

fn lay_out(headings: &[&str], rows: Vec<Vec<String>>, width: Option<usize>) -> String {
    let words = headings.iter().map(|heading| heading.split(' ').map(str::len).max().unwrap_or(0));
    let cells = |column: usize| rows.iter().filter_map(move |row| Some(row.get(column)?.chars().count()));
    let least: Vec<_> =
        words.enumerate().map(|(column, word)| cells(column).fold(word, usize::max)).collect();
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(headings.to_vec());
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(narrow(width));
        // Only headings are wrapped, between words: a number on two lines would be unreadable.
        for (column, least) in table.column_iter_mut().zip(least) {
            let (left, right) = (1, 1);
            column
                .set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(narrow(left + least + right))));
        }
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
    lines.join("\n") + "\n"
}

/// Returns the width of a text in the table.
fn narrow(width: usize) -> u16 {
    width.min(u16::MAX.into()) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_wrapped_and_cells_are_not() {
        let table = |width| {
            let rows = vec![vec!["mimalloc".into(), "23.1-23.2".into(), "1.85 ms".into()]];
            lay_out(&["allocator", "from least to most", "total"], rows, width)
        };
        assert_eq!(table(None).lines().count(), 2);
        assert_eq!(table(Some(200)), table(None));
        let narrow = table(Some(34));
        assert!(narrow.lines().count() > 2 && narrow.lines().all(|line| line.len() <= 34), "{narrow}");
        assert!(table(Some(10)).contains(" mimalloc ") && table(Some(10)).contains("23.1-23.2"));
    }
}
