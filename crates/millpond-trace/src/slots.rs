//! Which slot a block gets, derived alike by writer and reader: the slot freed last, else the next never used.

/// Marks a live slot in [`Slots::next`].
const LIVE: u32 = u32::MAX;
/// Ends the list of free slots. The slot of this number is never used.
const NONE: u32 = u32::MAX - 1;

/// The slots of a trace at one moment.
///
/// Invariant: `next[slot] = LIVE` iff the slot is live; the others form a list that begins at `free`, the slot
/// freed last in front.
pub(crate) struct Slots {
    next: Vec<u32>,
    free: u32,
}

impl Slots {
    /// No slot used yet.
    pub(crate) fn new() -> Self {
        Self { next: Vec::new(), free: NONE }
    }

    /// The slot of a new block; `None` when none is left below `limit`.
    #[inline]
    pub(crate) fn allocate(&mut self, limit: u32) -> Option<u32> {
        if self.free != NONE {
            let slot = self.free;
            self.free = std::mem::replace(&mut self.next[slot as usize], LIVE);
            return Some(slot);
        }
        let slot = self.used();
        if slot >= limit.min(NONE) {
            return None;
        }
        self.next.push(LIVE);
        Some(slot)
    }

    /// Frees a slot; `false` when it is not live.
    #[inline]
    pub(crate) fn free(&mut self, slot: u32) -> bool {
        match self.next.get_mut(slot as usize) {
            Some(next) if *next == LIVE => {
                *next = self.free;
                self.free = slot;
                true
            }
            _ => false,
        }
    }

    /// Whether the slot is live.
    #[inline]
    pub(crate) fn is_live(&self, slot: u32) -> bool {
        self.next.get(slot as usize) == Some(&LIVE)
    }

    /// Slots used so far.
    pub(crate) fn used(&self) -> u32 {
        self.next.len() as u32
    }
}
