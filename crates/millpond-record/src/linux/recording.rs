//! Whether this process is recorded, and the beginning and end of that.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{Control, MAGIC};

use super::{
    clock, control, files,
    inherit::{self, Held},
    path::{self, Directory, Path},
    process::Process,
    real, reserve,
    sys::{self, Quiet},
    usable, watch,
};

/// Whether there is a recording: not known yet; being determined; yes; no. Like all statics, kept by `fork`.
static RECORDING: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = 0;
const ASKING: u32 = 1;
const YES: u32 = 2;
const NO: u32 = 3;

/// In memory that is all zeros in a child of `fork`. Set if [`RECORDING`] is [`YES`].
static PROCESS: AtomicPtr<Process> = AtomicPtr::new(null_mut());

/// Returns whether nothing is to be recorded in this process, now or later.
pub(crate) fn is_off() -> bool {
    match RECORDING.load(Acquire) {
        YES => process().is_none_or(Process::has_stopped),
        NO => true,
        _ => false,
    }
}

/// Returns the process, if there is a recording. It may have logged nothing so far, or have stopped.
pub(crate) fn process() -> Option<&'static Process> {
    // SAFETY: the memory is never unmapped, all zeros are valid, and all fields are atomic.
    unsafe { PROCESS.load(Acquire).as_ref() }
}

/// Returns the process, if it is being recorded. The first call in a process starts recording.
pub(crate) fn running(quiet: &Quiet) -> Option<&'static Process> {
    while RECORDING.load(Acquire) < YES {
        if RECORDING.compare_exchange(UNKNOWN, ASKING, Acquire, Relaxed).is_err() {
            sys::wait_a_little(quiet.may_call());
            continue;
        }
        // SAFETY: one thread at a time reaches this call, and none after it has returned an answer.
        let answer = unsafe { set_up(quiet.may_call()) };
        RECORDING.store(answer, Release);
        if answer == UNKNOWN {
            return None;
        }
    }
    let process = process()?;
    process.is_running(quiet.may_call()).then_some(process)
}

/// Determines whether there is a recording, and joins it. Makes no system calls if `calls` is false, except those that
/// map memory and the files that the process has inherited.
///
/// # Safety
///
/// Must not be called by two threads at the same time, or again after it has returned [`YES`].
unsafe fn set_up(calls: bool) -> u32 {
    // SAFETY: the caller upholds the contract of `remember_directory`, which is the same.
    match unsafe { path::remember_directory() } {
        Directory::TooEarly => return UNKNOWN,
        Directory::Unset => return NO,
        Directory::Known => {}
    }
    inherit::remember();
    let page = size_of::<Control>();
    let Ok(control) = inherit::map(Held::Control, &Path::control(), page, page, calls) else { return NO };
    // SAFETY: `millpond` creates the control file with the length of a page; all zeros are valid, and all fields are
    // atomic.
    let control: &'static Control = unsafe { &*control.cast() };
    if control.magic.load(Relaxed) != MAGIC {
        return NO;
    }
    let counted = u32::from(inherit::is_counted());
    // Before unusual system calls.
    if calls && has_other_filters(control) {
        control.missing.fetch_sub(counted, Relaxed);
        control.sandboxed.fetch_add(1, Relaxed);
        return NO;
    }
    let Ok(process) = sys::forgetful::<Process>() else { return NO };
    if !watch::prepare() {
        return NO;
    }
    control.missing.fetch_sub(counted, Relaxed);
    control::join(control);
    let has_clock = if calls { sys::has_clock() } else { !inherit::is_without_clock() };
    if !has_clock {
        clock::forbid(false);
    }
    reserve::map(control, calls);
    real::prepare();
    usable::prepare(control);
    #[cfg(target_arch = "x86_64")]
    super::stacks::prepare(control, calls);
    PROCESS.store(process, Release);
    YES
}

/// Returns whether this program was started in a sandbox that the recorder does not know: it may be killed for an unusual
/// system call.
fn has_other_filters(control: &Control) -> bool {
    let filters = files::number_after(b"Seccomp_filters:", c"/proc/self/status");
    filters.is_some_and(|filters| filters != control.filters.load(Relaxed))
}

/// Makes all threads of this process read the clock of `millpond` from now on. The clock of the processor must still be
/// readable.
pub(crate) fn give_up_the_clock() {
    if let Some(process) = process() {
        clock::forbid(true);
        process.decline();
    }
}

/// Returns whether this process is part of a recording, possibly as a child that has not logged anything yet.
pub(crate) fn is_joined() -> bool {
    RECORDING.load(Acquire) == YES
}

/// Starts recording this process, even if it never allocates.
pub(crate) fn begin() {
    let quiet = Quiet::begin();
    running(&quiet);
    drop(quiet);
}

/// Notes that the process ends normally. Later allocations and frees are still recorded.
pub(crate) fn end() {
    if is_off() {
        return;
    }
    let quiet = Quiet::begin();
    if let Some(process) = process() {
        process.end(quiet.may_call());
    }
    drop(quiet);
}
