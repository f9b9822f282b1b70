//! The slots of blocks, and the names by which events refer to the block that they free or resize. Writer and reader
//! derive both from the preceding events in the same way.
//!
//! A new block takes the slot freed last, or, if none is free, the next unused one.
//!
//! A block is named by its distance from a *finger* in the list of live blocks in order of allocation. The finger
//! points at the block accessed last, or, if it was freed, at the next older one. Programs often free what they
//! allocated last, and free structures in the order in which they built them or in reverse order; in all these cases,
//! distances are 0 or 1. The technique is finger search (Guibas, McCreight, Plass, Roberts 1977); here the list is
//! linked and the search stops after [`REACH`] steps, which bounds the time of every operation.

use crate::file::bytes::{fold, unfold};

/// Max distance of a name from the finger. Measured: with 8, this column is up to 4 % larger; with 32, up to 4 %
/// smaller.
const REACH: i64 = 15;
/// Distance up to which the writer always searches. If the block was farther away the last few times, each further step
/// would probably be in vain, and costs a cache miss if many blocks are live.
const LEAST_REACH: i64 = 3;
/// First name that is not a distance in the list but the difference between the slot's number and that of the finger.
const FAR: u64 = 2 * REACH as u64 + 1;

/// No slot: the end of a list. The slot with this number is never used.
const NONE: u32 = u32::MAX;
/// Marks a free slot, in place of a neighbour.
const FREE: u32 = u32::MAX - 1;

/// A slot's neighbours.
///
/// For a live block: the live blocks allocated before and after it, or `NONE`. For a free slot: `older = FREE`, and
/// `newer` is the slot freed before it.
#[derive(Clone, Copy)]
struct Node {
    older: u32,
    newer: u32,
}

/// The state of the slots at one point of a trace.
///
/// Invariants: live nodes form one doubly linked list that ends at `newest`, free ones a singly linked list that
/// begins at `free`; `finger` is live, or `NONE` if and only if no node is.
pub(crate) struct Slots {
    nodes: Vec<Node>,
    newest: u32,
    finger: u32,
    free: u32,
    /// Distance from the finger up to which the next name is searched.
    reach: i64,
}

impl Slots {
    /// Creates the state without used slots.
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), newest: NONE, finger: NONE, free: NONE, reach: REACH }
    }

    /// Returns the number of slots used so far.
    pub(crate) fn used(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Assigns a slot to a new block and returns it; `None` if it would not be below `limit`.
    #[inline]
    pub(crate) fn allocate(&mut self, limit: u32) -> Option<u32> {
        let node = Node { older: self.newest, newer: NONE };
        let slot = if self.free != NONE {
            let slot = self.free;
            self.free = self.nodes[slot as usize].newer;
            self.nodes[slot as usize] = node;
            slot
        } else {
            let slot = self.used();
            if slot >= limit.min(FREE) {
                return None;
            }
            self.nodes.push(node);
            slot
        };
        if let Some(older) = self.nodes.get_mut(self.newest as usize) {
            older.newer = slot;
        }
        self.newest = slot;
        self.finger = slot;
        Some(slot)
    }

    /// Frees a live slot.
    #[inline]
    pub(crate) fn free(&mut self, slot: u32) {
        let Node { older, newer } = self.nodes[slot as usize];
        debug_assert!(older != FREE, "the slot is live");
        if let Some(node) = self.nodes.get_mut(older as usize) {
            node.newer = newer;
        }
        match self.nodes.get_mut(newer as usize) {
            Some(node) => node.older = older,
            None => self.newest = older,
        }
        self.nodes[slot as usize] = Node { older: FREE, newer: self.free };
        self.free = slot;
        self.finger = if older == NONE { newer } else { older };
    }

    /// Moves the finger to a live slot.
    #[inline]
    pub(crate) fn touch(&mut self, slot: u32) {
        self.finger = slot;
    }

    /// Returns the name of a slot; `None` if it is not live. Of a slot near the finger, this may be either of its names.
    pub(crate) fn name(&mut self, slot: u32) -> Option<u64> {
        if !self.is_live(slot) {
            return None;
        }
        let (mut older, mut newer) = (self.finger, self.finger);
        for steps in 0..=self.reach {
            if older == slot || newer == slot {
                self.reach = REACH;
                return Some(fold(if older == slot { steps } else { -steps }));
            }
            older = self.nodes.get(older as usize).map_or(NONE, |node| node.older);
            newer = self.nodes.get(newer as usize).map_or(NONE, |node| node.newer);
        }
        self.reach = (self.reach - 1).max(LEAST_REACH);
        Some(FAR + fold(i64::from(slot) - i64::from(self.finger)))
    }

    /// Returns the live slot with a name; `None` if there is none.
    #[inline]
    pub(crate) fn find(&self, name: u64) -> Option<u32> {
        if name >= FAR {
            let slot = i64::from(self.finger).checked_add(unfold(name - FAR))?;
            return u32::try_from(slot).ok().filter(|&slot| self.is_live(slot));
        }
        let (steps, mut slot) = (unfold(name), self.finger);
        for _ in 0..steps.unsigned_abs() {
            let node = self.nodes.get(slot as usize)?;
            slot = if steps > 0 { node.older } else { node.newer };
        }
        (slot != NONE).then_some(slot)
    }

    /// Returns whether the slot is live.
    fn is_live(&self, slot: u32) -> bool {
        self.nodes.get(slot as usize).is_some_and(|node| node.older != FREE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A straightforward implementation of the rules in FORMAT.md.
    #[derive(Default)]
    struct Plain {
        live: Vec<u32>,
        free: Vec<u32>,
        used: u32,
        finger: u32,
    }

    impl Plain {
        fn allocate(&mut self) -> u32 {
            let slot = self.free.pop().unwrap_or_else(|| {
                self.used += 1;
                self.used - 1
            });
            self.live.push(slot);
            self.finger = slot;
            slot
        }

        fn place(&self, slot: u32) -> usize {
            self.live.iter().position(|&live| live == slot).unwrap()
        }

        fn free(&mut self, slot: u32) {
            let place = self.place(slot);
            self.live.remove(place);
            self.free.push(slot);
            if let Some(&neighbour) = self.live.get(place.saturating_sub(1)) {
                self.finger = neighbour;
            }
        }

        fn name(&self, slot: u32) -> u64 {
            let steps = self.place(self.finger) as i64 - self.place(slot) as i64;
            if (-15..=15).contains(&steps) {
                fold(steps)
            } else {
                31 + fold(i64::from(slot) - i64::from(self.finger))
            }
        }
    }

    #[test]
    fn slots_and_names_follow_the_rules() {
        let (mut slots, mut plain, mut random) = (Slots::new(), Plain::default(), 1_u64);
        let (mut near, mut far) = (0, 0);
        for step in 0..40_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (dice, pick) = ((random >> 60) as usize, (random >> 32) as usize);
            // Grows and shrinks in turn, down to zero.
            let growing = if step % 2_000 < 900 { 9 } else { 5 };
            if plain.live.is_empty() || dice < growing {
                assert_eq!(slots.allocate(u32::MAX), Some(plain.allocate()));
                continue;
            }
            let age = if dice == 15 { plain.live.len() } else { plain.live.len().min(20) };
            let slot = plain.live[plain.live.len() - 1 - pick % age];
            let (name, expected) = (slots.name(slot), plain.name(slot));
            assert_eq!(name.and_then(|name| slots.find(name)), Some(slot));
            assert_eq!(slots.find(expected), Some(slot));
            if name < Some(FAR) {
                assert_eq!(name, Some(expected));
                near += 1
            } else {
                far += 1
            }
            if dice == 14 {
                slots.touch(slot);
                plain.finger = slot;
            } else {
                slots.free(slot);
                plain.free(slot);
                assert_eq!(slots.name(slot), None);
            }
        }
        assert_eq!(slots.used(), plain.used);
        assert!(near > 1_000 && far > 100, "{near} {far}");
    }

    #[test]
    fn names_of_nothing_find_nothing() {
        let mut slots = Slots::new();
        for name in [0, 1, 2, FAR - 1, FAR, FAR + 1, FAR + 2, u64::MAX] {
            assert_eq!(slots.find(name), None);
        }
        assert_eq!(slots.allocate(2), Some(0));
        assert_eq!(slots.allocate(2), Some(1));
        assert_eq!(slots.allocate(2), None);
        // The finger points at slot 1; one block is older and none is newer.
        assert_eq!(
            [0, 2, FAR, FAR + fold(-1)].map(|name| slots.find(name)),
            [Some(1), Some(0), Some(1), Some(0)]
        );
        for name in [1, 3, 4, FAR - 1, FAR + fold(1), FAR + fold(-2), u64::MAX] {
            assert_eq!(slots.find(name), None, "{name}");
        }
        slots.free(0);
        assert_eq!(slots.find(FAR + fold(-1)), None);
    }
}
