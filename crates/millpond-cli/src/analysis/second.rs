//! What a second recording of the program says about the advice for the first.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use millpond_trace::Reader;

use super::gain::{Gain, Gains, Selection, gains, selected};
use crate::{
    advise::{Kind, SiteAdvice, SiteAdvices},
    cli::Settings,
    trace,
};

/// A site of the first recording in the second.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Match {
    /// Its number there, counted from 1.
    pub(crate) number: usize,
    /// What would be advised there.
    pub(crate) kind: Kind,
    /// What the advice of the first recording gains there, if it was replayed.
    pub(crate) gain: Option<Gain>,
}

/// The advice for a recording, seen from a second one.
pub(crate) struct Second {
    /// The sites that occur in both, by their numbers in the first, counted from 1.
    pub(crate) matches: BTreeMap<usize, Match>,
}

/// What identifies a site in several recordings: the names of its functions, from the site outwards, and its file.
/// Lines differ between builds, and addresses between runs.
fn key(site: &SiteAdvice) -> (Vec<&str>, &str) {
    let names = site.frames.iter().map(|frame| frame.name.as_str()).collect();
    (names, site.frames.first().map_or("", |frame| trace::last_part(&frame.file)))
}

impl Second {
    /// Matches the sites. If there are settings, replays the second recording with the advice for those sites of the
    /// first that are selected.
    pub(crate) fn new(
        reader: &mut Reader,
        first: &SiteAdvices,
        mut own: SiteAdvices,
        selection: &Selection,
        settings: Option<&Settings>,
    ) -> Result<Self> {
        let pairs = pairs(first, &own);
        let kinds: Vec<_> = own.sites.iter().map(|site| site.kind.clone()).collect();
        for &(ours, theirs) in &pairs {
            own.sites[theirs - 1].kind = first.sites[ours - 1].kind.clone();
        }
        let selected = selected(first, selection)?;
        let replayed = pairs.iter().filter(|(ours, _)| selected.contains(ours));
        let replayed = replayed.map(|&(_, theirs)| theirs).collect();
        let gains = match settings {
            Some(settings) => gains(reader, &own, &Selection::Named(replayed), settings)?,
            None => Gains::default(),
        };
        let found = |(ours, theirs): (usize, usize)| {
            let gain = gains.of(theirs).cloned();
            (ours, Match { number: theirs, kind: kinds[theirs - 1].clone(), gain })
        };
        Ok(Self { matches: pairs.into_iter().map(found).collect() })
    }
}

/// Returns the numbers of the sites that occur in both recordings. Several sites with the same names, on different
/// lines, are matched in the order of these.
fn pairs(first: &SiteAdvices, second: &SiteAdvices) -> Vec<(usize, usize)> {
    let mut theirs: HashMap<_, Vec<usize>> = HashMap::new();
    for (number, site) in by_line(second) {
        theirs.entry(key(site)).or_default().push(number);
    }
    theirs.values_mut().for_each(|numbers| numbers.reverse());
    let matched = by_line(first)
        .into_iter()
        .filter_map(|(number, site)| Some((number, theirs.get_mut(&key(site))?.pop()?)));
    let mut pairs: Vec<_> = matched.collect();
    pairs.sort_unstable();
    pairs
}

/// Returns the sites with their numbers, in the order of their lines.
fn by_line(advices: &SiteAdvices) -> Vec<(usize, &SiteAdvice)> {
    let mut sites: Vec<_> = (1..).zip(&advices.sites).collect();
    sites.sort_by_key(|(number, site)| (site.frames.first().map_or(0, |frame| frame.line), *number));
    sites
}
