//! Time: the processor's counter, which all cores share, or, where it must not be read, one that `millpond` keeps.

use core::sync::atomic::{AtomicBool, Ordering::*};

use super::control::control;

/// Whether the processor's counter must not be read in this process. Like all statics, kept by `fork`.
static FORBIDDEN: AtomicBool = AtomicBool::new(false);

/// Returns the ticks of a monotonic clock that all threads and processes of the machine share. The reader of the
/// recording determines their length by reading this and another clock twice.
#[inline(always)]
pub fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has a time-stamp counter.
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(target_arch = "aarch64")]
    {
        let ticks: u64;
        // SAFETY: Linux allows programs to read the virtual counter.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags))
        }
        ticks
    }
}

/// Returns the ticks by the clock that can be read in this process. There must be a recording.
pub(crate) fn now() -> u64 {
    if is_forbidden() { order() } else { ticks() }
}

/// Returns a time that is later than all that were returned before in this recording: that of the clock of `millpond`,
/// or one tick after the last. A tick is shorter than an event, so this runs ahead of no clock.
fn order() -> u64 {
    let control = control();
    let clock = control.clock.load(Acquire);
    let next = |last: u64| Some(last.max(clock) + 1);
    control.last.fetch_update(AcqRel, Acquire, next).unwrap_or(clock).max(clock) + 1
}

/// Returns whether the processor's counter must not be read.
pub(crate) fn is_forbidden() -> bool {
    FORBIDDEN.load(Relaxed)
}

/// Makes [`now`] stop reading the processor's counter. It must still be readable if `readable` is true.
pub(crate) fn forbid(readable: bool) {
    if readable {
        control().last.fetch_max(ticks(), AcqRel);
    }
    control().urgent.store(1, Relaxed);
    FORBIDDEN.store(true, Release);
}
