//! Advice for call sites as text.

use super::{
    about::{self, BOLD},
    frames,
};
use crate::{
    advise::{Kind, Measures, Reason, SiteAdvice, SiteAdvices},
    analysis::{Gain, Gains, Second, Told},
    estimate::Estimate,
    profile::Lifetime,
    trace,
    units::{self, bytes, count, counted, percent, range},
};

/// Max number of sites with advice that are shown, in addition to those replayed, and of sites that are left alone.
const MOST: usize = 20;
const MOST_ALONE: usize = 5;

/// Returns the report; with `code`, code to paste below each site.
pub(crate) fn advice(advices: &SiteAdvices, gains: &Gains, second: Option<&Second>, code: bool) -> String {
    let SiteAdvices { summary, sites, calls, selection, notes, .. } = advices;
    let calls = *calls;
    let (advised, alone): (Vec<_>, Vec<_>) = (1..).zip(sites).partition(|(_, site)| site.kind.is_advice());
    let more = selection.as_ref().map(about::selection);
    let mut sections = vec![about::recording(&advices.command_line, summary, more)];
    sections.extend(gains.not_replayed.as_ref().map(|why| format!("{why}\n")));
    if advised.is_empty() {
        sections.push(format!("{BOLD}Nothing to do{BOLD:#}\n  No call site is worth a change.\n"));
    } else {
        let is_replayed = |number| gains.of(number).is_some();
        let shown = (0..).zip(&advised).filter(|(at, (number, _))| *at < MOST || is_replayed(*number));
        let shown: Vec<_> = shown.map(|(_, &site)| site).collect();
        let text = shown.iter().map(|&(number, site)| {
            let mut text = self::site(number, site, calls);
            text.extend(gains.of(number).map(|gain| format!("      {}\n", sentence(gain, "alone"))));
            text.extend(second.map(|second| format!("      {}\n", in_second(number, site, second))));
            if code {
                text.push_str(&self::code(advices, site));
            }
            text
        });
        sections.push(titled("Call sites to change, by calls", advised.len(), shown.len(), text));
    }
    if let Some((numbers, gain)) = &gains.together {
        let about = format!("  sites {}: {}\n", list(numbers), sentence(gain, "together"));
        sections.push(format!("{BOLD}Together{BOLD:#}\n{about}"));
    }
    if !alone.is_empty() {
        let shown = &alone[..alone.len().min(MOST_ALONE)];
        let text = shown.iter().map(|&(number, site)| self::site(number, site, calls));
        sections.push(titled("Call sites to leave alone", alone.len(), shown.len(), text));
    }
    if !code && advised.iter().any(|(_, site)| site.has_code()) {
        sections.push("--code prints code to paste for each of them.\n".into());
    }
    if !notes.is_empty() {
        let text = notes.iter().map(|note| format!("  {}\n", trace::printable(note)));
        sections.push(titled("Names that are missing", notes.len(), notes.len(), text));
    }
    sections.join("\n")
}

/// Says what a change gains.
pub(super) fn sentence(gain: &Gain, which: &str) -> String {
    let predicted = match (gain.predicted, &gain.replayed) {
        (Some(share), _) => format!("predicted to save {}; ", range(share, percent)),
        // There is no prediction either, for the same reason.
        (None, Told::Unknown(_)) => String::new(),
        (None, _) => "predicted: cannot tell; ".into(),
    };
    format!("{predicted}replayed {which}: {}", replayed(&gain.replayed))
}

/// Says what the replay found.
pub(super) fn replayed(told: &Told) -> String {
    match told {
        Told::Saved { share, .. } => saved(*share),
        Told::TooWide { share, rounds_differ: true } => format!(
            "cannot tell, because the rounds differ too much: {}. More --rounds, or a less busy machine, may tell",
            saved(*share)
        ),
        Told::TooWide { share, rounds_differ: false } => {
            format!("cannot tell, because the cost of recording is not known well enough: {}", saved(*share))
        }
        Told::Unknown(why) => format!("cannot tell, because {why}"),
    }
}

/// Says what share of the CPU time is saved.
fn saved(share: Estimate) -> String {
    if share.least > 0.0 {
        format!("saves {} of the CPU time", range(share.map(|saved| saved.min(1.0)), percent))
    } else if share.most < 0.0 {
        format!("costs {} of the CPU time", range(share.map(|lost| -lost), percent))
    } else {
        format!("between {} slower and {} faster", percent(-share.least), percent(share.most))
    }
}

/// Says what the second recording has to say about the advice for a site.
fn in_second(number: usize, site: &SiteAdvice, second: &Second) -> String {
    let Some(found) = second.matches.get(&number) else {
        return "second recording: this call site does not occur there".into();
    };
    let about = if found.kind.name() == site.kind.name() {
        "second recording: the same advice".to_owned()
    } else {
        format!("second recording: other advice ({})", found.kind.title())
    };
    match &found.gain {
        Some(gain) => format!("{about}; {}", sentence(gain, "there")),
        None => about,
    }
}

/// Formats parts under a title that says how many of how many there are.
fn titled(title: &str, all: usize, shown: usize, parts: impl Iterator<Item = String>) -> String {
    about::title(title, shown, all) + &parts.collect::<String>()
}

/// Formats a site: where it is, what it allocates, and what to do.
fn site(number: usize, site: &SiteAdvice, calls: u64) -> String {
    format!(
        "  {number:>2}  {}\n      {}\n      {BOLD}{}{BOLD:#}\n",
        frames::chain(&site.frames, &site.through),
        facts(site, calls),
        action(&site.kind, &site.measures),
    )
}

/// Describes what a site allocates.
fn facts(site: &SiteAdvice, calls: u64) -> String {
    let measures = &site.measures;
    let (least, most) = measures.range;
    let sizes = if least == most {
        bytes(most as f64)
    } else {
        format!("{} to {}", bytes(least as f64), bytes(most as f64))
    };
    let mut facts = vec![
        format!(
            "{} of {sizes} ({} of all calls)",
            counted(measures.blocks, "block"),
            percent(measures.calls() as f64 / calls.max(1) as f64)
        ),
        format!("at most {} live", count(measures.max_live_blocks)),
    ];
    facts.extend(site.lifetime.map(|lifetime| lifetime_of(lifetime).to_owned()));
    if measures.chains.count > 0 {
        facts.push(format!(
            "{} that grew {}",
            count(measures.chains.count),
            counted(measures.chains.steps, "time")
        ));
    }
    if measures.by_thread.len() > 1 {
        let least = if measures.tells_threads_apart() { "" } else { "at least " };
        facts.push(format!("by {least}{}", counted(measures.by_thread.len() as u64, "thread")));
    }
    if measures.remote_frees > 0 {
        let share = measures.remote_frees as f64 / measures.blocks as f64;
        facts.push(format!("{} freed by another thread", percent(share)));
    }
    facts.join(", ")
}

fn lifetime_of(lifetime: Lifetime) -> &'static str {
    match lifetime {
        Lifetime::Temporary => "freed by the next call",
        Lifetime::Short => "short-lived",
        Lifetime::Long => "long-lived",
        Lifetime::Kept => "kept to the end",
    }
}

/// Says what to do.
pub(super) fn action(kind: &Kind, measures: &Measures) -> String {
    let arena = if measures.is_shared { "an arena of each thread" } else { "an arena" };
    match kind {
        Kind::OneSize { bytes } => format!("take them from a pool of blocks of {bytes} bytes"),
        Kind::Classes { sizes } => {
            format!("take them from a pool with blocks of {} bytes", list(sizes))
        }
        Kind::ThreadCache { sizes } => format!(
            "take them from a pool that caches free blocks for each thread, with blocks of {} bytes",
            list(sizes)
        ),
        Kind::RemoteFree { bytes } => format!(
            "take them from a pool of the allocating thread, to which other threads return them, with blocks of {bytes} \
             bytes"
        ),
        Kind::Arena if measures.live_blocks > 0 => {
            format!("take them from {arena}: they are kept together to the end")
        }
        Kind::Arena => format!("take them from {arena}, freed as a whole: they die together"),
        Kind::Frame { bytes } => format!(
            "take them from {arena} that is reset after each phase: they died together {}, {} at most",
            counted(measures.generations, "time"),
            units::bytes(*bytes as f64)
        ),
        Kind::Reuse { bytes } => format!(
            "keep one buffer of {} for each thread, or put it on the stack: there is one at a time",
            units::bytes(*bytes as f64)
        ),
        Kind::Capacity { bytes } => format!(
            "reserve {} at once{}: of {} that grew, 95 % ended with at most that, after {} that copied up to {}",
            units::bytes(*bytes as f64),
            if measures.chains.are_slow() { ", or double the size each time" } else { "" },
            count(measures.chains.count),
            counted(measures.chains.steps, "step"),
            units::bytes(measures.chains.copied as f64),
        ),
        Kind::Growth => {
            "find out why their number keeps growing: a leak, or data that is kept; for kept data, an arena"
                .into()
        }
        Kind::Nothing(Reason::Few) => "leave it alone: it allocates too seldom to matter".into(),
        Kind::Nothing(Reason::Large) => "leave it alone: its blocks are large".into(),
        Kind::Nothing(Reason::Aligned) => {
            format!("leave it alone: its blocks are aligned to {} bytes", measures.align)
        }
    }
}

/// Joins sizes.
fn list(sizes: &[usize]) -> String {
    let sizes: Vec<_> = sizes.iter().map(usize::to_string).collect();
    match sizes.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => sizes.concat(),
    }
}

/// Formats the code for a site in the languages of the program.
fn code(advices: &SiteAdvices, site: &SiteAdvice) -> String {
    let mut text = String::new();
    for &language in &advices.languages {
        let Some(code) = site.code(language) else { continue };
        text.push_str(&format!("\n      {}:\n", language.title()));
        for line in code.lines() {
            let indent = if line.is_empty() { "" } else { "      " };
            text.push_str(&format!("{indent}{line}\n"));
        }
        text.push('\n');
    }
    text
}
