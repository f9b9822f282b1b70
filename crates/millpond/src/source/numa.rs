//! The NUMA policy of pages.

/// Where memory is allocated on a machine whose processors have memory of their own (*nodes*).
///
/// In the sets, bit *n* stands for node *n*; nodes above 63 cannot be named. See
/// [`TunedPages::numa`](crate::source::TunedPages::numa).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numa {
    /// The node of the processor that first touches a page, regardless of the policy of the process.
    Local,
    /// This node while it has memory, then others.
    Prefer(u32),
    /// Only these nodes.
    Bind(u64),
    /// These nodes in turn, page by page.
    Interleave(u64),
}
