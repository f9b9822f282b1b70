//! Sums over the tree of stacks: by node, and by function.

use std::{
    collections::HashMap,
    hash::Hash,
    ops::{Add, AddAssign},
};

use super::Site;
use crate::file::{Frame, Stacks};

/// Figures of sites that can be added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Allocations and resizes.
    pub calls: u64,
    /// Bytes that they requested.
    pub bytes: u64,
    /// Blocks live at the end.
    pub live_blocks: u64,
    /// The bytes of these blocks.
    pub live_bytes: u64,
    /// Blocks live at the peak.
    pub peak_blocks: u64,
    /// The bytes of these blocks.
    pub peak_bytes: u64,
    /// Blocks that the thread freed with its next event after the allocation.
    pub temporaries: u64,
}

impl From<&Site> for Totals {
    fn from(site: &Site) -> Self {
        Self {
            calls: site.allocations + site.resizes,
            bytes: site.bytes,
            live_blocks: u64::from(site.live_blocks),
            live_bytes: site.live_bytes,
            peak_blocks: u64::from(site.peak_blocks),
            peak_bytes: site.peak_bytes,
            temporaries: site.temporaries,
        }
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            calls: self.calls.saturating_add(other.calls),
            bytes: self.bytes.saturating_add(other.bytes),
            live_blocks: self.live_blocks.saturating_add(other.live_blocks),
            live_bytes: self.live_bytes.saturating_add(other.live_bytes),
            peak_blocks: self.peak_blocks.saturating_add(other.peak_blocks),
            peak_bytes: self.peak_bytes.saturating_add(other.peak_bytes),
            temporaries: self.temporaries.saturating_add(other.temporaries),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// The figures of a function, or of whatever else frames are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// The sites whose innermost frame is in it.
    pub exclusive: Totals,
    /// The sites with any frame in it; a site counts once, however often the function occurs in its stack.
    pub inclusive: Totals,
}

/// Returns for each stack the sum of all sites that were called from it, itself included: what a flame graph shows. The
/// entry of the empty stack is the sum of all sites.
pub fn per_node(sites: &[Site], stacks: &Stacks) -> Vec<Totals> {
    let nodes = stacks.nodes();
    let mut sums = vec![Totals::default(); nodes.len()];
    for site in sites {
        if let Some(sum) = sums.get_mut(site.stack as usize) {
            *sum += site.into();
        }
    }
    // Parents have smaller numbers than their children.
    for node in (1..nodes.len()).rev() {
        let sum = sums[node];
        sums[nodes[node].parent as usize] += sum;
    }
    sums
}

/// Adds up the sites by what `key` returns for their frames, such as the function.
pub fn fold<K: Clone + Eq + Hash>(
    sites: &[Site],
    stacks: &Stacks,
    key: impl FnMut(&Frame) -> K,
) -> HashMap<K, Folded> {
    let mut numbers = HashMap::new();
    let keys: Vec<K> = stacks.frames().iter().map(key).collect();
    // Keys by number, so that each is hashed once.
    let groups: Vec<usize> = keys
        .iter()
        .map(|key| {
            let fresh = numbers.len();
            *numbers.entry(key).or_insert(fresh)
        })
        .collect();
    let mut folded = vec![Folded::default(); numbers.len()];
    // The site that each group has counted last.
    let mut counted = vec![usize::MAX; numbers.len()];
    let nodes = stacks.nodes();
    for (number, site) in sites.iter().enumerate() {
        let totals = Totals::from(site);
        let mut at = site.stack as usize;
        while let Some(node) = nodes.get(at).filter(|_| at != 0) {
            let group = groups[node.frame as usize];
            if at == site.stack as usize {
                folded[group].exclusive += totals;
            }
            if std::mem::replace(&mut counted[group], number) != number {
                folded[group].inclusive += totals;
            }
            at = node.parent as usize;
        }
    }
    numbers.into_iter().map(|(key, number)| (key.clone(), folded[number])).collect()
}
