//! Millpond for C: every source, pool, shell and guard of the library behind a stable binary interface.
//!
//! The interface is documented in `include/millpond.h`. A build script turns the header into assertions, so that a test
//! build of this crate compiles only if both sides agree in every signature, structure and constant.
//!
//! C sees an allocator as a pointer to a structure that begins with a table of functions ([`mp_allocator`]). `exported`
//! makes such a table from any of the library's allocators; `parent` makes one of the library's allocators from any
//! such table. So pools and guards are instances of few types, each on a parent that is known only at run time. The
//! fast entry points (`mp_blocks_alloc`) call the pool type that is used most without going through the table.
//!
//! No function unwinds: a panic aborts the program at the `extern "C"` boundary.

#![allow(non_camel_case_types, reason = "types are called as in C")]

mod abi;
mod array;
mod blocks;
mod error;
mod exported;
mod fork;
mod general;
mod guards;
mod many;
mod map;
mod misuse;
mod observe;
mod options;
mod out_of_memory;
mod outsize;
mod parent;
mod pools;
mod remote_free;
mod render;
mod request;
mod shells;
mod sources;
mod stats;
mod versioned_struct;

pub use abi::*;
pub use blocks::*;
pub use error::*;
pub use fork::*;
pub use general::*;
pub use guards::*;
pub use many::*;
pub use map::*;
pub use observe::*;
pub use options::*;
pub use pools::*;
pub use remote_free::*;
pub use sources::*;

#[cfg(test)]
mod header {
    //! Assertions generated from the header by the build script.
    #![allow(
        unused_imports,
        clippy::unnecessary_cast,
        clippy::wildcard_imports,
        reason = "the header names what it needs"
    )]
    use crate::*;
    include!(concat!(env!("OUT_DIR"), "/header.rs"));
}
