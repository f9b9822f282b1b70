//! What was measured in the program itself, as text.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{about::BOLD, change::changed, table};
use crate::{
    analysis::{Analysis, Change, Prediction},
    estimate::{Estimate, LEAST_ROUNDS},
    live::{self, Contender, Figure, Sample, Timed},
    trace::printable,
    units::{self, bytes, counted},
};

/// The results of `millpond try`.
pub(crate) struct Tried<'a> {
    /// The verdict of the replay,
    pub(crate) analysis: Option<&'a Analysis>,
    /// or why there is none.
    pub(crate) unjudged: Option<String>,
    /// The name of the program.
    pub(crate) program: String,
    /// The times of the program itself,
    pub(crate) timed: Option<Timed>,
    /// or why there are none although they were requested.
    pub(crate) untimed: Option<String>,
    /// What the replay predicts for each of the other allocators that the program was timed under.
    pub(crate) predicted: Option<Vec<Prediction>>,
    /// Number of processes besides the one that the replay is about.
    pub(crate) others: usize,
    /// Whether the program had no input because that would have been a terminal.
    pub(crate) has_no_input: bool,
}

const CPU: Figure = |run| run.cpu_ns;
const WALL: Figure = |run| run.wall_ns;
const PEAK: Figure = |run| run.peak_bytes;
/// Linux reports a peak that is at least that of the process from which a program was started, which is below this.
const LEAST_PEAK: f64 = 2.0 * 1024.0 * 1024.0;

/// Describes the runs, if the program was timed.
pub(crate) fn live(tried: &Tried<'_>) -> Option<String> {
    let timed = tried.timed.as_ref()?;
    let sections = [
        format!(
            "{BOLD}{} itself{BOLD:#}, timed in {} after one that does not count\n",
            tried.program,
            counted(timed.own.len() as u64, "round")
        ),
        times(tried, timed),
        memory(timed),
        notes(tried, timed),
        format!("{BOLD}{}{BOLD:#}\n", conclusion(tried, timed)),
    ];
    Some(sections.join("\n"))
}

/// Returns the name and the runs of each allocator, that of the program as it is first.
fn rows(timed: &Timed) -> impl Iterator<Item = (&str, &[Sample])> {
    let others = timed.others.iter().map(|(contender, runs)| (contender.name.as_str(), &runs[..]));
    [(timed.own_name.as_str(), &timed.own[..])].into_iter().chain(others)
}

fn estimate(runs: &[Sample], figure: Figure) -> Estimate {
    Estimate::of(&live::of_figure(runs, figure))
}

fn times(tried: &Tried<'_>, timed: &Timed) -> String {
    let predicted = |row: usize| {
        let prediction = row.checked_sub(1).and_then(|at| tried.predicted.as_ref()?.get(at));
        prediction
            .map_or_else(String::new, |it| it.as_ref().map_or_else(|_| "?".into(), |it| changed(it.change)))
    };
    let row = |(at, (name, runs)): (usize, (&str, &[Sample]))| {
        let cpu = estimate(runs, CPU);
        let change = if at == 0 { String::new() } else { changed(live::changed(timed, runs, CPU).change) };
        vec![
            name.into(),
            units::time(cpu.median),
            spread(cpu, units::time),
            change,
            predicted(at),
            units::time(estimate(runs, WALL).median),
        ]
    };
    let versus = format!("vs {}", timed.own_name);
    let headings = ["allocator", "CPU time", "min-max", &versus, "replay predicted", "elapsed"];
    table::render(&headings, rows(timed).enumerate().map(row).collect())
}

fn memory(timed: &Timed) -> String {
    let row = |(at, (name, runs)): (usize, (&str, &[Sample]))| {
        let peak = estimate(runs, PEAK);
        let change = if at == 0 { String::new() } else { changed(live::changed(timed, runs, PEAK).change) };
        vec![name.into(), bytes(peak.median), spread(peak, bytes), change]
    };
    let versus = format!("vs {}", timed.own_name);
    let headings = ["allocator", "peak memory", "min-max", &versus];
    table::render(&headings, rows(timed).enumerate().map(row).collect())
}

/// Formats the least and the most, with one unit if possible.
fn spread(estimate: Estimate, format: impl Fn(f64) -> String) -> String {
    let (least, most) = (format(estimate.least), format(estimate.most));
    match (least.rsplit_once(' '), most.rsplit_once(' ')) {
        (Some((number, unit)), Some((_, other))) if unit == other => format!("{number}-{most}"),
        _ => format!("{least}-{most}"),
    }
}

fn notes(tried: &Tried<'_>, timed: &Timed) -> String {
    let own = &timed.own_name;
    let mut text = format!(
        "Medians. CPU time is user and system, of the program and of processes that it waited for; peak memory is that of \
         the largest of them. In each round, the program ran twice with {own} and once with each of the others, without \
         output; ranges include what the two differ.\n"
    );
    if rows(timed).any(|(_, runs)| estimate(runs, PEAK).median < LEAST_PEAK) {
        text.push_str(
            "Peaks below 2 MiB are upper bounds: they may be of the process that started the program.\n",
        );
    }
    if tried.has_no_input {
        text.push_str("Standard input was a terminal, so the program had no input: to give it some, use a file or a pipe.\n");
    }
    if tried.predicted.is_some() {
        text.push_str(
            "The prediction is about the calls to the allocator alone: the rest of the program may also become faster or slower \
             when its blocks lie elsewhere.\n",
        );
        if tried.others > 0 {
            let others = counted(tried.others as u64, "other process");
            let _ = writeln!(text, "The prediction is about one process, and the runs include {others}.");
        }
    }
    for (why, names) in unpredicted(tried, timed) {
        let _ = writeln!(text, "No prediction for {}: {}.", names.join(", "), why.trim_end_matches('.'));
    }
    let named = |(contender, _): &(Contender, Vec<Sample>)| {
        format!("{} is {}", contender.name, contender.library.path.display())
    };
    let libraries: Vec<_> = timed.others.iter().map(named).collect();
    if !libraries.is_empty() {
        let _ = writeln!(text, "{}.", printable(&libraries.join(", ")));
    }
    for absent in &timed.absent {
        let _ = writeln!(text, "Not timed: {}, because {}.", absent.name, absent.why);
    }
    text
}

/// Returns why there is no prediction for some allocators, with the names of those.
fn unpredicted<'a>(tried: &'a Tried<'_>, timed: &'a Timed) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut reasons = BTreeMap::<_, Vec<_>>::new();
    for ((contender, _), prediction) in timed.others.iter().zip(tried.predicted.iter().flatten()) {
        if let Err(why) = prediction {
            reasons.entry(why.as_str()).or_default().push(contender.name.as_str());
        }
    }
    reasons
}

/// Returns the conclusion, in a sentence or two.
fn conclusion(tried: &Tried<'_>, timed: &Timed) -> String {
    let (program, own) = (&tried.program, &timed.own_name);
    if timed.own.len() < LEAST_ROUNDS {
        return format!("{LEAST_ROUNDS} rounds or more are needed to tell which differences are no chance.");
    }
    let changes: Vec<_> = timed
        .others
        .iter()
        .map(|(contender, runs)| (contender.name.as_str(), runs, live::changed(timed, runs, CPU).change))
        .collect();
    let gain = |change: &Change| match change {
        Change::Less(share) => Some(share.median),
        _ => None,
    };
    let faster =
        changes.iter().filter_map(|(name, runs, change)| Some((gain(change)?, *name, *runs, *change)));
    let best = faster.clone().max_by(|one, other| one.0.total_cmp(&other.0));
    let Some((_, best, runs, change)) = best else {
        let unclear = changes.iter().any(|(.., change)| matches!(change, Change::Unclear(_)));
        return match (timed.others.is_empty(), unclear) {
            (true, _) => format!("There is no allocator to compare {own} with."),
            (_, true) => format!(
                "Whether {program} takes less CPU time with another allocator cannot be told from these runs: more --rounds, or \
                 a quiet machine, narrow the ranges."
            ),
            (_, false) => format!("{program} takes no less CPU time with any of these than with {own}."),
        };
    };
    let cpu = |runs: &[Sample]| live::of_figure(runs, CPU);
    let equal: Vec<_> = faster
        .filter(|(_, name, theirs, _)| {
            *name != best && !Estimate::difference(&cpu(theirs), &cpu(runs)).is_clear()
        })
        .map(|(_, name, ..)| name)
        .collect();
    let rest = match &equal[..] {
        [] => String::new(),
        equal => format!(" No difference to {} is certain.", equal.join(", ")),
    };
    format!("{program} takes the least CPU time with {best}: {} than with {own}.{rest}", changed(change))
}
