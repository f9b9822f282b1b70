//! The replay of a trace: contenders, rounds and results.

mod baseline;
mod contender;
mod huge;
#[cfg(recorder)]
mod libraries;
mod located;
mod race;
mod resident;
mod rounds;
mod routes;
mod touched;
pub(crate) mod worker;

use anyhow::{Result, bail, ensure};
use millpond_trace::Reader;

use self::{
    race::Source,
    worker::{Measurement, Reply, Task},
};
use crate::{cli::Settings, terminal::Progress, trace::Histogram, units};

pub(crate) use crate::estimate::{Estimate, LEAST_ROUNDS, outliers};

#[cfg(recorder)]
pub(crate) use self::{
    baseline::loadable,
    libraries::{Library, measure_libraries},
};
pub(crate) use self::{
    baseline::{Baseline, Choice, Relation},
    contender::{Name, Route, mimalloc_version},
    located::{Located, Moment, Resident, locate},
    routes::{Routing, measure_routes},
    touched::{Touch, Touched},
    worker::{MemoryUse, Verification, Written},
};

/// The results of the rounds.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// The baseline first, then the others in a fixed order.
    pub(crate) outcomes: Vec<Outcome>,
    /// The allocator that the others are compared with.
    pub(crate) baseline: Baseline,
    /// CPU time of the loop and its touches alone, in nanoseconds; already subtracted from the outcomes.
    pub(crate) bare: Estimate,
    /// Why [`Name::Huge`] was left out; `None` if it took part or was not requested.
    pub(crate) without_huge: Option<String>,
    /// Which bytes of the blocks were written.
    pub(crate) touched: Option<Touched>,
}

/// The results of one contender.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The contender.
    pub(crate) name: Name,
    /// CPU time of each round in nanoseconds, less that of the bare loop in the same round.
    pub(crate) times: Vec<f64>,
    /// The same for a first turn that does not count: memory that was not used recently may come slowly, huge pages
    /// above all.
    pub(crate) first: f64,
    /// Max resident bytes of each round; empty if the system does not report it.
    pub(crate) peaks: Vec<f64>,
    /// The blocks live when most bytes are live.
    pub(crate) memory_use: MemoryUse,
    /// Page faults of a round (median).
    pub(crate) page_faults: u64,
    /// CPU time of a round in the kernel, in nanoseconds (median).
    pub(crate) system_ns: u64,
    /// Nanoseconds to read a block that is live when most bytes are live, for each time that all were read.
    pub(crate) walk: Vec<f64>,
}

impl Outcome {
    /// Returns the time for all events; `None` if it was not above that of the loop, which is subtracted.
    pub(crate) fn total(&self) -> Option<Estimate> {
        Some(Estimate::of(&self.times)).filter(|total| total.median > 0.0)
    }
}

impl Comparison {
    /// Returns the outcome of the baseline.
    pub(crate) fn of_baseline(&self) -> Option<&Outcome> {
        self.of(self.baseline.name())
    }

    /// Returns the outcome of one contender, if it took part.
    pub(crate) fn of(&self, name: Name) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.name == name)
    }
}

/// Returns the contenders of a replay: the baseline and the requested ones. Without block sizes, the advised pools are
/// left out.
fn lineup(settings: &Settings, baseline: &Baseline, sizes: &[usize]) -> Vec<Name> {
    let wanted = |name: &Name| match name {
        Name::Glibc => settings.with.contains(name) && baseline.name() != Name::Glibc,
        _ => settings.with.is_empty() || settings.with.contains(name),
    };
    let possible = |name: &Name| !name.is_advised() || !sizes.is_empty();
    let others = [Name::Glibc].into_iter().chain(Name::CHOICES);
    [baseline.name()].into_iter().chain(others.filter(wanted).filter(possible)).collect()
}

impl Task {
    /// Makes this the task of another contender.
    fn set(&mut self, name: Name, baseline: &Baseline) {
        self.contender = name;
        self.library = baseline.library.clone().filter(|_| name.uses_baseline());
    }
}

/// A task for one worker.
fn task(reader: &Reader, histogram: &Histogram, sizes: &[usize], written: Written) -> Task {
    Task {
        contender: Name::Bare,
        library: None,
        variables: Vec::new(),
        sizes: sizes.to_vec(),
        routes: Vec::new(),
        verify: false,
        map: false,
        walk: false,
        written,
        workers: histogram.threads.at_once,
        stretch: worker::stretch(reader.summary().events, histogram.threads.foreign),
        slots: reader.summary().slots,
        batch: race::batch(reader),
        peak: histogram.peak_after,
    }
}

/// Runs all rounds. Each contender has one turn per round, and each round starts with another contender. In a round
/// before these, which does not count, those on huge pages come first, while the system has not yet made such pages for
/// any other.
pub(crate) fn measure(
    reader: &mut Reader,
    histogram: &Histogram,
    sizes: &[usize],
    settings: &Settings,
    baseline: &Baseline,
) -> Result<Comparison> {
    let touched = Touched::new(settings.touch, histogram, &reader.summary().resources);
    check_memory(histogram, |size| touched.written.is_written(size))?;
    let mut task = task(reader, histogram, sizes, touched.written);
    let mut names: Vec<_> = [Name::Bare].into_iter().chain(lineup(settings, baseline, sizes)).collect();
    let without_huge = huge::why_not().filter(|_| names.contains(&Name::Huge));
    names.retain(|name| *name != Name::Huge || without_huge.is_none());
    let mut measured: Vec<Vec<Measurement>> = vec![Vec::new(); names.len()];
    let first = (0..names.len()).rev();
    let rounds = (0..settings.rounds as usize)
        .flat_map(|round| (0..names.len()).map(move |turn| round + turn))
        .map(|turn| turn % names.len());
    let (progress, events, peak) =
        (Progress::new("replaying"), reader.summary().events, reader.summary().peak_bytes);
    let turns = (u64::from(settings.rounds) + 1) * names.len() as u64;
    let mut source = Source::new(reader, &histogram.threads.workers);
    for (turn, who) in first.chain(rounds).enumerate() {
        task.set(names[who], baseline);
        task.walk = measured[who].is_empty();
        match race::run(&mut source, &task, |done| progress.at(turn as u64 * events + done, turns * events))?
        {
            Reply::Done(measurement) => measured[who].push(measurement),
            other => bail!("a worker process answered out of turn: {other:?}"),
        }
    }
    let bare: Vec<_> = measured[0].iter().map(|round| round.nanoseconds as f64).collect();
    let outcomes = names.into_iter().zip(&measured).skip(1);
    let outcomes =
        outcomes.map(|(name, rounds)| outcome(name, rounds, &bare, peak)).collect::<Result<_>>()?;
    let (bare, baseline) = (Estimate::of(&bare[1..]), baseline.clone());
    Ok(Comparison { outcomes, baseline, bare, without_huge, touched: Some(touched) })
}

/// Summarises the rounds of one contender, the first of which does not count.
fn outcome(name: Name, rounds: &[Measurement], bare: &[f64], peak: u64) -> Result<Outcome> {
    let memory_use = rounds.last().map(|round| round.memory_use).unwrap_or_default();
    ensure!(memory_use.requested == peak, "replaying against {} lost track of the live blocks", name.text());
    let mut times = rounds.iter().zip(bare).map(|(round, bare)| (round.nanoseconds as f64 - bare).max(0.0));
    let first = times.next().unwrap_or_default();
    let times = times.collect();
    let peaks: Option<Vec<_>> =
        rounds.iter().skip(1).map(|round| Some(round.peak_resident? as f64)).collect();
    let middle = |figure: fn(&Measurement) -> u64| {
        Estimate::of(&rounds.iter().skip(1).map(|round| figure(round) as f64).collect::<Vec<_>>()).median
            as u64
    };
    Ok(Outcome {
        name,
        times,
        first,
        peaks: peaks.unwrap_or_default(),
        memory_use,
        page_faults: middle(|round| round.page_faults),
        system_ns: middle(|round| round.system_ns),
        walk: rounds.first().map(|first| first.walk.clone()).unwrap_or_default(),
    })
}

/// Checks every block of every contender, without timing.
pub(crate) fn verify(
    reader: &mut Reader,
    histogram: &Histogram,
    sizes: &[usize],
    settings: &Settings,
    baseline: &Baseline,
) -> Result<Vec<(Name, Verification)>> {
    check_memory(histogram, |_| true)?;
    let mut task = Task { verify: true, ..task(reader, histogram, sizes, Written::All) };
    let mut verified = Vec::new();
    let (names, events) = (lineup(settings, baseline, sizes), reader.summary().events);
    let (progress, all) = (Progress::new("checking every block"), names.len() as u64 * events);
    let mut source = Source::new(reader, &histogram.threads.workers);
    for (turn, name) in names.into_iter().enumerate() {
        task.set(name, baseline);
        match race::run(&mut source, &task, |done| progress.at(turn as u64 * events + done, all))? {
            Reply::Verified(verification) => verified.push((name, verification)),
            other => bail!("a worker process answered out of turn: {other:?}"),
        }
    }
    Ok(verified)
}

/// Rejects a trace whose blocks, as far as they are written, do not fit into the memory of this machine, if that is
/// known: replaying it would push other programs out of memory.
fn check_memory(histogram: &Histogram, is_written: impl Fn(usize) -> bool) -> Result<()> {
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else { return Ok(()) };
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let Some(kibibytes) = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()) else {
        return Ok(());
    };
    let needed = histogram.bytes_at_peak(is_written) as f64;
    let available = kibibytes as f64 * 1024.0;
    ensure!(
        needed <= available,
        "the program had {} live at once, more than the {} that are free here: replay it on a larger machine",
        units::bytes(needed),
        units::bytes(available)
    );
    Ok(())
}
