//! Writes events from hooks to streams.

use millpond_trace::raw::{Call, Kind, NoteKind, StreamWriter};

use super::{
    clock::{self, ticks},
    recording,
    sys::Quiet,
    thread, watch,
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
        if recording::is_off() || (*thread).busy {
            return;
        }
        let quiet = Quiet::begin();
        // In a sandbox, a handler may interrupt what follows; what it allocates is then lost.
        (*thread).busy = true;
        if let Some(stream) =
            recording::running(&quiet).and_then(|process| process.stream_for(thread, &quiet))
        {
            write(&mut *stream);
            if (*thread).ending {
                watch::give_up_stream(thread);
            }
        }
        (*thread).busy = false;
        watch::watch(thread);
        drop(quiet);
    }
}
