//! The advice for call sites, as far as there is something to do.

use serde::Serialize;

use super::{super::advice_text::action, texts::Texts};
use crate::advise::{Language, SiteAdvice, SiteAdvices};

/// How many sites with advice a page has, those with the most calls first, and frames of each.
const SITES: usize = 40;
const FRAMES: usize = 8;

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
    pub(super) fn new(advices: &SiteAdvices, texts: &mut Texts) -> Self {
        let calls: u64 = advices.sites.iter().map(|site| site.measures.calls()).sum();
        let with_advice: Vec<_> = advices.sites.iter().filter(|site| site.kind.name() != "none").collect();
        Self {
            advised: with_advice.iter().take(SITES).map(|advice| site(advice, calls, texts)).collect(),
            all_advised: with_advice.len(),
            left_alone: advices.sites.len() - with_advice.len(),
            languages: advices.languages.clone(),
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
