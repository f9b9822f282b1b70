//! Notes the programs that a process becomes or starts, so that a program that was not recorded is noticed afterwards,
//! and restores the recorder's environment variables if they were removed.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
    mem::offset_of,
    ptr::null,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{DIRECTORY, Exec, LOST_CHILD, SOME_CHILD};

use super::{
    clock,
    control::control,
    path::{self, Path},
    real::{Text, Texts},
    recording,
    sys::{self, File, Quiet},
};

/// The environment variable that the dynamic linker reads.
const PRELOAD: &str = "LD_PRELOAD";

/// Max variables in an environment to which variables are added: the array for them is on the stack.
const MOST: usize = 1022;
/// Max bytes in an entry that is kept.
const LONGEST: usize = 2048;

/// The entries of the two variables, each terminated by a zero byte; empty if there was none, or if it was too long.
struct Entries(UnsafeCell<[[u8; LONGEST]; 2]>);

// SAFETY: written once, by `remember`, before any program is started.
unsafe impl Sync for Entries {}

static ENTRIES: Entries = Entries(UnsafeCell::new([[0; LONGEST]; 2]));
/// Whether the entries have been written.
static KNOWN: AtomicU32 = AtomicU32::new(0);

/// Saves the current variables, because the program may overwrite its environment.
///
/// # Safety
///
/// Must be called at most once.
pub(crate) unsafe fn remember() {
    // SAFETY: this is called once, so nothing else accesses the entries; the environment is an array of C strings.
    unsafe {
        for (name, place) in [DIRECTORY, PRELOAD].iter().zip((*ENTRIES.0.get()).iter_mut()) {
            let Some(entry) = path::variable(path::environment(), name) else { continue };
            let bytes = CStr::from_ptr(entry).to_bytes_with_nul();
            if let Some(place) = place.get_mut(..bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }
    KNOWN.store(1, Release);
}

/// Space for an environment with the two variables.
pub(crate) struct Environment([*const c_char; MOST + 3]);

impl Environment {
    pub(crate) const fn new() -> Self {
        Self([null(); MOST + 3])
    }

    /// Returns the given environment with the missing variables added.
    ///
    /// # Safety
    ///
    /// `given` must be null or a null-terminated array of C strings.
    pub(crate) unsafe fn with(&mut self, given: Texts) -> Texts {
        if KNOWN.load(Acquire) == 0 || !recording::is_joined() {
            return given;
        }
        let mut count = 0;
        // SAFETY: the caller guarantees a null-terminated array or null; the entries are not written any more.
        unsafe {
            while !given.is_null() && !(*given.add(count)).is_null() {
                let Some(place) = self.0.get_mut(count).filter(|_| count < MOST) else { return given };
                *place = *given.add(count);
                count += 1;
            }
            let before = count;
            for (name, entry) in entries() {
                if !entry.is_empty()
                    && path::variable(given, name).is_none()
                    && let Some(place) = self.0.get_mut(count)
                {
                    *place = entry.as_ptr();
                    count += 1;
                }
            }
            if let Some(end) = self.0.get_mut(count) {
                *end = null();
            }
            if count == before { given } else { self.0.as_ptr() }
        }
    }
}

/// Returns the two variables and their entries.
///
/// # Safety
///
/// The entries must be known.
unsafe fn entries() -> impl Iterator<Item = (&'static str, &'static CStr)> {
    // SAFETY: the caller guarantees that the entries are known, so they are not written any more, and each ends with a
    // zero byte.
    unsafe {
        let texts = (*ENTRIES.0.get()).iter().map(|entry| CStr::from_ptr(entry.as_ptr().cast()));
        [DIRECTORY, PRELOAD].into_iter().zip(texts)
    }
}

/// Returns whether a program with this environment loads the recorder, if it can: both variables still contain their
/// saved values.
///
/// # Safety
///
/// As for [`Environment::with`]; the entries must be known.
unsafe fn is_complete(environment: Texts) -> bool {
    // SAFETY: the caller guarantees that the environment is null or an array of C strings, and that entries are known.
    let holds = |(name, entry): (&str, &CStr)| unsafe {
        let ours = entry.to_bytes().get(name.len() + 1..).unwrap_or_default();
        let holds = |given| CStr::from_ptr(given).to_bytes().windows(ours.len()).any(|part| part == ours);
        path::variable(environment, name).is_some_and(|given| ours.is_empty() || holds(given))
    };
    // SAFETY: the caller guarantees that the entries are known.
    unsafe { entries() }.all(holds)
}

/// The environment of shells that the C library starts. It is never moved, because other threads may read it.
struct ForShells(UnsafeCell<Environment>);

// SAFETY: only the thread that has set `SHELLS` writes to it.
unsafe impl Sync for ForShells {}

static FOR_SHELLS: ForShells = ForShells(UnsafeCell::new(Environment::new()));
/// Whether a thread uses the environment for shells.
static SHELLS: AtomicBool = AtomicBool::new(false);

/// Calls a function of the C library that starts a shell with the environment of this process, to which the two
/// variables are added during the call. `has_started` returns whether a shell was started.
///
/// # Safety
///
/// As for the call.
pub(crate) unsafe fn shell<T: Copy>(call: impl FnOnce() -> T, has_started: impl FnOnce(T) -> bool) -> T {
    if KNOWN.load(Acquire) == 0 || !recording::is_joined() {
        return call();
    }
    let (at, given) = (now(), path::environment());
    // SAFETY: the C library keeps the environment null or a null-terminated array of C strings; this thread alone may
    // write to `ForShells` until it resets `SHELLS`.
    unsafe {
        let may_change = !is_complete(given) && !SHELLS.swap(true, Acquire);
        let ours = if may_change { (*FOR_SHELLS.0.get()).with(given) } else { given };
        path::set_environment(ours);
        let child = if is_complete(ours) { SOME_CHILD } else { LOST_CHILD };
        let note = note(at, Some(child), c"/bin/sh".as_ptr());
        let answer = call();
        if !has_started(answer) {
            take_back(note);
        }
        if ours != given && path::environment() == ours {
            put_back(ours, given);
            path::set_environment(given);
        }
        if may_change {
            SHELLS.store(false, Release);
        }
        answer
    }
}

/// Copies changes by other threads to the previous environment. They can only have replaced or removed entries, because
/// adding one would have moved the environment.
///
/// # Safety
///
/// `ours` must be the result of [`Environment::with`] for `given`, which must be null or a writable null-terminated
/// array.
unsafe fn put_back(ours: Texts, given: Texts) {
    let mut place = given.cast_mut();
    // SAFETY: the caller guarantees that `ours` was made from `given`, a writable null-terminated array.
    unsafe {
        let mut entry = ours;
        while !given.is_null() && !(*place).is_null() {
            let own = |entry: Text| entries().any(|(_, own)| own.as_ptr() == entry);
            while own(*entry) {
                entry = entry.add(1);
            }
            if *place != *entry {
                *place = *entry;
            }
            if (*entry).is_null() {
                return;
            }
            (place, entry) = (place.add(1), entry.add(1));
        }
    }
}

/// Notes that a process is about to run this program. Returns the number of the note, for [`take_back`].
///
/// # Safety
///
/// The path must be a C string.
pub(crate) unsafe fn note(at: u64, process: Option<u32>, program: Text) -> Option<u32> {
    if !recording::is_joined() || program.is_null() {
        return None;
    }
    let quiet = Quiet::begin();
    if !quiet.may_call() {
        return None;
    }
    let process = process.unwrap_or_else(|| sys::process_numbers().0);
    let mut exec = Exec { ticks: at, process, failed: 0, path: [0; 496] };
    // SAFETY: the caller guarantees that `program` is a C string.
    let name = unsafe { CStr::from_ptr(program) }.to_bytes();
    for (place, byte) in exec.path.iter_mut().zip(name) {
        *place = *byte;
    }
    let number = control().execs.fetch_add(1, Relaxed);
    // SAFETY: the buffer has that many bytes.
    let written = unsafe { write((&raw const exec).cast(), size_of::<Exec>(), offset(number)) };
    if written.is_err() {
        // If there are several such processes, the last one is kept. The place in the file stays empty.
        control().unwritten_ticks.store(at, Relaxed);
        control().unwritten.store(process, Relaxed);
    }
    drop(quiet);
    Some(number)
}

/// Marks a noted call as failed.
pub(crate) fn take_back(note: Option<u32>) {
    let Some(number) = note else { return };
    let quiet = Quiet::begin();
    if !quiet.may_call() {
        return;
    }
    let failed = 1_u32;
    let place = offset(number) + offset_of!(Exec, failed) as u64;
    // SAFETY: the buffer has that many bytes.
    if unsafe { write((&raw const failed).cast(), size_of::<u32>(), place) }.is_err() {
        control().unwritten.store(0, Relaxed);
    }
    drop(quiet);
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
    let file = File::open(&Path::execs(), libc::O_WRONLY | libc::O_CREAT)?;
    // SAFETY: the caller guarantees that `from` points to `length` bytes.
    unsafe { file.write(from, length, place) }
}

/// Returns the time; 0 if nothing is recorded.
pub(crate) fn now() -> u64 {
    if recording::is_joined() { clock::now() } else { 0 }
}
