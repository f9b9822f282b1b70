//! The recorder: a shared library that `LD_PRELOAD` loads into a program, where it logs every call of the malloc
//! family.
//!
//! It runs in another program's process, often before `main` and in signal handlers, so it follows strict rules: it
//! uses neither the standard library nor an allocator, never panics, prints nothing, preserves `errno`, keeps no file
//! descriptors open (except high ones, before the program enters a sandbox or the like), and on any failure stops recording
//! instead of disturbing the program.
//!
//! The layout of its output, and the code that writes it, are in `millpond_trace::raw`.
//!
//! **Built as an ordinary library it hooks nothing**: only with `--cfg millpond_preload` do the functions of `entry`,
//! `operators`, `programs`, `confine` and `unload` have the names `malloc`, `execve`, `prctl` and so on. The build script
//! of `millpond-cli` does that, and embeds the result in the program `millpond`. It requires Linux on x86-64 or aarch64,
//! because of assembly in `entry`, `operators`, `programs`, `thread`, `sys` and `clock`; on other systems, this library is
//! empty.
#![no_std]
#![expect(unexpected_cfgs, reason = "`millpond_preload` is known to one build script only")]

#[cfg(test)]
extern crate std;

/// The path of this package's sources, for the build script that builds the shared library.
pub const SOURCES: &str = env!("CARGO_MANIFEST_DIR");

/// The C header by which a program names points in time.
pub const MARK_HEADER: &str = include_str!("../include/millpond_mark.h");

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod linux;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub use linux::{confine, entry, operators, programs, ticks};

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use linux::unload;

/// Ends the program. Required by the compiler, but never called: nothing in this library panics.
#[cfg(all(millpond_preload, not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: `abort` is always safe to call.
    unsafe { libc::abort() }
}
