//! Programs that a process becomes, or starts: noted, so that one that escapes the recording is missed afterwards, and
//! with the recorder's environment variables put back where somebody has taken them away.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char, c_int, c_void},
    mem::offset_of,
    ptr::null,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{DIRECTORY, Exec, LOST_CHILD, SOME_CHILD};

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

/// The two variables and their entries.
///
/// # Safety
///
/// They must be known.
unsafe fn entries() -> impl Iterator<Item = (&'static str, &'static CStr)> {
    // SAFETY: the caller's promise: the entries are not written to any more, and each is ended by a zero byte.
    unsafe {
        let texts = (*ENTRIES.0.get()).iter().map(|entry| CStr::from_ptr(entry.as_ptr().cast()));
        [DIRECTORY, PRELOAD].into_iter().zip(texts)
    }
}

/// Whether a program that gets this environment loads the recorder, if it can: both variables have in them what they had.
///
/// # Safety
///
/// That of [`Environment::with`], and the variables must be known.
unsafe fn is_complete(environment: Texts) -> bool {
    // SAFETY: the caller's promise.
    let holds = |(name, entry): (&str, &CStr)| unsafe {
        let ours = entry.to_bytes().get(name.len() + 1..).unwrap_or_default();
        let holds = |given| CStr::from_ptr(given).to_bytes().windows(ours.len()).any(|part| part == ours);
        path::variable(environment, name).is_some_and(|given| ours.is_empty() || holds(given))
    };
    // SAFETY: the caller's promise.
    unsafe { entries() }.all(holds)
}

/// The environment of the shells that the C library starts: it stays where it is, for other threads may look at it.
struct ForShells(UnsafeCell<Environment>);

// SAFETY: it is written by the thread that has set `SHELLS`.
unsafe impl Sync for ForShells {}

static FOR_SHELLS: ForShells = ForShells(UnsafeCell::new(Environment::new()));
/// Whether some thread uses it.
static SHELLS: AtomicBool = AtomicBool::new(false);

/// Calls a function of the C library that starts a shell with the environment of this process, which has the two variables
/// meanwhile. `has_started` says whether there was a shell.
///
/// # Safety
///
/// That of the call.
pub(crate) unsafe fn shell<T: Copy>(call: impl FnOnce() -> T, has_started: impl FnOnce(T) -> bool) -> T {
    if KNOWN.load(Acquire) == 0 || !recording::is_joined() {
        return call();
    }
    let (at, given) = (now(), path::environment());
    // SAFETY: the C library keeps the environment null or a null-terminated array of C strings; what is written is this
    // thread's until it says otherwise.
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

/// Takes over into the environment of before what other threads have changed meanwhile: they have at most replaced entries
/// or removed some, for to add one they would have moved it elsewhere.
///
/// # Safety
///
/// `ours` must be made of `given`, which is null or a null-terminated array that can be written, by [`Environment::with`].
unsafe fn put_back(ours: Texts, given: Texts) {
    let mut place = given.cast_mut();
    // SAFETY: the caller's promise.
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
pub(crate) unsafe fn become_it(
    exec: Option<unsafe extern "C" fn(Text, Texts, Texts) -> c_int>,
    program: Text,
    arguments: Texts,
    variables: Texts,
) -> c_int {
    let Some(exec) = exec else { return real::missing() };
    // SAFETY: as in the program's call.
    unsafe { become_by(program, variables, |variables| exec(program, arguments, variables)) }
}

/// Becomes a program by a call that gets the environment. Returns only if that fails.
///
/// # Safety
///
/// That of `execve`.
pub(crate) unsafe fn become_by(program: Text, variables: Texts, exec: impl FnOnce(Texts) -> c_int) -> c_int {
    let (mut environment, at) = (Environment::new(), now());
    // SAFETY: as in the program's call.
    unsafe {
        let note = note(at, None, program);
        let answer = exec(environment.with(variables));
        take_back(note);
        answer
    }
}

/// Starts a program, and notes that if it succeeds.
///
/// # Safety
///
/// That of `posix_spawn`.
pub(crate) unsafe fn spawn(
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

/// What `execl`, `execlp` and `execle` do with their arguments, which `entry` has put side by side: with null, and after
/// that the environment, if it is given.
pub(crate) mod listed {
    use super::*;

    /// # Safety
    ///
    /// That of `execl`; the arguments must end with null.
    pub(crate) unsafe extern "C" fn execl(path: Text, arguments: Texts) -> c_int {
        // SAFETY: the caller's promise, here and in the others.
        unsafe { become_it(real::execve(), path, arguments, path::environment()) }
    }

    /// # Safety
    ///
    /// That of `execlp`; the arguments must end with null.
    pub(crate) unsafe extern "C" fn execlp(file: Text, arguments: Texts) -> c_int {
        // SAFETY: as above.
        unsafe { become_it(real::execvpe(), file, arguments, path::environment()) }
    }

    /// # Safety
    ///
    /// That of `execle`; the arguments must end with null and the environment.
    pub(crate) unsafe extern "C" fn execle(path: Text, arguments: Texts) -> c_int {
        // SAFETY: as above.
        unsafe {
            let mut end = arguments;
            while !(*end).is_null() {
                end = end.add(1);
            }
            become_it(real::execve(), path, arguments, (*end.add(1)).cast())
        }
    }
}
