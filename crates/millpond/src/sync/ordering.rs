//! Memory orderings as a type, so that models can weaken them: the one place where broken twins of the lock-free
//! structures are defined.

use crate::base::atomic::Ordering;

/// The memory orderings that a lock-free structure relies on. The defaults are those that the library uses.
pub(crate) trait Orderings {
    /// Maximum number of bits of a tag that change. (See [`TreiberStack`](super::treiber_stack::TreiberStack).)
    const TAG_BITS: u32 = u32::MAX;
    /// The ordering of loads that must see published data.
    const ACQUIRE: Ordering = Ordering::Acquire;
    /// The ordering of stores that publish data.
    const RELEASE: Ordering = Ordering::Release;
    /// Whether updates that must happen once are one atomic step. (See [`OnceLink`](super::once_link::OnceLink).)
    const ONE_STEP: bool = true;
}

/// The orderings that the library uses.
#[derive(Debug)]
pub(crate) struct Correct;

impl Orderings for Correct {}

/// Loads that see data before it was published.
#[cfg(all(test, loom))]
#[derive(Debug)]
pub(crate) struct BrokenAcquire;

#[cfg(all(test, loom))]
impl Orderings for BrokenAcquire {
    const ACQUIRE: Ordering = Ordering::Relaxed;
}

/// Stores that do not publish data.
#[cfg(all(test, loom))]
#[derive(Debug)]
pub(crate) struct BrokenRelease;

#[cfg(all(test, loom))]
impl Orderings for BrokenRelease {
    const RELEASE: Ordering = Ordering::Relaxed;
}

/// Loads and then stores, where a single step is needed.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) struct BrokenTwoSteps;

#[cfg(all(test, any(loom, shuttle)))]
impl Orderings for BrokenTwoSteps {
    const ONE_STEP: bool = false;
}

/// A tag that wraps around soon, but not as soon as models need to be deceived.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) struct TwoBitTag;

#[cfg(all(test, any(loom, shuttle)))]
impl Orderings for TwoBitTag {
    const TAG_BITS: u32 = 2;
}

/// A tag that wraps around at every second removal.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) struct BrokenOneBitTag;

#[cfg(all(test, any(loom, shuttle)))]
impl Orderings for BrokenOneBitTag {
    const TAG_BITS: u32 = 1;
}

/// A tag that never changes.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) struct BrokenNoTag;

#[cfg(all(test, any(loom, shuttle)))]
impl Orderings for BrokenNoTag {
    const TAG_BITS: u32 = 0;
}
