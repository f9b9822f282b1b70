//! The analysis of a trace, in the order of its steps.

mod bound;
mod exclusion;
mod gain;
mod judge;
mod places;
#[cfg(recorder)]
mod predicted;
mod second;
mod verdict;

use anyhow::{Result, ensure};
use millpond_trace::{Reader, Start, Summary};

#[cfg(recorder)]
pub(crate) use self::predicted::Prediction;
pub(crate) use self::{
    bound::{Bound, recording_cost},
    exclusion::incomplete,
    gain::{Gain, Gains, Selection, Told, gains},
    judge::{Change, Difference},
    places::Places,
    second::{Match, Second},
    verdict::Verdict,
};
use crate::{
    advise::{Advice, Limits},
    cli::Settings,
    estimate::Estimate,
    replay::{self, Baseline, Comparison, Name, Verification},
    trace::{self, Histogram},
};

/// What is known before the replay.
pub(crate) struct Study {
    /// The name of the program for display.
    pub(crate) program: String,
    /// Program and arguments.
    pub(crate) command_line: String,
    /// The origin of the trace according to the trace.
    pub(crate) start: Start,
    /// The metadata of the trace.
    pub(crate) summary: Summary,
    /// The block sizes advised for its pools.
    pub(crate) advice: Advice,
    /// Why there can be no verdict on it, and what to do.
    pub(crate) exclusion: Option<String>,
    /// The allocator that the others are compared with.
    pub(crate) baseline: Baseline,
    /// CPU time that recording cost, in nanoseconds, if it was measured.
    pub(crate) cost: Option<Estimate>,
    /// Every kind of request, and the threads.
    pub(crate) histogram: Histogram,
}

/// The results of the replay.
pub(crate) struct Analysis {
    /// What was known before.
    pub(crate) study: Study,
    /// How the trace was replayed.
    pub(crate) settings: Settings,
    /// Times and memory.
    pub(crate) comparison: Comparison,
    /// Upper bound of what there is to gain.
    pub(crate) bound: Bound,
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Where the allocations come from, if pools help.
    pub(crate) places: Option<Places>,
}

impl Study {
    /// Reads a whole trace and chooses block sizes for it.
    pub(crate) fn new(reader: &mut Reader, settings: &Settings) -> Result<Self> {
        ensure!(reader.summary().events > 0, "the trace has no events: there is nothing to replay");
        let program = trace::program(reader);
        let histogram = Histogram::read(reader)?;
        let advice = Advice::new(reader, &histogram, Limits::sensible(settings.sizes as usize), &program)?;
        let command_line = trace::command_line(reader);
        let (start, summary) = (reader.start().clone(), reader.summary().clone());
        let (baseline, obstacle) = Baseline::new(&settings.baseline, reader, &program)?;
        let exclusion = incomplete(&summary).or(obstacle);
        Ok(Self { program, command_line, start, summary, advice, exclusion, baseline, cost: None, histogram })
    }

    /// Replays the trace and draws the conclusions.
    pub(crate) fn replay(self, reader: &mut Reader, settings: Settings) -> Result<Analysis> {
        let sizes = self.advice.sizes();
        let comparison = replay::measure(reader, &self.histogram, &sizes, &settings, &self.baseline)?;
        let bound = Bound::new(&self.summary, &comparison, self.cost, &self.program);
        let verdict = Verdict::new(&self, &comparison, &bound);
        let places = verdict.helps().then(|| Places::find(reader)).transpose()?;
        Ok(Analysis { study: self, settings, comparison, bound, verdict, places })
    }

    /// Replays the trace once with each contender, and passes on where blocks are after each of these numbers of events.
    pub(crate) fn locate(
        &self,
        reader: &mut Reader,
        settings: &Settings,
        moments: &[u64],
        take: impl FnMut(replay::Moment<'_>),
    ) -> Result<()> {
        let sizes = self.advice.sizes();
        replay::locate(reader, &self.histogram, &sizes, settings, &self.baseline, moments, take)
    }

    /// Replays the trace and checks every block of every contender.
    pub(crate) fn verify(
        &self,
        reader: &mut Reader,
        settings: &Settings,
    ) -> Result<Vec<(Name, Verification)>> {
        replay::verify(reader, &self.histogram, &self.advice.sizes(), settings, &self.baseline)
    }
}
