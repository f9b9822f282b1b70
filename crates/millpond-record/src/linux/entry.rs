//! The functions of the malloc family that the program calls, and two that the dynamic linker calls.
//!
//! Each of the former passes where it was called from (see `stacks::Site`) as an additional argument to the
//! function of the same name in `hooks`, which returns to the program directly.

use core::{
    arch::naked_asm,
    ffi::{CStr, c_char, c_int, c_void},
};

use super::{exec, hooks, log, recording};

macro_rules! entries {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?, [$x86_64:literal, $rbp:literal], $aarch64:literal;)*) => {
        $(
            /// Exported under this name only in the shared library: see the documentation of the crate.
            ///
            /// # Safety
            ///
            /// That of the C function.
            #[unsafe(naked)]
            #[cfg_attr(millpond_preload, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($(_: $argument),*) $(-> $result)? {
                #[cfg(target_arch = "x86_64")]
                naked_asm!(
                    concat!("mov ", $x86_64, ", rsp"), concat!("mov ", $rbp, ", rbp"), "jmp {}", sym hooks::$name
                );
                #[cfg(target_arch = "aarch64")]
                naked_asm!(concat!("mov ", $aarch64, ", x30"), "b {}", sym hooks::$name);
            }
        )*
    };
}

entries! {
    malloc(usize) -> *mut c_void, ["rsi", "rdx"], "x1";
    calloc(usize, usize) -> *mut c_void, ["rdx", "rcx"], "x2";
    realloc(*mut c_void, usize) -> *mut c_void, ["rdx", "rcx"], "x2";
    reallocarray(*mut c_void, usize, usize) -> *mut c_void, ["rcx", "r8"], "x3";
    memalign(usize, usize) -> *mut c_void, ["rdx", "rcx"], "x2";
    aligned_alloc(usize, usize) -> *mut c_void, ["rdx", "rcx"], "x2";
    posix_memalign(*mut *mut c_void, usize, usize) -> c_int, ["rcx", "r8"], "x3";
    valloc(usize) -> *mut c_void, ["rsi", "rdx"], "x1";
    pvalloc(usize) -> *mut c_void, ["rsi", "rdx"], "x1";
    free(*mut c_void), ["rsi", "rdx"], "x1";
}

/// Marks a point in time; see `include/millpond_mark.h`. Exported under this name only in the shared library.
///
/// # Safety
///
/// The name must be null or a C string.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn millpond_mark(name: *const c_char) {
    if !name.is_null() {
        // SAFETY: the caller guarantees a C string.
        log::mark(unsafe { CStr::from_ptr(name) }.to_bytes());
    }
}

/// Called by the dynamic linker when the program starts.
pub extern "C" fn begin() {
    recording::begin();
    if recording::is_joined() {
        // SAFETY: the dynamic linker calls this once, before there are threads.
        unsafe { exec::remember() };
    }
}

/// Called by the dynamic linker after the program has called `exit`.
pub extern "C" fn end() {
    recording::end();
}

#[cfg(millpond_preload)]
#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

#[cfg(millpond_preload)]
#[used]
#[unsafe(link_section = ".fini_array")]
static END: extern "C" fn() = end;
