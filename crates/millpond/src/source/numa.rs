//! Which node's memory a page is to come from.

/// Where memory comes from on a machine whose processors have memory of their own (*nodes*).
///
/// In the sets, bit *n* stands for node *n*; nodes beyond 63 cannot be named. See [`TunedPages::numa`](crate::TunedPages::numa).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numa {
    /// The node of the processor that first touches a page, whatever the process was told.
    Local,
    /// This node as long as it has memory, then others.
    Prefer(u32),
    /// These nodes and no other.
    Bind(u64),
    /// These nodes in turn, page by page.
    Interleave(u64),
}
