//! The live blocks of a process, by address.

use std::collections::HashMap;

use foldhash::fast::FixedState;

/// The max delay, in nanoseconds, between the next allocation at an address and the end of the previous block there. A
/// processor may read its clock before it has executed everything that precedes the read in the program, by some
/// hundred instructions. So about once in a million times, where threads free each other's blocks, two events are in
/// the wrong order.
const LATE: u64 = 10_000;

/// The live blocks, and what is known about each.
pub(crate) struct Blocks<T> {
    live: HashMap<u64, T, FixedState>,
    moving: Vec<Moving<T>>,
    /// Blocks that were considered freed because another appeared at their address, and when: the event may still come.
    replaced: Vec<(u64, u64)>,
    /// Number of frees and resizes of blocks that are not known.
    pub(crate) unknown: u64,
    /// Number of blocks that appeared where another was considered live.
    pub(crate) overlaps: u64,
}

/// A block between the start and the end of a `realloc`.
pub(crate) struct Moving<T> {
    thread: u32,
    pub(crate) address: u64,
    /// `None` if the block was never seen allocated, or was considered freed.
    pub(crate) block: Option<T>,
}

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { live: HashMap::default(), moving: Vec::new(), replaced: Vec::new(), unknown: 0, overlaps: 0 }
    }
}

impl<T> Blocks<T> {
    /// Adds a block. There must be none at its address: see [`make_way`](Self::make_way).
    pub(crate) fn insert(&mut self, address: u64, block: T) {
        self.live.insert(address, block);
    }

    /// Removes a block that is freed; `None` if there is none, or if the event is late.
    pub(crate) fn take(&mut self, address: u64, time: u64) -> Option<T> {
        if let Some(at) = self.replaced.iter().position(|&(other, _)| other == address) {
            let (_, when) = self.replaced.swap_remove(at);
            if time - when <= LATE {
                self.overlaps -= 1;
                return None;
            }
        }
        let block = self.live.remove(&address);
        self.unknown += u64::from(block.is_none());
        block
    }

    /// Removes a block that is considered live where another appears: it must have been freed.
    pub(crate) fn make_way(&mut self, address: u64, time: u64) -> Option<T> {
        let block = self.live.remove(&address)?;
        self.overlaps += 1;
        self.replaced.retain(|&(_, when)| time - when <= LATE);
        self.replaced.push((address, time));
        Some(block)
    }

    /// Removes a block that is about to be resized.
    pub(crate) fn start_move(&mut self, thread: u32, address: u64, time: u64) {
        let block = self.take(address, time);
        self.moving.push(Moving { thread, address, block });
    }

    /// Returns the block that this thread began to resize last.
    pub(crate) fn end_move(&mut self, thread: u32) -> Option<Moving<T>> {
        let place = self.moving.iter().rposition(|moving| moving.thread == thread)?;
        Some(self.moving.remove(place))
    }

    /// Returns the number of live blocks.
    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    /// Iterates over the live blocks, with their addresses.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.live.iter().map(|(&address, block)| (address, block))
    }

    /// Keeps only some of the blocks, and of those that are being resized.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.live.retain(|_, block| keep(block));
        self.live.shrink_to_fit();
        for moving in &mut self.moving {
            moving.block.take_if(|block| !keep(block));
        }
    }
}
