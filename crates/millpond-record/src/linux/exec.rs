//! The environment of programs that a process becomes or starts: restores the recorder's variables if they were removed, and
//! adds what the programs inherit.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
    iter::once,
    ptr::null,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{DIRECTORY, FILES, LOST_CHILD, SOME_CHILD};

use super::{
    inherit,
    notes::Start,
    path::{self, Path},
    real::{Text, Texts},
    recording,
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

/// Space for an environment with the recorder's variables.
pub(crate) struct Environment {
    entries: [*const c_char; MOST + 4],
    files: Path,
    preload: [u8; LONGEST],
}

impl Environment {
    pub(crate) const fn new() -> Self {
        Self { entries: [null(); MOST + 4], files: Path::empty(), preload: [0; LONGEST] }
    }

    /// Returns the given environment for a program, with missing variables added. Those that say how the recorder is loaded
    /// and what it inherits have the values that the program needs.
    ///
    /// # Safety
    ///
    /// `given` must be null or a null-terminated array of C strings.
    pub(crate) unsafe fn with(&mut self, given: Texts, start: &Start) -> Texts {
        if KNOWN.load(Acquire) == 0 || !recording::is_joined() {
            return given;
        }
        self.files = match inherit::is_needed() {
            true => inherit::entry(start.process(), start.is_counted()),
            false => Path::empty(),
        };
        // SAFETY: the caller guarantees a null-terminated array or null; the entries are not written any more.
        unsafe {
            let files = self.files.as_ptr();
            let saved = entries().map(|(name, entry)| (name, entry.as_ptr()));
            let (mut count, mut changed) = (0, false);
            while !given.is_null() && !(*given.add(count)).is_null() {
                let Some(place) = self.entries.get_mut(count).filter(|_| count < MOST) else { return given };
                *place = *given.add(count);
                count += 1;
            }
            let given_count = count;
            for (name, entry) in once((FILES, files)).chain(saved) {
                let at = (0..given_count).find(|&at| path::is_named(*given.add(at), name));
                let entry = at.filter(|_| name != FILES).map_or(entry, |at| *given.add(at));
                let entry = if name == PRELOAD { self.loadable(entry) } else { entry };
                let is_known = *entry != 0;
                if let Some(place) = self.entries.get_mut(at.unwrap_or(count)).filter(|_| is_known) {
                    changed |= *place != entry;
                    *place = entry;
                    count += usize::from(at.is_none());
                }
            }
            if let Some(end) = self.entries.get_mut(count) {
                *end = null();
            }
            if changed { self.entries.as_ptr() } else { given }
        }
    }

    /// Returns an entry of `LD_PRELOAD` in which the path of the recorder's library is one by which it can be loaded. If
    /// there is none, the library is left out: the dynamic linker would complain.
    ///
    /// # Safety
    ///
    /// The entry must be a C string.
    unsafe fn loadable(&mut self, entry: *const c_char) -> *const c_char {
        let (Some(other), Some(library)) = (inherit::other_path(), library()) else { return entry };
        // SAFETY: the caller guarantees a C string.
        let text = unsafe { CStr::from_ptr(entry) }.to_bytes();
        let library = library.as_bytes();
        let Some(at) = text.windows(library.len()).position(|part| part == library) else { return entry };
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + library.len()..));
        let mut length = 0;
        for part in [before, other.as_bytes(), after.unwrap_or_default(), b"\0"] {
            let Some(place) = self.preload.get_mut(length..length + part.len()) else { return entry };
            place.copy_from_slice(part);
            length += part.len();
        }
        self.preload.as_ptr().cast()
    }

    /// Returns whether an entry was made by [`Environment::with`].
    fn has_made(&self, entry: *const c_char) -> bool {
        let own = (&raw const *self) as usize;
        // SAFETY: this is called for entries of an environment that `with` has made, so the saved ones are known.
        (own..own + size_of::<Self>()).contains(&(entry as usize))
            || unsafe { entries() }.any(|(_, saved)| saved.as_ptr() == entry)
    }
}

/// Returns the path of the recorder's library, the first in the saved `LD_PRELOAD`; `None` if it is too long.
pub(crate) fn library() -> Option<Path> {
    if KNOWN.load(Acquire) == 0 {
        return None;
    }
    // SAFETY: the entries are known.
    let entry = unsafe { entries() }.find(|(name, _)| *name == PRELOAD)?.1.to_bytes();
    let path = entry.get(PRELOAD.len() + 1..)?.split(|&byte| byte == b':').next()?;
    let mut library = Path::empty();
    library.push(path);
    (!path.is_empty() && library.as_bytes() == path).then_some(library)
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
    let mut start = Start::begin();
    let given = path::environment();
    // SAFETY: the C library keeps the environment null or a null-terminated array of C strings; this thread alone may
    // write to `ForShells` until it resets `SHELLS`.
    unsafe {
        let wanted = inherit::is_needed() || !is_complete(given);
        let may_change = wanted && !SHELLS.swap(true, Acquire);
        let ours = if may_change { (*FOR_SHELLS.0.get()).with(given, &start) } else { given };
        path::set_environment(ours);
        let is_loaded =
            inherit::other_path().map_or_else(|| is_complete(ours), |path| !path.as_bytes().is_empty());
        let child = if is_loaded { SOME_CHILD } else { LOST_CHILD };
        start.note(child, c"/bin/sh".as_ptr());
        let answer = call();
        if !has_started(answer) {
            start.has_failed();
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
            let own = |entry: Text| !entry.is_null() && (*FOR_SHELLS.0.get()).has_made(entry);
            let replaces = |entry: Text, given: Text| {
                [FILES, PRELOAD].iter().any(|name| path::is_named(entry, name) && path::is_named(given, name))
            };
            while own(*entry) && !replaces(*entry, *place) {
                entry = entry.add(1);
            }
            if *place != *entry && !own(*entry) {
                *place = *entry;
            }
            if (*entry).is_null() {
                return;
            }
            (place, entry) = (place.add(1), entry.add(1));
        }
    }
}
