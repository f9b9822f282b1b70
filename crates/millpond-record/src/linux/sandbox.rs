//! Whether the recorder may make system calls, for which a process may be killed in a sandbox. There, recording continues
//! in the units of `reserve`. `confine` detects when a process enters a sandbox.

use core::sync::atomic::{AtomicU32, Ordering::*};

use super::inherit;

/// Whether system calls can be made: not known yet; yes; not while this is being decided; no. Like all statics, kept by
/// `fork`.
static STATE: AtomicU32 = AtomicU32::new(UNKNOWN);
const UNKNOWN: u32 = 0;
const FREE: u32 = 1;
const ASKING: u32 = 2;
const INSIDE: u32 = 3;

/// Returns the state. At first, it is that with which the program was started.
fn state() -> u32 {
    let state = STATE.load(SeqCst);
    if state != UNKNOWN {
        return state;
    }
    let found = match inherit::starts_in_sandbox() {
        None => return UNKNOWN,
        Some(true) => INSIDE,
        Some(false) => FREE,
    };
    STATE.compare_exchange(UNKNOWN, found, SeqCst, SeqCst).map_or_else(|other| other, |_| found)
}

/// Returns whether the process is in a sandbox.
pub(crate) fn is_inside() -> bool {
    state() == INSIDE
}

/// Number of threads that are making system calls.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// Returns whether the recorder may make system calls until [`end_calls`].
pub(crate) fn begin_calls() -> bool {
    // Either the thread that enters a sandbox observes this increment, or this thread observes the new state.
    CALLS.fetch_add(1, SeqCst);
    let free = state() == FREE;
    if !free {
        end_calls();
    }
    free
}

/// Notes that the thread has finished its system calls.
pub(crate) fn end_calls() {
    CALLS.fetch_sub(1, SeqCst);
}

/// Announces that the process tries to enter a sandbox; returns `false` if that was already announced. Waits for other
/// threads to finish their system calls, but only for a limited time, because a signal handler would otherwise wait for
/// the thread that it has interrupted.
pub(crate) fn ask() -> bool {
    let first = state() == FREE && STATE.compare_exchange(FREE, ASKING, SeqCst, SeqCst).is_ok();
    let mut patience = 1 << 20;
    while first && CALLS.load(SeqCst) != 0 && patience > 0 {
        core::hint::spin_loop();
        patience -= 1;
    }
    first
}

/// Sets the outcome after [`ask`], which returned `first`.
pub(crate) fn answer(first: bool, entered: bool) {
    if entered {
        STATE.store(INSIDE, SeqCst);
    } else if first {
        STATE.store(FREE, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_calls_are_made_while_a_sandbox_is_entered_nor_after_it() {
        assert!(begin_calls());
        end_calls();
        assert!(ask() && !ask());
        assert!(!begin_calls() && STATE.load(SeqCst) != FREE);
        answer(true, false);
        assert!(begin_calls(), "the sandbox was refused");
        end_calls();
        answer(ask(), true);
        assert!(!begin_calls() && STATE.load(SeqCst) != FREE);
        answer(ask(), false);
        assert!(STATE.load(SeqCst) == INSIDE, "there is no way out");
        assert_eq!(CALLS.load(SeqCst), 0);
        STATE.store(FREE, SeqCst);
    }
}
