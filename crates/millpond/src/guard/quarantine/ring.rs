//! Blocks that are held back, oldest first, in a ring.

use core::{alloc::Layout, ptr::NonNull};

use crate::{base::address::recover, traits::InvariantError};

/// A block that is held back, and the layout with which it is to be freed.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeldBlock {
    address: usize,
    pub(super) layout: Layout,
}

impl HeldBlock {
    pub(super) fn new(block: NonNull<u8>, layout: Layout) -> Self {
        Self { address: block.as_ptr().expose_provenance(), layout }
    }

    pub(super) fn block(self) -> Option<NonNull<u8>> {
        NonNull::new(recover(self.address))
    }
}

/// Up to `N` blocks.
///
/// # Invariants
///
/// * The `count` places from `first` on, wrapping around, hold blocks of `bytes` in total.
#[derive(Debug)]
pub(super) struct Ring<const N: usize> {
    places: [HeldBlock; N],
    first: usize,
    count: usize,
    bytes: usize,
}

impl<const N: usize> Ring<N> {
    pub(super) const EMPTY: Self = {
        assert!(N > 0, "a quarantine holds at least one block: choose N above 0");
        Self {
            places: [HeldBlock { address: 0, layout: Layout::new::<()>() }; N],
            first: 0,
            count: 0,
            bytes: 0,
        }
    };

    /// Appends a block if there is a place and at most `most` bytes are held afterwards. Otherwise removes and returns
    /// the oldest block, which has to leave first, or `None` if the new block alone exceeds `most`.
    pub(super) fn push(&mut self, held: HeldBlock, most: usize) -> Result<(), Option<HeldBlock>> {
        if held.layout.size() > most {
            return Err(None);
        }
        if self.count == N || self.bytes + held.layout.size() > most {
            return Err(self.pop());
        }
        self.places[(self.first + self.count) % N] = held;
        self.count += 1;
        self.bytes += held.layout.size();
        Ok(())
    }

    /// Returns whether a block that begins here is held.
    pub(super) fn holds(&self, block: NonNull<u8>) -> bool {
        let (upper, lower) = (self.first + self.count, (self.first + self.count).saturating_sub(N));
        let mut held = self.places[self.first..upper.min(N)].iter().chain(&self.places[..lower]);
        held.any(|held| held.address == block.addr().get())
    }

    /// Removes the oldest block.
    pub(super) fn pop(&mut self) -> Option<HeldBlock> {
        if self.count == 0 {
            return None;
        }
        let oldest = self.places[self.first];
        self.first = (self.first + 1) % N;
        self.count -= 1;
        self.bytes -= oldest.layout.size();
        Some(oldest)
    }

    pub(super) fn check(&self) -> Result<(), InvariantError> {
        let held = (0..self.count).map(|rank| self.places[(self.first + rank) % N]);
        if self.count > N || held.map(|held| held.layout.size()).sum::<usize>() != self.bytes {
            return Err(InvariantError("the bytes of the blocks held back differ from the count"));
        }
        Ok(())
    }
}
