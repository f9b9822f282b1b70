//! Compiles the C++ peers: the pools of Boost and of the standard library, with their loops.

fn main() {
    println!("cargo:rerun-if-changed=cpp/peers.cc");
    println!("cargo:rerun-if-changed=cpp/freelist.cc");
    println!("cargo:rerun-if-changed=build.rs");
    let files = ["cpp/peers.cc", "cpp/freelist.cc"];
    cc::Build::new().cpp(true).std("c++17").opt_level(3).warnings(true).files(files).compile("peers");
}
