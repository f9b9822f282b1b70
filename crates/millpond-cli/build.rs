//! Builds the recorder, a shared library, so that the program `millpond` can carry it within itself.
//!
//! Cargo cannot embed one package's shared library in another package. So the recorder's package is built once more,
//! by a cargo of its own with a target directory of its own, whatever the profile and flags of the build around it.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

fn main() {
    // The recorder's sources are watched by cargo itself: its package is a dependency of this script.
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(recorder)");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let known = ["x86_64", "aarch64"].contains(&variable("CARGO_CFG_TARGET_ARCH").as_str());
    if known && variable("CARGO_CFG_TARGET_OS") == "linux" && variable("CARGO_CFG_TARGET_ENV") == "gnu" {
        let library = build(&PathBuf::from(variable("OUT_DIR")).join("recorder"), &variable("TARGET"));
        println!("cargo::rustc-cfg=recorder");
        println!("cargo::rustc-env=MILLPOND_RECORDER={}", library.display());
    }
}

/// Builds the recorder and says where it is.
fn build(directory: &Path, target: &str) -> PathBuf {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets CARGO"));
    cargo.args(["rustc", "--quiet", "--release", "--lib", "--crate-type", "cdylib", "--target", target]);
    cargo.arg("--manifest-path").arg(Path::new(millpond_record::SOURCES).join("Cargo.toml"));
    cargo.arg("--target-dir").arg(directory);
    cargo.args(["--", "--cfg", "millpond_preload"]);
    // What is meant for the build around this one: sanitizers, coverage, clippy, unusual profiles.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let wrapper = ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"];
        let prefixes = ["CARGO_PROFILE_", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_RUSTC_W", "CARGO_UNSTABLE_"];
        if wrapper.contains(&&*name) || prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(&*name);
        }
    }
    for (setting, value) in
        [("LTO", "fat"), ("CODEGEN_UNITS", "1"), ("PANIC", "abort"), ("STRIP", "symbols"), ("DEBUG", "false")]
    {
        cargo.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    let status = cargo.status().expect("cargo can be run");
    assert!(status.success(), "the recorder could not be built: {cargo:?}");
    directory.join(target).join("release/libmillpond_record.so")
}
