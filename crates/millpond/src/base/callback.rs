//! Calling code that is not ours from within an allocator.

/// Calls `task`, a handler or an observer that a user gave us. No method of an allocator unwinds, because half of its
/// callers would be left in an impossible state: a panic in `task` ends the program instead (the ABI says so).
pub(crate) extern "C" fn abort_on_unwind<R>(task: impl FnOnce() -> R) -> R {
    task()
}
