//! The report as text.

use std::{fmt::Write as _, path::Path};

use super::{
    about::{self, BOLD},
    change, frames, table,
};
use crate::{
    advise::{Advice, Block},
    analysis::{Analysis, Bound, Change, Places, Study, Verdict},
    cli::Settings,
    estimate::Estimate,
    replay::{
        Baseline, Comparison, LEAST_ROUNDS, Name, Outcome, Relation, Verification, Written, mimalloc_version,
        outliers,
    },
    trace::printable,
    units::{self, bytes, count, counted, percent},
};

/// A difference of less than this share of the baseline's time or memory is called the same.
const NOTHING: f64 = 0.02;
/// A difference of less than this share of the program's CPU time is called no difference.
pub(super) const NOTICED: f64 = 0.005;

/// Returns the whole report.
pub(crate) fn analysis(analysis: &Analysis) -> String {
    let Analysis { study, settings, comparison, bound, verdict, places } = analysis;
    let mut sections = vec![about(study), outcomes(study, settings, comparison)];
    if study.exclusion.is_none() {
        sections.push(gain(study, comparison, bound));
        sections.push(advice(&study.advice, verdict));
        sections.extend(places.as_ref().map(self::places));
    }
    sections.push(format!("{BOLD}{}{BOLD:#}\n", verdict.text));
    let mut text = sections.join("\n");
    for more in [&verdict.locality, &verdict.mimalloc].into_iter().flatten() {
        text.push_str(more);
        text.push('\n');
    }
    text
}

/// Returns the report of a verifying replay.
pub(crate) fn verified(study: &Study, verified: &[(Name, Verification)]) -> String {
    let rows = verified.iter().map(|(name, found)| {
        vec![study.baseline.title_of(*name), count(found.blocks), bytes(found.bytes as f64), "sound".into()]
    });
    let table = table::render(&["allocator", "blocks", "compared", "result"], rows.collect());
    format!(
        "{}\n{table}\n\
         Every block was filled, and its contents were compared when it was resized or freed, and at the end.\n\
         No two blocks overlapped, resizes kept the contents, and every block was aligned and zeroed as requested.\n",
        about(study)
    )
}

/// Describes what was recorded.
fn about(study: &Study) -> String {
    let threads = (study.summary.threads > 1).then(|| threads(study));
    about::recording(&study.command_line, &study.summary, threads) + &served(study)
}

/// Describes the baseline, if it is not simply glibc, which served the program.
fn served(study: &Study) -> String {
    let Baseline { library, relation, is_same_build } = &study.baseline;
    let program = &study.program;
    let what = match (library, relation) {
        (None, Relation::Recorded) if *is_same_build == Some(false) => {
            "its calls were served by another build of glibc than the one here".into()
        }
        (None, Relation::Recorded) => return String::new(),
        (Some(library), Relation::Recorded) => format!("its calls were served by {}", shown(library)),
        (None, Relation::Assumed) => {
            let glibc = study.baseline.title();
            format!("the trace does not say which allocator served its calls: {glibc} is assumed")
        }
        (Some(library), Relation::Assumed) => {
            format!("the trace does not say which allocator served its calls: {} is assumed", shown(library))
        }
        (None, Relation::Other) => {
            format!("compared with {}, which {program} did not use", study.baseline.title())
        }
        (Some(library), Relation::Other) => {
            format!("compared with {}, which {program} did not use", shown(library))
        }
    };
    format!("{what}\n")
}

/// Returns a path for display.
fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Describes how the threads interact.
fn threads(study: &Study) -> String {
    let (summary, threads) = (&study.summary, &study.histogram.threads);
    let calls = summary.frees + summary.resizes;
    let foreign = match threads.foreign {
        0 => "each freed or resized only its own blocks".into(),
        foreign => format!(
            "{} of their {} concerned another thread's block, and waited for that thread",
            percent(foreign as f64 / calls as f64),
            if calls == 1 {
                "one free or resize".into()
            } else {
                format!("{} frees and resizes", count(calls))
            }
        ),
    };
    format!(
        "{}, replayed by {}, each in its own order; {foreign}",
        counted(summary.threads.into(), "thread"),
        counted(threads.at_once.into(), "thread")
    )
}

/// Lists the time and memory of each contender.
fn outcomes(study: &Study, settings: &Settings, comparison: &Comparison) -> String {
    let time = comparison.outcomes.iter().map(|outcome| time_row(study, outcome, comparison)).collect();
    let memory = comparison.outcomes.iter().map(|outcome| memory_row(outcome, comparison)).collect();
    let versus = format!("vs {}", comparison.baseline.title());
    let mut text = table::render(&["allocator", "ns/event", "min-max", "total", &versus], time);
    text.push('\n');
    let headings = ["allocator", "peak memory", &versus, "unused in blocks", "around blocks"];
    text.push_str(&table::render(&headings, memory));
    let _ = writeln!(
        text,
        "\nMedians of {}, in which all take turns, each in a process of its own. \"same\": the rounds agree that the \
         difference is below 2 %; \"?\": they do not agree, or a time is not above that of the loop.\n\
         {}{}\
         Written: {}. Subtracted: the cost of the loop and of these writes, {} per event.",
        counted(settings.rounds.into(), "round"),
        outlying(comparison),
        slow_starts(study, comparison),
        written(comparison),
        units::time(comparison.bare.median / study.summary.events as f64),
    );
    let memory_use = comparison.of_baseline().map(|outcome| outcome.memory_use).unwrap_or_default();
    let large = memory_use.requested - memory_use.written;
    if large > 0 {
        let why = if comparison.touched.is_some_and(|touched| touched.is_known) {
            "the program had less memory than all of them would take"
        } else {
            "programs often fill only a part of them, and the trace does not say how much"
        };
        let _ = writeln!(
            text,
            "Large blocks, {} of the peak, are written at both ends only: {why}.",
            bytes(large as f64)
        );
    }
    if let Some(reason) = &comparison.without_huge {
        let _ = writeln!(text, "Left out: the advised pools on huge pages, since {reason}.");
    }
    if comparison.of(Name::Mimalloc).is_some() {
        let _ = writeln!(
            text,
            "mimalloc is version {}, which uses huge pages where it can; other versions need other amounts of memory.",
            mimalloc_version()
        );
    }
    if cfg!(debug_assertions) {
        text.push_str(
            "This is a debug build of millpond, whose pools are slower than those of a release build.\n",
        );
    }
    if comparison.outcomes.iter().any(|outcome| outcome.peaks.is_empty()) {
        text.push_str(
            "Peak memory is unknown: this system does not let a process reset it (/proc/self/clear_refs).\n",
        );
    }
    text
}

/// Describes which bytes of each block are written.
fn written(comparison: &Comparison) -> String {
    match comparison.touched.map(|touched| touched.written) {
        Some(Written::All) => "every byte of each block".into(),
        Some(Written::Below(large)) if large < usize::MAX => {
            format!("both ends of each block, and a byte per 4 KiB of those below {}", bytes(large as f64))
        }
        _ => "both ends of each block and a byte per 4 KiB".into(),
    }
}

/// Lists the rounds that took far longer than the others.
fn outlying(comparison: &Comparison) -> String {
    let told = |outcome: &Outcome| {
        let median = Estimate::of(&outcome.times).median;
        outliers(&outcome.times)
            .into_iter()
            .map(|round| {
                let times = outcome.times[round] / median;
                let title = comparison.baseline.title_of(outcome.name);
                format!("round {} of {title} ({times:.1} times its median)", round + 1)
            })
            .collect::<Vec<_>>()
    };
    let all: Vec<_> = comparison.outcomes.iter().flat_map(told).collect();
    match all.len() {
        0 => String::new(),
        1 => format!("An outlier, probably because other programs kept the machine busy: {}.\n", all[0]),
        _ => {
            format!("Outliers, probably because other programs kept the machine busy: {}.\n", all.join(", "))
        }
    }
}

/// Describes what the first turns have shown that the rounds have not.
fn slow_starts(study: &Study, comparison: &Comparison) -> String {
    let slow = |outcome: &&Outcome| outcome.first > 2.0 * Estimate::of(&outcome.times).most;
    let each = |nanoseconds: f64| nanoseconds / study.summary.events as f64;
    let title = |outcome: &Outcome| comparison.baseline.title_of(outcome.name);
    let told = |outcome: &Outcome| format!("{} {:.1}", title(outcome), each(outcome.first));
    let told: Vec<_> = comparison.outcomes.iter().filter(slow).map(told).collect();
    if told.is_empty() {
        return String::new();
    }
    format!("The first turn, which does not count, took much longer (ns/event): {}.\n", told.join("; "))
}

fn time_row(study: &Study, outcome: &Outcome, comparison: &Comparison) -> Vec<String> {
    let total = outcome.total();
    let each = total.map(|total| total.over(study.summary.events as f64));
    let shown = |text: Option<String>| text.unwrap_or_else(|| "?".into());
    vec![
        comparison.baseline.title_of(outcome.name),
        shown(each.map(|each| format!("{:.1}", each.median))),
        shown(each.map(|each| format!("{:.1}-{:.1}", each.least, each.most))),
        shown(total.map(|total| units::time(total.median))),
        same_or_ratio(outcome, comparison, |outcome| &outcome.times),
    ]
}

fn memory_row(outcome: &Outcome, comparison: &Comparison) -> Vec<String> {
    let peak = Estimate::of(&outcome.peaks).median;
    let memory_use = outcome.memory_use;
    let known = !outcome.peaks.is_empty();
    let size = |value: f64| if known { bytes(value) } else { "?".into() };
    vec![
        comparison.baseline.title_of(outcome.name),
        size(peak),
        same_or_ratio(outcome, comparison, |outcome| &outcome.peaks),
        bytes(memory_use.handed_out as f64 - memory_use.written as f64),
        size(peak - memory_use.handed_out as f64),
    ]
}

/// Formats a ratio to the baseline.
pub(super) fn same_or_ratio(
    outcome: &Outcome,
    comparison: &Comparison,
    figure: fn(&Outcome) -> &[f64],
) -> String {
    let baseline = comparison.of_baseline().filter(|baseline| baseline.name != outcome.name);
    let Some(baseline) = baseline else { return String::new() };
    let (ours, theirs) = (figure(outcome), figure(baseline));
    let theirs_median = Estimate::of(theirs).median;
    if theirs_median <= 0.0 {
        return String::new();
    }
    match Change::new(Estimate::difference(ours, theirs), theirs_median * NOTHING) {
        Change::Same => "same".into(),
        _ if ours.len() < LEAST_ROUNDS => "?".into(),
        Change::Unclear(_) => "?".into(),
        Change::Less(_) | Change::More(_) => format!("{:.2}x", Estimate::of(ours).median / theirs_median),
    }
}

/// Describes what there is to gain.
fn gain(study: &Study, comparison: &Comparison, bound: &Bound) -> String {
    let program = &study.program;
    let allocation = units::range(bound.allocation, units::time);
    let baseline = comparison.baseline.title();
    let Some(cpu) = bound.program else {
        return format!(
            "Allocation with {baseline} takes {allocation}. The trace does not say how much CPU time {program} took in all.\n"
        );
    };
    let how = if bound.measured { "measured" } else { "estimated" };
    let mut text = format!(
        "Of the {} of CPU time that {program} took, recording took {} ({how}).\n",
        units::time(study.summary.cpu_ns as f64),
        units::range(bound.recording, units::time),
    );
    let share = match (bound.share(bound.allocation), &bound.doubt) {
        (Some(share), _) => share.map(|share| share.min(1.0)),
        (None, Some(doubt)) => {
            let _ = writeln!(text, "The share that allocation takes cannot be determined: {}.", doubt.text);
            return text;
        }
        (None, None) => return text,
    };
    let _ = writeln!(
        text,
        "Allocation with {baseline} takes {} of the rest: {allocation} of {}. A faster allocator cannot gain more; if blocks \
         lie denser, the rest of {program} may become faster too, which these figures do not include.",
        units::range(share, percent),
        units::range(cpu, units::time),
    );
    let _ = writeln!(text, "CPU time of {program} with another allocator:");
    let Some(baseline) = comparison.of_baseline() else { return text };
    for outcome in &comparison.outcomes[1..] {
        let difference = Estimate::difference(&outcome.times, &baseline.times);
        let change = Change::new(difference, cpu.median * NOTICED);
        let _ =
            writeln!(text, "  {:<14} {}", comparison.baseline.title_of(outcome.name), changed(change, bound));
    }
    text
}

/// Formats a change in CPU time as a share of the program's.
pub(super) fn changed(change: Change, bound: &Bound) -> String {
    if bound.allocation == Estimate::default() {
        return "cannot tell".into();
    }
    change::changed(change.map(|amount| bound.share(amount).unwrap_or_default()))
}

/// Lists the advised block sizes.
fn advice(advice: &Advice, verdict: &Verdict) -> String {
    if advice.blocks.is_empty() {
        return "No block size is worth a pool: the allocations are too large.\n".into();
    }
    let sizes = counted(advice.blocks.len() as u64, "size");
    let verb = if advice.blocks.len() == 1 { "covers" } else { "cover" };
    let headings = ["block", "serves", "allocations", "share", "max live", "unused at the peak"];
    let table = table::render(&headings, advice.blocks.iter().map(block).collect());
    let mut text = format!(
        "{BOLD}{sizes} {verb} {}{BOLD:#} of the allocations. They are the sizes of \"advised\" and \
         \"advised, huge\"; \"pools\" has four sizes per doubling.\n\n\
         {table}",
        percent(advice.covered)
    );
    if verdict.helps() {
        let huge = verdict.best == Some(Name::Huge);
        for &language in &advice.languages {
            let _ = write!(text, "\nIn {}:\n\n", language.title());
            for line in advice.code(language, huge).lines() {
                text.push_str(format!("    {line}").trim_end());
                text.push('\n');
            }
        }
        if verdict.best_ordinary == Some(Name::Pools) {
            let place = if huge { "On ordinary pages" } else { "Here" };
            let _ =
                writeln!(text, "\n{place} the default sizes do better: pools made without SIZES have them.");
        }
    }
    text
}

/// Lists the call sites with the most allocations.
fn places(places: &Places) -> String {
    if !places.has_stacks {
        return "Where the allocations come from is not in this trace, which has no call stacks: `millpond try -o FILE` keeps one \
                that has.\n"
            .into();
    }
    let mut text = format!(
        "{BOLD}Most allocations come from{BOLD:#} these call sites. `millpond advise` says what to do about each.\n\n"
    );
    for (share, site) in &places.sites {
        let _ = writeln!(text, " {:>7}  {}", percent(*share), frames::chain(&site.frames, &site.through));
    }
    text
}

fn block(block: &Block) -> Vec<String> {
    let (least, most) = block.serves;
    vec![
        block.size.to_string(),
        if least == most { least.to_string() } else { format!("{least}-{most}") },
        count(block.allocations),
        percent(block.share),
        count(block.capacity),
        percent(block.waste()),
    ]
}
