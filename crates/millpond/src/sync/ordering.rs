//! Memory orderings as a type, so that models can weaken them: the one place where broken twins of the lock-free
//! structures are defined.

use super::treiber_stack::INDEX_BITS;
use crate::base::atomic::Ordering;

/// The memory orderings that a lock-free structure relies on.
pub(crate) trait Orderings {
    /// Number of bits of a tag that change. (See [`TreiberStack`](super::treiber_stack::TreiberStack).)
    const TAG_BITS: u32;
    /// The ordering of loads that must see published data.
    const ACQUIRE: Ordering;
    /// The ordering of stores that publish data.
    const RELEASE: Ordering;
    /// Whether updates that must happen once are one atomic step. (See [`OnceLink`](super::once_link::OnceLink).)
    const ONE_STEP: bool = true;
}

/// The orderings that the library uses.
pub(crate) struct Correct;

impl Orderings for Correct {
    const TAG_BITS: u32 = INDEX_BITS;
    const ACQUIRE: Ordering = Ordering::Acquire;
    const RELEASE: Ordering = Ordering::Release;
}

/// Defines orderings that differ from the correct ones.
#[cfg(all(test, any(loom, shuttle)))]
macro_rules! orderings {
    ($name:ident, $bits:expr, $acquire:ident, $release:ident) => {
        pub(crate) struct $name;

        impl Orderings for $name {
            const TAG_BITS: u32 = $bits;
            const ACQUIRE: Ordering = Ordering::$acquire;
            const RELEASE: Ordering = Ordering::$release;
        }
    };
}

#[cfg(all(test, any(loom, shuttle)))]
orderings!(TwoBitTag, 2, Acquire, Release);
#[cfg(all(test, any(loom, shuttle)))]
orderings!(BrokenOneBitTag, 1, Acquire, Release);
#[cfg(all(test, any(loom, shuttle)))]
orderings!(BrokenNoTag, 0, Acquire, Release);
#[cfg(all(test, loom))]
orderings!(BrokenAcquire, Correct::TAG_BITS, Relaxed, Release);
#[cfg(all(test, loom))]
orderings!(BrokenRelease, Correct::TAG_BITS, Acquire, Relaxed);

/// Loads and then stores, where a single step is needed.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) struct BrokenTwoSteps;

#[cfg(all(test, any(loom, shuttle)))]
impl Orderings for BrokenTwoSteps {
    const TAG_BITS: u32 = Correct::TAG_BITS;
    const ACQUIRE: Ordering = Correct::ACQUIRE;
    const RELEASE: Ordering = Correct::RELEASE;
    const ONE_STEP: bool = false;
}
