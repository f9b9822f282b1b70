//! The recorder on Linux, on x86-64 and aarch64.
//!
//! From top to bottom, each file using those below it:
//!
//! * `entry` – the functions of the malloc family that the program calls: they add the caller's address and call `hooks`.
//! * `operators` – `operator new` and `operator delete` of C++.
//! * `hooks` – call the real function, and log the event. `free` is logged before the call, everything else after it,
//!   so that in time order no block is handed out again before it was freed.
//! * `programs` – the functions by which a program becomes or starts others; `notes` – notes these programs; `exec` – restores
//!   the recorder's environment variables if they were removed; `confine` – the functions by which a process enters a
//!   sandbox, where a system call could kill it.
//! * `log` – writes events: a few loads and stores on the fast path; the slow path finds or makes room.
//! * `recording` – whether this process is recorded, and the beginning and end of that; `watch` – the end of threads.
//! * `stacks` – the stack of a call, by `millpond_unwind`; its `memory` is that of processes and threads below it.
//! * `unload` – notices when libraries are unloaded. `usable` – the usable sizes of blocks, on request. `module` – the
//!   library in which a function lies.
//! * `process` – what a process owns: its files and streams; a child of `fork` begins anew; `reserve` – where its streams
//!   continue when it cannot use files any more.
//! * `inherit` – what programs need that are started by a process in a sandbox, without rights or in another root
//!   directory; `own` – what a process knows about itself; `wipe` – memory that is zeroed in children without the system.
//! * `sandbox` – whether system calls can be made; `thread` – the state of a thread; `real` – the functions behind the
//!   hooks; `files`, `sys`, `path`, `clock` – the operating system; `control` – the page that all processes share.

mod clock;
pub mod confine;
mod control;
pub mod entry;
mod exec;
mod files;
mod hooks;
mod inherit;
mod log;
mod module;
mod notes;
pub mod operators;
mod own;
mod path;
mod process;
pub mod programs;
mod real;
mod recording;
mod reserve;
mod sandbox;
mod stacks;
mod sys;
mod thread;
#[cfg(target_arch = "x86_64")]
pub mod unload;
mod usable;
mod watch;
mod wipe;

pub use clock::ticks;
