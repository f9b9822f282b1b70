//! The advice for call sites, as far as there is something to do.

use serde::Serialize;

use super::{
    super::advice_text::{action, sentence},
    texts::Texts,
};
use crate::{
    advise::{Language, SiteAdvice, SiteAdvices},
    analysis::Gains,
};

/// How many sites with advice a page has, those with the most calls first, and frames of each.
const SITES: usize = 40;
const FRAMES: usize = 8;

/// What is kept of the advice.
pub(super) struct Advised {
    /// With its number, and what the advice gains, in words.
    sites: Vec<(usize, SiteAdvice, Option<String>)>,
    together: Option<Together>,
    not_replayed: Option<String>,
    all_advised: usize,
    left_alone: usize,
    /// Calls of all sites.
    calls: u64,
    languages: Vec<Language>,
}

impl Advised {
    pub(super) fn new(advices: SiteAdvices, gains: &Gains) -> Self {
        let all = advices.sites.len();
        let gain = |number| gains.of(number).map(|gain| sentence(gain, "alone"));
        let numbered = (1..).zip(advices.sites).filter(|(_, site)| site.kind.is_advice());
        let mut sites: Vec<_> = numbered.map(|(number, site)| (number, site, gain(number))).collect();
        let all_advised = sites.len();
        sites.truncate(SITES);
        let together = gains
            .together
            .as_ref()
            .map(|(numbers, gain)| Together { of_sites: numbers.clone(), gain: sentence(gain, "together") });
        Self {
            sites,
            together,
            not_replayed: gains.not_replayed.clone(),
            all_advised,
            left_alone: all - all_advised,
            calls: advices.calls,
            languages: advices.languages,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Advice {
    advised: Vec<Site>,
    /// How many sites have advice, and how many are better left alone.
    all_advised: usize,
    left_alone: usize,
    languages: Vec<Language>,
    together: Option<Together>,
    not_replayed: Option<String>,
}

/// What the advice for several sites gains together.
#[derive(Clone, Serialize)]
struct Together {
    of_sites: Vec<usize>,
    gain: String,
}

#[derive(Serialize)]
struct Site {
    site: usize,
    gain: Option<String>,
    frames: Vec<u32>,
    calls: u64,
    calls_share: f64,
    bytes: u64,
    kind: &'static str,
    text: String,
    rust: Option<String>,
    c: Option<String>,
    cpp: Option<String>,
}

impl Advice {
    pub(super) fn new(advised: &Advised, texts: &mut Texts) -> Self {
        Self {
            advised: advised.sites.iter().map(|advice| site(advice, advised.calls, texts)).collect(),
            together: advised.together.clone(),
            not_replayed: advised.not_replayed.clone(),
            all_advised: advised.all_advised,
            left_alone: advised.left_alone,
            languages: advised.languages.clone(),
        }
    }
}

fn site((number, site, gain): &(usize, SiteAdvice, Option<String>), calls: u64, texts: &mut Texts) -> Site {
    let measures = &site.measures;
    Site {
        site: *number,
        gain: gain.clone(),
        frames: site.frames.iter().take(FRAMES).map(|function| texts.function(function)).collect(),
        calls: measures.calls(),
        calls_share: measures.calls() as f64 / calls.max(1) as f64,
        bytes: measures.bytes,
        kind: site.kind.name(),
        text: action(&site.kind, measures),
        rust: site.code(Language::Rust),
        c: site.code(Language::C),
        cpp: site.code(Language::Cpp),
    }
}
