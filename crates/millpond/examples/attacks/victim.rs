//! A pool under attack, and what came of it.

use std::{alloc::Layout, ptr::NonNull};

use millpond::{Allocator, Reclaim};

/// What came of a misuse, if the program goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The call was refused, or without effect, or the data were gone.
    Prevented,
    /// Nothing happened, and nothing was harmed that the program can see.
    Undetected,
    /// A forged address, a block that overlaps another one, or stale data were handed out.
    Corrupted,
    /// The pool cannot be misused in this way.
    Impossible,
}

impl Outcome {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Prevented => "prevented",
            Self::Undetected => "undetected",
            Self::Corrupted => "corrupted",
            Self::Impossible => "-",
        }
    }
}

/// A pool.
pub(crate) trait Target {
    fn pool(&self) -> &dyn Allocator;
    fn shared(&self) -> Option<&(dyn Allocator + Sync)>;
    fn reset(&mut self);
}

/// A pool for one thread.
pub(crate) struct Alone<A>(pub(crate) A);

impl<A: Allocator + Reclaim> Target for Alone<A> {
    fn pool(&self) -> &dyn Allocator {
        &self.0
    }

    fn shared(&self) -> Option<&(dyn Allocator + Sync)> {
        None
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

/// A pool for many threads.
pub(crate) struct Shared<A>(pub(crate) A);

impl<A: Allocator + Reclaim + Sync> Target for Shared<A> {
    fn pool(&self) -> &dyn Allocator {
        &self.0
    }

    fn shared(&self) -> Option<&(dyn Allocator + Sync)> {
        Some(&self.0)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

/// Bytes of the blocks that are requested.
pub(crate) const SIZE: usize = 48;

/// A pool under attack, and another one of the same kind.
pub(crate) struct Victim {
    pub(crate) target: Box<dyn Target>,
    pub(crate) other: Box<dyn Target>,
}

/// Returns a layout that exists.
pub(crate) fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the sizes are small")
}

/// Allocates a block.
pub(crate) fn take(pool: &dyn Allocator) -> NonNull<u8> {
    pool.allocate(layout(SIZE, 8)).expect("there is memory").cast()
}

/// Frees an address with a layout; wrong on purpose where the address or the layout is.
pub(crate) fn free_as(pool: &dyn Allocator, block: NonNull<u8>, layout: Layout) {
    // SAFETY: none: this is the misuse, or an ordinary free. The process ends after it.
    unsafe { pool.deallocate(block, layout) };
}

/// Frees a block with the layout with which it was requested.
pub(crate) fn free(pool: &dyn Allocator, block: NonNull<u8>) {
    free_as(pool, block, layout(SIZE, 8));
}

/// Returns the word with this number of a block, counted from its start.
pub(crate) fn word(block: NonNull<u8>, number: isize) -> *mut usize {
    block.cast::<usize>().as_ptr().wrapping_offset(number)
}

/// Writes a word relative to a block.
pub(crate) fn write(block: NonNull<u8>, number: isize, value: usize) {
    // SAFETY: none: this is the misuse.
    unsafe { word(block, number).write_volatile(value) };
}

/// Reads a word relative to a block.
pub(crate) fn read(block: NonNull<u8>, number: isize) -> usize {
    // SAFETY: none: this is the misuse, or the block is live.
    unsafe { word(block, number).read_volatile() }
}

/// Changes bytes relative to a block.
pub(crate) fn flip_bytes(block: NonNull<u8>, from: isize, count: usize) {
    for at in 0..count.cast_signed() {
        let byte = block.as_ptr().wrapping_offset(from + at);
        // SAFETY: none: this is the misuse.
        unsafe { byte.write_volatile(byte.read_volatile() ^ 0x41) };
    }
}

impl Victim {
    pub(crate) fn pool(&self) -> &dyn Allocator {
        self.target.pool()
    }

    pub(crate) fn take(&self) -> NonNull<u8> {
        take(self.pool())
    }

    pub(crate) fn take_many(&self, count: usize) -> Vec<NonNull<u8>> {
        (0..count).map(|_| self.take()).collect()
    }

    pub(crate) fn free(&self, block: NonNull<u8>) {
        free(self.pool(), block);
    }

    /// Allocates and frees often enough that blocks which are held back come back.
    pub(crate) fn churn(&self) {
        for _ in 0..3000 {
            let blocks: [NonNull<u8>; 3] = std::array::from_fn(|_| self.take());
            blocks.into_iter().for_each(|block| self.free(block));
        }
    }

    /// Allocates many blocks and returns them, and whether two of them, or one of them and one of these, overlap.
    pub(crate) fn probe(&self, live: &[NonNull<u8>]) -> (Vec<NonNull<u8>>, bool) {
        let mut blocks = Vec::new();
        for _ in 0..600 {
            match self.pool().allocate(layout(SIZE, 8)) {
                Ok(block) => blocks.push(block.cast::<u8>()),
                Err(_) => break,
            }
        }
        let mut starts: Vec<usize> = blocks.iter().chain(live).map(|block| block.addr().get()).collect();
        starts.sort_unstable();
        let overlap = starts.windows(2).any(|pair| pair[1] - pair[0] < SIZE);
        (blocks, overlap)
    }

    /// Returns `Corrupted` if blocks that are allocated now overlap each other or these, and otherwise `outcome`.
    pub(crate) fn judge(&self, live: &[NonNull<u8>], outcome: Outcome) -> Outcome {
        if self.probe(live).1 { Outcome::Corrupted } else { outcome }
    }
}
