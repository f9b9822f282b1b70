//! A line of cache for what threads fight about.

/// What has a line of cache to itself, and the line that the processor fetches along with it.
#[repr(align(128))]
pub(super) struct Line<T>(pub(super) T);
