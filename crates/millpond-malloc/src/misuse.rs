//! What happens when the program misuses the heap: one line on standard error, then the end.

use core::fmt::{self, Write as _};

use crate::{descriptor::Descriptor, record::Family};

/// What was wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The block is free already.
    DoubleFree,
    /// The pointer does not point to the start of a block, but into it.
    Interior,
    /// No block is there: it is a large one that was freed, or none was ever allocated there.
    NoBlock,
    /// The pointer does not point into the heap.
    Foreign,
    /// The block was allocated by functions of this family, which the call does not belong to.
    WrongFamily(Family),
    /// The program says that the block has this size.
    WrongSize(usize),
    /// Bytes behind the block were written to.
    Overflow,
    /// Bytes in front of the block were written to.
    Underflow,
    /// The block was written to after it was freed, and before it was handed out again.
    WriteAfterFree,
    /// An access to this number of bytes from the pointer on leaves the block.
    OutOfBounds(usize),
}

/// Writes a line to standard error. If that cannot be written to, the line is lost.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    let mut error = Descriptor::new(2);
    let _ = writeln!(error, "millpond-malloc: {text}").and_then(|()| error.flush());
}

/// Calls that free blocks.
const FREEING: [&str; 6] =
    ["free", "realloc", "free_sized", "dealloc", "operator delete", "operator delete[]"];

/// Reports a misuse and ends the program.
#[cold]
pub(crate) fn end_program(call: &str, block: *const u8, kind: Kind, size: usize) -> ! {
    let at = Call { call, address: block as usize };
    let frees = FREEING.contains(&call);
    match kind {
        Kind::DoubleFree | Kind::Interior | Kind::NoBlock if !frees => {
            print(format_args!("invalid pointer: {at}, where no live block begins"));
        }
        Kind::DoubleFree => print(format_args!("double free: {at}, a block of {size} bytes that is free")),
        Kind::Interior => print(format_args!("invalid free: {at}, inside a block of {size} bytes")),
        Kind::NoBlock => print(format_args!("invalid free: {at}, where no block is allocated")),
        Kind::Foreign => {
            let what = if frees { "free" } else { "pointer" };
            print(format_args!("invalid {what}: {at}, outside of the heap"));
        }
        Kind::WrongFamily(family) => {
            let function = match family {
                Family::Malloc => "malloc",
                Family::New => "operator new",
                Family::NewArray => "operator new[]",
            };
            print(format_args!("wrong function: {at}, a block of {size} bytes of {function}"));
        }
        Kind::WrongSize(given) => {
            print(format_args!("wrong size: {at} with size {given}, a block of {size} bytes"))
        }
        Kind::Overflow => {
            print(format_args!("overflow: {at}, a block of {size} bytes, was written to behind its end"))
        }
        Kind::Underflow => print(format_args!(
            "underflow: {at}, a block of {size} bytes, was written to in front of its start"
        )),
        Kind::WriteAfterFree => print(format_args!(
            "write after free: {at}, a block of {size} bytes that was free when it was written to"
        )),
        Kind::OutOfBounds(length) => {
            print(format_args!("out of bounds: {at} with {length} bytes, of which the block has {size}"))
        }
    }
    // SAFETY: `abort` is always safe to call.
    unsafe { libc::abort() }
}

/// A call of the program, as text.
struct Call<'a> {
    call: &'a str,
    address: usize,
}

impl fmt::Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:#x})", self.call, self.address)
    }
}
