//! Draws a plot: panels under one another, of which each has a row for each contender and a column for each mix.

use std::fmt::Write as _;

use super::{
    results::{Results, Row, Spread},
    scale::{Kind, Scale, figure, label},
    themes::{Column, Panel, Plot, Shown},
};

const ROW: f64 = 19.0;
/// The room for a figure beside a dot or bar.
const FIGURE: f64 = 48.0;
const GAP: f64 = 14.0;
const MARGIN: f64 = 12.0;
/// Above the rows of a panel: two lines of a title. Below: the ticks.
const TITLES: f64 = 44.0;
const TICKS: f64 = 30.0;
/// A letter of 12 pixels is at most so wide, on average, whatever the font.
const LETTER: f64 = 6.9;

/// Colours for light backgrounds and for dark ones; the background itself is left as it is.
const STYLE: &str = "\
text{font:12px Helvetica,Arial,'Liberation Sans',sans-serif;fill:#1f2328}\
.s{font-size:11px;fill:#59636e}.t{font-weight:bold}.e{text-anchor:end}.m{text-anchor:middle}\
.band{fill:#818b98;fill-opacity:.1}.tick{stroke:#818b98}.one{stroke:#59636e;stroke-dasharray:3 2}\
.ours{fill:#0969da;stroke:#0969da}.peer{fill:#bc4c00;stroke:#bc4c00}.base{fill:#59636e;stroke:#59636e}\
text.ours{fill:#0969da;stroke:none;font-weight:bold}text.peer,text.base{stroke:none;fill:#1f2328}\
.w{stroke-width:2}.stem{stroke-width:6;stroke-opacity:.22}\
@media(prefers-color-scheme:dark){text,text.peer,text.base{fill:#f0f6fc}.s{fill:#9198a1}.one{stroke:#9198a1}\
.ours{fill:#58a6ff;stroke:#58a6ff}.peer{fill:#f0883e;stroke:#f0883e}.base{fill:#9198a1;stroke:#9198a1}text.ours{fill:#58a6ff}}";

/// Words by which contenders are known that are no part of Millpond, and baselines.
const PEERS: &[&str] = &[
    "slab",
    "slotmap",
    "glibc",
    "libc",
    "malloc",
    "boost",
    "pmr::",
    "plurality",
    "opool",
    "infinity_pool",
    "typed-arena",
    "bumpalo",
    "bump-scope",
    "rlsf",
    "talc",
    "buddy_system",
    "heapless",
    "foonathan",
    "new and delete",
    "heaptrack",
];
const BASELINES: &[&str] = &["hand-written", "raw", "the ", "no pool", "a walk", "two virtual calls"];

/// The plot as an SVG file; or why it cannot be drawn.
pub(super) fn draw(plot: &Plot, results: &Results) -> Result<String, String> {
    let panels = plot.panels.iter().map(|panel| Table::new(panel, results)).collect::<Result<Vec<_>, _>>()?;
    let names = panels.iter().flat_map(|table| &table.names);
    let longest = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let left = MARGIN + longest as f64 * LETTER + GAP;
    let columns = plot.panels.iter().map(|panel| panel.columns.len()).max().unwrap_or(1) as f64;
    let wide = ((880.0 - left) / columns - GAP).clamp(120.0, 330.0);
    let width = left + columns * (wide + GAP) + MARGIN;
    let (mut body, mut top) = (String::new(), 30.0);
    legend(&mut body, plot, &panels);
    for table in &panels {
        top = table.draw(&mut body, left, wide, top);
    }
    let machine = plot.panels.first().and_then(|panel| panel.columns.first());
    let machine = machine.map_or("", |column| results.machine(column.mix));
    text(&mut body, "s", MARGIN, top + 12.0, machine);
    let height = top + 22.0;
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n{body}</svg>\n",
        escaped(plot.title)
    ))
}

/// The colours and marks that are used.
fn legend(body: &mut String, plot: &Plot, panels: &[Table<'_>]) {
    let mut x = MARGIN;
    for (class, word) in [("ours", "Millpond"), ("peer", "others"), ("base", "hand-written baselines")] {
        if panels.iter().any(|table| table.names.iter().any(|name| kind(name) == class)) {
            let _ = writeln!(body, "<circle class=\"{class}\" cx=\"{:.0}\" cy=\"14\" r=\"4\"/>", x + 4.0);
            text(body, "", x + 13.0, 18.0, word);
            x += 26.0 + word.len() as f64 * LETTER;
        }
    }
    let marks = match plot.panels[0].kind {
        Kind::Logarithmic => "dot: median; line: quartiles; dashed: baseline; logarithmic; less is better",
        Kind::Linear => "median; less is better",
    };
    text(body, "s", x + 8.0, 18.0, marks);
}

/// A panel with its results.
struct Table<'a> {
    panel: &'a Panel,
    names: Vec<&'a str>,
    /// By column and row.
    cells: Vec<Vec<Option<Spread>>>,
}

impl<'a> Table<'a> {
    fn new(panel: &'a Panel, results: &'a Results) -> Result<Self, String> {
        let mut names: Vec<&str> = Vec::new();
        for column in panel.columns {
            if !results.rows.iter().any(|row| column.is_of(row)) {
                return Err(format!("there are no results of {} {}", column.mix, column.case));
            }
            for row in results.rows.iter().filter(|row| column.is_of(row)) {
                let is_wanted = panel.only.is_empty() || panel.only.contains(&&*row.contender);
                if is_wanted && !panel.without.contains(&&*row.contender) && !names.contains(&&*row.contender)
                {
                    names.push(&row.contender);
                }
            }
        }
        if let Some(unknown) = panel.only.iter().find(|name| !names.contains(name)) {
            return Err(format!("no contender is called {unknown}"));
        }
        let cell = |column: &Column, name: &str| {
            let row = results.rows.iter().find(|row| column.is_of(row) && row.contender == name)?;
            match column.shown {
                Shown::Ratio => row.ratio,
                Shown::Value(_) => Some(row.value),
            }
        };
        let of_column = |column| names.iter().map(|name| cell(column, name)).collect();
        let cells = panel.columns.iter().map(of_column).collect();
        Ok(Self { panel, names, cells })
    }

    /// Draws the panel below `top` and returns where it ends.
    fn draw(&self, body: &mut String, left: f64, wide: f64, top: f64) -> f64 {
        let first = top + TITLES;
        let last = first + self.names.len() as f64 * ROW;
        let right = left + self.panel.columns.len() as f64 * (wide + GAP);
        for (index, name) in self.names.iter().enumerate() {
            let y = first + index as f64 * ROW;
            if index % 2 == 0 {
                rectangle(body, "band", MARGIN, y, right - MARGIN, ROW);
            }
            text(body, &format!("e {}", kind(name)), left - GAP, y + 13.5, name);
        }
        let axis = wide - FIGURE;
        for (index, (column, cells)) in self.panel.columns.iter().zip(&self.cells).enumerate() {
            let x = left + index as f64 * (wide + GAP);
            text(body, "t", x, top + 18.0, column.title);
            text(body, "s", x, top + 33.0, column.subtitle());
            let mine: Vec<Spread> = cells.iter().flatten().copied().collect();
            let shared: Vec<Spread> = self.cells.iter().flatten().flatten().copied().collect();
            let baseline = column.baseline();
            let spreads = if self.panel.kind == Kind::Linear { &mine } else { &shared };
            let scale = Scale::over(self.panel.kind, spreads, baseline, axis);
            for tick in scale.ticks() {
                line(body, "tick", x + scale.at(tick), last, last + 4.0);
                let unit = if column.shown == Shown::Ratio { "×" } else { "" };
                text(body, "s m", x + scale.at(tick), last + 15.0, &format!("{}{unit}", label(tick)));
            }
            if let Some(baseline) = baseline {
                line(body, "one", x + scale.at(baseline), first, last);
            }
            for ((row, name), cell) in self.names.iter().enumerate().zip(cells) {
                let y = first + (row as f64 + 0.5) * ROW;
                match cell {
                    Some(spread) => mark(body, self.panel.kind, kind(name), x, y, &scale, *spread, column),
                    None => text(body, "s", x, y + 4.0, "–"),
                }
            }
        }
        last + if self.panel.kind == Kind::Linear { 8.0 } else { TICKS }
    }
}

/// A median with its quartiles, and its figure to the right of all.
#[expect(clippy::too_many_arguments, reason = "what is drawn, and where")]
fn mark(
    body: &mut String,
    kind: Kind,
    class: &str,
    x: f64,
    y: f64,
    scale: &Scale,
    spread: Spread,
    column: &Column,
) {
    let (at, low, high) = (scale.at(spread.median), scale.at(spread.low), scale.at(spread.high));
    let mut end = at;
    match kind {
        Kind::Linear => rectangle(body, class, x, y - 6.0, at.max(1.0), 12.0),
        Kind::Logarithmic => {
            let from = column.baseline().map_or(0.0, |baseline| scale.at(baseline));
            horizontal(body, &format!("{class} stem"), x + from, x + at, y);
            horizontal(body, &format!("{class} w"), x + low, x + high, y);
            let _ =
                writeln!(body, "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>", x + at);
            end = high.max(at + 3.5).max(from);
        }
    }
    let unit = if column.shown == Shown::Ratio { "×" } else { "" };
    text(body, "s", x + end + 5.0, y + 4.0, &format!("{}{unit}", figure(spread.median)));
}

impl Column {
    fn is_of(&self, row: &Row) -> bool {
        row.mix == self.mix && row.case == self.case && row.measure == self.measure
    }

    fn subtitle(&self) -> &'static str {
        match self.shown {
            Shown::Ratio => "time, ratio to the first",
            Shown::Value(unit) => unit,
        }
    }

    fn baseline(&self) -> Option<f64> {
        (self.shown == Shown::Ratio).then_some(1.0)
    }
}

/// Whose a contender is, as a class of the style.
fn kind(name: &str) -> &'static str {
    let starts = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    match name {
        _ if starts(BASELINES) => "base",
        name if PEERS.iter().any(|word| name.contains(word)) => "peer",
        _ => "ours",
    }
}

fn text(body: &mut String, class: &str, x: f64, y: f64, words: &str) {
    let _ = writeln!(body, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words));
}

fn rectangle(body: &mut String, class: &str, x: f64, y: f64, width: f64, height: f64) {
    let _ = writeln!(
        body,
        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
    );
}

fn line(body: &mut String, class: &str, x: f64, from: f64, to: f64) {
    let _ = writeln!(
        body,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\"/>"
    );
}

fn horizontal(body: &mut String, class: &str, from: f64, to: f64, y: f64) {
    let _ = writeln!(
        body,
        "<line class=\"{class}\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
    );
}

fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contenders_are_told_apart() {
        let kinds = ["hand-written list", "Local<Blocks<…>>", "boost::lockfree", "mimalloc", "two bumpalos"]
            .map(kind);
        assert_eq!(kinds, ["base", "ours", "peer", "peer", "peer"]);
    }
}
