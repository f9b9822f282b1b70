//! Notes the programs that a process becomes or starts, so that a program that was not recorded is noticed afterwards.

use core::{ffi::CStr, mem::offset_of, sync::atomic::Ordering::Relaxed};

use millpond_trace::raw::{Exec, LOST_CHILD};

use super::{
    clock,
    control::control,
    inherit,
    path::Path,
    process::Process,
    real::Text,
    recording,
    sys::{self, File, Quiet},
};

/// The start of a program, by this process or in its place.
pub(crate) struct Start {
    /// The time before it.
    at: u64,
    /// The process, as far as it is known before the start; otherwise 0.
    process: u32,
    note: Note,
}

/// What is noted about the start of a program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Note {
    /// Nothing: there is no recording.
    Nothing,
    /// It is noted when the process is known.
    Later,
    /// The number of the note.
    Written(u32),
    /// Notes cannot be written, so it is counted. The program takes itself out of the count when it records.
    Counted,
}

impl Start {
    /// Begins to start a program.
    pub(crate) fn begin() -> Self {
        if !recording::is_joined() {
            return Self { at: 0, process: 0, note: Note::Nothing };
        }
        let at = clock::now();
        let quiet = Quiet::begin();
        let can_note = quiet.may_call() && file_of_notes().is_ok();
        drop(quiet);
        if inherit::is_needed() {
            inherit::look_for_library();
        }
        if can_note {
            return Self { at, process: 0, note: Note::Later };
        }
        control().missing.fetch_add(1, Relaxed);
        Self { at, process: 0, note: Note::Counted }
    }

    /// Begins to replace this process by a program.
    ///
    /// # Safety
    ///
    /// The path must be a C string.
    pub(crate) unsafe fn in_place(program: Text) -> Self {
        let mut start = Self::begin();
        if start.note != Note::Nothing {
            let quiet = Quiet::begin();
            start.process = if quiet.may_call() {
                sys::process_numbers().0
            } else {
                recording::process().map_or(0, Process::identifier)
            };
            drop(quiet);
            // SAFETY: the caller guarantees a C string.
            unsafe { start.note(start.process, program) };
        }
        start
    }

    /// Returns the process in which the program will run; 0: not known.
    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    /// Returns whether the program was counted, because it could not be noted.
    pub(crate) fn is_counted(&self) -> bool {
        self.note == Note::Counted
    }

    /// Notes which process starts which program.
    ///
    /// # Safety
    ///
    /// The path must be a C string.
    pub(crate) unsafe fn note(&mut self, process: u32, program: Text) {
        match self.note {
            // SAFETY: the caller guarantees a C string.
            Note::Later => self.note = unsafe { write_note(self.at, process, program) },
            Note::Counted if process != 0 && process < LOST_CHILD => set_unwritten(self.at, process),
            _ => {}
        }
    }

    /// Takes back what was noted, because the program was not started.
    pub(crate) fn has_failed(self) {
        match self.note {
            Note::Counted => {
                control().missing.fetch_sub(1, Relaxed);
                control().unwritten.store(0, Relaxed);
            }
            Note::Written(number) => {
                let failed = 1_u32;
                let place = offset(number) + offset_of!(Exec, failed) as u64;
                let quiet = Quiet::begin();
                // SAFETY: the buffer has that many bytes.
                let written = quiet.may_call()
                    && unsafe { write((&raw const failed).cast(), size_of::<u32>(), place) }.is_ok();
                drop(quiet);
                if !written {
                    control().unwritten.store(0, Relaxed);
                }
            }
            Note::Nothing | Note::Later => {}
        }
    }
}

/// Notes the last process of which there is no other note.
fn set_unwritten(at: u64, process: u32) {
    control().unwritten_ticks.store(at, Relaxed);
    control().unwritten.store(process, Relaxed);
}

/// Writes a note about a process that is about to run a program, or does so already.
///
/// # Safety
///
/// The path must be null or a C string.
unsafe fn write_note(at: u64, process: u32, program: Text) -> Note {
    if program.is_null() {
        return Note::Nothing;
    }
    let quiet = Quiet::begin();
    let mut exec = Exec { ticks: at, process, failed: 0, path: [0; 496] };
    // SAFETY: the caller guarantees that `program` is a C string.
    let name = unsafe { CStr::from_ptr(program) }.to_bytes();
    for (place, byte) in exec.path.iter_mut().zip(name) {
        *place = *byte;
    }
    let number = control().execs.fetch_add(1, Relaxed);
    // SAFETY: the buffer has that many bytes.
    let written = quiet.may_call()
        && unsafe { write((&raw const exec).cast(), size_of::<Exec>(), offset(number)) }.is_ok();
    drop(quiet);
    if !written {
        // If there are several such processes, the last one is kept. The place in the file stays empty.
        set_unwritten(at, process);
    }
    Note::Written(number)
}

/// Returns the offset of a note in the file.
fn offset(number: u32) -> u64 {
    u64::from(number) * size_of::<Exec>() as u64
}

/// Writes a part of the file of notes.
///
/// # Safety
///
/// `from` must point to `length` bytes.
unsafe fn write(from: *const u8, length: usize, place: u64) -> Result<(), u32> {
    // SAFETY: the caller guarantees that `from` points to `length` bytes.
    unsafe { file_of_notes()?.write(from, length, place) }
}

/// Opens the file of notes.
fn file_of_notes() -> Result<File, u32> {
    File::open(&Path::execs(), libc::O_WRONLY | libc::O_CREAT)
}
