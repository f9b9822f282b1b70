//! Texts about a process image: its program, its arguments and its mappings.

use core::ffi::CStr;

use millpond_trace::raw::{TEXT_FOLLOWS, TEXTS, UNIT, Window};

use super::Process;
use crate::linux::{
    files, own,
    path::Path,
    reserve,
    sys::{File, read_link},
};

/// The places in [`TEXTS`].
const PROGRAM: usize = 0;
const ARGUMENTS: usize = 1;
const MAPPINGS: usize = 2;
const LAST_MAPPINGS: usize = 3;

/// A text that is being written, to a file or, if there can be none, to units of the reserve.
struct Text {
    image: u32,
    which: usize,
    calls: bool,
    file: Option<File>,
    /// Bytes so far.
    length: usize,
    /// The current unit, and the number of the next one.
    unit: Option<&'static Window>,
    next: u32,
}

/// Max bytes of a text in a unit.
const MOST: usize = UNIT - size_of::<Window>();

impl Process {
    fn text(&self, which: usize, calls: bool) -> Text {
        let image = self.number.load(core::sync::atomic::Ordering::Relaxed);
        let suffix = TEXTS.get(which).copied().unwrap_or_default();
        let create = || {
            let path = Path::live(image, suffix.as_bytes());
            File::open(&path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL).ok()
        };
        let file = if self.may_use_files(calls) { create() } else { None };
        Text { image, which, calls, file, length: 0, unit: None, next: 0 }
    }

    /// Writes down what the process is.
    pub(super) fn describe(&self, calls: bool) {
        let mut program = self.text(PROGRAM, calls);
        if calls {
            let mut bytes = [0_u8; 4096];
            let count = read_link(&Path::fixed(c"/proc/self/exe"), &mut bytes);
            program.write(bytes.get(..count).unwrap_or_default());
        }
        if program.length == 0 {
            program.write(own::executable());
        }
        let mut arguments = self.text(ARGUMENTS, calls);
        if !arguments.copy(c"/proc/self/cmdline") {
            own::arguments(|argument| arguments.write(argument));
        }
        self.list_modules(MAPPINGS, calls);
    }

    /// Writes down which modules there are at the end.
    pub(super) fn describe_end(&self, calls: bool) {
        self.list_modules(LAST_MAPPINGS, calls);
    }

    fn list_modules(&self, which: usize, calls: bool) {
        let mut text = self.text(which, calls);
        if !text.copy(c"/proc/self/maps") {
            own::modules(|line| text.write(line));
        }
    }
}

impl Text {
    /// Copies a file; returns whether there is anything in it that can be read.
    fn copy(&mut self, from: &CStr) -> bool {
        if self.calls {
            files::read(from, |bytes| self.write(bytes));
        }
        self.length > 0
    }

    /// Appends bytes, best effort: what cannot be written is missing in the report.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(file) = &self.file {
            // SAFETY: the slice has that many bytes.
            if unsafe { file.write(bytes.as_ptr(), bytes.len(), self.length as u64) }.is_ok() {
                self.length += bytes.len();
                return;
            }
            self.file = None;
        }
        let mut rest = bytes;
        while !rest.is_empty()
            && let Some((unit, used)) = self.unit_with_room()
        {
            let (now, later) = rest.split_at(rest.len().min(MOST - used));
            // SAFETY: the unit has room for that many bytes behind those that are used, and belongs to this text alone.
            unsafe {
                let place = (&raw const *unit).cast_mut().add(1).cast::<u8>().add(used);
                place.copy_from_nonoverlapping(now.as_ptr(), now.len());
            }
            unit.used.store((used + now.len()) as u32, core::sync::atomic::Ordering::Release);
            self.length += now.len();
            rest = later;
        }
    }

    /// Returns a unit with room, and the number of bytes in it.
    fn unit_with_room(&mut self) -> Option<(&'static Window, usize)> {
        use core::sync::atomic::Ordering::{Relaxed, Release};
        if let Some(unit) = self.unit {
            let used = unit.used.load(Relaxed) as usize;
            if used < MOST {
                return Some((unit, used));
            }
        }
        let unit = reserve::take(self.image, self.calls).ok()?;
        // SAFETY: the unit is never unmapped, and its head consists of atomics.
        let unit = unsafe { &*unit };
        unit.stream.store(self.which as u32, Relaxed);
        unit.sequence.store(self.next, Relaxed);
        unit.valid.store(TEXT_FOLLOWS, Release);
        (self.unit, self.next) = (Some(unit), self.next + 1);
        Some((unit, 0))
    }
}
