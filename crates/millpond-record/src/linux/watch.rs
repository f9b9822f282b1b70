//! Detects the end of threads, whose streams are then reused by other threads.

use core::{
    ffi::c_void,
    mem::replace,
    ptr::null_mut,
    sync::atomic::{AtomicU32, Ordering::*},
};

use millpond_trace::raw::NoteKind;

use super::{
    clock,
    process::text,
    sys::{self, Quiet},
    thread::{self, Thread},
};

/// The key whose destructor is called at a thread's end.
static KEY: AtomicU32 = AtomicU32::new(0);

/// Creates the key; returns whether that succeeded.
pub(crate) fn prepare() -> bool {
    let mut key = 0;
    // SAFETY: `key` is valid for the result.
    let made = unsafe { libc::pthread_key_create(&raw mut key, Some(end_of_thread)) == 0 };
    KEY.store(key, Relaxed);
    made
}

/// Registers for the end of this thread, once. Must be called while no stream is being changed, because it may call
/// `calloc`.
///
/// # Safety
///
/// `thread` must be the calling thread.
pub(crate) unsafe fn watch(thread: *mut Thread) {
    // SAFETY: the caller guarantees that this is the calling thread; the key was created before any stream.
    unsafe {
        if !(*thread).watched && !(*thread).stream.is_null() {
            (*thread).watched = true;
            libc::pthread_setspecific(KEY.load(Relaxed), thread.cast());
        }
    }
}

/// Called when a thread ends: releases its stream. Later events of the thread are logged one by one in any free stream.
unsafe extern "C" fn end_of_thread(_: *mut c_void) {
    let thread = thread::current();
    // In a sandbox, signals are not blocked; events of a handler are then logged in this stream or not at all.
    let quiet = Quiet::begin();
    // SAFETY: the state is that of the calling thread.
    unsafe {
        (*thread).ending = true;
        // If there happens to be no room, the thread has the name that it had at its start.
        if let Some(stream) = (*thread).stream.as_mut()
            && stream.has_room()
        {
            let name = if quiet.may_call() { sys::thread().1 } else { [0; 16] };
            stream.note(NoteKind::ThreadEnd, 0, text(&name), clock::now());
        }
        give_up_stream(thread);
    }
    drop(quiet);
}

/// Releases the thread's stream for reuse.
///
/// # Safety
///
/// `thread` must be the calling thread, with its signals blocked.
pub(crate) unsafe fn give_up_stream(thread: *mut Thread) {
    // SAFETY: the stream belongs to this thread until the last line here.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            (*thread).walker = core::ptr::null();
        }
        let stream = replace(&mut (*thread).stream, null_mut());
        if let Some(stream) = stream.as_ref() {
            stream.taken.store(0, Release);
        }
    }
}
