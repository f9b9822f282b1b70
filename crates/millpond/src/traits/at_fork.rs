//! What is done before a process forks, and after it, with what threads share.

use lock_api::RawMutex;

use crate::base::{Mutex, lock_for_fork, reset_after_fork, unlock_after_fork};

/// What can be held still while the process forks, so that the child gets it whole.
///
/// In the child of a `fork` there is one thread. What the others had locked stays locked for ever, and what they were changing
/// stays half changed, unless somebody locks it before the fork and unlocks it after it, in both processes. That is what these
/// three methods do, for all locks of a value and of the parent that it owns; the parent behind a reference, an `Rc` or an `Arc`
/// may have other children, so it is to be held by itself, after them.
///
/// Implemented by all shells, guards around allocators, sources and collections of this crate that threads can share. Who
/// implements it for an allocator without locks of its own has nothing to write. `fork::install` has all of them called that
/// were registered; `fork::fork` is for those that a function has borrowed.
///
/// | type | the child has | lost in the child, until a reset |
/// |---|---|---|
/// | [`Locked`](crate::Locked) | the whole pool | blocks that other threads had live |
/// | [`Cached`](crate::Cached) | the pool, and the caches of the thread that forked | the same, and what other threads and [`Handle`](crate::Handle)s kept ready |
/// | [`LockFree`](crate::LockFree), [`AtomicLinear`](crate::AtomicLinear), [`RemoteFree`](crate::RemoteFree) | the whole pool, held or not | blocks that other threads had live |
/// | [`SharedSlots`](crate::SharedSlots) | the whole collection | vacant slots that other threads kept ready; a value that another thread was reading is not dropped |
/// | guards around an allocator | their books | as behind the guard; counts may be off by what was on its way |
pub trait AtFork {
    /// Waits until no thread is in the midst of changing anything here, and keeps all from beginning.
    fn prepare(&self) {}

    /// Lets them go on, in the parent.
    ///
    /// # Safety
    ///
    /// This thread has called [`prepare`](Self::prepare), and neither this method nor `child` since.
    unsafe fn parent(&self) {}

    /// Makes everything whole, in the child.
    ///
    /// # Safety
    ///
    /// This thread has called [`prepare`](Self::prepare), and neither this method nor `parent` since. No other thread uses the
    /// value, or ever will go on with what it was doing to it before.
    unsafe fn child(&self) {}
}

impl<L: RawMutex, T> AtFork for Mutex<L, T> {
    fn prepare(&self) {
        lock_for_fork(self);
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller has prepared it.
        unsafe { unlock_after_fork(self) };
    }

    unsafe fn child(&self) {
        // SAFETY: the caller has prepared it, and is alone.
        unsafe { reset_after_fork(self) };
    }
}

/// Implements [`AtFork`] for a type by holding some of its fields: `at_fork!([generics] Type: field, field)`. They are held
/// in this order, so what a thread may lock while it has locked another comes after that one.
macro_rules! at_fork {
    ([$($generics:tt)*] $type:ty: $($($field:tt).+),*) => {
        impl<$($generics)*> $crate::traits::AtFork for $type {
            fn prepare(&self) {
                $($crate::traits::AtFork::prepare(&self.$($field).+);)*
            }

            unsafe fn parent(&self) {
                // SAFETY: the caller has prepared each of them.
                unsafe { $($crate::traits::AtFork::parent(&self.$($field).+);)* }
            }

            unsafe fn child(&self) {
                // SAFETY: the caller has prepared each of them, and is alone.
                unsafe { $($crate::traits::AtFork::child(&self.$($field).+);)* }
            }
        }
    };
}
pub(crate) use at_fork;

impl<A: ?Sized> AtFork for &A {}

#[cfg(feature = "alloc")]
impl<A: ?Sized> AtFork for alloc::rc::Rc<A> {}

#[cfg(feature = "alloc")]
impl<A: ?Sized> AtFork for alloc::sync::Arc<A> {}

#[cfg(feature = "alloc")]
impl<A: AtFork + ?Sized> AtFork for alloc::boxed::Box<A> {
    fn prepare(&self) {
        (**self).prepare();
    }

    unsafe fn parent(&self) {
        // SAFETY: the caller's promises are passed on.
        unsafe { (**self).parent() };
    }

    unsafe fn child(&self) {
        // SAFETY: the caller's promises are passed on.
        unsafe { (**self).child() };
    }
}
