//! Names of functions in real programs, made by the compilers of this machine.

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

mod cache;
mod debuginfod;
mod hostile;
mod places;
mod programs;
mod support;
