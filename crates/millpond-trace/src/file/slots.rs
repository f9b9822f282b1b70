//! Which slot a block has, and how an event names the block it frees or resizes. Writer and reader derive both
//! from the events before, alike.
//!
//! A new block takes the slot freed last, or the next never used when none is free.
//!
//! A block is named by its distance from a *finger* in the list of live blocks in order of allocation. The finger
//! rests on the block touched last, or where it was freed, on the next older one. Programs free what they allocated
//! last, and take structures down in the order in which they built them or the reverse: all of that is a distance
//! of 0 or 1 again and again. Finger search is an old idea (Guibas, McCreight, Plass, Roberts 1977); here the
//! list is linked and the search is cut off after [`REACH`] steps, which bounds the time of every operation.

use crate::file::bytes::{fold, unfold};

/// Most steps that a name may be away from the finger. Measured: 8 costs up to 4 % more of this column, 32 saves
/// up to 4 %.
const REACH: i64 = 15;
/// First name that is not a distance but says how far the slot's number is from that of the finger.
const FAR: u64 = 2 * REACH as u64 + 1;

/// No slot: the end of a list. The slot of this number is never used.
const NONE: u32 = u32::MAX;
/// In place of a neighbour: this slot is free.
const FREE: u32 = u32::MAX - 1;

/// A slot's neighbours.
///
/// Of a live block: those allocated before and after it among the live, or `NONE`. Of a free slot: `older = FREE`,
/// and `newer` is the slot freed before it.
#[derive(Clone, Copy)]
struct Node {
    older: u32,
    newer: u32,
}

/// The slots of a trace at one moment.
///
/// Invariants: live nodes form one doubly linked list that ends at `newest`, free ones a singly linked list that
/// begins at `free`; `finger` is live, or `NONE` if and only if no node is.
pub(crate) struct Slots {
    nodes: Vec<Node>,
    newest: u32,
    finger: u32,
    free: u32,
}

impl Slots {
    /// No slot used yet.
    pub(crate) fn new() -> Self {
        Self { nodes: Vec::new(), newest: NONE, finger: NONE, free: NONE }
    }

    /// Slots used so far.
    pub(crate) fn used(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// The slot of a new block; `None` when that would not be below `limit`.
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

    /// Puts the finger on a live slot.
    #[inline]
    pub(crate) fn touch(&mut self, slot: u32) {
        self.finger = slot;
    }

    /// The name of a slot; `None` when it is not live.
    pub(crate) fn name(&self, slot: u32) -> Option<u64> {
        if !self.is_live(slot) {
            return None;
        }
        let (mut older, mut newer) = (self.finger, self.finger);
        for steps in 0..=REACH {
            if older == slot {
                return Some(fold(steps));
            }
            if newer == slot {
                return Some(fold(-steps));
            }
            older = self.nodes.get(older as usize).map_or(NONE, |node| node.older);
            newer = self.nodes.get(newer as usize).map_or(NONE, |node| node.newer);
        }
        Some(FAR + fold(i64::from(slot) - i64::from(self.finger)))
    }

    /// The live slot of a name; `None` when there is none.
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

    /// Whether a block is live in the slot.
    fn is_live(&self, slot: u32) -> bool {
        self.nodes.get(slot as usize).is_some_and(|node| node.older != FREE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of FORMAT.md in their plainest form.
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
            // Grows and shrinks in turn, down to nothing.
            let growing = if step % 2_000 < 900 { 9 } else { 5 };
            if plain.live.is_empty() || dice < growing {
                assert_eq!(slots.allocate(u32::MAX), Some(plain.allocate()));
                continue;
            }
            let age = if dice == 15 { plain.live.len() } else { plain.live.len().min(20) };
            let slot = plain.live[plain.live.len() - 1 - pick % age];
            let name = slots.name(slot);
            assert_eq!(name, Some(plain.name(slot)));
            assert_eq!(slots.find(plain.name(slot)), Some(slot));
            if name < Some(FAR) {
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
        // The finger is on slot 1; there is one older and none newer.
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
