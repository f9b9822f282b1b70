//! The way of an event from a hook into a lane.

use millpond_trace::raw::Kind;

use crate::{process::Process, recording, stream::Event, sys::Quiet, thread, watch};

/// Logs an event with no particular alignment.
#[inline(always)]
pub(crate) fn event(kind: Kind, address: usize, size: usize, caller: usize) {
    // SAFETY: a thread's state is there as long as the thread; its lane, once set, is never unmapped, and is its own.
    unsafe {
        let stream = (*thread::current()).stream;
        if stream.is_null() || !(*stream).log(kind, address, size, caller) {
            slow(kind, address, size, 0, caller);
        }
    }
}

/// Logs any event, and does what has to be done first: start recording in this process, find a lane for this thread,
/// make room in it.
#[cold]
#[inline(never)]
pub(crate) extern "C" fn slow(kind: Kind, address: usize, size: usize, align: usize, caller: usize) {
    let event = Event { kind, address, size, align, caller };
    let thread = thread::current();
    // SAFETY: as in `event`.
    unsafe {
        let stream = (*thread).stream;
        if !stream.is_null() && (*stream).has_room() {
            return (*stream).log_any(&event);
        }
        if recording::is_off() {
            return;
        }
        let Some(quiet) = Quiet::begin() else { return recording::bar() };
        if let Some(process) = recording::running() {
            log_in(process, thread, &event);
            watch::watch(thread);
        }
        drop(quiet);
    }
}

/// # Safety
///
/// The thread must be the calling one, with its signals held back.
unsafe fn log_in(process: &Process, thread: *mut thread::Thread, event: &Event) {
    // SAFETY: a lane given by `stream_for` is this thread's and has room.
    unsafe {
        let Some(stream) = process.stream_for(thread) else { return };
        (*stream).log_any(event);
        if (*thread).ending {
            watch::give_up_stream(thread);
        }
    }
}
