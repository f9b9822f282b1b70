//! What happens when the program misuses the heap: one line on standard error, then the end.

use core::fmt::{self, Write as _};

use crate::descriptor::Descriptor;

/// What was wrong with a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The block is free already.
    DoubleFree,
    /// The pointer does not point to the start of a block, but into it.
    Interior,
    /// No block is there: it is a large one that was freed, or none was ever allocated there.
    NoBlock,
}

/// Writes a line to standard error. If that cannot be written to, the line is lost.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    let mut error = Descriptor::new(2);
    let _ = writeln!(error, "millpond-malloc: {text}").and_then(|()| error.flush());
}

/// Reports a misuse and ends the program.
#[cold]
pub(crate) fn end_program(call: &str, block: *const u8, kind: Kind, size: usize) -> ! {
    let address = block as usize;
    match kind {
        Kind::DoubleFree => {
            print(format_args!("double free: {call}({address:#x}), a block of {size} bytes that is free"))
        }
        Kind::Interior => {
            print(format_args!("invalid free: {call}({address:#x}), inside a block of {size} bytes"))
        }
        Kind::NoBlock => {
            print(format_args!("invalid free: {call}({address:#x}), where no block is allocated"))
        }
    }
    // SAFETY: `abort` is always safe to call.
    unsafe { libc::abort() }
}
