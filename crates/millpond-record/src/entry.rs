//! The functions that the program calls, and the two that the dynamic linker calls.
//!
//! Each of the former adds its return address, an address in the code of its caller, as one more argument, and goes on
//! to the function of the same name in `hooks`, which returns to the program directly.

use core::{
    arch::naked_asm,
    ffi::{c_int, c_long, c_ulong, c_void},
};

use crate::{
    confine, exec, hooks,
    real::{Text, Texts},
    recording,
};

macro_rules! entries {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?, $x86_64:literal, $aarch64:literal;)*) => {
        $(
            /// Under this very name only in the shared library: see the crate's first page.
            ///
            /// # Safety
            ///
            /// That of the C function.
            #[unsafe(naked)]
            #[cfg_attr(millpond_preload, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($(_: $argument),*) $(-> $result)? {
                #[cfg(target_arch = "x86_64")]
                naked_asm!(concat!("mov ", $x86_64, ", qword ptr [rsp]"), "jmp {}", sym hooks::$name);
                #[cfg(target_arch = "aarch64")]
                naked_asm!(concat!("mov ", $aarch64, ", x30"), "b {}", sym hooks::$name);
            }
        )*
    };
}

entries! {
    malloc(usize) -> *mut c_void, "rsi", "x1";
    calloc(usize, usize) -> *mut c_void, "rdx", "x2";
    realloc(*mut c_void, usize) -> *mut c_void, "rdx", "x2";
    reallocarray(*mut c_void, usize, usize) -> *mut c_void, "rcx", "x3";
    memalign(usize, usize) -> *mut c_void, "rdx", "x2";
    aligned_alloc(usize, usize) -> *mut c_void, "rdx", "x2";
    posix_memalign(*mut *mut c_void, usize, usize) -> c_int, "rcx", "x3";
    valloc(usize) -> *mut c_void, "rsi", "x1";
    pvalloc(usize) -> *mut c_void, "rsi", "x1";
    free(*mut c_void), "rsi", "x1";
}

/// Functions that need no caller: the program calls those of `exec` and `confine` directly.
macro_rules! plain {
    ($($module:ident::$name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            /// Under this very name only in the shared library: see the crate's first page.
            ///
            /// # Safety
            ///
            /// That of the C function.
            #[cfg_attr(millpond_preload, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> plain!(@ $name) {
                // SAFETY: as in the program's call.
                unsafe { $module::$name($($argument),*) }
            }
        )*
    };
    (@ syscall) => { c_long };
    (@ $name:ident) => { c_int };
}

plain! {
    confine::prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong);
    confine::syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize);
    exec::execve(path: Text, arguments: Texts, variables: Texts);
    exec::execv(path: Text, arguments: Texts);
    exec::execvp(file: Text, arguments: Texts);
    exec::execvpe(file: Text, arguments: Texts, variables: Texts);
    exec::posix_spawn(
        process: *mut libc::pid_t, path: Text, actions: *const c_void, attributes: *const c_void,
        arguments: Texts, variables: Texts
    );
    exec::posix_spawnp(
        process: *mut libc::pid_t, path: Text, actions: *const c_void, attributes: *const c_void,
        arguments: Texts, variables: Texts
    );
}

/// What the dynamic linker calls when the program starts.
pub extern "C" fn begin() {
    recording::begin();
    if recording::is_joined() {
        // SAFETY: the dynamic linker calls this once, before there are threads.
        unsafe { exec::remember() };
    }
}

/// What it calls when the program has called `exit`.
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
