//! Programs in C and C++, compiled and run against Millpond as `cargo xtask install` installs it.
//!
//! They take gcc; what takes more says so, and is left out where it is missing.
#![cfg(target_os = "linux")]

mod build;
mod compat;
mod cplusplus;
mod install;
mod packages;
mod programs;
mod tools;
