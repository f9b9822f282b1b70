//! Notices when the program unloads a library: another may take its place, with other code at the same addresses.

use core::ffi::{c_int, c_void};

use super::{real, stacks};

/// Forwards the call. If it unloaded a library, stacks are walked anew from then on. Exported under this name only in
/// the shared library.
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    let Some(dlclose) = real::DLCLOSE.get() else { return real::missing() };
    let before = unloaded();
    let maps = stacks::before_unload();
    // SAFETY: the program's call has the same requirements.
    let answer = unsafe { dlclose(handle) };
    if unloaded() != before {
        stacks::after_unload(maps);
    }
    answer
}

/// Returns how many libraries were unloaded so far.
fn unloaded() -> u64 {
    unsafe extern "C" fn look(info: *mut libc::dl_phdr_info, _: usize, count: *mut c_void) -> c_int {
        // SAFETY: the C library passes valid information, and the argument of `dl_iterate_phdr`.
        unsafe { *count.cast::<u64>() = (*info).dlpi_subs };
        1
    }
    let mut count = 0_u64;
    // SAFETY: the function is called during this call only, with this argument.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut count).cast()) };
    count
}
