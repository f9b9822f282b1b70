//! Blocks of which a file has only sums: their number and all their bytes. In a trace, each of them has the average size.

use anyhow::{Result, ensure};

use super::builder::Builder;

/// Max number of blocks of a call stack.
const MOST: u64 = 1 << 32;

/// Some blocks of a call stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Blocks {
    pub(super) count: u64,
    pub(super) bytes: u64,
}

impl Blocks {
    /// Iterates over the sizes of the blocks: the average, rounded so that the sum is right.
    fn sizes(self) -> impl Iterator<Item = u64> {
        let count = self.count.max(1);
        let (size, larger) = (self.bytes / count, self.bytes % count);
        (0..self.count).map(move |number| size + u64::from(number < larger))
    }

    /// Checks that a trace can have this many blocks.
    fn check(self) -> Result<()> {
        ensure!(self.count < MOST, "a call stack has {} blocks, more than a trace can have", self.count);
        Ok(())
    }

    /// Adds blocks that are freed at once.
    pub(super) fn pass(self, stack: u32, builder: &mut Builder<'_>) -> Result<()> {
        self.check()?;
        for size in self.sizes() {
            let slot = builder.allocate_slot(stack, size)?;
            builder.free_slot(0, slot)?;
        }
        Ok(())
    }

    /// Adds blocks, and returns their slots.
    pub(super) fn allocate(self, stack: u32, builder: &mut Builder<'_>) -> Result<Vec<u32>> {
        self.check()?;
        self.sizes().map(|size| builder.allocate_slot(stack, size)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn average_sizes_add_up() {
        let sizes = |count, bytes| Blocks { count, bytes }.sizes().collect::<Vec<_>>();
        assert_eq!(sizes(3, 10), [4, 3, 3]);
        assert_eq!(sizes(2, 0), [0, 0]);
        assert!(sizes(0, 0).is_empty());
    }
}
