//! A set of granules of the address space, which finds the last one up to an address.
//!
//! A trie over the bits of addresses, six at a time. A node is one word, with a bit for each of its 64 children that is
//! not empty; the nodes lie in one hash table and are found by the upper bits of an address and their level. So finding
//! the last granule up to an address takes one word if blocks are small, and at most two per level otherwise: ten
//! levels for 64 bits.
//!
//! Source: van Emde Boas, "Preserving order in a forest in less than logarithmic time" (1975); as hashed words, with
//! one set of bits per node: Willard, "Log-logarithmic worst-case range queries are possible in space Θ(N)" (1983).

use super::hash_table::{Keyed, Table};
use crate::{base::AllocError, traits::InvariantError};

/// The size of a granule in bytes.
pub(super) const GRANULE: usize = 16;

/// The number of bits of an address per level.
const FAN: u32 = 6;

/// The number of levels: the lowest one distinguishes granules.
const LEVELS: u32 = (usize::BITS - GRANULE.ilog2()).div_ceil(FAN);

/// The set.
///
/// # Invariants
///
/// * A granule is in the set if its bit is set in its node of level 0.
/// * A bit of another level is set if the child that it represents exists. No node has no bits.
#[derive(Debug)]
pub(super) struct Trie {
    nodes: Table<Node>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    key: u64,
    children: u64,
}

impl Keyed for Node {
    fn key(&self) -> u64 {
        self.key
    }
}

/// Returns the lowest bit of an address that a level uses.
fn shift(level: u32) -> u32 {
    GRANULE.ilog2() + FAN * level
}

/// Returns the key of the node of this level whose part of the address space contains the address.
fn key(address: usize, level: u32) -> u64 {
    let prefix = (address >> shift(level)) as u64 >> FAN;
    (prefix << 4) | u64::from(level + 1)
}

/// Returns the bit of the child that contains the address.
fn bit(address: usize, level: u32) -> u64 {
    1 << ((address >> shift(level)) % 64)
}

/// Returns the start of the last of these children, in the node of this level that contains the address.
fn last_child(address: usize, level: u32, children: u64) -> usize {
    let number = (children | 1).ilog2() as usize;
    (((address >> shift(level)) & !63) | number) << shift(level)
}

impl Trie {
    pub(super) const EMPTY: Self = Self { nodes: Table::EMPTY };

    fn children(&self, address: usize, level: u32) -> u64 {
        self.nodes.find(key(address, level)).map_or(0, |node| node.children)
    }

    /// Returns the start of the last granule in the set that begins at or before the address.
    pub(super) fn last_up_to(&self, address: usize) -> Option<usize> {
        let own = bit(address, 0);
        let near = self.children(address, 0) & (own | (own - 1));
        if near != 0 { Some(last_child(address, 0, near)) } else { self.last_before(address) }
    }

    /// Returns the same if it is not in the node of level 0 that contains the address.
    fn last_before(&self, address: usize) -> Option<usize> {
        (1..LEVELS).find_map(|level| {
            let before = self.children(address, level) & (bit(address, level) - 1);
            (before != 0).then(|| {
                let mut last = last_child(address, level, before);
                for level in (0..level).rev() {
                    last = last_child(last, level, self.children(last, level));
                }
                last
            })
        })
    }

    /// Reserves room for one more granule.
    pub(super) fn reserve(&mut self) -> Result<(), AllocError> {
        self.nodes.reserve(LEVELS as usize)
    }

    /// Inserts the granule with this address. There must be room.
    pub(super) fn insert(&mut self, address: usize) {
        for level in 0..LEVELS {
            let (key, bit) = (key(address, level), bit(address, level));
            if let Some(node) = self.nodes.find_mut(key) {
                node.children |= bit;
                return;
            }
            self.nodes.insert(Node { key, children: bit });
        }
    }

    /// Removes the granule with this address, if it is there.
    pub(super) fn remove(&mut self, address: usize) {
        for level in 0..LEVELS {
            let key = key(address, level);
            let Some(node) = self.nodes.find_mut(key) else { return };
            node.children &= !bit(address, level);
            if node.children != 0 {
                return;
            }
            self.nodes.remove(key);
        }
    }

    /// Removes all granules.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Returns the start of each granule, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        let lowest = self.nodes.iter().filter(|node| node.key % 16 == 1);
        lowest.flat_map(|node| {
            let first = ((node.key >> 4) as usize) << shift(1);
            (0..64)
                .filter(|number| node.children >> number & 1 == 1)
                .map(move |number| first + number * GRANULE)
        })
    }

    /// Verifies the invariants. O(n).
    pub(super) fn check(&self) -> Result<(), InvariantError> {
        self.nodes.check()?;
        let children: u32 = self.nodes.iter().map(|node| node.children.count_ones()).sum();
        let is_sound = |granule: usize| {
            (0..LEVELS).all(|level| self.children(granule, level) & bit(granule, level) != 0)
        };
        // Every node except the root is a child, so there are no more bits than these.
        let nodes = self.nodes.iter().count();
        let bits = self.iter().count() + nodes.saturating_sub(1);
        if children as usize == bits && self.iter().all(is_sound) {
            Ok(())
        } else {
            Err(InvariantError("a block in the trie cannot be found"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Compares the trie with an ordered set, for random granules, near each other and at the ends of the address
    /// space.
    #[test]
    fn last_granule_agrees_with_an_ordered_set() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut trie, mut set) = (Trie::EMPTY, BTreeSet::new());
        let mut somewhere = || {
            let far = rng.usize(..) & (usize::MAX << rng.u32(4..usize::BITS));
            far.wrapping_add(rng.usize(..4096)).rotate_left(if rng.bool() { 0 } else { 7 })
        };
        for round in 0..20_000 {
            let address = somewhere();
            let granule = address & !(GRANULE - 1);
            if round % 3 == 0 {
                let gone = set.range(..=granule).next_back().copied().unwrap_or(granule);
                trie.remove(gone);
                set.remove(&gone);
            } else {
                trie.reserve().expect("the heap has room");
                trie.insert(address);
                set.insert(granule);
            }
            let asked = somewhere();
            assert_eq!(trie.last_up_to(asked), set.range(..=asked).next_back().copied(), "up to {asked:#x}");
        }
        trie.check().expect("sound");
        assert_eq!(trie.iter().collect::<BTreeSet<_>>(), set);
        set.iter().for_each(|&granule| trie.remove(granule));
        assert_eq!((trie.nodes.iter().count(), trie.last_up_to(usize::MAX)), (0, None));
    }
}
