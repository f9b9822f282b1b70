//! Chooses what is counted each by itself: the largest sites, and the largest branches of the tree of stacks.

use std::{cmp::Reverse, collections::HashMap};

use foldhash::fast::FixedState;
use millpond_trace::{
    Node, Reader, Stacks,
    analysis::{Totals, per_node},
};

use crate::profile::Details;

/// How many of the largest sites are chosen by each measure.
const SITES: usize = 500;
/// Max number of nodes of the tree of stacks, and of units.
const NODES: usize = 12_000;
const UNITS: usize = 4_000;
/// No number.
const NONE: u32 = u32::MAX;

/// What allocations are attributed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unit {
    /// The site among those chosen; one more for all others.
    pub(crate) site: u32,
    /// The node of the tree: the stack itself, or the nearest of its callers that was chosen.
    pub(crate) node: u32,
}

pub(super) struct Selection {
    pub(super) sites: Vec<u32>,
    pub(super) nodes: Vec<Node>,
    pub(super) units: Vec<Unit>,
    /// The unit of each stack, if it allocated or resized.
    unit_of: Vec<u32>,
}

impl Selection {
    /// Returns the unit of a stack that allocated or resized.
    pub(super) fn unit(&self, stack: u32) -> Option<u32> {
        self.unit_of.get(stack as usize).copied().filter(|&unit| unit != NONE)
    }
}

/// Chooses sites and nodes.
pub(super) fn select(details: &Details, reader: &Reader) -> Selection {
    let sums: Vec<Totals> = details.overview.sites.iter().map(|site| site.usage.totals()).collect();
    let sites = largest_sites(&sums);
    let mut numbers = vec![sites.len() as u32; sums.len()];
    for (number, &site) in (0..).zip(&sites) {
        numbers[site as usize] = number;
    }
    let stacks = &reader.tables().stacks;
    let order = by_weight(&per_node(&details.analysis.sites, stacks));
    let mut limit = NODES;
    loop {
        let tree = Tree::new(stacks, &order[..order.len().min(limit)]);
        let (units, unit_of) = units(&tree, &details.site_of, &numbers);
        if units.len() <= UNITS || limit == 1 {
            return Selection { sites, nodes: tree.nodes, units, unit_of };
        }
        limit /= 2;
    }
}

/// The measures by which something can be large.
fn measures(sum: &Totals) -> [u64; 5] {
    [sum.bytes, sum.calls, sum.peak_bytes, sum.temporaries, sum.live_bytes]
}

/// Returns the largest sites by each measure, in their order.
fn largest_sites(sums: &[Totals]) -> Vec<u32> {
    let mut chosen = vec![false; sums.len()];
    for measure in 0..measures(&Totals::default()).len() {
        let size = |site: usize| measures(&sums[site])[measure];
        let mut order: Vec<usize> = (0..sums.len()).filter(|&site| size(site) > 0).collect();
        order.sort_by_key(|&site| (Reverse(size(site)), site));
        order.iter().take(SITES).for_each(|&site| chosen[site] = true);
    }
    (0..).zip(chosen).filter(|(_, is_chosen)| *is_chosen).map(|(site, _)| site).collect()
}

/// Returns the nodes that have allocated, those with the largest share of any measure first, callers before callees, which
/// have at most the same share. The first is the root.
fn by_weight(sums: &[Totals]) -> Vec<u32> {
    let all = sums.first().map(measures).unwrap_or_default();
    let weight = |sum: &Totals| {
        let shares = measures(sum).into_iter().zip(all).map(|(part, all)| part as f64 / all.max(1) as f64);
        shares.fold(0.0, f64::max)
    };
    let weights: Vec<f64> = sums.iter().map(weight).collect();
    let mut order: Vec<u32> =
        (0..).zip(sums).filter(|(at, sum)| *at == 0 || sum.calls > 0).map(|(at, _)| at).collect();
    // The sort is stable, so parents, which have smaller numbers, come first among equals.
    order[1..].sort_by(|&a, &b| weights[b as usize].total_cmp(&weights[a as usize]));
    order
}

/// The chosen part of the tree of stacks.
struct Tree {
    nodes: Vec<Node>,
    /// For each stack, its node or that of the nearest caller that was chosen.
    nearest: Vec<u32>,
}

impl Tree {
    /// Chooses these stacks, which include the callers of each.
    fn new(stacks: &Stacks, chosen: &[u32]) -> Self {
        let mut is_chosen = vec![false; stacks.len()];
        chosen.iter().for_each(|&stack| is_chosen[stack as usize] = true);
        let (mut nodes, mut nearest) = (Vec::new(), vec![0; stacks.len()]);
        for (stack, node) in stacks.nodes().iter().enumerate() {
            let parent = nearest[node.parent as usize];
            nearest[stack] = if is_chosen[stack] {
                nodes.push(Node { parent, frame: node.frame });
                nodes.len() as u32 - 1
            } else {
                parent
            };
        }
        Self { nodes, nearest }
    }
}

/// Returns the pairs of site and node that occur, and the pair of each stack.
fn units(tree: &Tree, site_of: &HashMap<u32, u32, FixedState>, numbers: &[u32]) -> (Vec<Unit>, Vec<u32>) {
    let mut known: HashMap<Unit, u32, FixedState> = HashMap::default();
    let mut units = Vec::new();
    let unit = |(stack, &node): (u32, &u32)| {
        let Some(&site) = site_of.get(&stack) else { return NONE };
        let unit = Unit { site: numbers[site as usize], node };
        *known.entry(unit).or_insert_with(|| {
            units.push(unit);
            units.len() as u32 - 1
        })
    };
    let unit_of = (0..).zip(&tree.nearest).map(unit).collect();
    (units, unit_of)
}
