//! Sandboxes: a process may permanently renounce system calls, and is then killed for the next one. A thread may also
//! renounce reading the clock of the processor, alone or as part of a strict sandbox; all threads then use the clock of
//! `millpond`, so that their order is known.
//!
//! Before that, and before a process gives up its rights or changes its root directory, files are kept open for the programs
//! that it starts: see `inherit`.
//!
//! A process does so by calling `prctl` or `syscall` of the C library; a system call made by its own instructions is
//! not detected.

use core::ffi::{c_int, c_long, c_ulong};

use super::{
    inherit,
    real::{self, Text},
    recording, sandbox,
};

/// Makes a call that may put the process into a sandbox. If `entered` returns true, the recorder makes no more system
/// calls.
fn around<T: Copy>(enter: impl FnOnce() -> T, entered: impl FnOnce(T) -> bool) -> T {
    let is_held = inherit::hold();
    inherit::look_for_library();
    let first = sandbox::ask();
    let answer = enter();
    let is_inside = entered(answer);
    sandbox::answer(first, is_inside);
    if is_held && !is_inside {
        inherit::release();
    }
    answer
}

/// Keeps files open, and forwards the call, as do the functions below. Exported under this name only in the shared library.
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn setuid(user: libc::uid_t) -> c_int {
    let Some(call) = real::SETUID.get() else { return real::missing() };
    inherit::hold_for_user();
    // SAFETY: the program's call has the same requirements.
    unsafe { call(user) }
}

/// See [`setuid`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn seteuid(user: libc::uid_t) -> c_int {
    let Some(call) = real::SETEUID.get() else { return real::missing() };
    inherit::hold_for_user();
    // SAFETY: the program's call has the same requirements.
    unsafe { call(user) }
}

/// See [`setuid`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn setreuid(real: libc::uid_t, effective: libc::uid_t) -> c_int {
    let Some(call) = real::SETREUID.get() else { return real::missing() };
    inherit::hold_for_user();
    // SAFETY: the program's call has the same requirements.
    unsafe { call(real, effective) }
}

/// See [`setuid`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn setresuid(real: libc::uid_t, effective: libc::uid_t, saved: libc::uid_t) -> c_int {
    let Some(call) = real::SETRESUID.get() else { return real::missing() };
    inherit::hold_for_user();
    // SAFETY: the program's call has the same requirements.
    unsafe { call(real, effective, saved) }
}

/// See [`setuid`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn chroot(path: Text) -> c_int {
    let Some(call) = real::CHROOT.get() else { return real::missing() };
    inherit::hold();
    // SAFETY: the program's call has the same requirements.
    unsafe { call(path) }
}

/// See [`setuid`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn unshare(flags: c_int) -> c_int {
    let Some(call) = real::UNSHARE.get() else { return real::missing() };
    inherit::hold();
    // SAFETY: the program's call has the same requirements.
    unsafe { call(flags) }
}

/// Detects that the process enters a sandbox, and forwards the call.
///
/// Exported under this name only in the shared library.
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int {
    let Some(prctl) = real::PRCTL.get() else { return real::missing() };
    // SAFETY: the program's call has the same requirements.
    let call = || unsafe { prctl(option, a, b, c, d) };
    if !confines(option, a) {
        return call();
    }
    if !(option == libc::PR_SET_SECCOMP && a == libc::SECCOMP_MODE_FILTER.into()) {
        recording::give_up_the_clock();
    }
    around(call, |answer| answer == 0 && option == libc::PR_SET_SECCOMP)
}

/// Returns whether this `prctl` disables system calls or the clock.
fn confines(option: c_int, a: c_ulong) -> bool {
    option == libc::PR_SET_SECCOMP || option == libc::PR_SET_TSC && a == libc::PR_TSC_SIGSEGV as c_ulong
}

/// Forwards a system call. Most programs and libraries that use a filter call `seccomp` this way, because the C library
/// has no function for it.
///
/// Exported under this name only in the shared library.
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    let Some(syscall) = real::SYSCALL.get() else { return real::missing().into() };
    // SAFETY: the program's call has the same requirements; arguments that it did not pass are not used.
    let call = || unsafe { syscall(number, a, b, c, d, e, f) };
    match number {
        libc::SYS_seccomp if a == libc::SECCOMP_SET_MODE_FILTER as usize => {
            around(call, |answer| answer >= 0)
        }
        libc::SYS_seccomp if a == libc::SECCOMP_SET_MODE_STRICT as usize => {
            recording::give_up_the_clock();
            around(call, |answer| answer == 0)
        }
        libc::SYS_setuid | libc::SYS_setreuid | libc::SYS_setresuid => {
            inherit::hold_for_user();
            call()
        }
        libc::SYS_chroot | libc::SYS_pivot_root | libc::SYS_unshare => {
            inherit::hold();
            call()
        }
        // SAFETY: the same call.
        libc::SYS_prctl => unsafe { prctl(a as c_int, b as _, c as _, d as _, e as _) }.into(),
        _ => call(),
    }
}
