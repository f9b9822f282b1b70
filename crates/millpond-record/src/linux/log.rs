//! Writes events from hooks to streams.

use millpond_trace::raw::{Call, Kind};

use super::{clock::ticks, process::Process, recording, sys::Quiet, thread, watch};

/// Logs an event with the default alignment.
#[inline(always)]
pub(crate) fn event(kind: Kind, address: usize, size: usize, caller: usize) {
    // SAFETY: a thread's state exists as long as the thread; its stream is never unmapped, and only this thread uses
    // it.
    unsafe {
        let stream = (*thread::current()).stream;
        if stream.is_null() || !(*stream).log(kind, address, size, caller, ticks) {
            slow(kind, address, size, 0, caller);
        }
    }
}

/// Logs any event. If necessary, starts recording in this process, finds a stream for this thread, and makes room in
/// it.
#[cold]
#[inline(never)]
pub(crate) extern "C" fn slow(kind: Kind, address: usize, size: usize, align: usize, caller: usize) {
    let call = Call { kind, address, size, align, caller };
    let thread = thread::current();
    // SAFETY: as in `event`.
    unsafe {
        let stream = (*thread).stream;
        if !stream.is_null() && (*stream).has_room() {
            return (*stream).log_any(&call, ticks());
        }
        if recording::is_off() {
            return;
        }
        let Some(quiet) = Quiet::begin() else { return recording::bar() };
        if let Some(process) = recording::running() {
            log_in(process, thread, &call);
            watch::watch(thread);
        }
        drop(quiet);
    }
}

/// # Safety
///
/// `thread` must be the calling thread, with its signals blocked.
unsafe fn log_in(process: &Process, thread: *mut thread::Thread, call: &Call) {
    // SAFETY: the stream that `stream_for` returns belongs to this thread and has room.
    unsafe {
        let Some(stream) = process.stream_for(thread) else { return };
        (*stream).log_any(call, ticks());
        if (*thread).ending {
            watch::give_up_stream(thread);
        }
    }
}
