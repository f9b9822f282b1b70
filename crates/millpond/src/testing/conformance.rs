//! What is tested of an allocator, and how much of it.

use core::{alloc::Layout, marker::PhantomData};
use std::{format, println};

use super::{checks, pool_checks, sequence};
use crate::traits::{Allocator, Inspect, InvariantError, Reclaim};

/// Runs everything that can be tested of any allocator, each test on one of its own that `make` makes: every sentence of
/// the contract, and random sequences of operations.
///
/// The allocator is expected to serve blocks of up to 256 bytes, aligned to up to 64. See [`Conformance`] for one that
/// serves less, or of which more can be tested.
///
/// # Panics
///
/// If it breaks a promise.
pub fn conformance<A: Allocator>(make: impl Fn() -> A) {
    Conformance::of(make).run();
}

/// An allocator to be tested, and what to expect of it.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Blocks, Fixed, Local, testing::Conformance};
///
/// Conformance::of(|| Local::new(Blocks::<Fixed<64, 16>>::new()))
///     .serves(Layout::new::<[u128; 4]>())
///     .inspected()
///     .reclaimed()
///     .run();
/// ```
pub struct Conformance<A, F: Fn() -> A> {
    make: F,
    serves: Layout,
    reaches: Layout,
    seeds: u64,
    steps: usize,
    questions: Option<Questions<A>>,
    reclaim: Option<Reclaiming<A>>,
    bounded: bool,
    made: PhantomData<fn() -> A>,
}

/// [`Inspect`], as functions.
struct Questions<A> {
    check: fn(&A) -> Result<(), InvariantError>,
    owns: fn(&A, *const u8) -> bool,
    live: fn(&A) -> usize,
}

/// [`Reclaim`], as functions.
struct Reclaiming<A> {
    reset: fn(&mut A),
    trim: fn(&mut A) -> usize,
}

/// Small blocks, as almost every allocator serves them.
const SMALL: Layout = match Layout::from_size_align(256, 64) {
    Ok(layout) => layout,
    Err(_) => panic!("256 is a size, and 64 an alignment"),
};

impl<A: Allocator, F: Fn() -> A> Conformance<A, F> {
    /// An allocator that `make` makes, each time a new one.
    pub fn of(make: F) -> Self {
        Self {
            make,
            serves: SMALL,
            reaches: SMALL,
            seeds: 8,
            steps: 1000,
            questions: None,
            reclaim: None,
            bounded: false,
            made: PhantomData,
        }
    }

    /// It serves blocks of up to this size and alignment, a few at a time; what is beyond, it may refuse.
    #[must_use]
    pub fn serves(mut self, largest: Layout) -> Self {
        self.serves = largest;
        self.reaching(largest)
    }

    /// Random sequences ask for blocks of up to this size and alignment, which it may refuse.
    #[must_use]
    pub fn reaching(mut self, largest: Layout) -> Self {
        self.reaches = largest;
        self
    }

    /// So many random sequences of so many steps.
    #[must_use]
    pub fn sequences(mut self, seeds: u64, steps: usize) -> Self {
        (self.seeds, self.steps) = (seeds, steps);
        self
    }

    /// It has memory for a few blocks as large as it serves, and at most for some ten thousand small ones: when those are
    /// freed, the memory has to serve blocks of other sizes. Not for an arena, which does not use what is freed.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.bounded = true;
        self
    }

    /// Runs everything.
    ///
    /// # Panics
    ///
    /// If it breaks a promise.
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

    /// Runs random sequences only.
    ///
    /// # Panics
    ///
    /// If it breaks a promise.
    pub fn run_sequences(&self) {
        for seed in 0..self.seeds {
            let steps = sequence::of_seed(seed, self.steps, self.reaches);
            sequence::play(self, &format!("seed {seed}"), &steps);
        }
    }

    /// Runs the one sequence of operations that these bytes spell, on a new allocator: what a fuzzer calls. Any bytes
    /// spell a sequence, about eight to an operation.
    ///
    /// # Panics
    ///
    /// If it breaks a promise.
    pub fn run_bytes(&self, bytes: &[u8]) {
        sequence::play(self, "these bytes", &sequence::of_bytes(bytes, self.reaches));
    }

    pub(super) fn make(&self) -> A {
        (self.make)()
    }

    pub(super) fn check(&self, allocator: &A) -> Result<(), InvariantError> {
        self.questions.as_ref().map_or(Ok(()), |questions| (questions.check)(allocator))
    }

    pub(super) fn is_inspected(&self) -> bool {
        self.questions.is_some()
    }

    pub(super) fn owns(&self, allocator: &A, address: usize) -> bool {
        let address = core::ptr::without_provenance(address);
        self.questions.as_ref().is_some_and(|questions| (questions.owns)(allocator, address))
    }

    /// Bytes live, if it can be asked.
    pub(super) fn live(&self, allocator: &A) -> Option<usize> {
        self.questions.as_ref().map(|questions| (questions.live)(allocator))
    }

    pub(super) fn resets(&self) -> bool {
        self.reclaim.is_some()
    }

    pub(super) fn reset(&self, allocator: &mut A) {
        if let Some(reclaim) = &self.reclaim {
            (reclaim.reset)(allocator);
        }
    }

    pub(super) fn trim(&self, allocator: &mut A) {
        if let Some(reclaim) = &self.reclaim {
            (reclaim.trim)(allocator);
        }
    }
}

impl<A: Allocator + Inspect, F: Fn() -> A> Conformance<A, F> {
    /// Its invariants are checked after every step, and what it owns.
    #[must_use]
    pub fn inspected(mut self) -> Self {
        self.questions = Some(Questions { check: A::check, owns: A::owns, live: |pool| pool.stats().live });
        self
    }
}

impl<A: Allocator + Reclaim, F: Fn() -> A> Conformance<A, F> {
    /// It is reset and trimmed too, and dropped while blocks are live.
    #[must_use]
    pub fn reclaimed(mut self) -> Self {
        self.reclaim = Some(Reclaiming { reset: A::reset, trim: A::trim });
        self
    }
}

crate::base::opaque_debug! {
    Conformance [A, F: Fn() -> A] Conformance<A, F>;
}
