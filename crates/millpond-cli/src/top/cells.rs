//! Figures as text. What is estimated from a sample is marked, and what the sample cannot say is not shown.

use std::cmp::Ordering;

use super::{Column, Figures, Generation, Snapshot, State};
use crate::{
    estimate::Estimate,
    trace,
    units::{self, bytes, count, counted},
};

/// Returns the text in a column.
pub(crate) fn cell(column: Column, figures: &Figures) -> String {
    match column {
        Column::Live => amount(figures.live_bytes, bytes),
        Column::Blocks => amount(figures.live_blocks, whole),
        Column::Growth => growth(figures),
        Column::Calls => whole(figures.calls_rate),
        Column::Bytes => bytes(figures.bytes_rate.round()),
        Column::Age => age(figures),
        Column::Selected => amount(figures.selected_bytes, bytes),
    }
}

fn whole(number: f64) -> String {
    count(number.round() as u64)
}

fn is_exact(estimate: Estimate) -> bool {
    estimate.least == estimate.most
}

/// Formats an estimate: a number, or about which number, or below which.
pub(crate) fn amount(estimate: Estimate, format: impl Fn(f64) -> String) -> String {
    match estimate {
        exact if is_exact(exact) => format(exact.median),
        Estimate { median, most, .. } if most > VAGUE * median => format!("<{}", format(most.ceil())),
        Estimate { median, .. } => format!("~{}", format(median.round())),
    }
}

/// If the truth may be larger than an estimate by this factor, only the upper bound is shown.
const VAGUE: f64 = 2.0;

/// Formats by how much the truth may differ from an estimate; empty if it is exact, or if only a bound is shown.
pub(crate) fn margin(estimate: Estimate) -> String {
    let Estimate { median, least, most } = estimate;
    if is_exact(estimate) || median == 0.0 || most > VAGUE * median && median > 0.0 {
        return String::new();
    }
    let share = (most - median).max(median - least) / median.abs();
    format!("±{:.0} %", (share * 100.0).ceil())
}

/// Formats the margin of what is in a column; empty if it is exact, or if no figure is shown.
pub(crate) fn margin_of(column: Column, figures: &Figures) -> String {
    match column {
        Column::Live => margin(figures.live_bytes),
        Column::Blocks => margin(figures.live_blocks),
        Column::Selected => margin(figures.selected_bytes),
        Column::Age => figures.age.map_or_else(String::new, margin),
        Column::Growth if figures.growth.least > 0.0 || figures.growth.most < 0.0 => margin(figures.growth),
        Column::Growth | Column::Calls | Column::Bytes => String::new(),
    }
}

/// Formats a difference per second; a question mark if it may be positive or negative, and matter.
fn growth(figures: &Figures) -> String {
    let estimate = figures.growth;
    let Estimate { median, least, most } = estimate;
    let sign = if median < 0.0 { "-" } else { "+" };
    match median.abs().round() {
        _ if !is_exact(estimate) && least <= 0.0 && most >= 0.0 => {
            if figures.is_steady { "~0" } else { "?" }.into()
        }
        0.0 if is_exact(estimate) => "0".into(),
        size if is_exact(estimate) => format!("{sign}{}", bytes(size)),
        size => format!("~{sign}{}", bytes(size)),
    }
}

fn age(figures: &Figures) -> String {
    match figures.age {
        Some(age) => amount(age, units::time),
        None if is_exact(figures.live_blocks) => "-".into(),
        None => "?".into(),
    }
}

/// Describes the state of everything in one line.
pub(crate) fn totals(snapshot: &Snapshot) -> String {
    let all = &snapshot.all;
    let margin = match &*margin(all.live_bytes) {
        "" => String::new(),
        margin => format!(" ({margin})"),
    };
    let growth = match growth(all) {
        growth if growth == "?" => "growth unknown".into(),
        growth => format!("{growth}/s"),
    };
    format!(
        "{}{margin} live in {} blocks, {growth}; {} calls/s, {}/s",
        cell(Column::Live, all),
        cell(Column::Blocks, all),
        cell(Column::Calls, all),
        cell(Column::Bytes, all),
    )
}

/// Describes what the figures are about.
pub(crate) fn method(snapshot: &Snapshot) -> String {
    let spans = format!(
        "rates: last {}, growth: {}",
        units::time(snapshot.rate_ns as f64),
        match snapshot.growth_ns.cmp(&snapshot.time) {
            Ordering::Less => format!("last {}", units::time(snapshot.growth_ns as f64)),
            _ => "all time".into(),
        }
    );
    match snapshot.factor {
        1 => format!("every block is followed; {spans}"),
        factor => {
            let below = bytes(snapshot.large as f64);
            format!("1 in {} blocks below {below} is followed (~ ± 95 %); {spans}", count(factor))
        }
    }
}

/// Describes the selected generation; `None` if that is all blocks.
pub(crate) fn generation(snapshot: &Snapshot) -> Option<String> {
    let Generation { mark, is_closed } = snapshot.generation;
    let name = |number: usize| {
        let mark = snapshot.marks.get(number.checked_sub(1)?)?;
        let time = units::time(mark.time as f64);
        Some(format!("mark {number} {} ({time})", trace::printable(&mark.name)))
    };
    let from = name(mark)?;
    let to = if is_closed { name(mark + 1) } else { None };
    let when = to.map_or_else(|| format!("since {from}"), |to| format!("from {from} to {to}"));
    let Figures { selected_bytes, selected_blocks, .. } = snapshot.all;
    let (bytes, blocks) = (amount(selected_bytes, units::bytes), amount(selected_blocks, whole));
    let margin = margin(selected_bytes);
    let bytes = if margin.is_empty() { bytes } else { format!("{bytes} ({margin})") };
    Some(format!("SELECTED: {bytes} live in {blocks} blocks allocated {when}"))
}

/// Describes how far the program or its replay is.
pub(crate) fn state(snapshot: &Snapshot, is_live: bool) -> String {
    let time = units::time(snapshot.time as f64);
    match &snapshot.state {
        State::Behind(share) => {
            format!("at {time}, reading what was recorded: {:.0} %", (share * 100.0).floor())
        }
        State::Current if is_live => format!("recorded for {time}"),
        State::Current => format!("at {time}"),
        State::Ended(why) => format!("at {time}: {why}"),
    }
}

/// Describes the marks.
pub(crate) fn marks(snapshot: &Snapshot) -> String {
    counted(snapshot.marks.len() as u64, "mark")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(least: f64, median: f64, most: f64) -> Estimate {
        Estimate { median, least, most }
    }

    #[test]
    fn what_is_estimated_is_marked() {
        let live = |live_bytes| cell(Column::Live, &Figures { live_bytes, ..Figures::default() });
        assert_eq!(live(Estimate::exact(2048.0)), "2.00 KiB");
        assert_eq!(live(estimate(1000.0, 2048.0, 3000.0)), "~2.00 KiB");
        assert_eq!(live(estimate(0.0, 0.0, 4096.0)), "<4.00 KiB");
        assert_eq!(live(estimate(100.0, 2000.0, 8192.0)), "<8.00 KiB");
        assert_eq!(margin(estimate(90.0, 100.0, 120.0)), "±20 %");
        assert_eq!(margin(Estimate::exact(7.0)), "");
    }

    #[test]
    fn growth_of_unknown_sign_is_not_shown() {
        let growth = |growth| cell(Column::Growth, &Figures { growth, ..Figures::default() });
        assert_eq!(growth(Estimate::exact(0.0)), "0");
        assert_eq!(growth(Estimate::exact(-2048.0)), "-2.00 KiB");
        assert_eq!(growth(estimate(-1.0, 2048.0, 4000.0)), "?");
        assert_eq!(growth(estimate(1000.0, 2048.0, 4000.0)), "~+2.00 KiB");
        let steady = Figures { growth: estimate(-1.0, 3.0, 4.0), is_steady: true, ..Figures::default() };
        assert_eq!(cell(Column::Growth, &steady), "~0");
    }
}
