//! What the advice for call sites gains: predicted from the number of calls, and replayed for each site alone and for
//! all of them together.

use anyhow::{Result, bail, ensure};
use millpond_trace::{Reader, Summary};

use super::{Bound, exclusion::too_few, incomplete};
use crate::{
    advise::{Kind, SiteAdvice, SiteAdvices},
    cli::Settings,
    estimate::Estimate,
    replay::{self, Baseline, Comparison, Outcome, Route, Routing},
    trace::{self, Histogram},
    units,
};

/// The widest range that says something: this share of the program's CPU time, or this part of the gain if that is more.
const WIDEST: f64 = 0.05;
const WIDEST_PART: f64 = 1.0 / 3.0;
/// Nanoseconds that a call of a pool, an arena or a buffer takes, for predictions; and of a pool for several threads.
const POOL_CALL: f64 = 5.0;
const SHARED_CALL: f64 = 10.0;
/// A prediction lies between these multiples of its estimate: the baseline takes longer for some calls than for others.
const PREDICTED: (f64, f64) = (0.4, 1.6);
/// Max number of sites in a replay: each has a number from 1 on in a byte.
const MOST: usize = 200;

/// The sites to replay.
#[derive(Clone, Debug)]
pub(crate) enum Selection {
    /// The first of those for which there is advice, up to this number.
    First(usize),
    /// Those with these numbers, counted from 1.
    Named(Vec<usize>),
}

/// What is known about the gain of a change, in comparison with the baseline.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Gain {
    /// The share of the program's CPU time that is saved according to the number of calls; `None` if the range is too
    /// wide, or if the program's CPU time is not known well enough.
    pub(crate) predicted: Option<Estimate>,
    /// What the replay found.
    pub(crate) replayed: Told,
}

/// What the replay found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// The nanoseconds and the share of the program's CPU time that are saved; less than zero is lost.
    Saved { ns: Estimate, share: Estimate },
    /// The range of the share is too wide, because the rounds differ or because the cost of recording is not known well
    /// enough.
    TooWide { share: Estimate, rounds_differ: bool },
    /// It cannot be told, for this reason.
    Unknown(String),
}

/// The gains of several sites.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Gains {
    /// The gain of each site alone, by its number, counted from 1.
    pub(crate) alone: Vec<(usize, Gain)>,
    /// The gain of those of them together that can be replayed, and their numbers.
    pub(crate) together: Option<(Vec<usize>, Gain)>,
    /// Why nothing was replayed although it was to be, in a sentence.
    pub(crate) not_replayed: Option<String>,
}

impl Gains {
    /// Returns the gain of a site alone.
    pub(crate) fn of(&self, number: usize) -> Option<&Gain> {
        self.alone.iter().find(|(known, _)| *known == number).map(|(_, gain)| gain)
    }
}

/// Replays the advice for sites, with which `advices` came. The reader has all blocks, even if these are about some.
pub(crate) fn gains(
    reader: &mut Reader,
    advices: &SiteAdvices,
    selection: &Selection,
    settings: &Settings,
) -> Result<Gains> {
    let numbers = selected(advices, selection)?;
    if numbers.is_empty() {
        return Ok(Gains::default());
    }
    let histogram = Histogram::read(reader)?;
    let has_threads = histogram.threads.at_once > 1;
    let sites: Vec<_> = numbers.iter().map(|&number| (number, &advices.sites[number - 1])).collect();
    let (mut replayed, mut alone) = (Vec::new(), Vec::new());
    for &(number, site) in &sites {
        match route(site, has_threads) {
            Ok(route) => replayed.push((number, route)),
            Err(why) => alone.push((number, unknown(why))),
        }
    }
    if replayed.is_empty() {
        return Ok(Gains { alone, ..Gains::default() });
    }
    let program = trace::program(reader);
    let (baseline, obstacle) = Baseline::new(&settings.baseline, reader, &program)?;
    if let Some(why) = incomplete(reader.summary()).or(obstacle) {
        alone.extend(replayed.into_iter().map(|(number, _)| (number, unknown(why.clone()))));
        alone.sort_by_key(|(number, _)| *number);
        return Ok(Gains { alone, ..Gains::default() });
    }
    let comparison = replay_all(reader, advices, &histogram, &replayed, settings, baseline)?;
    let scale = Scale::new(reader.summary(), &comparison, &program, has_threads);
    for ((number, _), outcome) in replayed.iter().zip(comparison.outcomes.iter().skip(1)) {
        alone.push((*number, scale.gain(&[&advices.sites[number - 1]], outcome)));
    }
    alone.sort_by_key(|(number, _)| *number);
    let numbers: Vec<_> = replayed.iter().map(|(number, _)| *number).collect();
    let sites: Vec<_> = numbers.iter().map(|number| &advices.sites[number - 1]).collect();
    let all = comparison.outcomes.get(numbers.len() + 1).filter(|_| numbers.len() > 1);
    let together = all.map(|outcome| (numbers, scale.gain(&sites, outcome)));
    Ok(Gains { alone, together, not_replayed: None })
}

/// Returns the gain of a site that is not replayed, for this reason.
fn unknown(why: String) -> Gain {
    Gain { predicted: None, replayed: Told::Unknown(why) }
}

/// Returns whether the advice for a site can be replayed: there is something that takes the place of `malloc`.
fn has_replay(site: &SiteAdvice) -> bool {
    site.kind.is_advice() && site.kind != Kind::Growth
}

/// Returns the numbers of the selected sites.
pub(super) fn selected(advices: &SiteAdvices, selection: &Selection) -> Result<Vec<usize>> {
    let sites = &advices.sites;
    let is_replayed = |number: &usize| has_replay(&sites[number - 1]);
    match selection {
        Selection::First(most) => Ok((1..=sites.len()).filter(is_replayed).take((*most).min(MOST)).collect()),
        Selection::Named(numbers) => {
            ensure!(numbers.len() <= MOST, "--sites: more than {MOST} sites cannot be replayed at once");
            let mut numbers = numbers.clone();
            numbers.sort_unstable();
            numbers.dedup();
            for number in &numbers {
                ensure!(
                    (1..=sites.len()).contains(number),
                    "--sites: there is no site {number}; `millpond advise` without --sites lists {}",
                    units::counted(sites.len() as u64, "site")
                );
                if !is_replayed(number) {
                    bail!(
                        "--sites: there is no pool, arena, buffer or capacity for site {number} to be replayed with"
                    );
                }
            }
            Ok(numbers)
        }
    }
}

/// Replays each route alone, all together if there are several, and the baseline once more.
fn replay_all(
    reader: &mut Reader,
    advices: &SiteAdvices,
    histogram: &Histogram,
    replayed: &[(usize, Route)],
    settings: &Settings,
    baseline: Baseline,
) -> Result<Comparison> {
    let route_of = |place: u32| {
        let at = replayed.iter().position(|(number, _)| *number == place as usize + 1)?;
        Some(at as u8 + 1)
    };
    let of_stack =
        advices.of_stack.iter().filter_map(|(&stack, &place)| Some((stack, route_of(place)?))).collect();
    let numbers: Vec<_> = (1..=replayed.len() as u8).collect();
    let mut selections: Vec<_> = numbers.iter().map(|&number| vec![number]).collect();
    if numbers.len() > 1 {
        selections.push(numbers);
    }
    // The control: nothing selected, so it differs from the baseline by chance only.
    selections.push(Vec::new());
    let routes = replayed.iter().map(|(_, route)| route.clone()).collect();
    replay::measure_routes(reader, histogram, Routing { of_stack, routes, selections }, settings, baseline)
}

/// Returns how a site is replayed, or why it cannot be.
fn route(site: &SiteAdvice, has_threads: bool) -> Result<Route, String> {
    let route = match &site.kind {
        Kind::Arena | Kind::Frame { .. } => Route::Arena,
        Kind::Reuse { .. } => Route::Reuse,
        Kind::Capacity { bytes } if site.measures.resizes > 0 => {
            Route::Capacity(usize::try_from(*bytes).map_err(|_| "it is too large".to_owned())?)
        }
        Kind::Capacity { .. } => {
            return Err("its blocks grow by copies, which a replay cannot leave out".into());
        }
        kind => Route::Pool(kind.sizes()),
    };
    match route {
        Route::Pool(_) => Ok(route),
        _ if has_threads => Err("with several threads, only pools can be replayed".into()),
        _ => Ok(route),
    }
}

/// What turns measurements into gains.
struct Scale {
    bound: Bound,
    /// The times of the baseline in each round, which ran twice.
    baseline: Vec<f64>,
    /// Nanoseconds by which it differs from itself.
    chance: f64,
    /// Nanoseconds that a call takes with the baseline, and with a pool.
    call: f64,
    pool_call: f64,
}

impl Scale {
    fn new(summary: &Summary, comparison: &Comparison, program: &str, has_threads: bool) -> Self {
        let bound = Bound::new(summary, comparison, None, program);
        let (baseline, chance) = twice(comparison);
        let call = bound.allocation.median / summary.events.max(1) as f64;
        Self { baseline, chance, call, pool_call: if has_threads { SHARED_CALL } else { POOL_CALL }, bound }
    }

    fn gain(&self, sites: &[&SiteAdvice], outcome: &Outcome) -> Gain {
        let ns = sites.iter().map(|site| self.predicted_ns(site)).sum::<f64>();
        let estimate = Estimate { median: ns, least: ns * PREDICTED.0, most: ns * PREDICTED.1 };
        let predicted = self.bound.share(estimate).filter(|share| is_narrow(*share));
        Gain { predicted, replayed: self.replayed(outcome) }
    }

    /// Returns the nanoseconds that a site saves if each call takes as long as the average, and as a pool's.
    fn predicted_ns(&self, site: &SiteAdvice) -> f64 {
        let measures = &site.measures;
        let calls = (measures.calls() + measures.blocks - measures.live_blocks) as f64;
        match site.kind {
            Kind::Capacity { .. } => measures.resizes as f64 * self.call,
            _ => calls * (self.call - self.pool_call).max(0.0),
        }
    }

    fn replayed(&self, outcome: &Outcome) -> Told {
        if let Some(why) = too_few(outcome.times.len()) {
            return Told::Unknown(why);
        }
        let Estimate { median, least, most } = Estimate::difference(&self.baseline, &outcome.times);
        let ns = Estimate { median, least: least - self.chance, most: most + self.chance };
        match (self.bound.share(ns).zip(self.bound.program), &self.bound.doubt) {
            (Some((share, program)), _) => told(ns, share, program.median),
            (None, Some(doubt)) => Told::Unknown(doubt.text.clone()),
            (None, None) => Told::Unknown("the trace does not say how much CPU time the program took".into()),
        }
    }
}

/// Returns the times of the baseline, each the mean of its own and that of the control, which is the last outcome; and
/// by how much these means may be wrong.
fn twice(comparison: &Comparison) -> (Vec<f64>, f64) {
    let Some((own, control)) = comparison.of_baseline().zip(comparison.outcomes.last()) else {
        return (Vec::new(), 0.0);
    };
    let means = own.times.iter().zip(&control.times).map(|(own, control)| (own + control) / 2.0).collect();
    (means, Estimate::difference(&own.times, &control.times).median.abs() / 2.0)
}

/// Returns the gain, unless its range is too wide to say anything; `program` is the program's CPU time, most likely.
fn told(ns: Estimate, share: Estimate, program: f64) -> Told {
    if is_narrow(share) {
        return Told::Saved { ns, share };
    }
    Told::TooWide { share, rounds_differ: !is_narrow(ns.over(program)) }
}

/// Returns whether the range of a share of the program's CPU time is narrow enough to say something.
fn is_narrow(share: Estimate) -> bool {
    share.most - share.least <= WIDEST.max(share.median.abs() * WIDEST_PART)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{advise::Measures, profile::Usage};

    #[test]
    fn a_wide_range_is_none() {
        let range = |least, median, most| {
            let share = Estimate { median, least, most };
            told(share.map(|share| share * 1e6), share, 1e6)
        };
        let is_wide = |told| matches!(told, Told::TooWide { rounds_differ: true, .. });
        assert!(matches!(range(0.01, 0.02, 0.05), Told::Saved { .. }));
        assert!(is_wide(range(-0.01, 0.02, 0.05)));
        assert!(matches!(range(0.25, 0.3, 0.35), Told::Saved { .. }), "a third of the gain");
        assert!(is_wide(range(0.2, 0.3, 0.35)));
    }

    #[test]
    fn a_range_may_be_wide_though_the_rounds_agree() {
        let (ns, program) = (Estimate::exact(3e5), Estimate { median: 1e6, least: 6e5, most: 1.2e6 });
        let told = told(ns, ns.divided_by(program), program.median);
        assert!(matches!(told, Told::TooWide { rounds_differ: false, .. }), "{told:?}");
    }

    /// Returns what is predicted for a site of 100,000 blocks, if a call takes 55 ns, and the program this many
    /// milliseconds.
    fn predicted(program_ms: f64) -> Option<Estimate> {
        let measures = Measures { blocks: 100_000, ..Measures::default() };
        let site = SiteAdvice {
            frames: Vec::new(),
            through: Vec::new(),
            usage: Usage::default(),
            measures,
            lifetime: None,
            kind: Kind::OneSize { bytes: 64 },
        };
        let program = Some(Estimate::exact(program_ms * 1e6));
        let bound = Bound { program, ..Bound::default() };
        let (baseline, chance, call, pool_call) = (Vec::new(), 0.0, 55.0, POOL_CALL);
        Scale { bound, baseline, chance, call, pool_call }.gain(&[&site], &Outcome::default()).predicted
    }

    #[test]
    fn a_prediction_with_a_wide_range_is_none() {
        let share = predicted(1000.0).unwrap();
        assert!((share.least, share.most) == (0.004, 0.016), "{share:?}");
        assert_eq!(predicted(100.0), None, "4 to 16 %");
    }
}
