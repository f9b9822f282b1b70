//! Calling foreign code from within an allocator.

/// Calls `task`, a hook or an observer of the user. No method of an allocator unwinds, because callers could be left in
/// an inconsistent state. So a panic in `task` ends the program, as the ABI requires.
pub(crate) extern "C" fn abort_on_unwind<R>(task: impl FnOnce() -> R) -> R {
    task()
}

/// Calls `step`, which drops one of several values, until it returns false. If it panics, the others are dropped as
/// well, and the panic continues. A second panic meanwhile aborts the program.
pub(crate) fn drop_each(step: impl FnMut() -> bool) {
    struct Rest<F: FnMut() -> bool>(F);

    impl<F: FnMut() -> bool> Drop for Rest<F> {
        fn drop(&mut self) {
            while (self.0)() {}
        }
    }

    let mut rest = Rest(step);
    while (rest.0)() {}
    core::mem::forget(rest);
}
