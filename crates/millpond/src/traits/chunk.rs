//! Chunks: what a shell takes from a parent for its pool.

use core::{alloc::Layout, ptr::NonNull};

use super::Allocator;

/// A piece of memory that a shell took from its parent and that a pool cuts into blocks.
///
/// Whoever holds a `Chunk` has the only right to its memory. It is plain data: dropping it frees nothing.
#[derive(Debug)]
pub struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

impl Chunk {
    /// A chunk over `memory`, as a parent returned it for the alignment `align`; none if that is no alignment.
    ///
    /// # Safety
    ///
    /// `memory` is readable and writable, aligned to `align`, and nobody else uses it as long as the chunk, or a pool
    /// that adopted it, exists.
    #[must_use]
    pub unsafe fn new(memory: NonNull<[u8]>, align: usize) -> Option<Self> {
        let layout = Layout::from_size_align(memory.len(), align).ok()?;
        Some(Self { start: memory.cast(), layout })
    }

    /// The first byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes in all.
    #[must_use]
    pub fn size(&self) -> usize {
        self.layout.size()
    }

    /// Size and alignment, as the parent wants to hear them when it gets the chunk back.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

/// What a pool needs from its parent before it can serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    /// The smallest chunk that would do, and its alignment.
    pub least: Layout,
    /// The size in bytes that the pool would like best; at least that of `least`.
    pub preferred: usize,
    /// The size in bytes that is enough for now, from a parent that is [fine-grained](crate::Allocator::is_fine_grained);
    /// at least that of `least`, at most `preferred`.
    pub enough: usize,
}

impl ChunkRequest {
    /// The size to ask this parent for.
    pub(crate) fn size_from(&self, parent: &impl Allocator) -> usize {
        if parent.is_fine_grained() { self.enough } else { self.preferred }
    }
}
