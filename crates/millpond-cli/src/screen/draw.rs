//! Draws the view.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Clear, Paragraph, Row as TableRow, Table, Wrap},
};

use super::view::View;
use crate::{
    report,
    top::{About, Column, Row, Snapshot, cells},
    trace,
};

/// The width of a column of figures, and the least width of call sites.
const WIDTH: u16 = 10;
const SITE: u16 = 20;

const KEYS: &str =
    "q end  ? help  <> sort  / filter  p pause  m mark  [ ] since mark  b up to next  r reverse";
const HELP: &str = "\
q, Ctrl-C     end
< >, ← →      sort by another column; r reverses the order
/             show only sites with a text in their functions; Enter, Esc: all
p, space      pause (a running program is read on)
m             set a mark here (only in this view)
[ ]           select a mark: blocks since then that are still live
b             only those up to the next mark
↑ ↓ PgUp PgDn Home End   scroll
?             close this

LIVE    bytes of live blocks          GROWTH/s  change of that
CALLS/s allocations and resizes       BYTES/s   bytes requested by them
AGE     mean age of the live blocks   ~ ±       estimated from a sample";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View, about: &About, snapshot: &Snapshot) {
    let has_generation = cells::generation(snapshot).is_some();
    let head = 3 + u16::from(has_generation);
    let [top, table, bottom] =
        Layout::vertical([Constraint::Length(head), Constraint::Min(0), Constraint::Length(1)])
            .areas(frame.area());
    frame.render_widget(Paragraph::new(self::head(view, about, snapshot)), top);
    rows(frame, table, view, snapshot);
    frame.render_widget(Paragraph::new(foot(view)), bottom);
    if view.has_help {
        let area = centred(frame.area());
        frame.render_widget(Clear, area);
        frame.render_widget(Paragraph::new(HELP).wrap(Wrap { trim: false }).style(reversed()), area);
    }
}

fn reversed() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Returns the area for the help.
fn centred(area: Rect) -> Rect {
    let (width, height) = (76.min(area.width), 15.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

fn head<'a>(view: &View, about: &'a About, snapshot: &Snapshot) -> Vec<Line<'a>> {
    let process = match about.process {
        0 => String::new(),
        process => format!(" (process {process})"),
    };
    let paused = if view.is_paused { ", PAUSED" } else { "" };
    let state = format!("{}{paused}", cells::state(snapshot, about.is_live));
    let name = about.command_line.split(' ').next().unwrap_or_default();
    let mut lines = vec![
        Line::from(vec![Span::styled(name, bold()), Span::raw(process), Span::raw(format!("  {state}"))]),
        Line::raw(cells::totals(snapshot)),
        Line::raw(cells::method(snapshot)),
    ];
    lines.extend(cells::generation(snapshot).map(|line| Line::styled(line, bold())));
    lines
}

fn foot(view: &View) -> Line<'_> {
    match &view.note {
        Some(note) => Line::raw(&**note),
        None if view.is_typing => Line::raw(format!("/{}_", view.filter)),
        None if !view.filter.is_empty() => {
            Line::raw(format!("filter: {}  (Esc removes it)", trace::printable(&view.filter)))
        }
        None => Line::styled(KEYS, Style::new().add_modifier(Modifier::DIM)),
    }
}

/// Returns the columns for which there is room: that by which rows are sorted, and others by importance.
fn columns(width: u16, sorted: Column, has_selected: bool, is_sampled: bool) -> Vec<Column> {
    use Column::*;
    let mut room = width.saturating_sub(SITE + if is_sampled { WIDTH } else { 0 });
    let mut shown = vec![sorted];
    room = room.saturating_sub(WIDTH + 1);
    for column in [Live, Selected, Growth, Calls, Bytes, Age, Blocks] {
        let is_wanted = column != sorted && (has_selected || column != Selected);
        if is_wanted && room > WIDTH {
            shown.push(column);
            room -= WIDTH + 1;
        }
    }
    Column::ALL.into_iter().filter(|column| shown.contains(column)).collect()
}

fn rows(frame: &mut Frame<'_>, area: Rect, view: &mut View, snapshot: &Snapshot) {
    let is_sampled = snapshot.factor > 1;
    let has_selected = snapshot.generation.mark > 0;
    let columns = columns(area.width, view.column, has_selected, is_sampled);
    let mut rows = snapshot.sorted(view.column, &view.filter);
    if view.is_reversed {
        rows.reverse();
    }
    view.page = usize::from(area.height.saturating_sub(1)).max(1);
    view.top = view.top.min(rows.len().saturating_sub(1));
    let shown = rows.iter().skip(view.top).take(view.page);
    let (mut widths, mut headings) = (Vec::new(), Vec::new());
    for &column in &columns {
        let arrow = if view.is_reversed { "^" } else { "v" };
        let (text, style) = match column == view.column {
            true => (format!("{}{arrow}", column.heading()), sorted_style(view)),
            false => (column.heading().to_owned(), bold()),
        };
        headings.push(Cell::new(Line::styled(text, style).right_aligned()));
        widths.push(Constraint::Length(WIDTH));
        if is_sampled && column == marked(view.column) {
            headings.push(Cell::new(Line::styled("±", bold()).right_aligned()));
            widths.push(Constraint::Length(6));
        }
    }
    headings.push(Cell::new(Line::styled("CALL SITE", bold())));
    widths.push(Constraint::Min(SITE));
    let margin = is_sampled.then_some(marked(view.column));
    let lines = shown.map(|row| line(row, &columns, margin));
    let table = Table::new(lines, widths).header(TableRow::new(headings)).column_spacing(1);
    frame.render_widget(table, area);
}

/// Returns the style of the column by which rows are sorted.
fn sorted_style(view: &View) -> Style {
    let style = bold().add_modifier(Modifier::UNDERLINED);
    if view.has_colours { style.fg(Color::Cyan) } else { style }
}

/// Returns the column of which the margins are shown: that by which rows are sorted, if it may have any.
fn marked(sorted: Column) -> Column {
    if sorted.may_be_estimated() { sorted } else { Column::Live }
}

fn line<'a>(row: &Row, columns: &[Column], margin: Option<Column>) -> TableRow<'a> {
    let mut cells = Vec::new();
    for &column in columns {
        let text = cells::cell(column, &row.figures);
        cells.push(Cell::new(Line::raw(text).right_aligned()));
        if margin == Some(column) {
            let text = cells::margin_of(column, &row.figures);
            cells.push(Cell::new(Line::raw(text).right_aligned()));
        }
    }
    cells.push(Cell::new(report::top_site(row)));
    TableRow::new(cells)
}
