//! Padding to a cache line for data that threads contend for.

/// Size in bytes of a padded value that fits in one line.
pub(crate) const BYTES: usize = size_of::<CachePadded<u8>>();

/// A value on a cache line of its own, and on the adjacent line that the processor prefetches along with it.
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);
