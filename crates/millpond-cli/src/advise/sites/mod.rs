//! Advice for each call site: what it allocates, and what to do about that.

mod code;
mod generation;
mod kind;
mod measures;
#[cfg(test)]
mod pasted;
mod survey;

use std::{collections::HashMap, rc::Rc};

use anyhow::{Result, ensure};
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Start, Summary, analysis::Analysis};

use super::Language;
use crate::{
    cli,
    profile::{self, Lifetime, Usage},
    query::Selection,
    symbols::{Function, Names},
    terminal::Progress,
    trace,
};

pub(crate) use self::{
    kind::{Kind, Reason},
    measures::Measures,
};

/// The advice for all sites of a trace.
pub(crate) struct SiteAdvices {
    /// Program and arguments.
    pub(crate) command_line: String,
    /// The origin of the trace according to the trace.
    pub(crate) start: Start,
    /// The metadata of the trace.
    pub(crate) summary: Summary,
    /// Number of frees and resizes by another thread than the one that allocated or last resized the block.
    pub(crate) foreign: u64,
    /// The languages that the program may be written in.
    pub(crate) languages: Vec<Language>,
    /// All sites that allocate, those with the most calls first.
    pub(crate) sites: Vec<SiteAdvice>,
    /// The calls of the program that allocated or resized, those of blocks that are not selected included.
    pub(crate) calls: u64,
    /// The blocks that the advice is about, if these are not all.
    pub(crate) selection: Option<Selection>,
    /// The place among the sites for each stack of one.
    pub(crate) of_stack: HashMap<u32, u32, FixedState>,
    /// What stood in the way of more names, in words.
    pub(crate) notes: Vec<String>,
}

/// A site, and the advice for it.
pub(crate) struct SiteAdvice {
    /// The function that allocates, and those that had called it, up to the outermost.
    pub(crate) frames: Vec<Rc<Function>>,
    /// The functions through which it allocates, innermost first.
    pub(crate) through: Vec<Rc<Function>>,
    /// What became of its blocks.
    pub(crate) usage: Usage,
    /// What decides about the advice.
    pub(crate) measures: Measures,
    /// How long its blocks live.
    pub(crate) lifetime: Option<Lifetime>,
    /// What to do.
    pub(crate) kind: Kind,
}

/// Reads a trace twice, narrowed to the blocks that are selected, and the files that have the names of its functions.
pub(crate) fn advise(
    reader: &mut Reader,
    places: &cli::Places,
    selection: Option<Selection>,
) -> Result<SiteAdvices> {
    ensure!(reader.summary().events > 0, "the trace has no events: there is nothing to advise");
    let (progress, all) = (Progress::new("reading the trace"), reader.summary().events);
    let analysis = Analysis::read_with(reader, |done| progress.at(done, 2 * all))?;
    let names = Names::new(reader.tables(), places);
    let found = profile::sites(&analysis.sites, &reader.tables().stacks, &names);
    drop(analysis);
    let measured =
        survey::measure(reader, &found.of_stack, found.list.len(), |done| progress.at(all + done, 2 * all))?;
    drop(progress);
    let own_calls = measured.sites.iter().map(Measures::calls).sum();
    let calls = selection.as_ref().map_or(own_calls, |selection| selection.of_allocations);
    let wall = reader.summary().wall_ns;
    // With room for all at once: what is known about a site takes more than 1 KiB.
    let mut sites = Vec::with_capacity(found.list.len());
    let advised = (0..).zip(found.list).zip(measured.sites).filter(|(_, measures)| measures.blocks > 0);
    let advised = advised.map(|((number, site), measures)| {
        let advice = SiteAdvice {
            kind: Kind::of(&measures, calls),
            lifetime: site.usage.lifetime(wall),
            frames: site.frames,
            through: site.through,
            usage: site.usage,
            measures,
        };
        (number, advice)
    });
    sites.extend(advised);
    sites.sort_by_key(|(number, site)| (std::cmp::Reverse(site.measures.calls()), *number));
    let places: HashMap<u32, u32> = (0..).zip(&sites).map(|(place, &(number, _))| (number, place)).collect();
    let placed = |(stack, number)| Some((stack, *places.get(&number)?));
    let of_stack = found.of_stack.into_iter().filter_map(placed).collect();
    let path = std::path::Path::new(&reader.start().program);
    Ok(SiteAdvices {
        command_line: trace::command_line(reader),
        start: reader.start().clone(),
        summary: reader.summary().clone(),
        foreign: measured.foreign,
        languages: Language::of(path, &reader.tables().modules),
        sites: sites.into_iter().map(|(_, site)| site).collect(),
        calls,
        selection,
        of_stack,
        notes: names.notes,
    })
}
