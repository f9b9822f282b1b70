//! Rounds in which several tasks take turns, in another random order in each round.

use anyhow::{Result, bail};

use super::{
    Estimate, Name, Outcome, outcome,
    race::{self, Source},
    worker::{Measurement, Reply, Task, shuffle},
};
use crate::terminal::Progress;

/// Runs each task once per round, and once before, which does not count. Returns the measurements of each task, the one
/// that does not count first. `progress` gets the number of events replayed, and the number of turns in all.
fn run(
    source: &mut Source<'_>,
    tasks: &[Task],
    rounds: u32,
    progress: impl Fn(u64, u64),
) -> Result<Vec<Vec<Measurement>>> {
    let mut measured: Vec<Vec<Measurement>> = vec![Vec::new(); tasks.len()];
    let all = (u64::from(rounds) + 1) * tasks.len() as u64;
    let (mut order, mut random) = ((0..tasks.len()).collect::<Vec<_>>(), 0x9E37_79B9_7F4A_7C15);
    let mut before = 0;
    for _ in 0..=rounds {
        // What a worker leaves behind, such as free pages, helps or harms the next one.
        shuffle(&mut order, &mut random);
        for &who in &order {
            match race::run(source, &tasks[who], |done| progress(before + done, all))? {
                Reply::Done(measurement) => measured[who].push(measurement),
                other => bail!("a worker process answered out of turn: {other:?}"),
            }
            before += source.events();
        }
    }
    Ok(measured)
}

/// Runs tasks in rounds, of which the first is the bare loop, and the others are contenders with these names. Returns the
/// outcomes of the contenders, and the time of the bare loop. `title` is for the progress line, and `peak` the bytes that
/// are live at the peak.
pub(super) fn compare(
    mut source: Source<'_>,
    tasks: &[Task],
    names: impl Iterator<Item = Name>,
    rounds: u32,
    title: &'static str,
    peak: u64,
) -> Result<(Vec<Outcome>, Estimate)> {
    let (progress, events) = (Progress::new(title), source.events());
    let measured = run(&mut source, tasks, rounds, |done, turns| progress.at(done, turns * events))?;
    let Some((bare, others)) = measured.split_first() else { return Ok((Vec::new(), Estimate::default())) };
    let bare: Vec<_> = bare.iter().map(|round| round.nanoseconds as f64).collect();
    let outcomes = names.zip(others).map(|(name, rounds)| outcome(name, rounds, &bare, peak));
    Ok((outcomes.collect::<Result<_>>()?, Estimate::of(&bare[1..])))
}
