//! Writes events from hooks to streams.

use millpond_trace::raw::{Kind, LoggedCall, NoteKind, StreamWriter};

use super::{
    clock::{self, ticks},
    process::Process,
    recording,
    sys::Quiet,
    thread::{self, Thread},
    usable, watch,
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
    if !recording::is_joined() {
        // The first event starts recording, which decides about usable sizes.
        with_process(|_, _, _| ());
    }
    let call = LoggedCall { kind, address, usable: usable::of(kind, address), size, align, caller };
    // SAFETY: the stream has room.
    with_room(|stream| unsafe { stream.log_any(&call, clock::now()) });
}

/// Logs that the thread has reached a point that the program names.
pub(crate) fn mark(name: &[u8]) {
    // SAFETY: the stream has room.
    with_room(|stream| unsafe { stream.note(NoteKind::Mark, 0, name, clock::now()) });
}

/// Passes a stream of this thread to `write`, with room for any event. If this process is not recorded, does nothing.
fn with_room(write: impl FnOnce(&mut StreamWriter)) {
    let thread = thread::current();
    // SAFETY: as in `event`.
    unsafe {
        if let Some(stream) = (*thread).stream.as_mut()
            && stream.has_room()
        {
            return write(stream);
        }
    }
    with_process(|process, thread, quiet| {
        // SAFETY: `with_process` passes the calling thread; the stream belongs to it and has room.
        unsafe {
            if let Some(stream) = process.stream_for(thread, quiet) {
                write(&mut *stream);
                if (*thread).ending {
                    watch::give_up_stream(thread);
                }
            }
        }
    });
}

/// Finds a stream for this thread, which has none, so that its stacks can be found too.
#[cfg(target_arch = "x86_64")]
#[cold]
#[inline(never)]
pub(crate) fn prepare() {
    with_process(|process, thread, quiet| {
        // SAFETY: `with_process` passes the calling thread.
        unsafe { process.stream_for(thread, quiet) };
    });
}

/// Calls a function with the process, if it is being recorded, and this thread, which logs nothing meanwhile.
pub(crate) fn with_process<T>(work: impl FnOnce(&Process, *mut Thread, &Quiet) -> T) -> Option<T> {
    let thread = thread::current();
    // SAFETY: a thread's state exists as long as the thread.
    unsafe {
        if recording::is_off() || (*thread).busy {
            return None;
        }
        let quiet = Quiet::begin();
        // In a sandbox, a handler may interrupt what follows; what it allocates is then lost.
        (*thread).busy = true;
        let result = recording::running(&quiet).map(|process| work(process, thread, &quiet));
        (*thread).busy = false;
        watch::watch(thread);
        drop(quiet);
        result
    }
}
