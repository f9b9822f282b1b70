//! Stacks of real code, compared frame by frame with what the compiler's own library for exceptions finds.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod code;
mod modules;
mod signals;
mod stacks;
mod support;
