//! Analysis of a whole trace in one pass. Its memory depends on the max number of blocks live at the same time (32 bytes
//! each) and on the number of stacks that allocate or free (340 bytes each), not on the number of events.
//!
//! A block belongs to the stack that allocated it until it is freed, however often it is resized.

mod analyzer;
mod blocks;
mod fold;
mod heat;
mod site;
mod threads;
mod timeline;
mod union;

use crate::file::{Reader, TraceError};

pub use self::{
    fold::{Folded, Totals, fold, per_node},
    heat::HeatMap,
    site::{CHECKPOINTS, LIFETIMES_EVENTS, LIFETIMES_NS, Site},
    threads::{Flow, Flows},
    timeline::{BINS, Bin, Timeline},
    union::Union,
};
use analyzer::Analyzer;

/// Number of classes of [`Analysis::chains`].
pub const CHAINS: usize = 16;

/// What one pass over a trace computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// Every stack that allocated, resized or freed, in the order of its first event.
    pub sites: Vec<Site>,
    /// Sizes and lifetimes of the blocks that were freed.
    pub heat: HeatMap,
    /// Which threads free blocks of which threads.
    pub flows: Flows,
    /// Live bytes over time.
    pub timeline: Timeline,
    /// Number of blocks that were resized at least once, by the base-2 logarithm of how often; the last class also has
    /// all that were resized more often.
    pub chains: [u64; CHAINS],
    /// Whether the live bytes reached the max that the summary states. If not, no site has blocks at the peak.
    pub found_peak: bool,
}

impl Analysis {
    /// Analyses a trace from its first to its last event.
    pub fn read(reader: &mut Reader) -> Result<Self, TraceError> {
        Self::read_with(reader, |_| ())
    }

    /// Does the same, and calls `progress` after each block of events with the number of events read so far, without those
    /// that are left out.
    pub fn read_with(reader: &mut Reader, mut progress: impl FnMut(u64)) -> Result<Self, TraceError> {
        reader.rewind()?;
        let mut analyzer = Analyzer::new(reader.summary());
        while reader.visit_block(&mut analyzer)? {
            progress(analyzer.events());
        }
        Ok(analyzer.finish())
    }
}

/// Returns the class of a number among `classes`: the base-2 logarithm of the number divided by 2 to the `shift`, or 0
/// for less.
#[inline]
fn class(number: u64, shift: u32, classes: usize) -> usize {
    ((number >> shift | 1).ilog2() as usize).min(classes - 1)
}
