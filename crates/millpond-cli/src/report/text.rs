//! The report for people.

use std::fmt::Write as _;

use super::table;
use crate::{
    advise::{Advice, Block},
    cli::Settings,
    findings::{Bound, Findings, Study, Verdict},
    replay::{LARGE, Name, Outcome, Spread, Standing, Touch, Verification},
    units::{bytes, count, counted, percent, time},
};
use millpond_trace::Ending;

/// Most characters of a command line that are shown.
const LINE: usize = 100;
const BOLD: anstyle::Style = anstyle::Style::new().bold();

/// The whole report.
pub(crate) fn findings(findings: &Findings) -> String {
    let Findings { study, settings, outcome, bound, verdict } = findings;
    let mut sections = vec![about(study), standings(study, settings, outcome)];
    if study.hindrance.is_none() {
        sections.push(gain(study, outcome, bound));
        sections.push(advice(&study.advice, verdict));
    }
    sections.push(format!("{BOLD}{}{BOLD:#}\n", verdict.text));
    let mut text = sections.join("\n");
    if let Some(mimalloc) = &verdict.mimalloc {
        text.push_str(mimalloc);
        text.push('\n');
    }
    text
}

/// The report of a verifying replay.
pub(crate) fn verified(study: &Study, verified: &[(Name, Verification)]) -> String {
    let rows = verified.iter().map(|(name, found)| {
        vec![name.title().into(), count(found.blocks), bytes(found.bytes as f64), "sound".into()]
    });
    let table = table::render(&["allocator", "blocks", "stamps compared", "result"], rows.collect());
    format!(
        "{}\n{table}\n\
         Every block was stamped all over, and its stamp compared when it was resized, freed, or left at the end.\n\
         No two blocks overlapped, resizes kept their contents, and every block was aligned and zeroed as asked.\n",
        about(study)
    )
}

/// What was recorded.
fn about(study: &Study) -> String {
    let summary = &study.summary;
    let cpu = match summary.cpu_ns {
        0 => "CPU time unknown".into(),
        cpu => format!("{} of CPU time", time(cpu as f64)),
    };
    let mut text = format!(
        "{BOLD}{}{BOLD:#}\n{}, {}, {cpu}\nat the peak {} live in {}\n",
        shortened(&study.command_line),
        counted(summary.events, "event"),
        counted(summary.allocations, "allocation"),
        bytes(summary.peak_bytes as f64),
        counted(summary.peak_blocks, "block"),
    );
    if summary.threads > 1 {
        let _ = writeln!(text, "{} threads merged into one, in the order of time", summary.threads);
    }
    for (number, what) in [
        (summary.unknown_frees, "a free or realloc of a block that was never seen, left out"),
        (summary.overlaps, "an address handed out again without a free that was seen"),
    ] {
        if number > 0 {
            let _ = writeln!(text, "{} x {what}", count(number));
        }
    }
    match summary.ending {
        Ending::Exited => {}
        _ if !summary.stopped.is_empty() => {
            let _ = writeln!(text, "recording stopped because {}: the rest is missing", summary.stopped);
        }
        Ending::Cut => text
            .push_str("the program was killed, or left without its exit handlers: its end may be missing\n"),
        Ending::Full | Ending::Stopped => {
            text.push_str("recording stopped before the program did: the rest is missing\n")
        }
    }
    text
}

/// As much of a line as is needed to recognise it.
fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_owned(),
    }
}

/// Who took how long and how much.
fn standings(study: &Study, settings: &Settings, outcome: &Outcome) -> String {
    let glibc = outcome.of(Name::Glibc);
    let rows = outcome.standings.iter().map(|standing| row(study, standing, glibc)).collect();
    let headings = [
        "allocator",
        "ns/event",
        "least-most",
        "total",
        "vs glibc",
        "peak memory",
        "vs glibc",
        "unused in blocks",
        "around blocks",
    ];
    let touch = match settings.touch {
        Touch::Ends => "both ends of each block and a byte per 4 KiB",
        Touch::All => "every byte of each block",
    };
    let mut text = table::render(&headings, rows);
    let _ = writeln!(
        text,
        "\nMedians of {} in which all take turns, each in a process of its own; \"same\" is within their spread.\n\
         {}\
         Written: {touch}. Subtracted: the loop and these writes alone, {} per event.",
        counted(settings.rounds.into(), "round"),
        slow_starts(study, outcome),
        time(outcome.bare.median / study.summary.events as f64),
    );
    let large = glibc.map_or(0, |glibc| glibc.stock.requested - glibc.stock.written);
    if large > 0 {
        let _ = writeln!(
            text,
            "Blocks from {} KiB on ({} of the peak) are written at both ends only: programs often fill but a part.",
            LARGE / 1024,
            bytes(large as f64)
        );
    }
    if let Some(reason) = &outcome.without_huge {
        let _ = writeln!(text, "Left out: the advised pools on huge pages, since {reason}.");
    }
    if outcome.standings.iter().any(|standing| standing.peaks.is_empty()) {
        text.push_str(
            "Peak memory is unknown: this system does not let a process reset it (/proc/self/clear_refs).\n",
        );
    }
    text
}

/// What the first turns have shown that the rounds have not.
fn slow_starts(study: &Study, outcome: &Outcome) -> String {
    let slow = |standing: &&Standing| standing.first > 2.0 * Spread::of(&standing.times).most;
    let each = |nanoseconds: f64| nanoseconds / study.summary.events as f64;
    let told = |standing: &Standing| format!("{} {:.1}", standing.name.title(), each(standing.first));
    let told: Vec<_> = outcome.standings.iter().filter(slow).map(told).collect();
    if told.is_empty() {
        return String::new();
    }
    format!("A first turn, which does not count, took far longer (ns/event): {}.\n", told.join("; "))
}

fn row(study: &Study, standing: &Standing, glibc: Option<&Standing>) -> Vec<String> {
    let total = Spread::of(&standing.times);
    let each = total.over(study.summary.events as f64);
    let peak = Spread::of(&standing.peaks).median;
    let stock = standing.stock;
    let known = !standing.peaks.is_empty();
    let size = |value: f64| if known { bytes(value) } else { "?".into() };
    let against = |ours: &[f64], theirs: fn(&Standing) -> &[f64]| {
        glibc.map_or_else(String::new, |glibc| ratio(ours, theirs(glibc), standing.name))
    };
    vec![
        standing.name.title().into(),
        format!("{:.1}", each.median),
        format!("{:.1}-{:.1}", each.least, each.most),
        time(total.median),
        against(&standing.times, |glibc| &glibc.times),
        size(peak),
        against(&standing.peaks, |glibc| &glibc.peaks),
        bytes(stock.handed_out as f64 - stock.written as f64),
        size(peak - stock.handed_out as f64),
    ]
}

/// How many times as much as glibc.
fn ratio(ours: &[f64], theirs: &[f64], name: Name) -> String {
    let theirs_median = Spread::of(theirs).median;
    match Spread::difference(ours, theirs) {
        _ if name == Name::Glibc || theirs_median <= 0.0 => String::new(),
        difference if !difference.is_clear() => "same".into(),
        _ => format!("{:.2}x", Spread::of(ours).median / theirs_median),
    }
}

/// What there is to gain.
fn gain(study: &Study, outcome: &Outcome, bound: &Bound) -> String {
    let program = &study.program;
    let allocation = time(bound.allocation);
    let (Some(cpu), Some(share)) = (bound.program, bound.share(bound.allocation)) else {
        return format!(
            "Allocation with glibc takes {allocation}. The trace does not say how much CPU time {program} took in all.\n"
        );
    };
    let mut text = format!(
        "Of the {} of CPU time that {program} took, about {} ({} per event) went into recording.\n\
         Allocation takes about {} of the rest: {allocation} of {}. An allocator that costs nothing gains that, at most.\n",
        time(study.summary.cpu_ns as f64),
        time(bound.recording),
        time(bound.recording / study.summary.events as f64),
        percent(share),
        time(cpu),
    );
    let Some(glibc) = outcome.of(Name::Glibc) else { return text };
    for standing in &outcome.standings[1..] {
        let difference = Spread::difference(&glibc.times, &standing.times);
        let share = bound.share(difference.median).unwrap_or(0.0);
        let gains = match share {
            _ if !difference.is_clear() => "no difference".into(),
            share if share < 0.0 => format!("loses {}", percent(-share)),
            share => format!("gains {}", percent(share)),
        };
        let _ = writeln!(text, "  {:<14} {gains}", standing.name.title());
    }
    text
}

/// Which block sizes.
fn advice(advice: &Advice, verdict: &Verdict) -> String {
    if advice.blocks.is_empty() {
        return "No block size is worth a pool: the allocations are too large.\n".into();
    }
    let sizes = counted(advice.blocks.len() as u64, "size");
    let verb = if advice.blocks.len() == 1 { "covers" } else { "cover" };
    let headings = ["block", "serves", "allocations", "share", "most live", "unused at the peak"];
    let table = table::render(&headings, advice.blocks.iter().map(block).collect());
    let mut text = format!(
        "{BOLD}{sizes} {verb} {}{BOLD:#} of the allocations. That is \"advised\" (\"huge\": on huge \
         pages); \"pools\" has four sizes per doubling.\n\n\
         {table}",
        percent(advice.covered)
    );
    if verdict.helps() {
        text.push_str("\nIn Rust:\n\n");
        let rust = if verdict.best == Some(Name::Huge) { &advice.rust_huge } else { &advice.rust };
        for line in rust.lines() {
            text.push_str(format!("    {line}").trim_end());
            text.push('\n');
        }
        if verdict.best_ordinary == Some(Name::Pools) {
            let place = if verdict.best == Some(Name::Huge) { "On ordinary pages" } else { "Here" };
            let _ = writeln!(text, "\n{place} the default sizes do better: Local::new(Classes::new())");
        }
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
