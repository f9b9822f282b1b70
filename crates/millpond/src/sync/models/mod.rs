//! Models of everything that threads share: small programs that loom runs in every order of their steps, and shuttle in
//! many random ones. Each states its bound.
//!
//! ```text
//! RUSTFLAGS="--cfg loom"    cargo test -p millpond --release --lib models
//! RUSTFLAGS="--cfg shuttle" cargo test -p millpond --release --lib models
//! ```
//!
//! A model that ends in `…_is_caught` runs broken code and must fail: it shows that the model beside it can detect the
//! error.

pub(crate) mod mpsc_free_list;
mod once_link;
mod ref_count;
mod treiber_stack;

use crate::base::atomic::UnsafeCell;

/// Stands in for the contents of blocks: a cell for each, which the model checker watches.
pub(crate) struct Cells<const N: usize>([UnsafeCell<()>; N]);

// SAFETY: the cells are empty; which thread touches them when is what the models check.
unsafe impl<const N: usize> Sync for Cells<N> {}

impl<const N: usize> Cells<N> {
    /// Creates cells that the current thread has touched.
    pub(crate) fn new() -> Self {
        let cells = Self([const { UnsafeCell::new(()) }; N]);
        (0..N).for_each(|place| cells.touch(place));
        cells
    }

    /// Writes to a cell, as far as the model checker can see.
    pub(crate) fn touch(&self, place: usize) {
        self.0[place].with_mut(|_| ());
    }
}
