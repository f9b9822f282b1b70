//! The configuration of a [`Cached`](super::Cached).

use core::marker::PhantomData;

use lock_api::RawMutex;

use crate::{
    base::opaque_debug,
    shell::oom::{Fail, OomPolicy},
    sync::SpinLock,
};

/// Maximum number of words in a magazine.
pub(super) const MAX_WORDS: usize = 128;

/// What can be chosen for a [`Cached`](crate::Cached), in one type. [`CacheOptions`] is the only one.
pub trait CacheConfig: private::Sealed {
    /// The lock of the depot.
    type Lock: RawMutex;
    /// The type of the policy.
    type Policy: OomPolicy;
    /// Number of words in a magazine, which holds two blocks fewer: 4, 8, 16, 32, 64 or 128.
    const WORDS: usize;

    /// Returns the policy for when memory runs out.
    fn policy(&self) -> &Self::Policy;
}

/// The options of a [`Cached`](crate::Cached) pool: the lock of its depot, the policy for when memory runs out, and the
/// number of words in a magazine.
///
/// ```
/// use millpond::{Blocks, Cached, Fixed, Heap, lock::TicketLock, oom::Retry, shell::CacheOptions};
///
/// let options = CacheOptions::new().lock::<TicketLock>().policy(Retry(|_, _| false)).words::<16>();
/// let pool = Cached::with_options(Blocks::<Fixed<64>>::new(), Heap, options);
/// # drop(pool);
///
/// static POOL: Cached<Blocks<Fixed<64>>, Heap, CacheOptions<TicketLock>> = Cached::constant(Blocks::new(), Heap);
/// ```
pub struct CacheOptions<L = SpinLock, O = Fail, const WORDS: usize = MAX_WORDS> {
    policy: O,
    lock: PhantomData<fn() -> L>,
}

// Not derived: that would require the lock to implement these traits.
impl<L, O: Clone, const WORDS: usize> Clone for CacheOptions<L, O, WORDS> {
    fn clone(&self) -> Self {
        Self::of(self.policy.clone())
    }
}

impl<L, O: Copy, const WORDS: usize> Copy for CacheOptions<L, O, WORDS> {}

opaque_debug! {
    CacheOptions [L, O, const WORDS: usize] CacheOptions<L, O, WORDS>;
}

impl CacheOptions {
    /// Returns the default options: a [`SpinLock`], no retry ([`Fail`]), and magazines of 128 words.
    #[must_use]
    pub const fn new() -> Self {
        Self::of(Fail)
    }
}

impl Default for CacheOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl<L, O, const WORDS: usize> CacheOptions<L, O, WORDS> {
    pub(crate) const fn of(policy: O) -> Self {
        Self { policy, lock: PhantomData }
    }

    /// Chooses the lock of the depot.
    #[must_use]
    pub fn lock<M: RawMutex>(self) -> CacheOptions<M, O, WORDS> {
        CacheOptions::of(self.policy)
    }

    /// Chooses the policy for when memory runs out.
    #[must_use]
    pub fn policy<Q: OomPolicy>(self, policy: Q) -> CacheOptions<L, Q, WORDS> {
        CacheOptions::of(policy)
    }

    /// Chooses the number of words in a magazine, which holds two blocks fewer: 4, 8, 16, 32, 64 or 128. Smaller
    /// magazines keep fewer blocks from other threads, and visit the depot more often.
    #[must_use]
    pub fn words<const N: usize>(self) -> CacheOptions<L, O, N> {
        CacheOptions::of(self.policy)
    }
}

impl<L: RawMutex, O: OomPolicy, const WORDS: usize> CacheConfig for CacheOptions<L, O, WORDS> {
    type Lock = L;
    type Policy = O;

    const WORDS: usize = WORDS;

    fn policy(&self) -> &O {
        &self.policy
    }
}

impl<L: RawMutex, O: OomPolicy, const WORDS: usize> private::Sealed for CacheOptions<L, O, WORDS> {}

mod private {
    pub trait Sealed {}
}
