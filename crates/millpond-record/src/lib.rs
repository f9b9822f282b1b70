//! The recorder: a shared library that `LD_PRELOAD` loads into a program, where it logs every call of the malloc
//! family.
//!
//! It runs in another program's process, often before `main` and in signal handlers, so it follows strict rules: it
//! uses neither the standard library nor an allocator, never panics, prints nothing, preserves `errno`, keeps no file
//! descriptors open, and on any failure stops recording instead of disturbing the program.
//!
//! From top to bottom, each file using those below it:
//!
//! * `entry` – the functions that the program calls: they add the caller's address and call `hooks`.
//! * `hooks` – call the real function, and log the event. `free` is logged before the call, everything else after it,
//!   so that in time order no block is handed out again before it was freed.
//! * `exec` – notes the programs that a process becomes or starts, and restores the recorder's environment variables if
//!   they were removed; `confine` – avoids system calls where one could kill the program.
//! * `log` – writes events: a few loads and stores on the fast path; the slow path finds or makes room.
//! * `recording` – whether this process is recorded, and the beginning and end of that; `watch` – the end of threads.
//! * `process` – what a process owns: its files and streams; a child of `fork` begins anew.
//! * `stream` – a sequence of records in a window of memory that outlives the process.
//! * `sandbox` – whether system calls can be made; `thread` – the state of a thread; `real` – the functions behind the
//!   hooks; `files`, `sys`, `path`, `clock` – the operating system.
//!
//! The layout of its output is in `millpond_trace::raw`. **Built as an ordinary library it hooks nothing**: only with
//! `--cfg millpond_preload` do the functions of `entry` have the names `malloc`, `free` and so on. The build script of
//! `millpond-cli` does that, and embeds the result in the program `millpond`. It requires Linux on x86-64 or aarch64,
//! because of assembly in `entry`, `thread` and `clock`; on other systems, this library is empty.
#![no_std]
#![expect(unexpected_cfgs, reason = "`millpond_preload` is known to one build script only")]

#[cfg(test)]
extern crate std;

/// The path of this package's sources, for the build script that builds the shared library.
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

/// Ends the program. Required by the compiler, but never called: nothing in this library panics.
#[cfg(all(millpond_preload, not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `abort` is always safe to call.
    unsafe { libc::abort() }
}
