//! The recorder: a shared library that `LD_PRELOAD` puts into a program, where it logs every call of the malloc family.
//!
//! It lives in somebody else's process, often before `main` and in signal handlers, so it keeps to strict manners: it
//! has no standard library and no allocator, never panics, prints nothing, leaves `errno` and file descriptors alone,
//! and stops recording, rather than disturbing the program, when anything fails.
//!
//! From top to bottom, each file using those below it:
//!
//! * `entry` – the functions that the program calls: they add the caller's address and go on to `hooks`.
//! * `hooks` – call the real function, and log what happened. `free` is logged before it is done, everything else
//!   after, so that by time a block is never handed out again before it was freed.
//! * `exec` – programs that a process becomes or starts are noted, and get the recorder's variables back if something
//!   took them away; `confine` – no system call is made where one could kill the
//!   program.
//! * `log` – the way of an event: a few loads and stores on the fast path; the slow path finds or makes room.
//! * `recording` – whether there is one, and its beginning and end in this process; `watch` – the end of threads.
//! * `process` – what a process owns: its files, its lanes, and that a `fork` begins anew.
//! * `stream` – a sequence of records in a window of memory that outlives the process.
//! * `sandbox` – whether system calls can be made; `thread` – one thread's state; `real` – the functions behind the hooks; `files`, `sys`, `path`,
//!   `clock` – the operating system.
//!
//! The layout of what it writes is in `millpond_trace::raw`. **Built as an ordinary library it hooks nothing**: only
//! with `--cfg millpond_preload` do the functions of `entry` carry the names `malloc`, `free` and so on. The build
//! script of `millpond-cli` does that, and embeds the result in the program `millpond`. It needs Linux on x86-64 or
//! aarch64, for three pieces of assembly in `entry`, `thread` and `clock`; elsewhere this library is empty.
#![no_std]
#![expect(unexpected_cfgs, reason = "`millpond_preload` is known to one build script only")]

#[cfg(test)]
extern crate std;

/// Where this package's sources are, for the build script that makes the shared library.
pub const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

macro_rules! where_it_works {
    ($($item:item)*) => {
        $(#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))] $item)*
    };
}

where_it_works! {
    mod clock;
    mod confine;
    pub mod entry;
    mod exec;
    mod files;
    mod hooks;
    mod stream;
    mod log;
    mod path;
    mod process;
    mod real;
    mod recording;
    mod sandbox;
    mod sys;
    mod thread;
    mod watch;

    pub use clock::ticks;
}

/// Never called: nothing in this library panics. The compiler wants one all the same.
#[cfg(all(millpond_preload, not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `abort` may be called anywhere.
    unsafe { libc::abort() }
}
