//! The tables of a page.

use std::fmt;

use super::{outcome::Outcome, suite::Column};

/// What came of an attack in a column.
pub(super) struct Cell {
    pub(super) attack: String,
    pub(super) outcome: Outcome,
}

/// A table: a row per attack, and a column per way to run it.
pub(super) struct Table {
    pub(super) title: String,
    columns: Vec<(String, bool, Vec<Cell>)>,
}

/// A cell that differs from the page.
pub(super) struct Finding {
    pub(super) is_worse: bool,
    message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Table {
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.into(), columns: Vec::new() }
    }

    pub(super) fn add(&mut self, column: &Column, cells: Vec<Cell>) {
        self.columns.push((column.title.clone(), column.is_promised, cells));
    }

    /// Returns the table as Markdown.
    fn text(&self) -> String {
        let mut text = format!("{}\n\n| attack |", self.heading());
        self.columns.iter().for_each(|(title, ..)| text += &format!(" {title} |"));
        text += "\n|---|";
        text += &"---|".repeat(self.columns.len());
        text += "\n";
        let attacks = self.columns.first().map_or(&[][..], |(_, _, cells)| cells);
        for (row, cell) in attacks.iter().enumerate() {
            text += &format!("| {} |", cell.attack);
            self.columns.iter().for_each(|(_, _, cells)| text += &format!(" {} |", cells[row].outcome));
            text += "\n";
        }
        text
    }

    fn heading(&self) -> String {
        format!("#### {}", self.title)
    }

    /// Compares the table with the one in a page that has the same heading.
    pub(super) fn compare(&self, page: &str) -> Vec<Finding> {
        let mut findings = Vec::new();
        let written = page.split("#### ").find(|part| part.lines().next() == Some(&*self.title));
        for (title, is_promised, cells) in &self.columns {
            for cell in cells {
                let was = written.and_then(|table| look_up(table, &cell.attack, title));
                let is_worse = match was {
                    None => true,
                    Some(was) => *is_promised && cell.outcome.rank() > was.rank(),
                };
                let is_better = was.is_some_and(|was| *is_promised && cell.outcome.rank() < was.rank());
                if is_worse || is_better {
                    let was = was.map_or("not in the page".into(), |was| was.to_string());
                    let (table, attack, is) = (&self.title, &cell.attack, cell.outcome);
                    let message = format!("{table}, {title}: {attack}: {is}, was {was}");
                    findings.push(Finding { is_worse, message });
                }
            }
        }
        findings
    }
}

/// Returns the outcome in a table of a page.
fn look_up(table: &str, attack: &str, column: &str) -> Option<Outcome> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().into()).collect() };
    let mut rows = table.lines().filter(|line| line.starts_with('|')).map(cells);
    let at = rows.next()?.iter().position(|title| title == column)?;
    let row = rows.find(|row| row.get(1).is_some_and(|name| name == attack))?;
    Outcome::of(row.get(at)?)
}

fn marks(suite: &str) -> (String, &'static str) {
    (format!("<!-- attacks: {suite} -->\n"), "<!-- end of attacks -->")
}

/// Returns where the section of a suite is in a page.
fn place(page: &str, suite: &str) -> Result<(usize, usize), String> {
    let (begin, end) = marks(suite);
    let missing = || format!("the page has no section between \"{}\" and \"{end}\"", begin.trim());
    let start = page.find(&begin).ok_or_else(missing)? + begin.len();
    let length = page[start..].find(end).ok_or_else(missing)?;
    Ok((start, start + length))
}

/// Returns the section of a suite in a page.
pub(super) fn section<'a>(page: &'a str, suite: &str) -> Result<&'a str, String> {
    place(page, suite).map(|(start, end)| &page[start..end])
}

/// Returns the page with the tables of a suite.
pub(super) fn replace(page: &str, suite: &str, tables: &[Table]) -> Result<String, String> {
    let (start, end) = place(page, suite)?;
    let texts: Vec<String> = tables.iter().map(Table::text).collect();
    Ok(format!("{}\n{}\n{}", &page[..start], texts.join("\n"), &page[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "text\n<!-- attacks: own -->\n\n#### `A`\n\n| attack | x | y |\n|---|---|---|\n\
        | one | reported | **corrupted** |\n\n<!-- end of attacks -->\nmore\n";

    fn table(outcome: Outcome) -> Table {
        let cells = |outcome| vec![Cell { attack: "one".into(), outcome }];
        let columns = vec![("x".into(), true, cells(outcome)), ("y".into(), true, cells(Outcome::Corrupted))];
        Table { title: "`A`".into(), columns }
    }

    #[test]
    fn worse_cells_are_found() {
        let section = section(PAGE, "own").expect("there is one");
        assert!(table(Outcome::Faulted).compare(section).is_empty());
        let found = table(Outcome::Undetected).compare(section);
        assert!(found.len() == 1 && found[0].is_worse);
        let other = Table { title: "`B`".into(), ..table(Outcome::Reported) };
        assert!(other.compare(section).iter().all(|finding| finding.is_worse));
        assert!(super::section(PAGE, "other").is_err());
    }

    #[test]
    fn page_is_written_and_read_again() {
        let page = replace(PAGE, "own", &[table(Outcome::Undetected)]).expect("there is a section");
        assert!(page.starts_with("text\n") && page.ends_with("more\n"));
        let section = section(&page, "own").expect("there is one");
        assert!(table(Outcome::Undetected).compare(section).is_empty());
    }
}
