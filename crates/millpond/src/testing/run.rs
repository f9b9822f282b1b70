//! The tests that a [`Conformance`] runs.

use std::{format, println};

use super::{Conformance, checks, pool_checks, sequence};
use crate::traits::Allocator;

impl<A: Allocator, F: Fn() -> A> Conformance<A, F> {
    /// Runs all tests.
    ///
    /// # Panics
    ///
    /// Panics if the allocator violates the contract.
    pub fn run(&self) {
        for &(name, check) in checks::ALL {
            println!("{name}");
            check(&self.make(), self.serves);
        }
        println!("blocks_stay_where_they_are_when_the_allocator_moves");
        checks::blocks_stay_where_they_are_when_the_allocator_moves(self.make(), self.serves);
        if self.bounded {
            println!("what_was_freed_serves_other_sizes");
            pool_checks::what_was_freed_serves_other_sizes(self, self.serves);
        }
        pool_checks::run(self, self.serves);
        self.run_sequences();
    }

    /// Runs only random sequences.
    ///
    /// # Panics
    ///
    /// Panics if the allocator violates the contract.
    pub fn run_sequences(&self) {
        for seed in 0..self.seeds {
            let steps = sequence::of_seed(seed, self.steps, self.reaches);
            sequence::play(self, &format!("seed {seed}"), &steps);
        }
    }

    /// Runs the sequence of operations that these bytes encode, on a new allocator. Fuzzers call this. Any bytes encode
    /// a sequence, with about eight bytes per operation.
    ///
    /// # Panics
    ///
    /// Panics if the allocator violates the contract.
    pub fn run_bytes(&self, bytes: &[u8]) {
        sequence::play(self, "these bytes", &sequence::of_bytes(bytes, self.reaches));
    }
}
