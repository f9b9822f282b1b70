//! Programs in C and C++, compiled and run against Millpond as `cargo xtask install` installs it.
//!
//! They require gcc; tests that require other tools are skipped, with a message, if these are missing.
#![cfg(target_os = "linux")]

mod build;
mod compat;
mod cplusplus;
mod install;
mod packages;
mod programs;
mod tools;
