//! Programs that a process becomes, or starts: noted, so that one that escapes the recording is missed afterwards, and
//! with the recorder's environment variables put back where somebody has taken them away.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char, c_int, c_void},
    mem::offset_of,
    ptr::null,
    sync::atomic::{AtomicU32, Ordering::*},
};

use millpond_trace::raw::{DIRECTORY, Exec};

use crate::{
    clock::ticks,
    path::{self, Path},
    process::control,
    real::{self, Spawn, Text, Texts},
    recording,
    sandbox,
    sys::{self, File, Quiet},
};

/// The name of the variable that the dynamic linker looks at.
const PRELOAD: &str = "LD_PRELOAD";

/// The most variables that an environment can have for this to add some: the array for them lies on the stack.
const MOST: usize = 1022;
/// The longest entry that is kept.
const LONGEST: usize = 2048;

/// The entries of the two variables, each ended by a zero byte; empty if there was none, or a longer one.
struct Entries(UnsafeCell<[[u8; LONGEST]; 2]>);

// SAFETY: written once, by `remember`, before there is anything to start.
unsafe impl Sync for Entries {}

static ENTRIES: Entries = Entries(UnsafeCell::new([[0; LONGEST]; 2]));
/// Whether they were written.
static KNOWN: AtomicU32 = AtomicU32::new(0);

/// Remembers the variables as they are now: the program may write over its environment.
///
/// # Safety
///
/// Must not be called by two threads at once, nor again.
pub(crate) unsafe fn remember() {
    // SAFETY: the caller's promise; the environment is an array of C strings.
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

/// Room for an environment with the two variables.
struct Environment([*const c_char; MOST + 3]);

impl Environment {
    const fn new() -> Self {
        Self([null(); MOST + 3])
    }

    /// The environment given, with those of the two variables that are missing.
    ///
    /// # Safety
    ///
    /// It must be null or a null-terminated array of C strings.
    unsafe fn with(&mut self, given: Texts) -> Texts {
        if KNOWN.load(Acquire) == 0 || !recording::is_joined() {
            return given;
        }
        let mut count = 0;
        // SAFETY: the caller's promise; the entries are not written to any more.
        unsafe {
            while !given.is_null() && !(*given.add(count)).is_null() {
                let Some(place) = self.0.get_mut(count).filter(|_| count < MOST) else { return given };
                *place = *given.add(count);
                count += 1;
            }
            let before = count;
            for (name, entry) in [DIRECTORY, PRELOAD].iter().zip((*ENTRIES.0.get()).iter()) {
                if entry.first() != Some(&0)
                    && path::variable(given, name).is_none()
                    && let Some(place) = self.0.get_mut(count)
                {
                    *place = entry.as_ptr().cast();
                    count += 1;
                }
            }
            if count == before { given } else { self.0.as_ptr() }
        }
    }
}

/// Notes that a process is to be this program. Gives the number of the note, for [`take_back`].
///
/// # Safety
///
/// The path must be a C string.
unsafe fn note(at: u64, process: Option<u32>, program: Text) -> Option<u32> {
    if !recording::is_joined() || program.is_null() {
        return None;
    }
    let quiet = Quiet::begin()?;
    let process = process.unwrap_or_else(|| sys::process_numbers().0);
    let mut exec = Exec { ticks: at, process, failed: 0, path: [0; 496] };
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(program) }.to_bytes();
    for (place, byte) in exec.path.iter_mut().zip(name) {
        *place = *byte;
    }
    let number = control().execs.fetch_add(1, Relaxed);
    // SAFETY: there are that many bytes.
    let written = unsafe { write((&raw const exec).cast(), size_of::<Exec>(), offset(number)) };
    if written.is_err() {
        // Of several such processes the last is remembered. The place in the file stays empty.
        control().unwritten_ticks.store(at, Relaxed);
        control().unwritten.store(process, Relaxed);
    }
    drop(quiet);
    Some(number)
}

/// Notes that what was noted has failed.
fn take_back(note: Option<u32>) {
    let (Some(number), Some(quiet)) = (note, Quiet::begin()) else { return };
    let failed = 1_u32;
    let place = offset(number) + offset_of!(Exec, failed) as u64;
    // SAFETY: there are that many bytes.
    if unsafe { write((&raw const failed).cast(), size_of::<u32>(), place) }.is_err() {
        control().unwritten.store(0, Relaxed);
    }
    drop(quiet);
}

/// Where a note is in the file.
fn offset(number: u32) -> u64 {
    u64::from(number) * size_of::<Exec>() as u64
}

/// Writes a part of the file of notes.
///
/// # Safety
///
/// There must be that many bytes.
unsafe fn write(from: *const u8, length: usize, place: u64) -> Result<(), u32> {
    let file = File::open(&Path::execs(), libc::O_WRONLY | libc::O_CREAT)?;
    // SAFETY: the caller's promise.
    unsafe { file.write(from, length, place) }
}

/// The time, unless it must not be looked at; then nothing is noted either.
fn now() -> u64 {
    if sandbox::is_inside() { 0 } else { ticks() }
}

/// Becomes a program. Returns only if that fails.
///
/// # Safety
///
/// That of `execve`.
unsafe fn become_it(
    exec: Option<unsafe extern "C" fn(Text, Texts, Texts) -> c_int>,
    program: Text,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    let Some(exec) = exec else { return real::missing() };
    let (mut environment, at) = (Environment::new(), now());
    // SAFETY: as in the program's call.
    unsafe {
        let note = note(at, None, program);
        let answer = exec(program, arguments, environment.with(variables));
        take_back(note);
        answer
    }
}

pub(crate) unsafe fn execve(path: Text, arguments: Texts, variables: Texts) -> c_int {
    // SAFETY: as in the program's call, here and in the others.
    unsafe { become_it(real::execve(), path, arguments, variables) }
}

pub(crate) unsafe fn execv(path: Text, arguments: Texts) -> c_int {
    // SAFETY: as above.
    unsafe { become_it(real::execve(), path, arguments, path::environment()) }
}

pub(crate) unsafe fn execvpe(file: Text, arguments: Texts, variables: Texts) -> c_int {
    // SAFETY: as above.
    unsafe { become_it(real::execvpe(), file, arguments, variables) }
}

pub(crate) unsafe fn execvp(file: Text, arguments: Texts) -> c_int {
    // SAFETY: as above.
    unsafe { become_it(real::execvpe(), file, arguments, path::environment()) }
}

/// Starts a program, and notes that if it succeeds.
///
/// # Safety
///
/// That of `posix_spawn`.
unsafe fn spawn(
    spawn: Option<Spawn>,
    process: *mut libc::pid_t,
    path: Text,
    [actions, attributes]: [*const c_void; 2],
    [arguments, variables]: [Texts; 2],
) -> c_int {
    let Some(spawn) = spawn else { return libc::ENOSYS };
    let (mut environment, mut child, at) = (Environment::new(), 0, now());
    // SAFETY: as in the program's call.
    unsafe {
        let error =
            spawn(&raw mut child, path, actions, attributes, arguments, environment.with(variables));
        if error == 0 {
            note(at, Some(child as u32), path);
            if !process.is_null() {
                *process = child;
            }
        }
        error
    }
}

pub(crate) unsafe fn posix_spawn(
    process: *mut libc::pid_t,
    path: Text,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    // SAFETY: as above.
    unsafe { spawn(real::posix_spawn(), process, path, [actions, attributes], [arguments, variables]) }
}

pub(crate) unsafe fn posix_spawnp(
    process: *mut libc::pid_t,
    path: Text,
    actions: *const c_void,
    attributes: *const c_void,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    // SAFETY: as above.
    unsafe { spawn(real::posix_spawnp(), process, path, [actions, attributes], [arguments, variables]) }
}
