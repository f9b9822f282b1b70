//! The advice for call sites, as far as there is something to do.

use serde::Serialize;

use super::{super::advice_text::action, texts::Texts};
use crate::advise::{Language, SiteAdvice, SiteAdvices};

/// How many sites with advice a page has, those with the most calls first, and frames of each.
const SITES: usize = 40;
const FRAMES: usize = 8;

/// What is kept of the advice.
pub(super) struct Advised {
    sites: Vec<SiteAdvice>,
    all_advised: usize,
    left_alone: usize,
    /// Calls of all sites.
    calls: u64,
    languages: Vec<Language>,
}

impl Advised {
    pub(super) fn new(advices: SiteAdvices) -> Self {
        let calls = advices.sites.iter().map(|site| site.measures.calls()).sum();
        let all = advices.sites.len();
        let mut sites = advices.sites;
        sites.retain(|site| site.kind.is_advice());
        let all_advised = sites.len();
        sites.truncate(SITES);
        Self { sites, all_advised, left_alone: all - all_advised, calls, languages: advices.languages }
    }
}

#[derive(Serialize)]
pub(super) struct Advice {
    advised: Vec<Site>,
    /// How many sites have advice, and how many are better left alone.
    all_advised: usize,
    left_alone: usize,
    languages: Vec<Language>,
}

#[derive(Serialize)]
struct Site {
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
            all_advised: advised.all_advised,
            left_alone: advised.left_alone,
            languages: advised.languages.clone(),
        }
    }
}

fn site(site: &SiteAdvice, calls: u64, texts: &mut Texts) -> Site {
    let measures = &site.measures;
    Site {
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
