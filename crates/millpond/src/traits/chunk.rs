//! Chunks: the memory that a shell requests from a parent for its pool.

use core::{alloc::Layout, ptr::NonNull};

use super::Allocator;

/// A piece of memory that a shell requested from its parent and from which a pool carves blocks.
///
/// The owner of a `Chunk` has the exclusive right to its memory. A `Chunk` is plain data: dropping it frees nothing.
#[derive(Debug)]
pub struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

impl Chunk {
    /// Creates a chunk over `memory`, as a parent returned it for the alignment `align`. Returns `None` if `align` is
    /// not a valid alignment.
    ///
    /// # Safety
    ///
    /// `memory` is readable and writable and aligned to `align`, and nothing else uses it as long as the chunk, or a
    /// pool to which it was added, exists.
    #[must_use]
    pub unsafe fn new(memory: NonNull<[u8]>, align: usize) -> Option<Self> {
        let layout = Layout::from_size_align(memory.len(), align).ok()?;
        Some(Self { start: memory.cast(), layout })
    }

    /// Returns the address of the first byte.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Returns the size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.layout.size()
    }

    /// Returns the size and alignment with which the chunk is freed to its parent.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }
}

/// The chunk that a pool needs from its parent before it can serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    /// The smallest sufficient size, and the alignment.
    pub least: Layout,
    /// The preferred size in bytes; at least that of `least`.
    pub preferred: usize,
    /// The size in bytes that is sufficient for now if the parent is [fine-grained](crate::Allocator::is_fine_grained);
    /// at least that of `least`, at most `preferred`.
    pub enough: usize,
}

impl ChunkRequest {
    /// Returns the size to request from this parent.
    pub(crate) fn size_from(&self, parent: &impl Allocator) -> usize {
        if parent.is_fine_grained() { self.enough } else { self.preferred }
    }
}
