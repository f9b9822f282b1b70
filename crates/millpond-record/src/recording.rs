//! Whether this process is to be recorded, and its beginning and end.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{Control, MAGIC};

use crate::{
    files,
    path::{self, Directory, Path},
    process::{self, Process},
    real,
    sys::{self, File, Quiet},
    watch,
};

/// Whether there is a recording at all: not known yet; being found out; yes; no. Like all statics, kept by `fork`.
static RECORDING: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = 0;
const ASKING: u32 = 1;
const YES: u32 = 2;
const NO: u32 = 3;

/// In memory that a child of `fork` finds all zero. Set when [`RECORDING`] is [`YES`].
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// Whether nothing is to be recorded here, now or later.
pub(crate) fn is_off() -> bool {
    match RECORDING.load(Acquire) {
        // SAFETY: set before `RECORDING` was, and never unmapped.
        YES => unsafe { (*PROCESS.load(Relaxed)).has_stopped() },
        NO => true,
        _ => false,
    }
}

/// The process, if it is being recorded; the first call in a process makes all that is needed.
pub(crate) fn running() -> Option<&'static Process> {
    while RECORDING.load(Acquire) < YES {
        if RECORDING.compare_exchange(UNKNOWN, ASKING, Acquire, Relaxed).is_err() {
            sys::wait_a_little();
            continue;
        }
        // SAFETY: one thread at a time comes here, and none after an answer.
        let answer = unsafe { set_up() };
        RECORDING.store(answer, Release);
        if answer == UNKNOWN {
            return None;
        }
    }
    // SAFETY: never unmapped; all zero is valid, and all else is atomic.
    let process = unsafe { PROCESS.load(Relaxed).as_ref() }?;
    process.is_running().then_some(process)
}

/// Finds out whether there is a recording, and joins it.
///
/// # Safety
///
/// Must not be called by two threads at once, nor again after it answered [`YES`].
unsafe fn set_up() -> u32 {
    // SAFETY: the caller's promise.
    match unsafe { path::remember_directory() } {
        Directory::TooEarly => return UNKNOWN,
        Directory::Unset => return NO,
        Directory::Known => {}
    }
    let control = File::open(&Path::control(), libc::O_RDWR).and_then(|file| file.map(size_of::<Control>(), 0, true));
    let (Ok(control), Ok(process)) = (control, sys::forgetful::<Process>()) else { return NO };
    // SAFETY: `millpond` has made the control file a page long; all zero is valid, and all is atomic.
    let control: &'static Control = unsafe { &*control.cast() };
    if control.magic.load(Relaxed) != MAGIC || !watch::prepare() {
        return NO;
    }
    // A sandbox that this program was started in may kill it for an unusual system call, or for a look at the clock.
    let filters = files::number_after(b"Seccomp_filters:", c"/proc/self/status").unwrap_or(0);
    if filters != control.filters.load(Relaxed) || !sys::has_clock() {
        control.sandboxed.fetch_add(1, Relaxed);
        return NO;
    }
    real::prepare();
    process::join(control);
    PROCESS.store(process, Relaxed);
    YES
}

/// Stops recording, without a system call, because this process is in a sandbox.
#[cold]
pub(crate) fn bar() {
    // SAFETY: never unmapped; all zero is valid, and all else is atomic.
    if let Some(process) = unsafe { PROCESS.load(Acquire).as_ref() } {
        process.bar();
    }
}

/// Whether this process is part of a recording, of which it may be a child that has not done anything yet.
pub(crate) fn is_joined() -> bool {
    RECORDING.load(Acquire) == YES
}

/// The process starts: it is recorded from here on, even if it never allocates.
pub(crate) fn begin() {
    if let Some(quiet) = Quiet::begin() {
        running();
        drop(quiet);
    }
}

/// The process ends in an orderly way. What is allocated or freed after this is still recorded.
pub(crate) fn end() {
    if is_off() {
        return;
    }
    let quiet = Quiet::begin();
    // SAFETY: never unmapped; all zero is valid, and all else is atomic.
    if let Some(process) = unsafe { PROCESS.load(Relaxed).as_ref() } {
        process.end(quiet.is_some());
    }
    drop(quiet);
}
