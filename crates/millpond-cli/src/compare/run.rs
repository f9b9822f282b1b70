//! One of several equal runs.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Start, Summary};

use super::Tree;
use crate::{
    profile::{self, Usage},
    query::{Found, Query},
    trace,
};

/// A recording, by the call stacks of a tree.
pub(crate) struct Run {
    pub(crate) path: PathBuf,
    pub(crate) command_line: String,
    pub(crate) start: Start,
    pub(crate) summary: Summary,
    /// The stacks that allocated or resized.
    pub(super) stacks: HashMap<u32, Usage, FixedState>,
    /// All of them together.
    pub(crate) total: Usage,
}

/// What runs are compared by, in the course of reading them.
pub(super) struct Common {
    pub(super) tree: Tree,
    /// The functions that allocate for others in any run, by their number in the tree.
    pub(super) skipped: HashSet<u32, FixedState>,
    /// What stood in the way of more names, in words.
    pub(super) notes: Vec<String>,
}

impl Run {
    /// Reads a recording, and adds its stacks to those of the others.
    pub(super) fn read(path: &Path, query: Query, common: &mut Common) -> Result<Self> {
        let Found { reader, analysis, names } = query.read(path)?;
        let tables = reader.tables();
        common.notes.extend_from_slice(&names.notes);
        for function in profile::skipped(&analysis.sites, &tables.stacks, &names) {
            let number = common.tree.function(names.function(function));
            common.skipped.insert(number);
        }
        let functions: Vec<_> =
            names.functions().iter().map(|function| common.tree.function(function)).collect();
        // The place in the tree of each stack, parents first.
        let mut places = vec![0];
        for node in &tables.stacks.nodes()[1..] {
            let outwards = names.of(node.frame).iter().rev();
            places.push(outwards.fold(places[node.parent as usize], |parent, &function| {
                common.tree.child(parent, functions[function as usize])
            }));
        }
        let (mut stacks, mut total) = (HashMap::<u32, Usage, _>::default(), Usage::default());
        for site in analysis.sites.iter().filter(|site| site.allocations + site.resizes > 0) {
            stacks.entry(places[site.stack as usize]).or_default().add(site);
            total.add(site);
        }
        Ok(Self {
            path: path.to_owned(),
            command_line: trace::command_line(&reader),
            start: reader.start().clone(),
            summary: reader.summary().clone(),
            stacks,
            total,
        })
    }
}
