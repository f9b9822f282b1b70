//! The functions by which the program becomes or starts other programs.

use core::{
    arch::naked_asm,
    ffi::{c_int, c_void},
    ptr::null_mut,
};

use super::{
    exec::{Environment, shell},
    notes::Start,
    path,
    real::{self, Spawn, Text, Texts},
};

/// Notes the call and forwards it, as do all of these functions. Exported under this name only in the shared library.
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn execve(path: Text, arguments: Texts, variables: Texts) -> c_int {
    // SAFETY: the program's call has the same requirements.
    unsafe { become_it(real::EXECVE.get(), path, arguments, variables) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn execv(path: Text, arguments: Texts) -> c_int {
    // SAFETY: the program's call has the same requirements.
    unsafe { become_it(real::EXECVE.get(), path, arguments, path::environment()) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn execvpe(file: Text, arguments: Texts, variables: Texts) -> c_int {
    // SAFETY: the program's call has the same requirements.
    unsafe { become_it(real::EXECVPE.get(), file, arguments, variables) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn execvp(file: Text, arguments: Texts) -> c_int {
    // SAFETY: the program's call has the same requirements.
    unsafe { become_it(real::EXECVPE.get(), file, arguments, path::environment()) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn fexecve(file: c_int, arguments: Texts, variables: Texts) -> c_int {
    let Some(call) = real::FEXECVE.get() else { return real::missing() };
    // SAFETY: the program's call has the same requirements.
    unsafe { become_by(c"".as_ptr(), variables, |variables| call(file, arguments, variables)) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn execveat(
    folder: c_int,
    path: Text,
    arguments: Texts,
    variables: Texts,
    flags: c_int,
) -> c_int {
    let Some(call) = real::EXECVEAT.get() else { return real::missing() };
    // SAFETY: the program's call has the same requirements.
    unsafe { become_by(path, variables, |variables| call(folder, path, arguments, variables, flags)) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn posix_spawn(
    process: *mut libc::pid_t,
    path: Text,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    // SAFETY: the program's call has the same requirements.
    unsafe { spawn(real::POSIX_SPAWN.get(), process, path, [actions, attributes], [arguments, variables]) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn posix_spawnp(
    process: *mut libc::pid_t,
    path: Text,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    // SAFETY: the program's call has the same requirements.
    unsafe { spawn(real::POSIX_SPAWNP.get(), process, path, [actions, attributes], [arguments, variables]) }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn system(command: Text) -> c_int {
    let Some(call) = real::SYSTEM.get() else { return real::missing() };
    // SAFETY: the program's call has the same requirements.
    unsafe {
        if command.is_null() {
            return call(command);
        }
        shell(|| call(command), |status| status != -1)
    }
}

/// See [`execve`].
///
/// # Safety
///
/// As for the function of the C library.
#[cfg_attr(millpond_preload, unsafe(no_mangle))]
pub unsafe extern "C" fn popen(command: Text, mode: Text) -> *mut c_void {
    let Some(call) = real::POPEN.get() else { return null_mut() };
    // SAFETY: the program's call has the same requirements.
    unsafe { shell(|| call(command, mode), |stream| !stream.is_null()) }
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
                    sym listed::$name
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
                    sym listed::$name
                );
            }
        )*
    };
}

listed! { execl execlp execle }

/// Implementation of `execl`, `execlp` and `execle`, whose arguments are stored in sequence, followed by null and,
/// for `execle`, the environment.
mod listed {
    use super::{Text, Texts, become_it, c_int, path, real};

    /// # Safety
    ///
    /// As for `execl`; the arguments must end with null.
    pub(crate) unsafe extern "C" fn execl(path: Text, arguments: Texts) -> c_int {
        // SAFETY: the caller guarantees that the arguments end with null, here and in the functions below.
        unsafe { become_it(real::EXECVE.get(), path, arguments, path::environment()) }
    }

    /// # Safety
    ///
    /// As for `execlp`; the arguments must end with null.
    pub(crate) unsafe extern "C" fn execlp(file: Text, arguments: Texts) -> c_int {
        // SAFETY: as above.
        unsafe { become_it(real::EXECVPE.get(), file, arguments, path::environment()) }
    }

    /// # Safety
    ///
    /// As for `execle`; the arguments must end with null and the environment.
    pub(crate) unsafe extern "C" fn execle(path: Text, arguments: Texts) -> c_int {
        // SAFETY: as above.
        unsafe {
            let mut end = arguments;
            while !(*end).is_null() {
                end = end.add(1);
            }
            become_it(real::EXECVE.get(), path, arguments, (*end.add(1)).cast())
        }
    }
}

/// Replaces the process by a program. Returns only on failure.
///
/// # Safety
///
/// As for `execve`.
unsafe fn become_it(
    exec: Option<unsafe extern "C" fn(Text, Texts, Texts) -> c_int>,
    program: Text,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    let Some(exec) = exec else { return real::missing() };
    // SAFETY: the program's call has the same requirements.
    unsafe { become_by(program, variables, |variables| exec(program, arguments, variables)) }
}

/// Replaces the process by a program, by a call that receives the environment. Returns only on failure.
///
/// # Safety
///
/// As for `execve`.
unsafe fn become_by(program: Text, variables: Texts, exec: impl FnOnce(Texts) -> c_int) -> c_int {
    let mut environment = Environment::new();
    // SAFETY: the program's call has the same requirements.
    unsafe {
        let start = Start::in_place(program);
        let answer = exec(environment.with(variables, &start));
        start.has_failed();
        answer
    }
}

/// Starts a program, and notes it on success.
///
/// # Safety
///
/// As for `posix_spawn`.
unsafe fn spawn(
    spawn: Option<Spawn>,
    process: *mut libc::pid_t,
    path: Text,
    [actions, attributes]: [*const c_void; 2],
    [arguments, variables]: [Texts; 2],
) -> c_int {
    let Some(spawn) = spawn else { return libc::ENOSYS };
    let (mut environment, mut child, mut start) = (Environment::new(), 0, Start::begin());
    // SAFETY: the program's call has the same requirements.
    unsafe {
        let variables = environment.with(variables, &start);
        let error = spawn(&raw mut child, path, actions, attributes, arguments, variables);
        if error == 0 {
            start.note(child as u32, path);
            if !process.is_null() {
                *process = child;
            }
        } else {
            start.has_failed();
        }
        error
    }
}
