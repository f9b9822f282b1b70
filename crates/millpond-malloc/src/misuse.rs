//! What happens when the program misuses the heap: one line on standard error, then the end.

use core::fmt::{self, Write as _};

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

/// A line of limited length, built without allocation.
struct Line {
    bytes: [u8; 160],
    length: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.bytes[self.length..];
        let count = text.len().min(room.len());
        room[..count].copy_from_slice(&text.as_bytes()[..count]);
        self.length += count;
        Ok(())
    }
}

/// Writes a line to standard error. If that cannot be written to, the line is lost.
pub(crate) fn print(text: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; 160], length: 0 };
    // Never fails: what does not fit is cut off.
    let _ = writeln!(line, "millpond-malloc: {text}");
    // SAFETY: the bytes are initialised.
    unsafe { libc::write(2, line.bytes.as_ptr().cast(), line.length) };
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
