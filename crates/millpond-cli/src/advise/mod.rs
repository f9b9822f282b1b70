//! Advice: block sizes for the pools of a program as a whole, and what to do about each of its call sites.

mod language;
mod sites;
mod size_classes;
mod snippet;

use std::path::Path;

use anyhow::Result;
use millpond_trace::Reader;

use crate::trace::{Count, Histogram, Kind as StepKind, Request, Steps};

pub(crate) use language::Language;
pub(crate) use sites::{Kind, Measures, Reason, SiteAdvice, SiteAdvices, advise};
pub(crate) use size_classes::{Limits, align_of_block};
use snippet::Snippet;

/// The block sizes advised for a trace.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Advice {
    /// Ascending by size.
    pub(crate) blocks: Vec<Block>,
    /// Share of the allocations that they serve, from 0 to 1.
    pub(crate) covered: f64,
    /// The languages that the program may be written in.
    pub(crate) languages: Vec<Language>,
    /// The name of the program for display.
    pub(crate) program: String,
    /// Whether several threads allocate.
    pub(crate) has_threads: bool,
}

/// One block size.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Block {
    /// Bytes of a block.
    pub(crate) size: usize,
    /// The smallest and the largest request that it serves.
    pub(crate) serves: (usize, usize),
    /// How many allocations it serves.
    pub(crate) allocations: u64,
    /// The same as a share of all allocations, from 0 to 1.
    pub(crate) share: f64,
    /// Max number of blocks live at once: the capacity that a pool of fixed size would need.
    pub(crate) capacity: u64,
    /// Bytes requested, and bytes of the blocks, when most bytes are live.
    pub(crate) requested_at_peak: u64,
    /// See [`requested_at_peak`](Self::requested_at_peak).
    pub(crate) bytes_at_peak: u64,
}

impl Advice {
    /// Chooses block sizes for a trace and determines what each would serve.
    pub(crate) fn new(
        reader: &mut Reader,
        histogram: &Histogram,
        limits: Limits,
        program: &str,
    ) -> Result<Self> {
        let path = Path::new(&reader.start().program);
        let languages = Language::of(path, &reader.tables().modules);
        let sizes = size_classes::choose(&histogram.counts, limits);
        if sizes.is_empty() {
            return Ok(Self::default());
        }
        let mut blocks: Vec<_> = sizes.iter().map(|&size| Block { size, ..Block::default() }).collect();
        let all = histogram.allocations() as f64;
        for count in &histogram.counts {
            if let Some(class) = class_of(&sizes, count.request) {
                blocks[class].serve(count, all);
            }
        }
        for (block, capacity) in blocks.iter_mut().zip(capacities(reader, &sizes)?) {
            block.capacity = capacity;
        }
        blocks.retain(|block| block.allocations > 0);
        let covered = blocks.iter().map(|block| block.allocations).sum::<u64>() as f64 / all;
        let has_threads = histogram.threads.workers.len() > 1;
        Ok(Self { blocks, covered, languages, program: program.to_owned(), has_threads })
    }

    /// Returns code to paste; with `huge`, also of a pool on huge pages. Empty if there is nothing to advise.
    pub(crate) fn code(&self, language: Language, huge: bool) -> String {
        if self.blocks.is_empty() {
            return String::new();
        }
        let Self { blocks, covered, program, has_threads, .. } = self;
        Snippet { program, blocks, covered: *covered, has_threads: *has_threads }.code(language, huge)
    }

    /// Returns the bytes of all blocks of these sizes that are live when most bytes are live.
    pub(crate) fn bytes_at_peak(&self) -> u64 {
        self.blocks.iter().map(|block| block.bytes_at_peak).sum()
    }

    /// Returns only the block sizes.
    pub(crate) fn sizes(&self) -> Vec<usize> {
        self.blocks.iter().map(|block| block.size).collect()
    }
}

impl Block {
    fn serve(&mut self, count: &Count, all: f64) {
        let size = count.request.size();
        self.serves = match self.serves {
            _ if self.allocations == 0 => (size, size),
            (least, most) => (least.min(size), most.max(size)),
        };
        self.allocations += count.allocations;
        self.share = self.allocations as f64 / all;
        self.requested_at_peak = self.requested_at_peak.saturating_add(count.bytes_at_peak());
        let bytes = count.live_at_peak.saturating_mul(self.size as u64);
        self.bytes_at_peak = self.bytes_at_peak.saturating_add(bytes);
    }

    /// Returns the share of the blocks' bytes that were not requested, when most bytes are live; from 0 to 1.
    pub(crate) fn waste(&self) -> f64 {
        if self.bytes_at_peak == 0 {
            return 0.0;
        }
        1.0 - self.requested_at_peak as f64 / self.bytes_at_peak as f64
    }
}

/// Returns the class from which `millpond::Classes` with these sizes would serve a request: the first that is large
/// enough and aligned enough.
fn class_of(sizes: &[usize], request: Request) -> Option<usize> {
    sizes.iter().position(|&size| size >= request.size() && align_of_block(size) >= request.align())
}

/// Returns the max number of blocks of each size that are live at once.
fn capacities(reader: &mut Reader, sizes: &[usize]) -> Result<Vec<u64>> {
    let mut live = vec![(0_u64, 0_u64); sizes.len()];
    let mut slots: Vec<Option<usize>> = Vec::new();
    Steps::all(reader, "choosing block sizes", |_, step| {
        let slot = step.slot as usize;
        if slots.len() <= slot {
            slots.resize(slot + 1, None);
        }
        if let Some(class) = slots[slot].take() {
            live[class].0 -= 1;
        }
        if step.kind == StepKind::Free {
            return;
        }
        slots[slot] = class_of(sizes, step.request);
        if let Some(class) = slots[slot] {
            let (now, most) = &mut live[class];
            *now += 1;
            *most = (*most).max(*now);
        }
    })?;
    Ok(live.into_iter().map(|(_, most)| most).collect())
}
