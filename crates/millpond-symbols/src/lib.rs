//! Names of functions, files and lines for addresses of a program that ran earlier, perhaps on another machine.
//!
//! A recording has addresses and, for each module that was mapped, a path, a build id, and where it was mapped
//! ([`Module`]). A [`Symbolizer`] finds the files with that build id and returns the frames of each address, inlined
//! calls included:
//!
//! ```no_run
//! use millpond_symbols::{Module, Options, Symbolizer, build_id};
//!
//! # fn main() -> std::io::Result<()> {
//! let path = "/usr/bin/jq";
//! let module = Module {
//!     path: path.into(),
//!     build_id: build_id(path.as_ref())?,
//!     start: 0x5555_5555_5000,
//!     end: 0x5555_5556_0000,
//!     offset: 0x1000,
//! };
//! let symbols = Symbolizer::new(Options::default()).resolve(&module, &[0x5555_5555_5123]);
//! for frame in symbols.frames(0x5555_5555_5123) {
//!     println!("{} ({}:{})", frame.function, frame.file, frame.line);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! An address is looked up as it is. A return address belongs to the instruction after the call, which may be in another
//! function: look up the address before it.
//!
//! # Where debug information is looked for
//!
//! 1. In the module's file itself.
//! 2. At `/usr/lib/debug/.build-id/xx/yyyy.debug`.
//! 3. In the file that `.gnu_debuglink` of the module's file names.
//! 4. In each of [`Options::debug_dirs`]: by build id, by path, and by name.
//! 5. On debuginfod servers, if [`Options::debuginfod`] is set.
//!
//! A file counts only if its build id is the recorded one; one without a recorded build id counts unverified. Where no
//! file has debug information, functions are named by symbol tables: `.symtab`, `.dynsym`, and the table in
//! `.gnu_debugdata`. DWARF in separate `.dwo` files is not read; functions are then named by symbol tables too.
//!
//! # Hostile files
//!
//! No file makes this crate panic: lengths in a file are compared with the file, decompressed data are limited, and a
//! panic in one of the libraries below it costs the names of the module.
//! This relies on unwinding, so it does not hold in programs built with `panic = "abort"`.
//!
//! Licence: MIT or Apache-2.0.

#![forbid(unsafe_code)]

mod build_id;
mod cache;
mod debuginfod;
mod demangle;
mod dwarf;
mod elf;
mod guard;
mod locate;
mod module;
mod options;
mod symbol_table;
mod symbolizer;
mod table;

pub use self::{
    build_id::BuildId,
    debuginfod::Debuginfod,
    demangle::demangle,
    elf::build_id,
    module::Module,
    options::Options,
    symbolizer::{Origin, Symbolizer, Symbols},
    table::{Frame, Frames},
};
