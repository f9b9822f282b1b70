//! A list of blocks, in the order of their addresses: what is live, and what was.
//!
//! A block that comes again with the size that it had, or a smaller one, is found in a hash table by where it begins
//! ([`Starts`]): O(1), and so is marking it as freed. Whether one that was never there overlaps another, and which one an
//! address lies in, is asked of a treap: a binary search tree by address that is also a heap by a number drawn from the address, so that its shape is
//! that of a random tree, whatever the order of the calls. There, finding, entering and striking out are O(log n) expected. The
//! nodes lie in one vector and name each other by number; so there is not one pointer here, and memory that has run out is
//! an error, not an abort.
//!
//! A block that was freed stays on the list until another overlaps it; so the list is as long as there are different
//! blocks in the memory that was ever used.
//!
//! Source: Seidel and Aragon, "Randomized Search Trees" (1996).

use alloc::vec::Vec;
use core::alloc::Layout;

use super::starts::{NONE, Starts};
use crate::{
    base::AllocError,
    contract::{Amount, Flaw},
};

/// A block on the list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<N> {
    /// Where it begins, with all bits inverted: who looks for leaks is not to take the list for a holder of the block.
    inverted: usize,
    /// What was requested.
    pub(super) layout: Layout,
    /// Whether it is live, or was freed.
    pub(super) live: bool,
    /// What else is known about it.
    pub(super) note: N,
}

impl<N> Entry<N> {
    /// Where it begins.
    pub(super) fn start(&self) -> usize {
        !self.inverted
    }

    fn end(&self) -> usize {
        self.start() + self.layout.size()
    }
}

#[derive(Debug)]
struct Node<N> {
    entry: Entry<N>,
    left: u32,
    right: u32,
}

/// Why a block is not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The list cannot grow.
    Memory(AllocError),
    /// The block overlaps the live one that begins here.
    Overlap(usize),
}

/// The list.
///
/// # Invariants
///
/// * Every node is in the tree, or on the list of vacant ones that is linked through `left`.
/// * In the tree, what is to the left of a node lies before it, and what is to its right, behind it; nothing overlaps.
/// * The weight of a node is at least that of the nodes below it.
/// * `starts` has the number of every node in the tree, by where its entry begins.
/// * `live` is the sum of the live entries.
#[derive(Debug)]
pub(super) struct Ledger<N> {
    nodes: Vec<Node<N>>,
    starts: Starts,
    root: u32,
    vacant: u32,
    live: Amount,
}

/// The number by which the tree is a heap.
fn weight(start: usize) -> u64 {
    let mixed = (start as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

impl<N: Copy> Ledger<N> {
    pub(super) const fn new() -> Self {
        Self {
            nodes: Vec::new(),
            starts: Starts::EMPTY,
            root: NONE,
            vacant: NONE,
            live: Amount { blocks: 0, bytes: 0 },
        }
    }

    /// What is live.
    pub(super) fn live(&self) -> Amount {
        self.live
    }

    fn node(&self, number: u32) -> &Node<N> {
        &self.nodes[number as usize]
    }

    fn node_mut(&mut self, number: u32) -> &mut Node<N> {
        &mut self.nodes[number as usize]
    }

    /// The node of the last entry that begins at or before this address.
    fn last_up_to(&self, address: usize) -> u32 {
        let (mut at, mut best) = (self.root, NONE);
        while at != NONE {
            let node = self.node(at);
            if node.entry.start() <= address {
                best = at;
                at = node.right;
            } else {
                at = node.left;
            }
        }
        best
    }

    /// The last entry that begins at or before this address.
    pub(super) fn up_to(&self, address: usize) -> Option<&Entry<N>> {
        self.nodes.get(self.last_up_to(address) as usize).map(|node| &node.entry)
    }

    /// The number of the entry that begins here.
    fn number(&self, start: usize) -> Option<u32> {
        self.starts.find(start, |number| self.node(number).entry.start())
    }

    /// The entry that begins here.
    pub(super) fn at(&self, start: usize) -> Option<&Entry<N>> {
        Some(&self.node(self.number(start)?).entry)
    }

    /// The entry that begins here, to be changed; its address stays, and its layout grows only where nothing lies.
    fn at_mut(&mut self, start: usize) -> Option<&mut Entry<N>> {
        let number = self.number(start)?;
        Some(&mut self.node_mut(number).entry)
    }

    /// Enters a live block. What it overlaps was freed before, and is struck out.
    pub(super) fn enter(&mut self, start: usize, layout: Layout, note: N) -> Result<(), Refusal> {
        let new = Entry { inverted: !start, layout, live: true, note };
        match self.at_mut(start) {
            Some(old) if old.live => return Err(Refusal::Overlap(start)),
            Some(old) if layout.size() <= old.layout.size() => *old = new,
            _ => self.enter_elsewhere(new)?,
        }
        self.live = self.live.plus(Amount::of(layout));
        Ok(())
    }

    #[cold]
    fn enter_elsewhere(&mut self, new: Entry<N>) -> Result<(), Refusal> {
        let start = new.start();
        self.make_room(start, new.end())?;
        self.starts.reserve(|number| self.nodes[number as usize].entry.start()).map_err(Refusal::Memory)?;
        let number = self.new_node(new).map_err(Refusal::Memory)?;
        self.starts.insert(start, number);
        let (before, behind) = self.split(self.root, start);
        let before = self.join(before, number);
        self.root = self.join(before, behind);
        Ok(())
    }

    /// Strikes out what lies between two addresses, all of which was freed.
    fn make_room(&mut self, start: usize, end: usize) -> Result<(), Refusal> {
        while let Some(old) = self.up_to(end - 1).filter(|old| old.end() > start).copied() {
            if old.live {
                return Err(Refusal::Overlap(old.start()));
            }
            self.strike_out(old.start());
        }
        Ok(())
    }

    fn new_node(&mut self, entry: Entry<N>) -> Result<u32, AllocError> {
        let node = Node { entry, left: NONE, right: NONE };
        if self.vacant != NONE {
            let number = self.vacant;
            self.vacant = self.node(number).left;
            *self.node_mut(number) = node;
            return Ok(number);
        }
        let number = u32::try_from(self.nodes.len()).map_err(|_| AllocError::Exhausted)?;
        self.nodes.try_reserve(1).map_err(|_| AllocError::Exhausted)?;
        self.nodes.push(node);
        Ok(number)
    }

    /// Takes the entry that begins here off the list.
    fn strike_out(&mut self, start: usize) {
        self.starts.remove(start, |number| self.nodes[number as usize].entry.start());
        let (before, rest) = self.split(self.root, start);
        let (struck, behind) = self.split(rest, start + 1);
        self.root = self.join(before, behind);
        if struck != NONE {
            self.node_mut(struck).left = self.vacant;
            self.vacant = struck;
        }
    }

    /// Marks the live block that begins here as freed.
    pub(super) fn mark_freed(&mut self, start: usize, note: N) {
        if let Some(entry) = self.at_mut(start).filter(|entry| entry.live) {
            entry.live = false;
            entry.note = note;
            let less = Amount::of(entry.layout);
            self.live = self.live.beyond(less);
        }
    }

    /// Gives the live block that begins here another layout. What it overlaps now was freed before, and is struck out.
    pub(super) fn resize(&mut self, start: usize, new: Layout) -> Result<(), Refusal> {
        let Some(size) = self.at(start).map(|entry| entry.layout.size()) else { return Ok(()) };
        if new.size() > size {
            self.make_room(start + size, start + new.size())?;
        }
        if let Some(entry) = self.at_mut(start) {
            let old = core::mem::replace(&mut entry.layout, new);
            self.live = self.live.plus(Amount::of(new)).beyond(Amount::of(old));
        }
        Ok(())
    }

    /// Parts a tree into what begins before an address and what does not.
    fn split(&mut self, tree: u32, address: usize) -> (u32, u32) {
        if tree == NONE {
            return (NONE, NONE);
        }
        if self.node(tree).entry.start() < address {
            let (before, behind) = self.split(self.node(tree).right, address);
            self.node_mut(tree).right = before;
            (tree, behind)
        } else {
            let (before, behind) = self.split(self.node(tree).left, address);
            self.node_mut(tree).left = behind;
            (before, tree)
        }
    }

    /// Makes one tree of two, the first of which lies before the second.
    fn join(&mut self, before: u32, behind: u32) -> u32 {
        if before == NONE || behind == NONE {
            return if before == NONE { behind } else { before };
        }
        if weight(self.node(before).entry.start()) >= weight(self.node(behind).entry.start()) {
            let right = self.join(self.node(before).right, behind);
            self.node_mut(before).right = right;
            before
        } else {
            let left = self.join(before, self.node(behind).left);
            self.node_mut(behind).left = left;
            behind
        }
    }

    /// Every entry, in the order of addresses.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<N>> {
        let mut from = Some(0);
        core::iter::from_fn(move || {
            let mut at = self.root;
            let mut next = None;
            while let Some(node) = self.nodes.get(at as usize) {
                if node.entry.start() >= from? {
                    next = Some(&node.entry);
                    at = node.left;
                } else {
                    at = node.right;
                }
            }
            from = next?.start().checked_add(1);
            next
        })
    }

    /// Takes everything off the list.
    pub(super) fn clear(&mut self) {
        self.nodes.clear();
        self.starts.clear();
        (self.root, self.vacant, self.live) = (NONE, NONE, Amount::default());
    }

    /// O(n log n).
    pub(super) fn check(&self) -> Result<(), Flaw> {
        let mut end = 0;
        let mut sum = Amount::default();
        for entry in self.iter() {
            if entry.start() < end {
                return Err(Flaw("two blocks on the list overlap"));
            }
            end = entry.end();
            if entry.live {
                sum = sum.plus(Amount::of(entry.layout));
            }
        }
        let count = self.iter().count();
        if !self.starts.has(count) || !self.iter().all(|entry| self.number(entry.start()).is_some()) {
            return Err(Flaw("the table of blocks has not those on the list"));
        }
        if sum != self.live {
            return Err(Flaw("the live blocks on the list are not as many as counted"));
        }
        let below = |node: &Node<N>, child: u32| {
            self.nodes
                .get(child as usize)
                .is_none_or(|child| weight(child.entry.start()) <= weight(node.entry.start()))
        };
        let heaped = |entry: &Entry<N>| {
            let node = self.node(self.last_up_to(entry.start()));
            below(node, node.left) && below(node, node.right)
        };
        if self.iter().all(heaped) { Ok(()) } else { Err(Flaw("the tree of blocks is no heap")) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Random entries, beside a map that knows what ought to be there.
    #[test]
    fn the_list_is_that_of_one_who_keeps_a_map() {
        for seed in 0..30 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut ledger, mut map) = (Ledger::new(), BTreeMap::<usize, (usize, bool)>::new());
            for _ in 0..600 {
                let start = rng.usize(1..400) * 8;
                let size = rng.usize(1..60);
                let overlaps =
                    |(&at, &(length, _)): (&usize, &(usize, bool))| at < start + size && start < at + length;
                let layout = Layout::from_size_align(size, 8).expect("a layout");
                match map.get(&start) {
                    Some((_, true)) if rng.bool() => {
                        ledger.mark_freed(start, 7);
                        map.insert(start, (map[&start].0, false));
                    }
                    Some((old, true)) if size <= *old => {
                        ledger.resize(start, layout).expect("it becomes no larger");
                        map.insert(start, (size, true));
                    }
                    _ if !map.iter().any(|block| overlaps(block) && block.1.1) => {
                        ledger.enter(start, layout, 3).expect("the heap has room");
                        map.retain(|at, block| !overlaps((at, block)));
                        map.insert(start, (size, true));
                    }
                    _ => {
                        let refusal = ledger.enter(start, layout, 3).expect_err("it overlaps what is live");
                        let Refusal::Overlap(other) = refusal else { panic!("{refusal:?}") };
                        assert!(overlaps((&other, &map[&other])) && map[&other].1);
                        // What was freed and lies in its way is forgotten, or not.
                        map.retain(|at, _| ledger.at(*at).is_some());
                    }
                }
                ledger.check().expect("sound after each step");
            }
            let listed: Vec<_> =
                ledger.iter().map(|entry| (entry.start(), (entry.layout.size(), entry.live))).collect();
            assert!(listed.iter().copied().eq(map));
            let live = listed.iter().filter(|(_, (_, live))| *live);
            assert_eq!(ledger.live().blocks, live.count());
            ledger.clear();
            assert_eq!((ledger.iter().count(), ledger.live()), (0, Amount::default()));
        }
    }

    /// A tree of n nodes in any order is a few times log n high: here for ascending addresses, the worst for a plain one.
    #[test]
    fn ascending_addresses_make_no_list_of_the_tree() {
        let mut ledger = Ledger::new();
        for block in 1..100_000 {
            ledger.enter(block * 64, Layout::new::<[u64; 8]>(), ()).expect("the heap has room");
        }
        fn height<N: Copy>(ledger: &Ledger<N>, tree: u32) -> usize {
            ledger
                .nodes
                .get(tree as usize)
                .map_or(0, |node| 1 + height(ledger, node.left).max(height(ledger, node.right)))
        }
        let height = height(&ledger, ledger.root);
        assert!(height < 70, "100,000 nodes, {height} high");
    }
}
