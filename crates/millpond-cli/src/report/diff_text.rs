//! A comparison as text.

use std::fmt::Write as _;

use super::{
    about::{self, BOLD, shortened},
    frames, table,
};
use crate::{
    compare::{Change, Changes, Comparison, Figure, Run, Site, Span, Verdict},
    trace,
    units::{counted, percent, time},
};

/// How many sites are shown, and max characters of a command line.
const MOST: usize = 10;
const LINE: usize = 90;

/// Returns the report.
pub(crate) fn diff(comparison: &Comparison) -> String {
    let Comparison { before, after, total, sites, notes, .. } = comparison;
    let mut text = format!("{}{}\n", side("before", before), side("after", after));
    text.push_str(&table::render(&["", "before", "after", "change"], rows(total)));
    for (what, before, after) in [
        ("CPU time", times(before, |run| run.summary.cpu_ns), times(after, |run| run.summary.cpu_ns)),
        ("elapsed", times(before, |run| run.summary.wall_ns), times(after, |run| run.summary.wall_ns)),
    ] {
        let _ = writeln!(text, "{what}: {before}, then {after}; not compared, as recording changes it");
    }
    if before.len() == 1 && after.len() == 1 {
        text.push_str(
            "One run of each: this does not tell a change from what differs between equal runs. \
             Give several runs of each, with --to.\n",
        );
    }
    let changed: Vec<_> = sites.iter().filter(|site| site.is_changed()).collect();
    let same = sites.iter().filter(|site| site.is_same()).count();
    let shown = &changed[..changed.len().min(MOST)];
    let title = "Call sites that changed, by share of the program";
    let _ = write!(text, "\n{}", about::title(title, shown.len(), changed.len()));
    if shown.is_empty() {
        text.push_str("  none\n");
    }
    (1..).zip(shown).for_each(|(number, site)| text.push_str(&self::site(number, site)));
    let noise = sites.len() - changed.len() - same;
    let _ = writeln!(
        text,
        "{} the same in all runs; {} no more than equal runs do",
        verb(same, "is", "are"),
        verb(noise, "differs", "differ")
    );
    if !notes.is_empty() {
        let _ = writeln!(text, "\n{BOLD}Names that are missing, so that sites may not match{BOLD:#}");
        notes.iter().for_each(|note| text.push_str(&format!("  {}\n", trace::printable(note))));
    }
    text
}

/// Formats a number of call sites and a verb.
fn verb(sites: usize, one: &str, several: &str) -> String {
    format!("{} {}", counted(sites as u64, "call site"), if sites == 1 { one } else { several })
}

/// Describes the runs of a side.
fn side(name: &str, runs: &[Run]) -> String {
    let line = runs.first().map_or("", |run| &run.command_line);
    let files: Vec<_> = runs.iter().map(|run| run.path.display().to_string()).collect();
    format!(
        "{BOLD}{name}: {}{BOLD:#}\n  {} ({})\n",
        shortened(line, LINE),
        counted(runs.len() as u64, "run"),
        shortened(&trace::printable(&files.join(", ")), LINE)
    )
}

/// Formats the range of a time of all runs.
fn times(runs: &[Run], number: impl Fn(&Run) -> u64) -> String {
    let span = Span::of(runs.iter().map(number).collect::<Vec<_>>().into_iter());
    if span.most == 0 {
        return "unknown".into();
    }
    range(span, |number| time(number as f64))
}

/// Formats both ends, or the only number.
pub(super) fn range(span: Span, format: impl Fn(u64) -> String) -> String {
    let (least, most) = (format(span.least), format(span.most));
    if least == most { least } else { format!("{least} to {most}") }
}

/// Iterates over the figures that the traces have.
fn known(changes: &Changes) -> impl Iterator<Item = (Figure, &Change)> {
    Figure::ALL.into_iter().zip(changes).filter_map(|(figure, change)| Some((figure, change.as_ref()?)))
}

fn rows(changes: &Changes) -> Vec<Vec<String>> {
    let row = |(figure, change): (Figure, &Change)| {
        let number = |span| range(span, |number| figure.format(number));
        vec![figure.name().into(), number(change.before), number(change.after), difference(figure, change)]
    };
    known(changes).map(row).collect()
}

/// Formats by how much a figure has changed, if that is known.
fn difference(figure: Figure, change: &Change) -> String {
    match change.change {
        Verdict::Same => "same".into(),
        Verdict::Noise => "within noise".into(),
        Verdict::Unknown => "cannot tell: one run of each".into(),
        Verdict::Changed => signed(figure, change),
    }
}

/// Formats a clear change: the range in which it lies, and the share.
fn signed(figure: Figure, change: &Change) -> String {
    let Change { before, after, .. } = change;
    let (sign, small, large) = if after.least > before.most {
        ("+", after.least - before.most, after.most - before.least)
    } else {
        ("-", before.least - after.most, before.most - after.least)
    };
    let by = range(Span { least: small, most: large }, |number| figure.format(number));
    if before.most == 0 {
        return format!("{sign}{by}");
    }
    format!("{sign}{by} ({sign}{})", percent((change.difference() / before.middle()).abs()))
}

/// Formats a site: what has changed, and where it is.
fn site(number: usize, site: &Site) -> String {
    let clear = known(&site.changes).filter(|(_, change)| change.is_clear());
    let mut facts: Vec<_> =
        clear.map(|(figure, change)| format!("{} {}", figure.name(), signed(figure, change))).collect();
    match (site.runs_before, site.runs_after) {
        (0, _) => facts.insert(0, "new".into()),
        (_, 0) => facts.insert(0, "gone".into()),
        _ => {}
    }
    if let (Some(before), Some(after)) = (site.lifetime_before, site.lifetime_after)
        && before != after
    {
        facts.push(format!("lifetime {before}, then {after}"));
    }
    format!("  {number:>2}  {}\n      {}\n", facts.join(", "), frames::chain(&site.frames, &[]))
}
