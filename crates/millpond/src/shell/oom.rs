//! What a shell does when memory has run out: return the error, call a handler and try again, or end the program.
//!
//! The choice is a type parameter of each shell, so that it costs nothing where it is not made. The one loop in
//! `shell` asks the policy on its cold path, outside of every borrow and lock.

use core::alloc::Layout;

use crate::base::AllocError;

/// What a shell does with a request that cannot be met: [`Fail`], [`Retry`] or [`Abort`].
///
/// ```
/// use core::{alloc::Layout, cell::Cell};
/// use millpond::{Allocator, Blocks, Fixed, Linear, Local, NullAllocator, Retry};
///
/// // A pool that has nothing, and a handler that looks twice before it gives up.
/// let asked = Cell::new(0);
/// let handler = |_, _| asked.replace(asked.get() + 1) < 2;
/// let pool = Local::with_policy(Blocks::<Fixed<64>>::new(), NullAllocator, Retry(handler));
/// assert!(pool.allocate(Layout::new::<u64>()).is_err());
/// assert_eq!(asked.get(), 3);
/// ```
///
/// A handler that threads share can be shared by threads:
///
/// ```compile_fail
/// # use std::rc::Rc;
/// # use millpond::{Blocks, Fixed, Heap, Locked, Retry};
/// let mine = Rc::new(0);
/// let pool: Locked<_, _, millpond::DefaultLock, _> =
///     Locked::with_policy(Blocks::<Fixed<64>>::new(), Heap, Retry(move |_, _| *mine > 0));
/// std::thread::spawn(move || drop(pool)); // error: an `Rc` cannot be sent to another thread
/// # // instead: drop(pool);
/// ```
pub trait OomPolicy {
    /// A request failed, and this is why. Returns whether to try it again: first the pool, then the parent.
    ///
    /// Called outside of every borrow and lock, so it may allocate from this shell and free blocks into it. It must not
    /// panic: that ends the program. Attempts that have an alternative (growing in place, a chunk that is larger than
    /// need be) do not count as failed.
    fn try_again(&self, layout: Layout, error: AllocError) -> bool;
}

/// The default [`OomPolicy`]: the caller gets the error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fail;

impl OomPolicy for Fail {
    #[inline(always)]
    fn try_again(&self, _: Layout, _: AllocError) -> bool {
        false
    }
}

/// The [`OomPolicy`] of a handler, which makes room and says whether it did.
///
/// It is called again and again until the request succeeds or it returns false, and then the caller gets the error. A
/// request that this allocator never serves ([`AllocError::Unsupported`]) fails without asking it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry<F>(pub F);

impl<F: Fn(Layout, AllocError) -> bool> OomPolicy for Retry<F> {
    fn try_again(&self, layout: Layout, error: AllocError) -> bool {
        error != AllocError::Unsupported && (self.0)(layout, error)
    }
}

/// The [`OomPolicy`] of programs that cannot go on without memory: ends the program, with a message on the standard error
/// where there is one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Abort;

impl OomPolicy for Abort {
    fn try_again(&self, layout: Layout, error: AllocError) -> bool {
        out_of_memory(layout, error)
    }
}

/// Ends the program (or, without `alloc`, panics) because it cannot go on without memory.
#[cfg(feature = "alloc")]
#[cold]
pub(crate) fn out_of_memory(layout: Layout, _: AllocError) -> ! {
    // The loop calls policies in a way that ends the program should this unwind.
    alloc::alloc::handle_alloc_error(layout)
}

/// Ends the program (or, without `alloc`, panics) because it cannot go on without memory.
#[cfg(not(feature = "alloc"))]
#[cold]
#[expect(clippy::panic, reason = "`Abort` ends the program, as the caller has chosen")]
pub(crate) fn out_of_memory(layout: Layout, error: AllocError) -> ! {
    // The loop calls policies in a way that ends the program when they unwind.
    panic!("{error}: {} bytes were asked for", layout.size())
}
