//! Forking in a program with threads: everything that threads share is held still meanwhile.
//!
//! ```
//! # #[cfg(unix)] {
//! use core::alloc::Layout;
//! use millpond::{Allocator, Cached, Classes, Heap, Locked, Tlsf, fork};
//!
//! static POOL: Locked<Tlsf, Heap> = Locked::new_in(Tlsf::new(), Heap);
//!
//! fork::install()?;
//! fork::register(&POOL)?;
//! // From now on, a child may use the pool, whatever other threads were doing to it when the process forked.
//! assert!(POOL.allocate(Layout::new::<u64>()).is_ok());
//! # }
//! # Ok::<(), millpond::AllocError>(())
//! ```
//!
//! What was entered last is held first. So a parent is registered before its children, and an allocator that others use
//! for their books, such as the global one, before all of them.
//!
//! Other handlers of `pthread_atfork` may wait for locks whose holders use these pools. So [`install`] is called before they are
//! installed: the system calls those that are to prepare in the reverse order. Not held: what `vfork`, `posix_spawn` and `clone`
//! leave to the parent, and what a signal handler does that forks while it has interrupted the holder of a lock.

use core::{cell::Cell, ptr::NonNull};

use crate::{
    base::{AllocError, DefaultLock, Mutex},
    traits::AtFork,
};

type Target = NonNull<dyn AtFork + Sync>;

/// A place in the list of what is held, for what is no `static`.
///
/// # Invariants
///
/// * While it has a target, it is in the list once, and neither it nor the target goes; `newer` and `older` are its neighbours.
///   All of that changes only while the list is locked.
pub struct Registration {
    target: Cell<Option<Target>>,
    newer: Cell<Option<NonNull<Self>>>,
    older: Cell<Option<NonNull<Self>>>,
}

// SAFETY: what is in it is used by whoever has locked the list; a target may be shared, and is to be held by any thread.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

impl core::fmt::Debug for Registration {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

/// The entries, last entered first.
struct Registrations(Option<NonNull<Registration>>);

// SAFETY: entries may be used by any thread that has locked the list.
unsafe impl Send for Registrations {}

static REGISTRATIONS: Mutex<DefaultLock, Registrations> = Mutex::new(Registrations(None));

impl Registration {
    /// A place that is not in the list.
    #[must_use]
    pub const fn new() -> Self {
        Self { target: Cell::new(None), newer: Cell::new(None), older: Cell::new(None) }
    }

    /// Puts it into the list: the target is held at each fork. O(1).
    ///
    /// # Safety
    ///
    /// Until [`unregister`](Self::unregister), neither this entry nor the target moves or goes. It is not in the list yet.
    pub unsafe fn register<'a>(&self, target: &'a (dyn AtFork + Sync + 'a)) {
        let target = NonNull::from(target);
        // SAFETY: only the lifetime differs, and the caller says that the target stays for as long as it is needed.
        let target: Target =
            unsafe { core::mem::transmute::<NonNull<dyn AtFork + Sync + 'a>, Target>(target) };
        let mut entries = REGISTRATIONS.lock();
        self.target.set(Some(target));
        self.newer.set(None);
        self.older.set(entries.0);
        let this = NonNull::from(self);
        if let Some(older) = entries.0.replace(this) {
            // SAFETY: what is in the list is there.
            unsafe { older.as_ref() }.newer.set(Some(this));
        }
    }

    /// Takes it out of the list, if it is there. O(1).
    pub fn unregister(&self) {
        let mut entries = REGISTRATIONS.lock();
        if self.target.take().is_none() {
            return;
        }
        let (newer, older) = (self.newer.take(), self.older.take());
        // SAFETY: what is in the list is there.
        unsafe {
            match newer {
                Some(newer) => newer.as_ref().older.set(older),
                None => entries.0 = older,
            }
            if let Some(older) = older {
                older.as_ref().newer.set(newer);
            }
        }
    }
}

impl Default for Registration {
    fn default() -> Self {
        Self::new()
    }
}

/// Has a value held at each fork from now on, for ever: a `static`, or one that was leaked.
///
/// # Errors
///
/// [`AllocError::Exhausted`]: there is no memory for its entry.
pub fn register(target: &'static (dyn AtFork + Sync)) -> Result<(), AllocError> {
    let place =
        crate::traits::Allocator::allocate(&crate::source::Heap, core::alloc::Layout::new::<Registration>())?;
    let place = place.cast::<Registration>();
    // SAFETY: the place was just handed out for an entry, and is never given back; the target is there for ever.
    unsafe {
        place.write(Registration::new());
        place.as_ref().register(target);
    }
    Ok(())
}

/// Has everything that is registered, now or later, held at each fork. To be called early, once or more often.
///
/// # Errors
///
/// The system's, if it has no memory for the handlers. [`AllocError::Unsupported`] where processes do not fork.
pub fn install() -> Result<(), AllocError> {
    #[cfg(unix)]
    {
        static DONE: Mutex<DefaultLock, bool> = Mutex::new(false);
        let mut done = DONE.lock();
        if !*done {
            crate::source::at_fork(prepare, parent, child)?;
            *done = true;
        }
        Ok(())
    }
    #[cfg(not(unix))]
    Err(AllocError::Unsupported)
}

/// Forks, and holds these meanwhile, in this order: children before their parents. Returns what `fork` does: zero in the child.
///
/// What is [registered](register) is not to be among them, once handlers are [installed](install): it would be waited for twice.
///
/// # Errors
///
/// The system's.
///
/// # Safety
///
/// As for `fork` in a program with threads: the child uses nothing that another thread may have been changing, but for these.
#[cfg(unix)]
pub unsafe fn fork(held: &[&dyn AtFork]) -> Result<i32, AllocError> {
    for &each in held {
        each.prepare();
    }
    // SAFETY: the caller's promise.
    let outcome = unsafe { crate::source::fork() };
    for &each in held {
        // SAFETY: each was prepared; in the child, this is the only thread.
        unsafe { if outcome == Ok(0) { each.child() } else { each.parent() } }
    }
    outcome
}

/// Goes through the list, which is locked, from what was entered last on.
///
/// # Safety
///
/// This thread has locked it.
#[cfg(unix)]
unsafe fn each(work: impl Fn(&dyn AtFork)) {
    // SAFETY: the caller's promise.
    let mut next = unsafe { (*REGISTRATIONS.data_ptr()).0 };
    while let Some(entry) = next {
        // SAFETY: what is in the list is there, and so are the targets.
        unsafe {
            if let Some(target) = entry.as_ref().target.get() {
                work(target.as_ref());
            }
            next = entry.as_ref().older.get();
        }
    }
}

#[cfg(unix)]
extern "C" fn prepare() {
    REGISTRATIONS.prepare();
    // SAFETY: it was locked.
    unsafe { each(|target| target.prepare()) };
}

#[cfg(unix)]
extern "C" fn parent() {
    // SAFETY: this thread has locked the list, and prepared what is in it.
    unsafe {
        each(|target| target.parent());
        REGISTRATIONS.parent();
    }
}

#[cfg(unix)]
extern "C" fn child() {
    // SAFETY: as above; in the child, this is the only thread.
    unsafe {
        each(|target| target.child());
        REGISTRATIONS.child();
    }
}
