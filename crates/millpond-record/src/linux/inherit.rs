//! Descriptors that a process passes on to the programs that it becomes or starts, because these cannot open the
//! recorder's files: they are in a sandbox, without rights, or in another root directory. A program finds their numbers in
//! its environment, and maps the files; in a sandbox, it makes no other system calls than `fstat` and `mmap` for that.

use core::{
    ffi::CStr,
    mem::{ManuallyDrop, MaybeUninit},
    sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::*},
};

use millpond_trace::raw::{COUNTED, FILES, IN_SANDBOX, SANDBOX, WITHOUT_CLOCK};

use super::{
    clock, exec, files,
    path::{self, Path},
    recording, sandbox,
    sys::{self, File, Quiet},
};

/// The files, in the order of their numbers in the variable.
#[derive(Clone, Copy)]
pub(crate) enum Held {
    Control,
    Reserve,
    Library,
}

/// Descriptors that are kept open; 0: none. Like all statics, kept by `fork`.
static HELD: [AtomicI32; 3] = [const { AtomicI32::new(0) }; 3];
/// What else was in the variable when the program began.
static FLAGS: AtomicU32 = AtomicU32::new(0);
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// Whether the library cannot be opened by its path any more, and whether descriptors have paths.
static HIDDEN: AtomicBool = AtomicBool::new(false);
static HAS_LINKS: AtomicBool = AtomicBool::new(false);
/// Whether the process became another user. It may still be able to open what programs that it starts cannot, by
/// capabilities that end with it.
static IS_OTHER_USER: AtomicBool = AtomicBool::new(false);

/// The highest number of a descriptor that is kept open: programs expect low ones to be free, and some only use those below
/// 1,024.
const HIGHEST: u64 = 1020;
/// The least limit of descriptors with which some are kept open.
const LEAST: u64 = 64;

/// Returns the numbers in the variable of the present environment; `None`: too early. All are 0 if there is no variable.
fn numbers() -> Option<[u32; 5]> {
    let mut numbers = [0; 5];
    let environment = path::environment();
    if environment.is_null() {
        return None;
    }
    // SAFETY: the environment is an array of C strings.
    let value = unsafe {
        path::variable(environment, FILES)
            .map(|entry| CStr::from_ptr(entry).to_bytes().get(FILES.len() + 1..).unwrap_or_default())
    };
    for (number, digits) in numbers.iter_mut().zip(value.unwrap_or_default().split(|&byte| byte == b',')) {
        *number = files::number(digits) as u32;
    }
    Some(numbers)
}

/// Returns whether the program was started in a sandbox; `None`: too early to know.
pub(crate) fn starts_in_sandbox() -> Option<bool> {
    numbers().map(|[.., flags, _]| flags & IN_SANDBOX != 0)
}

/// Reads the variable. Called when recording starts.
pub(crate) fn remember() {
    let Some([control, reserve, library, flags, process]) = numbers() else { return };
    for (place, number) in HELD.iter().zip([control, reserve, library]) {
        place.store(number as i32, Relaxed);
    }
    FLAGS.store(flags, Relaxed);
    PROCESS.store(process, Relaxed);
}

/// Returns whether the processor's clock is known to be forbidden from the start.
pub(crate) fn is_without_clock() -> bool {
    FLAGS.load(Relaxed) & WITHOUT_CLOCK != 0
}

/// Returns whether the program was counted as missing when it was started.
pub(crate) fn is_counted() -> bool {
    FLAGS.load(Relaxed) & COUNTED != 0
}

/// Returns the number of this process, if it was known when the program was started; otherwise 0.
pub(crate) fn process() -> u32 {
    PROCESS.load(Relaxed)
}

/// Maps the first bytes of a file of the recording, shared with other processes: by its path, if `calls` is true, or else
/// as it was inherited, if it has at least `least` bytes.
pub(crate) fn map(which: Held, path: &Path, bytes: usize, least: usize, calls: bool) -> Result<*mut u8, u32> {
    if calls && let Ok(file) = File::open(path, libc::O_RDWR) {
        return file.map(bytes, 0, true);
    }
    file(which, least).ok_or(SANDBOX)?.map(bytes, 0, true)
}

/// Returns an inherited file that has at least `length` bytes. It is not closed.
fn file(which: Held, length: usize) -> Option<ManuallyDrop<File>> {
    let number = HELD.get(which as usize)?.load(Relaxed);
    let mut about = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `about` is valid for the result, and initialised on success. The dynamic linker has made the same system call
    // for each library.
    let bytes = unsafe {
        if number == 0 || libc::fstat(number, about.as_mut_ptr()) != 0 {
            return None;
        }
        about.assume_init().st_size
    };
    (bytes >= length as i64).then(|| ManuallyDrop::new(File::of(number as usize)))
}

/// Opens the files and keeps them open, if that was not done before; returns whether it is done now. Call before the
/// process gives up what it takes to open them.
pub(crate) fn hold() -> bool {
    if !recording::is_joined() || HELD.iter().any(|held| held.load(Relaxed) != 0) {
        return false;
    }
    let quiet = Quiet::begin();
    if !quiet.may_call() {
        return false;
    }
    let limit = sys::limit(libc::RLIMIT_NOFILE as usize);
    if limit < LEAST {
        return false;
    }
    let least = limit.min(HIGHEST) as usize - 8;
    let keep = |file: Result<File, u32>| file.and_then(|file| file.keep_open(least)).unwrap_or(0);
    let files = [
        File::open(&Path::control(), libc::O_RDWR),
        File::open(&Path::reserve(), libc::O_RDWR),
        exec::library().map_or(Err(0), |library| File::open(&library, libc::O_RDONLY)),
    ];
    for (place, file) in HELD.iter().zip(files) {
        place.store(keep(file) as i32, Relaxed);
    }
    drop(quiet);
    true
}

/// Keeps files open before the process becomes another user.
pub(crate) fn hold_for_user() {
    hold();
    IS_OTHER_USER.store(true, Relaxed);
}

/// Closes the files again: the process has not given up anything.
pub(crate) fn release() {
    let quiet = Quiet::begin();
    if quiet.may_call() {
        for place in &HELD {
            let number = place.swap(0, Relaxed);
            if number != 0 {
                drop(File::of(number as usize));
            }
        }
    }
    drop(quiet);
}

/// Returns whether a program that starts now needs the variable.
pub(crate) fn is_needed() -> bool {
    sandbox::is_inside() || HELD.iter().any(|held| held.load(Relaxed) != 0)
}

/// Finds out by which paths the library can be opened.
pub(crate) fn look_for_library() {
    let quiet = Quiet::begin();
    if quiet.may_call()
        && let Some(library) = exec::library()
    {
        HIDDEN.store(File::open(&library, libc::O_RDONLY).is_err(), Relaxed);
        // The link can be read even where what it leads to cannot, as after a change of rights until the next program.
        let has_links = sys::read_link(&Path::fixed(c"/proc/self"), &mut [0; 16]) > 0;
        HAS_LINKS.store(has_links, Relaxed);
    }
    drop(quiet);
}

/// Returns the path by which a program can load the library, if its own path may be of no use any more; an empty path if
/// there is none.
pub(crate) fn other_path() -> Option<Path> {
    let is_hidden = HIDDEN.load(Relaxed);
    if !is_needed() || !is_hidden && !IS_OTHER_USER.load(Relaxed) {
        return None;
    }
    let number = HELD[Held::Library as usize].load(Relaxed);
    let has_links = number != 0 && HAS_LINKS.load(Relaxed);
    match has_links {
        true => Some(Path::descriptor(number as u32)),
        false => is_hidden.then(Path::empty),
    }
}

/// Returns the entry, `NAME=VALUE`, of the variable for a program that starts now in this process, or in another one.
pub(crate) fn entry(process: u32, is_counted: bool) -> Path {
    let flags = (if sandbox::is_inside() { IN_SANDBOX } else { 0 })
        | (if clock::is_forbidden() { WITHOUT_CLOCK } else { 0 })
        | (if is_counted { COUNTED } else { 0 });
    let [control, reserve, library] = HELD.each_ref().map(|held| held.load(Relaxed) as u32);
    let mut entry = Path::empty();
    entry.push(FILES.as_bytes());
    for (at, number) in [control, reserve, library, flags, process].into_iter().enumerate() {
        entry.push(if at == 0 { b"=" } else { b"," });
        entry.push_number(number);
    }
    entry
}
