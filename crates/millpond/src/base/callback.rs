//! Calling foreign code from within an allocator.

/// Calls `task`, a hook or an observer of the user. No method of an allocator unwinds, because callers could be left in
/// an inconsistent state. So a panic in `task` ends the program, as the ABI requires.
pub(crate) extern "C" fn abort_on_unwind<R>(task: impl FnOnce() -> R) -> R {
    task()
}
