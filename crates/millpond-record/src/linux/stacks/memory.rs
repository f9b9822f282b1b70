//! The memory with which stacks are found: what the threads of a process share, and that of each thread. All of it is
//! zeroed in a child of `fork`, because nodes are in a file of the process.

use core::{
    ptr::{null, null_mut},
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*},
};

use millpond_trace::raw::StreamWriter;
use millpond_unwind::{Process, Walker};

use crate::linux::sys;

/// What the threads share; null if no stacks are requested. Like all statics, kept by `fork`.
static ALL: AtomicPtr<Process> = AtomicPtr::new(null_mut());
/// The same; null while only callers are logged.
static SHARED: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// Memory for the walkers of threads that begin when none can be mapped; null if there is none.
static SPARES: AtomicPtr<Walker> = AtomicPtr::new(null_mut());
/// Number of those that were handed out, in this process and those that it was forked from: the thread that called
/// `fork` still has the address of its parent's walker.
static USED_SPARES: AtomicUsize = AtomicUsize::new(0);
/// Number of them: address space, not memory.
const MOST_SPARES: usize = 16;

/// Makes stacks be walked from now on, if there is memory. Makes no system calls if `calls` is false, except those that map
/// memory.
pub(super) fn prepare(calls: bool) {
    if sys::limit_of_addresses(calls) == u64::MAX {
        SPARES.store(sys::forgetful::<[Walker; MOST_SPARES]>().unwrap_or(null_mut()).cast(), Relaxed);
    }
    ALL.store(sys::forgetful().unwrap_or(null_mut()), Release);
    resume();
}

/// Returns what the threads share, if stacks are requested.
pub(super) fn all() -> Option<&'static Process> {
    // SAFETY: all zeros are a valid value, and the memory is never unmapped.
    unsafe { ALL.load(Acquire).as_ref() }
}

/// Returns what the threads share, unless only callers are logged.
#[inline(always)]
pub(super) fn shared() -> Option<&'static Process> {
    // SAFETY: all zeros are a valid value, and the memory is never unmapped.
    unsafe { SHARED.load(Relaxed).as_ref() }
}

/// Makes only callers be logged until [`resume`]: there is no room for nodes, or recording has stopped.
pub(crate) fn pause() {
    SHARED.store(null_mut(), Relaxed);
}

/// Makes stacks be walked again, if they are requested.
pub(crate) fn resume() {
    SHARED.store(ALL.load(Acquire), Release);
}

/// Returns a walker of those that were mapped early; null if there is none left.
fn spare() -> *mut Walker {
    let spares = SPARES.load(Relaxed);
    let number = USED_SPARES.fetch_update(Relaxed, Relaxed, |used| (used < MOST_SPARES).then_some(used + 1));
    // SAFETY: the number is below the length of the array.
    number.ok().filter(|_| !spares.is_null()).map_or(null_mut(), |number| unsafe { spares.add(number) })
}

/// Returns the memory for the stacks of the thread that uses a stream; null if there is none.
pub(crate) fn walker_of(stream: &StreamWriter, calls: bool) -> *const Walker {
    if all().is_none() {
        return null();
    }
    let mut walker = stream.companion.load(Relaxed).cast::<Walker>();
    if walker.is_null() {
        walker = if calls { sys::forgetful().unwrap_or_else(|_| spare()) } else { spare() };
        stream.companion.store(walker.cast(), Relaxed);
    }
    // SAFETY: all zeros are a valid value, the memory is never unmapped, and only the stream's thread uses it.
    if let Some(walker) = unsafe { walker.as_ref() } {
        walker.forget_stacks();
    }
    walker
}
