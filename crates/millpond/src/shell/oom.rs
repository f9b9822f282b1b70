//! The policy of a shell when memory runs out: return the error, call a handler and retry, or end the program.
//!
//! The policy is a type parameter of each shell, so it costs nothing if it is not used. The allocation loop in `shell`
//! calls the policy on its cold path, outside of every borrow and lock.

use core::alloc::Layout;

use crate::base::AllocError;

/// The policy of a shell for a request that cannot be met: [`Fail`], [`Retry`] or [`Abort`].
///
/// ```
/// use core::{alloc::Layout, cell::Cell};
/// use millpond::{Allocator, Blocks, Fixed, Local, oom::Retry, source::NullAllocator};
///
/// // A pool that has nothing, and a handler that looks twice before it gives up.
/// let asked = Cell::new(0);
/// let handler = |_, _| asked.replace(asked.get() + 1) < 2;
/// let pool = Local::with_policy(Blocks::<Fixed<64>>::new(), NullAllocator, Retry(handler));
/// assert!(pool.allocate(Layout::new::<u64>()).is_err());
/// assert_eq!(asked.get(), 3);
/// ```
///
/// A shell whose handler can be shared by threads can itself be shared by threads:
///
/// ```compile_fail
/// # use std::rc::Rc;
/// # use millpond::{Blocks, Fixed, Heap, Locked, oom::Retry};
/// let mine = Rc::new(0);
/// let pool: Locked<_, _, millpond::lock::DefaultLock, _> =
///     Locked::with_policy(Blocks::<Fixed<64>>::new(), Heap, Retry(move |_, _| *mine > 0));
/// std::thread::spawn(move || drop(pool)); // error: an `Rc` cannot be sent to another thread
/// # // instead: drop(pool);
/// ```
pub trait OomPolicy {
    /// Called after a request failed with `error`. Returns whether to retry it: first the pool, then the parent.
    ///
    /// Called outside of every borrow and lock, so it may allocate from this shell and free blocks into it. It must not
    /// panic: a panic ends the program. Attempts that have an alternative (growing in place, a chunk that is larger
    /// than necessary) do not count as failed.
    fn try_again(&self, layout: Layout, error: AllocError) -> bool;
}

/// The default [`OomPolicy`]: returns the error to the caller.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fail;

impl OomPolicy for Fail {
    #[inline(always)]
    fn try_again(&self, _: Layout, _: AllocError) -> bool {
        false
    }
}

/// The [`OomPolicy`] with a handler that frees memory and returns whether it did.
///
/// The handler is called repeatedly until the request succeeds or the handler returns `false`, in which case the caller
/// gets the error. It is not called for a request that the allocator never serves ([`AllocError::Unsupported`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry<F>(pub F);

impl<F: Fn(Layout, AllocError) -> bool> OomPolicy for Retry<F> {
    fn try_again(&self, layout: Layout, error: AllocError) -> bool {
        error != AllocError::Unsupported && (self.0)(layout, error)
    }
}

/// The [`OomPolicy`] for programs that cannot continue without memory: ends the program, with a message on the standard
/// error if there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abort;

impl OomPolicy for Abort {
    fn try_again(&self, layout: Layout, error: AllocError) -> bool {
        out_of_memory(layout, error)
    }
}

/// Ends the program (or, without `alloc`, panics) because it cannot continue without memory.
#[cfg(feature = "alloc")]
#[cold]
pub(crate) fn out_of_memory(layout: Layout, _: AllocError) -> ! {
    // The loop calls policies in such a way that a panic here ends the program.
    alloc::alloc::handle_alloc_error(layout)
}

/// Ends the program (or, without `alloc`, panics) because it cannot continue without memory.
#[cfg(not(feature = "alloc"))]
#[cold]
#[expect(clippy::panic, reason = "`Abort` ends the program, as the caller has chosen")]
pub(crate) fn out_of_memory(layout: Layout, error: AllocError) -> ! {
    // The loop calls policies in such a way that a panic here ends the program.
    panic!("{error}: {} bytes were requested", layout.size())
}
