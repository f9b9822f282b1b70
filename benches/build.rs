//! Compiles the C++ peers: the pools of Boost and of the standard library, with their loops. Passes the compiler's name
//! to the program.

use std::{env, process::Command};

fn main() {
    println!("cargo:rerun-if-changed=cpp/peers.cc");
    println!("cargo:rerun-if-changed=cpp/freelist.cc");
    println!("cargo:rerun-if-changed=build.rs");
    let files = ["cpp/peers.cc", "cpp/freelist.cc"];
    cc::Build::new().cpp(true).std("c++17").opt_level(3).warnings(true).files(files).compile("peers");

    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version =
        Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    println!("cargo:rustc-env=COMPILER={}", String::from_utf8_lossy(&version).trim());
}
