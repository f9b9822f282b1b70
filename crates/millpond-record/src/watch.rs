//! Learns of the end of threads, whose lanes then go to others.

use core::{
    ffi::c_void,
    mem::replace,
    ptr::null_mut,
    sync::atomic::{AtomicU32, Ordering::*},
};

use crate::{
    sys::Quiet,
    thread::{self, Thread},
};

/// The key whose value's destructor tells of a thread's end.
static KEY: AtomicU32 = AtomicU32::new(0);

/// Makes the key; says whether there was one left to be had.
pub(crate) fn prepare() -> bool {
    let mut key = 0;
    // SAFETY: `key` is a valid place for the answer.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_thread)) == 0 };
    KEY.store(key, Relaxed);
    made
}

/// Asks to be told of this thread's end, once. Called with no lane half changed: this may call `calloc`.
///
/// # Safety
///
/// The thread must be the calling one.
pub(crate) unsafe fn watch(thread: *mut Thread) {
    // SAFETY: the caller's promise; the key was made before there were lanes.
    unsafe {
        if !(*thread).watched && !(*thread).stream.is_null() {
            (*thread).watched = true;
            libc::pthread_setspecific(KEY.load(Relaxed), thread.cast());
        }
    }
}

/// A thread ends: its lane is another's now. What it still does is logged event by event, in any lane that is free.
unsafe extern "C" fn end_of_thread(_: *mut c_void) {
    let thread = thread::current();
    // In a sandbox signals cannot be held back; what a handler does then is logged, if at all, in this lane or in none.
    let quiet = Quiet::begin();
    // SAFETY: this is the calling thread.
    unsafe {
        (*thread).ending = true;
        give_up_stream(thread);
    }
    drop(quiet);
}

/// Leaves the thread's lane to others.
///
/// # Safety
///
/// The thread must be the calling one, with its signals held back.
pub(crate) unsafe fn give_up_stream(thread: *mut Thread) {
    // SAFETY: the lane is this thread's until its last line here.
    unsafe {
        let stream = replace(&mut (*thread).stream, null_mut());
        if let Some(stream) = stream.as_ref() {
            stream.taken.store(0, Release);
        }
    }
}
