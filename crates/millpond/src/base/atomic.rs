//! The only module that names atomics and other primitives for synchronizing threads.
//!
//! Nothing else in this crate names `core::sync::atomic` (`cargo xtask tidy` checks it), so that a model checker can
//! replace the primitives and run the real code: loom with `--cfg loom`, shuttle with `--cfg shuttle`, both only in
//! unit tests. The building blocks of the models are in `model`.

#[cfg(not(all(test, any(loom, shuttle))))]
pub(crate) use core::{hint::spin_loop, sync::atomic::*};
#[cfg(all(test, loom))]
pub(crate) use modelled::*;
#[cfg(all(test, shuttle))]
pub(crate) use shuttle::{hint::spin_loop, sync::atomic::*};

/// Atomics that no model checker sees: for numbers whose order does not matter, such as statistics that are read while
/// their owner writes them.
pub(crate) mod unmodelled {
    #[cfg(target_has_atomic = "64")]
    pub(crate) use core::sync::atomic::AtomicU64;
    pub(crate) use core::sync::atomic::{AtomicPtr, AtomicUsize};
}

/// Lets other threads run, if there is an operating system that can do that.
pub(crate) fn yield_now() {
    #[cfg(all(test, loom))]
    loom::thread::yield_now();
    #[cfg(all(test, shuttle))]
    shuttle::thread::yield_now();
    #[cfg(all(feature = "std", not(all(test, any(loom, shuttle)))))]
    std::thread::yield_now();
    #[cfg(not(any(feature = "std", all(test, any(loom, shuttle)))))]
    spin_loop();
}

/// A place where threads sleep until they are woken. In a model, sleeping means letting other threads run.
///
/// A parker never allocates, because the lock may be that of the program's global allocator. Where the standard library
/// builds its mutexes on futexes, or on their counterpart in Windows, they do not allocate. Elsewhere the library
/// allocates each mutex on first use, so there threads sleep for a fixed time. With `--cfg millpond_timed_parking` they
/// do so everywhere, for tests.
#[cfg(feature = "std")]
pub(crate) use parker::Parker;

#[cfg(all(
    feature = "std",
    not(millpond_timed_parking),
    any(
        target_os = "linux",
        target_os = "android",
        target_os = "freebsd",
        target_os = "openbsd",
        target_os = "dragonfly",
        target_os = "fuchsia",
        target_family = "windows",
        target_family = "wasm",
    )
))]
mod parker {
    use std::sync::{Condvar, Mutex, PoisonError};

    #[derive(Debug)]
    pub(crate) struct Parker {
        mutex: Mutex<()>,
        condvar: Condvar,
    }

    impl Parker {
        /// Upper bound on one sleep.
        const MAX_PARK: core::time::Duration = core::time::Duration::from_millis(1);

        pub(crate) const fn new() -> Self {
            Self { mutex: Mutex::new(()), condvar: Condvar::new() }
        }

        /// Sleeps if `reason` returns true, until the thread is woken or the upper bound is reached. `_turn` is how
        /// often this thread has slept.
        pub(crate) fn park_if(&self, _turn: u32, reason: impl Fn() -> bool) {
            if cfg!(all(test, any(loom, shuttle))) {
                return super::yield_now();
            }
            // The mutex protects no data that a panic could have left inconsistent.
            let guard = self.mutex.lock().unwrap_or_else(PoisonError::into_inner);
            if reason() {
                let _ = self.condvar.wait_timeout(guard, Self::MAX_PARK);
            }
        }

        /// Wakes one sleeping thread. May miss a thread that is about to sleep.
        pub(crate) fn wake_one(&self) {
            self.condvar.notify_one();
        }
    }
}

#[cfg(all(
    feature = "std",
    any(
        millpond_timed_parking,
        not(any(
            target_os = "linux",
            target_os = "android",
            target_os = "freebsd",
            target_os = "openbsd",
            target_os = "dragonfly",
            target_os = "fuchsia",
            target_family = "windows",
            target_family = "wasm",
        ))
    )
))]
mod parker {
    use core::time::Duration;

    #[derive(Debug)]
    pub(crate) struct Parker;

    impl Parker {
        pub(crate) const fn new() -> Self {
            Self
        }

        /// Sleeps if `reason` returns true: at first for 32 microseconds, each `turn` twice as long, up to a
        /// millisecond.
        pub(crate) fn park_if(&self, turn: u32, reason: impl Fn() -> bool) {
            if cfg!(all(test, any(loom, shuttle))) {
                return super::yield_now();
            }
            if reason() {
                std::thread::sleep(Duration::from_micros(32 << turn.min(5)));
            }
        }

        /// Does nothing: sleeping threads wake up by themselves.
        pub(crate) fn wake_one(&self) {}
    }
}

/// Waits for about a millisecond if there is an operating system that can do that, otherwise for a thousand spins.
pub(crate) fn pause() {
    #[cfg(all(feature = "std", not(target_family = "wasm"), not(all(test, any(loom, shuttle)))))]
    std::thread::sleep(core::time::Duration::from_millis(1));
    #[cfg(any(not(feature = "std"), target_family = "wasm", all(test, any(loom, shuttle))))]
    (0..1000).for_each(|_| spin_loop());
}

/// A cell that is accessed through closures, so that a model checker sees when each access begins and ends.
#[derive(Debug, Default)]
pub(crate) struct UnsafeCell<T> {
    value: core::cell::UnsafeCell<T>,
    #[cfg(all(test, loom))]
    modelled: modelled::Modelled,
}

#[allow(unused, reason = "all primitives are here, though not all are used")]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            value: core::cell::UnsafeCell::new(value),
            #[cfg(all(test, loom))]
            modelled: modelled::Modelled::new(),
        }
    }

    /// Calls `use_it` with a pointer that it may read through.
    #[inline(always)]
    pub(crate) fn with<R>(&self, use_it: impl FnOnce(*const T) -> R) -> R {
        #[cfg(all(test, loom))]
        return self.modelled.with(|_| use_it(self.value.get()));
        #[cfg(not(all(test, loom)))]
        use_it(self.value.get())
    }

    /// Calls `use_it` with a pointer that it may read and write through.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, use_it: impl FnOnce(*mut T) -> R) -> R {
        #[cfg(all(test, loom))]
        return self.modelled.with_mut(|_| use_it(self.value.get()));
        #[cfg(not(all(test, loom)))]
        use_it(self.value.get())
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

#[cfg(all(test, loom))]
pub(crate) use loom::{lazy_static, thread_local};
#[cfg(all(test, shuttle))]
pub(crate) use shuttle::{lazy_static, thread_local};

/// loom's types, created on first use: so their constructors are constant, as those of `core` are.
///
/// loom takes the first use for the creation, so a model uses what it created before other threads do; otherwise it
/// fails with a causality violation.
#[cfg(all(test, loom))]
#[allow(unused, unreachable_pub, reason = "all primitives are here, though not all are used")]
mod modelled {
    use std::{ops::Deref, sync::OnceLock};

    use loom::sync::atomic;
    pub(crate) use loom::{
        hint::spin_loop,
        sync::atomic::{Ordering, fence},
    };

    /// What loom tracks in place of a cell's value.
    #[derive(Debug, Default)]
    pub(super) struct Modelled(OnceLock<loom::cell::UnsafeCell<()>>);

    impl Modelled {
        pub(super) const fn new() -> Self {
            Self(OnceLock::new())
        }
    }

    impl Deref for Modelled {
        type Target = loom::cell::UnsafeCell<()>;

        fn deref(&self) -> &Self::Target {
            self.0.get_or_init(|| loom::cell::UnsafeCell::new(()))
        }
    }

    /// One of loom's atomics, with its value before the first use.
    #[derive(Debug)]
    pub struct Lazy<V, A> {
        first: V,
        cell: OnceLock<A>,
    }

    pub type AtomicBool = Lazy<bool, atomic::AtomicBool>;
    pub type AtomicU8 = Lazy<u8, atomic::AtomicU8>;
    pub type AtomicU16 = Lazy<u16, atomic::AtomicU16>;
    pub type AtomicU32 = Lazy<u32, atomic::AtomicU32>;
    pub type AtomicU64 = Lazy<u64, atomic::AtomicU64>;
    pub type AtomicUsize = Lazy<usize, atomic::AtomicUsize>;
    pub type AtomicPtr<T> = Lazy<*mut T, atomic::AtomicPtr<T>>;

    impl<V, A> Lazy<V, A> {
        pub(crate) const fn new(first: V) -> Self {
            Self { first, cell: OnceLock::new() }
        }
    }

    impl<V: Default, A> Default for Lazy<V, A> {
        fn default() -> Self {
            Self::new(V::default())
        }
    }

    impl<V: Copy, A: From<V>> Deref for Lazy<V, A> {
        type Target = A;

        #[track_caller]
        fn deref(&self) -> &A {
            self.cell.get_or_init(|| A::from(self.first))
        }
    }

    // SAFETY: as for the atomic type: it holds a number or an address, and dereferencing the latter is up to the user.
    unsafe impl<V, A> Send for Lazy<V, A> {}
    // SAFETY: as above.
    unsafe impl<V, A> Sync for Lazy<V, A> {}
}

/// The building blocks of models, for all checkers.
#[cfg(all(test, any(loom, shuttle)))]
pub(crate) mod model {
    #[cfg(loom)]
    pub(crate) use loom::{sync::Arc, thread};
    #[cfg(shuttle)]
    pub(crate) use shuttle::{sync::Arc, thread};

    /// Runs `model` in every order of its threads' steps that preempts a thread at most `preemptions` times (loom), or
    /// in many orders chosen at random (shuttle, which ignores the bound).
    #[cfg(loom)]
    pub(crate) fn check(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(preemptions);
        // Steps of one order; this detects a model that waits without end.
        builder.max_branches = 20_000;
        builder.check(model);
    }

    /// Runs `model` in many orders chosen at random; the bound is ignored.
    #[cfg(shuttle)]
    pub(crate) fn check(_: usize, model: impl Fn() + Send + Sync + Copy + 'static) {
        const RUNS: usize = 5_000;
        shuttle::check_random(model, RUNS);
        shuttle::check_pct(model, RUNS, 3);
    }
}
