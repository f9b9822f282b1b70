//! The functions that the program calls, and two that the dynamic linker calls.
//!
//! Each of the former passes its return address, an address in the code of its caller, as an additional argument to the
//! function of the same name in `hooks`, which returns to the program directly.

use core::{
    arch::naked_asm,
    ffi::{c_int, c_long, c_ulong, c_void},
    ptr::null_mut,
};

use crate::{
    confine, exec, hooks, path,
    real::{self, Text, Texts},
    recording,
};

macro_rules! entries {
    ($($name:ident($($argument:ty),*) $(-> $result:ty)?, $x86_64:literal, $aarch64:literal;)*) => {
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

/// Defines functions that do not need the caller's address; the body follows the arguments.
macro_rules! plain {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $what:expr;)*) => {
        $(
            /// Exported under this name only in the shared library: see the documentation of the crate.
            ///
            /// # Safety
            ///
            /// That of the C function.
            #[cfg_attr(millpond_preload, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                // SAFETY: the program's call has the same requirements.
                unsafe { $what }
            }
        )*
    };
}

plain! {
    prctl(option: c_int, a: c_ulong, b: c_ulong, c: c_ulong, d: c_ulong) -> c_int
        = confine::prctl(option, a, b, c, d);
    syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long
        = confine::syscall(number, a, b, c, d, e, f);
    execve(path: Text, arguments: Texts, variables: Texts) -> c_int
        = exec::become_it(real::execve(), path, arguments, variables);
    execv(path: Text, arguments: Texts) -> c_int
        = exec::become_it(real::execve(), path, arguments, path::environment());
    execvpe(file: Text, arguments: Texts, variables: Texts) -> c_int
        = exec::become_it(real::execvpe(), file, arguments, variables);
    execvp(file: Text, arguments: Texts) -> c_int
        = exec::become_it(real::execvpe(), file, arguments, path::environment());
    fexecve(file: c_int, arguments: Texts, variables: Texts) -> c_int
        = match real::fexecve() {
            Some(call) => exec::become_by(c"".as_ptr(), variables, |variables| call(file, arguments, variables)),
            None => real::missing(),
        };
    execveat(folder: c_int, path: Text, arguments: Texts, variables: Texts, flags: c_int) -> c_int
        = match real::execveat() {
            Some(call) => {
                exec::become_by(path, variables, |variables| call(folder, path, arguments, variables, flags))
            }
            None => real::missing(),
        };
    posix_spawn(
        process: *mut libc::pid_t, path: Text, actions: *const c_void, attributes: *const c_void,
        arguments: Texts, variables: Texts
    ) -> c_int
        = exec::spawn(real::posix_spawn(), process, path, [actions, attributes], [arguments, variables]);
    posix_spawnp(
        process: *mut libc::pid_t, path: Text, actions: *const c_void, attributes: *const c_void,
        arguments: Texts, variables: Texts
    ) -> c_int
        = exec::spawn(real::posix_spawnp(), process, path, [actions, attributes], [arguments, variables]);
    system(command: Text) -> c_int
        = match real::system() {
            Some(call) if !command.is_null() => exec::shell(|| call(command), |status| status != -1),
            Some(call) => call(command),
            None => real::missing(),
        };
    popen(command: Text, mode: Text) -> *mut c_void
        = match real::popen() {
            Some(call) => exec::shell(|| call(command, mode), |stream| !stream.is_null()),
            None => null_mut(),
        };
}

/// Defines variadic functions: all arguments except the first are stored in sequence on the stack, in front of those
/// that did not fit into registers.
macro_rules! listed {
    ($($name:ident)*) => {
        $(
            /// Exported under this name only in the shared library: see the documentation of the crate.
            ///
            /// # Safety
            ///
            /// That of the C function.
            #[unsafe(naked)]
            #[cfg_attr(millpond_preload, unsafe(no_mangle))]
            pub unsafe extern "C" fn $name(_: Text, _: Text) -> c_int {
                #[cfg(target_arch = "x86_64")]
                naked_asm!(
                    // The return address is moved below the registers to make room for them.
                    "pop rax",
                    "push r9",
                    "push r8",
                    "push rcx",
                    "push rdx",
                    "push rsi",
                    "mov rsi, rsp",
                    "push rax",
                    "call {}",
                    "pop rcx",
                    "add rsp, 40",
                    "push rcx",
                    "ret",
                    sym exec::listed::$name
                );
                #[cfg(target_arch = "aarch64")]
                naked_asm!(
                    "sub sp, sp, #80",
                    "str x30, [sp]",
                    "stp x1, x2, [sp, #24]",
                    "stp x3, x4, [sp, #40]",
                    "stp x5, x6, [sp, #56]",
                    "str x7, [sp, #72]",
                    "add x1, sp, #24",
                    "bl {}",
                    "ldr x30, [sp]",
                    "add sp, sp, #80",
                    "ret",
                    sym exec::listed::$name
                );
            }
        )*
    };
}

listed! { execl execlp execle }

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
