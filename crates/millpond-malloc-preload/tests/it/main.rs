//! The library, preloaded into programs in C and into real programs.

#![cfg(all(target_os = "linux", target_arch = "x86_64", target_env = "gnu"))]

mod attacks;
mod conformance;
mod limits;
mod loading;
mod misuse;
mod preload;
mod programs;
mod statistics;
