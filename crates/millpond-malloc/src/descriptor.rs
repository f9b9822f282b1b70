//! Text for a file descriptor, written without allocation.

use core::fmt::{self, Write};

/// A file to write to, with a buffer: nothing is allocated.
pub(crate) struct Descriptor {
    file: libc::c_int,
    buffer: [u8; 512],
    length: usize,
}

impl Descriptor {
    pub(crate) fn new(file: libc::c_int) -> Self {
        Self { file, buffer: [0; 512], length: 0 }
    }

    /// Writes what is in the buffer.
    pub(crate) fn flush(&mut self) -> fmt::Result {
        let mut rest = &self.buffer[..self.length];
        self.length = 0;
        while !rest.is_empty() {
            // SAFETY: the bytes are initialised.
            let written = unsafe { libc::write(self.file, rest.as_ptr().cast(), rest.len()) };
            match usize::try_from(written) {
                Ok(written) => rest = &rest[written.min(rest.len())..],
                // SAFETY: `__errno_location` returns a valid pointer on every thread.
                Err(_) if unsafe { *libc::__errno_location() } == libc::EINTR => {}
                Err(_) => return Err(fmt::Error),
            }
        }
        Ok(())
    }
}

impl Write for Descriptor {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(self.buffer.len()) {
            if self.length + part.len() > self.buffer.len() {
                self.flush()?;
            }
            self.buffer[self.length..self.length + part.len()].copy_from_slice(part);
            self.length += part.len();
        }
        Ok(())
    }
}
