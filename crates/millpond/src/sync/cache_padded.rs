//! A line of cache for what threads fight about.

/// Bytes of a line, of whatever fits one.
pub(crate) const BYTES: usize = size_of::<CachePadded<u8>>();

/// What has a line of cache to itself, and the line that the processor fetches along with it.
#[repr(align(128))]
pub(crate) struct CachePadded<T>(pub(crate) T);
