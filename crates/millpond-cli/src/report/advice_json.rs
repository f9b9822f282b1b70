//! Advice for call sites in JSON. Its fields are described in `JSON.md`; a test compares the two.

use serde::Serialize;

use super::{
    advice_text::{action, replayed},
    json::{Trace, VERSION, lines, trace},
    overview_json::{Frame, frames},
};
use crate::{
    advise::{Language, SiteAdvice, SiteAdvices},
    analysis::{Gain, Gains, Match, Second, Told},
    estimate::Estimate,
    profile::Lifetime,
    query::Selection,
};

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    trace: Trace<'a>,
    selection: Option<&'a Selection>,
    not_replayed: Option<&'a str>,
    languages: &'a [Language],
    sites: Vec<Site<'a>>,
    together: Option<Together<'a>>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct Site<'a> {
    site: usize,
    frames: Vec<Frame<'a>>,
    through: Vec<Frame<'a>>,
    calls: u64,
    calls_share: f64,
    blocks: u64,
    resizes: u64,
    bytes: u64,
    least_bytes: u64,
    most_bytes: u64,
    most_live_blocks: u64,
    most_live_bytes: u64,
    live_blocks: u64,
    live_bytes: u64,
    lifetime: Option<Lifetime>,
    median_lifetime_ns: Option<u64>,
    temporaries: u64,
    freed_elsewhere: u64,
    threads: u64,
    died_together: u64,
    phases: u64,
    chains: u64,
    chain_steps: u64,
    copied_bytes: u64,
    advice: Advice,
    gain: Option<Saving>,
    second: Option<Other>,
}

#[derive(Serialize)]
struct Saving {
    predicted_share: Option<Estimate>,
    saved_ns: Option<Estimate>,
    saved_share: Option<Estimate>,
    doubt: Option<String>,
}

#[derive(Serialize)]
struct Together<'a> {
    of_sites: &'a [usize],
    gain: Saving,
}

#[derive(Serialize)]
struct Other {
    site: usize,
    kind: &'static str,
    agrees: bool,
    gain: Option<Saving>,
}

#[derive(Serialize)]
struct Advice {
    kind: &'static str,
    text: String,
    block_sizes: Vec<usize>,
    bytes: Option<u64>,
    rust: Option<String>,
    c: Option<String>,
    cpp: Option<String>,
}

/// Returns the advice as JSON.
pub(crate) fn advice(
    advices: &SiteAdvices,
    gains: &Gains,
    second: Option<&Second>,
) -> serde_json::Result<String> {
    let SiteAdvices { start, summary, languages, sites, calls, selection, notes, .. } = advices;
    lines(&Report {
        version: VERSION,
        trace: trace(start, summary, advices.foreign),
        selection: selection.as_ref(),
        not_replayed: gains.not_replayed.as_deref(),
        languages,
        sites: (1..)
            .zip(sites)
            .map(|(number, site)| Site {
                gain: gains.of(number).map(saving),
                second: second.and_then(|second| second.matches.get(&number)).map(|found| other(site, found)),
                ..self::site(number, site, *calls, summary.wall_ns)
            })
            .collect(),
        together: gains
            .together
            .as_ref()
            .map(|(numbers, gain)| Together { of_sites: numbers, gain: saving(gain) }),
        notes,
    })
}

fn site(number: usize, site: &SiteAdvice, calls: u64, wall_ns: u64) -> Site<'_> {
    let measures = &site.measures;
    Site {
        site: number,
        frames: frames(&site.frames),
        through: frames(&site.through),
        calls: measures.calls(),
        calls_share: measures.calls() as f64 / calls.max(1) as f64,
        blocks: measures.blocks,
        resizes: measures.resizes,
        bytes: measures.bytes,
        least_bytes: measures.range.0,
        most_bytes: measures.range.1,
        most_live_blocks: measures.max_live_blocks,
        most_live_bytes: measures.max_live_bytes,
        live_blocks: measures.live_blocks,
        live_bytes: measures.live_bytes,
        lifetime: site.lifetime,
        median_lifetime_ns: site.usage.median_lifetime_ns(wall_ns),
        temporaries: measures.temporaries,
        freed_elsewhere: measures.remote_frees,
        threads: measures.by_thread.len() as u64,
        died_together: measures.together,
        phases: measures.generations,
        chains: measures.chains.count,
        chain_steps: measures.chains.steps,
        copied_bytes: measures.chains.copied,
        advice: Advice {
            kind: site.kind.name(),
            text: action(&site.kind, measures),
            block_sizes: site.kind.sizes(),
            bytes: site.kind.bytes(),
            rust: site.code(Language::Rust),
            c: site.code(Language::C),
            cpp: site.code(Language::Cpp),
        },
        gain: None,
        second: None,
    }
}

fn saving(gain: &Gain) -> Saving {
    let (saved_ns, saved_share, doubt) = match &gain.replayed {
        Told::Saved { ns, share } => (Some(*ns), Some(*share), None),
        Told::TooWide { .. } | Told::Unknown(_) => (None, None, Some(replayed(&gain.replayed))),
    };
    Saving { predicted_share: gain.predicted, saved_ns, saved_share, doubt }
}

fn other(site: &SiteAdvice, found: &Match) -> Other {
    Other {
        site: found.number,
        kind: found.kind.name(),
        agrees: found.kind.name() == site.kind.name(),
        gain: found.gain.as_ref().map(saving),
    }
}
