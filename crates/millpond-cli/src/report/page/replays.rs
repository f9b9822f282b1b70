//! What a page knows from replays of the whole trace.

use anyhow::Result;
use millpond_trace::Reader;

use crate::{
    advise::SiteAdvices,
    analysis::{Analysis, Gains, Selection, Study, gains},
    cli::{self, Settings},
    query,
};

/// How many call sites are replayed with what is advised for them.
const SITES: usize = 5;

/// The results of replays.
#[derive(Default)]
pub(super) struct Replays {
    /// The replay with each allocator, and the verdict.
    pub(super) analysis: Option<Analysis>,
    /// What the advice for call sites gains.
    pub(super) gains: Gains,
    /// Why there is no verdict and no map of an allocator, in a sentence.
    pub(super) not_replayed: Option<String>,
}

impl Replays {
    /// Replays a trace; the advice is about the blocks that `filter` selects. What cannot be replayed is left out, with the
    /// reason, because the rest of the page does not depend on it.
    pub(super) fn new(
        reader: &mut Reader,
        advices: Option<&SiteAdvices>,
        filter: &cli::Filter,
        settings: Option<&Settings>,
    ) -> Self {
        let Some(advices) = advices else { return Self::default() };
        let Some(settings) = settings else {
            return Self::without("The report was made with --no-replay.".into());
        };
        let analysis = match analysis(reader, settings) {
            Ok(analysis) => analysis,
            Err(error) => return Self::without(format!("The trace was not replayed: {error:#}.")),
        };
        let gains = match query::not_replayed(filter) {
            Some(why) => Gains { not_replayed: Some(why), ..Gains::default() },
            None => {
                gains(reader, advices, &Selection::First(SITES), settings).unwrap_or_else(|error| Gains {
                    not_replayed: Some(format!("The advice was not replayed: {error:#}.")),
                    ..Gains::default()
                })
            }
        };
        Self { analysis: Some(analysis), gains, not_replayed: None }
    }

    fn without(why: String) -> Self {
        let gains = Gains { not_replayed: Some(why.clone()), ..Gains::default() };
        Self { gains, not_replayed: Some(why), ..Self::default() }
    }
}

fn analysis(reader: &mut Reader, settings: &Settings) -> Result<Analysis> {
    Study::new(reader, settings)?.replay(reader, settings.clone())
}
