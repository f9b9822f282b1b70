//! Forking in a program with threads: everything that threads share is held still during the fork.
//!
//! ```
//! # #[cfg(unix)] {
//! use core::alloc::Layout;
//! use millpond::{Allocator, Cached, Classes, Heap, Locked, Tlsf, shell::fork};
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
//! Values are held in reverse order of registration. Therefore register a parent before its children, and an allocator
//! that others use for their internal data, such as the global one, before all of them.
//!
//! Other handlers of `pthread_atfork` may wait for locks whose holders use these pools. Therefore call [`install`]
//! before such handlers are installed: the system calls the prepare handlers in reverse order. Not covered: what
//! `vfork`, `posix_spawn` and `clone` leave to the parent, and a signal handler that forks after interrupting the
//! holder of a lock.

use core::{cell::Cell, ptr::NonNull};

use crate::{
    base::{AllocError, Mutex},
    sync::DefaultLock,
    traits::AtFork,
};

type Target = NonNull<dyn AtFork + Sync>;

/// An entry in the list of held values, for values that are not `static`.
///
/// # Invariants
///
/// * While the entry has a target, it is in the list once, and neither it nor the target is moved or dropped; `newer`
///   and `older` are its neighbours. All of that changes only while the list is locked.
pub struct Registration {
    target: Cell<Option<Target>>,
    newer: Cell<Option<NonNull<Self>>>,
    older: Cell<Option<NonNull<Self>>>,
}

// SAFETY: the contents are used only by the thread that has locked the list; a target may be shared, and may be held by
// any thread.
unsafe impl Send for Registration {}
// SAFETY: as above.
unsafe impl Sync for Registration {}

impl core::fmt::Debug for Registration {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Registration").finish_non_exhaustive()
    }
}

/// The entries, last registered first.
struct Registrations(Option<NonNull<Registration>>);

// SAFETY: any thread that has locked the list may use the entries.
unsafe impl Send for Registrations {}

static REGISTRATIONS: Mutex<DefaultLock, Registrations> = Mutex::new(Registrations(None));

impl Registration {
    /// Creates an entry that is not in the list.
    #[must_use]
    pub const fn new() -> Self {
        Self { target: Cell::new(None), newer: Cell::new(None), older: Cell::new(None) }
    }

    /// Registers `target`, which is then held at each fork. O(1).
    ///
    /// # Safety
    ///
    /// Until [`unregister`](Self::unregister), neither this entry nor the target is moved or dropped. The entry is not
    /// in the list yet.
    pub unsafe fn register<'a>(&self, target: &'a (dyn AtFork + Sync + 'a)) {
        let target = NonNull::from(target);
        // SAFETY: only the lifetime differs, and the caller guarantees that the target lives until it is unregistered.
        let target: Target =
            unsafe { core::mem::transmute::<NonNull<dyn AtFork + Sync + 'a>, Target>(target) };
        let mut entries = REGISTRATIONS.lock();
        self.target.set(Some(target));
        self.newer.set(None);
        self.older.set(entries.0);
        let this = NonNull::from(self);
        if let Some(older) = entries.0.replace(this) {
            // SAFETY: entries in the list are alive.
            unsafe { older.as_ref() }.newer.set(Some(this));
        }
    }

    /// Removes the entry from the list, if it is registered. O(1).
    pub fn unregister(&self) {
        let mut entries = REGISTRATIONS.lock();
        if self.target.take().is_none() {
            return;
        }
        let (newer, older) = (self.newer.take(), self.older.take());
        // SAFETY: entries in the list are alive.
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

/// Registers a value that is then held at each fork for the rest of the program: a `static`, or one that was leaked.
///
/// # Errors
///
/// Returns [`AllocError::Exhausted`] if there is no memory for the entry.
pub fn register(target: &'static (dyn AtFork + Sync)) -> Result<(), AllocError> {
    let place =
        crate::traits::Allocator::allocate(&crate::source::Heap, core::alloc::Layout::new::<Registration>())?;
    let place = place.cast::<Registration>();
    // SAFETY: the memory was just handed out for an entry, and is never returned; the target is `'static`.
    unsafe {
        place.write(Registration::new());
        place.as_ref().register(target);
    }
    Ok(())
}

/// Installs handlers that hold everything registered, now or later, at each fork. Call this early; it may be called
/// more than once.
///
/// # Errors
///
/// Returns the system's error if it has no memory for the handlers, or [`AllocError::Unsupported`] if processes cannot
/// fork on this platform.
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

/// Forks and holds these values meanwhile, in this order: children before their parents. Returns the result of `fork`,
/// which is zero in the child.
///
/// Once handlers are [installed](install), no [registered](register) value may be among them: it would be waited for
/// twice.
///
/// # Errors
///
/// Returns the system's error.
///
/// # Safety
///
/// As for `fork` in a program with threads: the child uses nothing that another thread may have been changing, except
/// these values.
#[cfg(unix)]
pub unsafe fn fork(held: &[&dyn AtFork]) -> Result<i32, AllocError> {
    for &each in held {
        each.prepare();
    }
    // SAFETY: the caller upholds the contract of `fork`, which is the same.
    let outcome = unsafe { crate::source::fork() };
    for &each in held {
        // SAFETY: each value was prepared; in the child, this is the only thread.
        unsafe { if outcome == Ok(0) { each.child() } else { each.parent() } }
    }
    outcome
}

/// Visits the entries of the list, which is locked, last registered first.
///
/// # Safety
///
/// The current thread has locked the list.
#[cfg(unix)]
unsafe fn each(work: impl Fn(&dyn AtFork)) {
    // SAFETY: the current thread has locked the list, as the caller guarantees.
    let mut next = unsafe { (*REGISTRATIONS.data_ptr()).0 };
    while let Some(entry) = next {
        // SAFETY: entries in the list are alive, and so are their targets.
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
    // SAFETY: the list was locked just above.
    unsafe { each(|target| target.prepare()) };
}

#[cfg(unix)]
extern "C" fn parent() {
    // SAFETY: the current thread has locked the list, and has prepared its entries.
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
