//! Settings: read once from the environment, when the heap is created.

use core::{
    ffi::CStr,
    sync::atomic::{AtomicU8, Ordering::*},
};

/// How much the heap checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[non_exhaustive]
pub enum Mode {
    /// Checks nothing that costs an instruction on the hot path.
    Fast = 0,
    /// Detects double, invalid, interior and unaligned frees of addresses in the heap, and ends the program.
    Checked = 1,
}

/// The environment variable that chooses the [`Mode`]: `fast` or `checked`.
const VARIABLE: &CStr = c"MILLPOND_MALLOC";

unsafe extern "C" {
    /// `getenv`, which returns null in a program with more rights than its user.
    fn secure_getenv(name: *const libc::c_char) -> *const libc::c_char;
}

static MODE: AtomicU8 = AtomicU8::new(Mode::Checked as u8);

/// Returns the mode of the heap.
#[inline(always)]
pub(crate) fn mode() -> Mode {
    if MODE.load(Relaxed) == Mode::Fast as u8 { Mode::Fast } else { Mode::Checked }
}

/// Reads the settings. A program with more rights than its user ignores the environment. An unknown mode is reported
/// and treated as the default.
pub(crate) fn read() {
    // SAFETY: the name is a C string; at this time no thread changes the environment.
    let value = unsafe { secure_getenv(VARIABLE.as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: the system returned a C string.
    match unsafe { CStr::from_ptr(value) }.to_bytes() {
        b"fast" => MODE.store(Mode::Fast as u8, Relaxed),
        b"checked" | b"" => {}
        _ => crate::misuse::print(format_args!("MILLPOND_MALLOC must be fast or checked; using checked")),
    }
}
