//! The conformance tests of an allocator, and their options.

use core::{alloc::Layout, marker::PhantomData};

use crate::traits::{Allocator, Inspect, InvariantError, Reclaim};

/// Runs all tests that apply to any allocator, each on a new one from `make`: every sentence of the contract, and
/// random sequences of operations.
///
/// The allocator is expected to serve blocks of up to 256 bytes, aligned to up to 64. See [`Conformance`] for an
/// allocator that serves less, or of which more can be tested.
///
/// # Panics
///
/// Panics if the allocator violates the contract.
pub fn conformance<A: Allocator>(make: impl Fn() -> A) {
    Conformance::of(make).run();
}

/// An allocator to test, and what to expect of it.
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
    pub(super) make: F,
    pub(super) serves: Layout,
    pub(super) reaches: Layout,
    pub(super) seeds: u64,
    pub(super) steps: usize,
    questions: Option<Questions<A>>,
    reclaim: Option<Reclaiming<A>>,
    pub(super) bounded: bool,
    made: PhantomData<fn() -> A>,
}

/// The methods of [`Inspect`], as functions.
struct Questions<A> {
    check: fn(&A) -> Result<(), InvariantError>,
    owns: fn(&A, *const u8) -> bool,
    live: fn(&A) -> usize,
}

/// The methods of [`Reclaim`], as functions.
struct Reclaiming<A> {
    reset: fn(&mut A),
    trim: fn(&mut A) -> usize,
}

/// Small blocks, which almost every allocator serves.
const SMALL: Layout = match Layout::from_size_align(256, 64) {
    Ok(layout) => layout,
    Err(_) => panic!("256 is a size, and 64 an alignment"),
};

impl<A: Allocator, F: Fn() -> A> Conformance<A, F> {
    /// Tests allocators that `make` creates, a new one for each test.
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

    /// Sets the size and alignment up to which the allocator serves blocks, a few at a time; it may refuse larger ones.
    #[must_use]
    pub fn serves(mut self, largest: Layout) -> Self {
        self.serves = largest;
        self.reaching(largest)
    }

    /// Sets the size and alignment up to which random sequences request blocks, which the allocator may refuse.
    #[must_use]
    pub fn reaching(mut self, largest: Layout) -> Self {
        self.reaches = largest;
        self
    }

    /// Sets the number of random sequences, and of steps in each.
    #[must_use]
    pub fn sequences(mut self, seeds: u64, steps: usize) -> Self {
        (self.seeds, self.steps) = (seeds, steps);
        self
    }

    /// Declares that the memory is bounded: there is room for a few blocks of the largest size served, and for at most
    /// some ten thousand small ones. When these are freed, the memory has to serve blocks of other sizes. Not for
    /// arenas, which do not reuse freed memory.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.bounded = true;
        self
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

    /// Returns the number of live bytes, if the allocator can be inspected.
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
    /// Enables the checks of its invariants, and of what it owns, after every step.
    #[must_use]
    pub fn inspected(mut self) -> Self {
        self.questions = Some(Questions { check: A::check, owns: A::owns, live: |pool| pool.stats().live });
        self
    }
}

impl<A: Allocator + Reclaim, F: Fn() -> A> Conformance<A, F> {
    /// Enables resets and trims, and dropping the allocator while blocks are live.
    #[must_use]
    pub fn reclaimed(mut self) -> Self {
        self.reclaim = Some(Reclaiming { reset: A::reset, trim: A::trim });
        self
    }
}

crate::base::opaque_debug! {
    Conformance [A, F: Fn() -> A] Conformance<A, F>;
}
