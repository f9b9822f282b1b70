//! Values that record when they are dropped, and closures that may panic.

use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Counts its drops; panics while doing so if its flag is set.
pub(crate) struct Tracked<'a> {
    pub(crate) drops: &'a Cell<u32>,
    pub(crate) panics: bool,
}

impl<'a> Tracked<'a> {
    /// Returns a value that does not panic.
    pub(crate) fn new(drops: &'a Cell<u32>) -> Self {
        Self { drops, panics: false }
    }
}

impl Drop for Tracked<'_> {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert!(!self.panics, "a destructor panics");
    }
}

/// Records its name when it is dropped; panics while doing so if its flag is set.
pub(crate) struct Noisy<'a>(pub(crate) u32, pub(crate) &'a RefCell<Vec<u32>>, pub(crate) bool);

impl Drop for Noisy<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
        assert!(!self.2, "a destructor panics");
    }
}

/// Returns whether a closure panics.
pub(crate) fn unwinds<R>(work: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_err()
}
