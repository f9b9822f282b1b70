//! Padding to a cache line for data that threads contend for.

/// Alignment in bytes that covers a cache line on every supported processor.
pub(crate) const BYTES: usize = size_of::<CachePadded<u8>>();

/// A value on a cache line of its own, and on the adjacent line that the processor prefetches along with it.
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);
