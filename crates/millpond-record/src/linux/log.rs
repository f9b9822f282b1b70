//! Writes events from hooks to streams.

use millpond_trace::raw::{Call, Kind};

use super::{
    clock::{self, ticks},
    process::Process,
    recording,
    sys::Quiet,
    thread::{self, Thread},
    watch,
};

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
            return (*stream).log_any(&call, clock::now());
        }
        if recording::is_off() || (*thread).busy {
            return;
        }
        let quiet = Quiet::begin();
        // In a sandbox, a handler may interrupt what follows; what it allocates is then lost.
        (*thread).busy = true;
        if let Some(process) = recording::running(&quiet) {
            log_in(process, thread, &call, &quiet);
        }
        (*thread).busy = false;
        watch::watch(thread);
        drop(quiet);
    }
}

/// # Safety
///
/// `thread` must be the calling thread, and must not log anything else meanwhile.
unsafe fn log_in(process: &Process, thread: *mut Thread, call: &Call, quiet: &Quiet) {
    // SAFETY: the stream that `stream_for` returns belongs to this thread and has room.
    unsafe {
        let Some(stream) = process.stream_for(thread, quiet) else { return };
        (*stream).log_any(call, clock::now());
        if (*thread).ending {
            watch::give_up_stream(thread);
        }
    }
}
