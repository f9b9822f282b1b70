//! Preparing what threads share for a `fork`, and restoring it afterwards.

use lock_api::RawMutex;

use crate::base::{Mutex, lock_for_fork, reset_after_fork, unlock_after_fork};

/// A value that can be locked while the process forks, so that the child gets it in a consistent state.
///
/// The child of a `fork` has only one thread. Whatever other threads had locked stays locked, and whatever they were
/// changing stays half changed, unless it is locked before the fork and unlocked after it, in both processes.
/// [`prepare`](Self::prepare), [`parent`](Self::parent) and [`child`](Self::child) do that for all locks of a value and
/// of the parent that it owns. A parent behind a reference, an `Rc` or an `Arc` may have other children, so it has to
/// be locked separately, after them.
///
/// Implemented by all shells, guards around allocators, sources and collections of this crate that threads can share.
/// An allocator without locks of its own needs no methods in its implementation. `fork::install` arranges for the
/// methods of all registered values to be called; `fork::fork` is for values that a function has borrowed.
///
/// | type | state in the child | lost in the child until a reset |
/// |---|---|---|
/// | [`Locked`](crate::Locked) | the whole pool | blocks that other threads had live |
/// | [`Cached`](crate::Cached) | the pool, and the caches of the thread that forked | the same, and what other threads and [`Handle`](crate::shell::Handle)s had cached |
/// | [`LockFree`](crate::LockFree), [`AtomicLinear`](crate::shell::AtomicLinear), [`RemoteFree`](crate::shell::RemoteFree) | the whole pool, prepared or not | blocks that other threads had live |
/// | [`SharedSlots`](crate::SharedSlots) | the whole collection | vacant slots that other threads had cached; a value that another thread was reading is not dropped |
/// | guards around an allocator | their counts and tables | as behind the guard; counts may be off by calls that were in progress |
///
/// # Safety
///
/// Each call of [`parts`](Self::parts) passes the same values to `visit`. After a call of `prepare`, one call of
/// `parent` or `child` whose contract is upheld unlocks only what `prepare` has locked: a type that overrides one of
/// the three methods and has parts or locks overrides the others accordingly.
pub unsafe trait AtFork {
    /// Calls `visit` with each part of the value that has to be locked, such as its parent. A lock that a thread may
    /// take while it holds another one comes after that one. By default, there are no parts.
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        let _ = visit;
    }

    /// Waits until no thread is changing this value, and prevents all threads from starting to. By default, prepares
    /// the [parts](Self::parts), in their order.
    fn prepare(&self) {
        self.parts(&mut |part| part.prepare());
    }

    /// Lets other threads continue, in the parent process.
    ///
    /// # Safety
    ///
    /// The current thread has called [`prepare`](Self::prepare), and has since called neither this method nor `child`.
    unsafe fn parent(&self) {
        // SAFETY: the caller has called `prepare`, which prepared each part.
        self.parts(&mut |part| unsafe { part.parent() });
    }

    /// Makes the value usable again, in the child process.
    ///
    /// # Safety
    ///
    /// The current thread has called [`prepare`](Self::prepare), and has since called neither this method nor `parent`.
    /// No other thread uses the value, or will continue what it was doing to it before the fork.
    unsafe fn child(&self) {
        // SAFETY: the caller has called `prepare`, which prepared each part, and is the only thread.
        self.parts(&mut |part| unsafe { part.child() });
    }
}

// SAFETY: there are no parts; what is unlocked is what `prepare` locks.
unsafe impl<L: RawMutex, T> AtFork for Mutex<L, T> {
    fn prepare(&self) {
        lock_for_fork(self);
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller has called `prepare`, which locked it.
        unsafe { unlock_after_fork(self) };
    }

    unsafe fn child(&self) {
        // SAFETY: the caller has called `prepare`, which locked it, and is the only thread.
        unsafe { reset_after_fork(self) };
    }
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl<A: ?Sized> AtFork for &A {}

// SAFETY: there are no parts, and no method is overridden.
#[cfg(feature = "alloc")]
unsafe impl<A: ?Sized> AtFork for alloc::rc::Rc<A> {}

// SAFETY: there are no parts, and no method is overridden.
#[cfg(feature = "alloc")]
unsafe impl<A: ?Sized> AtFork for alloc::sync::Arc<A> {}

// SAFETY: all methods call the same ones of the contents, which uphold the contract.
#[cfg(feature = "alloc")]
unsafe impl<A: AtFork + ?Sized> AtFork for alloc::boxed::Box<A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        (**self).parts(visit);
    }

    fn prepare(&self) {
        (**self).prepare();
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller upholds the contract of `parent`, which is the same.
        unsafe { (**self).parent() };
    }

    unsafe fn child(&self) {
        // SAFETY: the caller upholds the contract of `child`, which is the same.
        unsafe { (**self).child() };
    }
}
