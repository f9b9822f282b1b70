//! Compares stacks with those that the compiler's own library for exceptions finds, to test this library with any program.

use core::{
    ffi::{c_int, c_void},
    mem::transmute,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{CUT, Control, GUESSED, INTERRUPTED, stack_of_caller};
use millpond_unwind::Process;

use crate::linux::{control::control, thread};

/// `_Unwind_Backtrace` and `_Unwind_GetIP`; null if stacks are not compared.
static BACKTRACE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static GET_IP: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
/// Number of allocations since the last comparison, of all threads.
static SINCE: AtomicU32 = AtomicU32::new(0);

type GetIp = unsafe extern "C" fn(*mut c_void) -> usize;
type Note = unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int;
type Backtrace = unsafe extern "C" fn(Note, *mut c_void) -> c_int;

/// Looks for the library; returns whether stacks are to be compared.
pub(super) fn prepare(control: &Control) -> bool {
    if control.check_every.load(Relaxed) == 0 {
        return false;
    }
    // SAFETY: the names are C strings.
    let find = |name: &core::ffi::CStr| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    GET_IP.store(find(c"_Unwind_GetIP"), Relaxed);
    BACKTRACE.store(find(c"_Unwind_Backtrace"), Relaxed);
    !GET_IP.load(Relaxed).is_null() && !BACKTRACE.load(Relaxed).is_null()
}

/// Max frames that are compared.
const FRAMES: usize = 256;

/// Frames from the innermost; those of this library, before the caller of the hook, are left out.
struct Frames {
    caller: usize,
    found: [usize; FRAMES],
    count: usize,
}

/// Compares the stack that was found for a call by `leaf`, if it is the turn of this one.
pub(super) fn compare(shared: &Process, leaf: usize, caller: usize) {
    let backtrace = BACKTRACE.load(Relaxed);
    let Some(stack) = stack_of_caller(caller as u64).filter(|_| !backtrace.is_null()) else { return };
    let every = control().check_every.load(Relaxed);
    if every == 0 || !(SINCE.fetch_add(1, Relaxed) + 1).is_multiple_of(every) {
        return;
    }
    let thread = thread::current();
    let mut frames = Frames { caller: leaf, found: [0; FRAMES], count: 0 };
    // SAFETY: a thread's state exists as long as the thread; the functions have these types.
    unsafe {
        if (*thread).busy {
            return;
        }
        (*thread).busy = true;
        transmute::<*mut c_void, Backtrace>(backtrace)(note, (&raw mut frames).cast());
        (*thread).busy = false;
    }
    let expected = frames.found.get(..frames.count).unwrap_or_default();
    control().compared.fetch_add(1, Relaxed);
    if !is_same(shared, stack, expected) {
        control().different.fetch_add(1, Relaxed);
    }
}

/// Notes one frame.
unsafe extern "C" fn note(context: *mut c_void, frames: *mut c_void) -> c_int {
    // SAFETY: the library passes a context, and the argument of `_Unwind_Backtrace`.
    unsafe {
        let frames = &mut *frames.cast::<Frames>();
        let ip = transmute::<*mut c_void, GetIp>(GET_IP.load(Relaxed))(context);
        if (frames.count > 0 || ip == frames.caller)
            && let Some(place) = frames.found.get_mut(frames.count)
        {
            *place = ip;
            frames.count += 1;
        }
    }
    0
}

/// Returns whether a stack has these frames. It may have more if they are marked as guessed, where the compiler's library
/// goes no further, and if there are too many to compare.
fn is_same(shared: &Process, stack: u32, expected: &[usize]) -> bool {
    let mut id = stack;
    for &ip in expected.strip_suffix(&[0]).unwrap_or(expected) {
        match shared.node(id) {
            Some((found, parent)) if found & !(GUESSED | INTERRUPTED) == ip as u64 => id = parent,
            _ => return id == CUT,
        }
    }
    id <= CUT || expected.len() == FRAMES || shared.node(id).is_some_and(|(ip, _)| ip & GUESSED != 0)
}
