//! What the replay predicts for a program under other allocators.

use anyhow::Result;
use millpond_trace::Reader;

use super::{Bound, Difference, Study, exclusion::too_few, judge::LEAST_TIME};
use crate::{
    cli::Settings,
    estimate::Estimate,
    replay::{self, Comparison, Library, Outcome},
};

/// How the program's CPU time changes, as a share of it; or why that cannot be told, as a clause.
pub(crate) type Prediction = Result<Difference, String>;

impl Study {
    /// Replays the trace against each library.
    pub(crate) fn predict(
        &self,
        reader: &mut Reader,
        settings: &Settings,
        libraries: &[Library],
    ) -> Result<Vec<Prediction>> {
        let loaded: Vec<_> = libraries.iter().map(|library| replay::loadable(&library.path)).collect();
        let usable: Vec<_> = libraries
            .iter()
            .zip(&loaded)
            .filter(|(_, loaded)| loaded.is_ok())
            .map(|(it, _)| it.clone())
            .collect();
        let baseline = self.baseline.clone();
        let comparison = replay::measure_libraries(reader, &self.histogram, &usable, settings, baseline)?;
        let bound = Bound::new(&self.summary, &comparison, self.cost, &self.program);
        let mut outcomes = comparison.outcomes.iter().skip(1);
        let predictions = loaded.into_iter().map(|loaded| match loaded {
            Ok(_) => outcomes.next().map_or_else(
                || Err("the replay has no result for it".into()),
                |outcome| prediction(&comparison, &bound, outcome),
            ),
            Err(error) => Err(format!("it cannot be loaded into the replay: {error:#}")),
        });
        Ok(predictions.collect())
    }
}

fn prediction(comparison: &Comparison, bound: &Bound, outcome: &Outcome) -> Prediction {
    if let Some(why) = too_few(outcome.times.len()) {
        return Err(why);
    }
    let theirs = comparison.of_baseline().map(|baseline| &baseline.times[..]).unwrap_or_default();
    match (bound.share(Estimate::difference(&outcome.times, theirs)), &bound.doubt) {
        (Some(share), _) => Ok(Difference::new(share, LEAST_TIME)),
        (None, Some(doubt)) => Err(doubt.text.clone()),
        (None, None) => Err("the trace does not say how much CPU time the program took".into()),
    }
}
