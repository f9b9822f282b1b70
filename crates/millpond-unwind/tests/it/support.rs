//! A walker for each thread, and the comparison.

use std::{
    alloc::{Layout, alloc_zeroed},
    arch::naked_asm,
    cell::Cell,
    ffi::{CString, c_int, c_void},
    io::{Write, stderr},
    path::PathBuf,
    process::Command,
    ptr::NonNull,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use millpond_unwind::{
    CUT, GUESSED, Host, INTERRUPTED, MOST_FRAMES, Node, Process, WINDOW, Walker, mapping, prepare,
    prepare_without_search,
};

/// Memory that is never freed.
pub(crate) struct Memory;

fn zeroed<T>(bytes: usize) -> Option<NonNull<T>> {
    // SAFETY: the layout is not empty.
    NonNull::new(unsafe { alloc_zeroed(Layout::from_size_align(bytes, 64).unwrap()) }.cast())
}

// SAFETY: the memory is new, zeroed, and never freed. Windows are made under a lock by the first who asks.
unsafe impl Host for Memory {
    fn window(&self, number: u32) -> Option<NonNull<Node>> {
        static WINDOWS: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];
        let place = WINDOWS.get(number as usize)?;
        let new = pages(WINDOW * size_of::<Node>());
        let _ = place.compare_exchange(0, new as usize, Relaxed, Relaxed);
        NonNull::new(place.load(Relaxed) as *mut Node)
    }

    fn memory(&self, bytes: usize) -> Option<NonNull<u8>> {
        NonNull::new(pages(bytes))
    }

    fn mapping(&self, address: u64) -> Option<(u64, u64)> {
        // SAFETY: the path is a C string, and the buffer is writable.
        unsafe {
            let file = libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY);
            let found = mapping(address, |buffer| {
                libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()).max(0) as usize
            });
            libc::close(file);
            found
        }
    }
}

/// Maps memory. Unlike an allocator, that works in signal handlers.
fn pages(bytes: usize) -> *mut u8 {
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: the kernel chooses an address where nothing is mapped.
    unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0).cast() }
}

/// Returns the state that all threads of this program share.
pub(crate) fn process() -> &'static Process {
    static PROCESS: OnceLock<usize> = OnceLock::new();
    let place = PROCESS.get_or_init(|| {
        if std::env::var_os("WITHOUT_SEARCH").is_some() {
            prepare_without_search()
        } else {
            prepare()
        }
        zeroed::<Process>(size_of::<Process>()).unwrap().as_ptr() as usize
    });
    // SAFETY: all zeros are valid, and the memory is never freed.
    unsafe { &*(*place as *const Process) }
}

/// Returns the walker of this thread.
pub(crate) fn walker() -> &'static Walker {
    thread_local!(static WALKER: Cell<*const Walker> = const { Cell::new(std::ptr::null()) });
    WALKER.with(|place| {
        if place.get().is_null() {
            place.set(zeroed::<Walker>(size_of::<Walker>()).unwrap().as_ptr());
        }
        // SAFETY: all zeros are valid, and the memory is never freed.
        unsafe { &*place.get() }
    })
}

/// Returns the frames of a stack from the innermost, with their marks, and whether it was cut off.
pub(crate) fn frames(mut id: u32) -> (Vec<u64>, bool) {
    let mut frames = Vec::new();
    while id > CUT {
        let (ip, parent) = process().node(id).unwrap();
        frames.push(ip);
        id = parent;
    }
    (frames, id == CUT)
}

/// Walks the stack of the caller, with at most this many frames; returns its number.
#[unsafe(naked)]
pub(crate) extern "C" fn stack(_limit: usize) -> u32 {
    naked_asm!("mov rsi, rsp", "mov rdx, rbp", "jmp {}", sym walk)
}

extern "C" fn walk(limit: usize, sp: usize, bp: usize) -> u32 {
    // SAFETY: `stack` passes the registers of its call.
    unsafe { walker().stack(process(), &Memory, sp, bp, limit) }
}

/// Walks the stack of the caller and compares it with what the compiler's library finds.
#[unsafe(naked)]
pub(crate) extern "C" fn check() {
    naked_asm!("mov rdi, rsp", "mov rsi, rbp", "jmp {}", sym compare)
}

pub(crate) static COMPARED: AtomicUsize = AtomicUsize::new(0);
pub(crate) static DIFFERENT: AtomicUsize = AtomicUsize::new(0);

/// Frames of the compiler's library, without an allocator.
struct Expected {
    frames: [u64; MOST_FRAMES + 64],
    count: usize,
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

extern "C" fn note(context: *mut c_void, expected: *mut c_void) -> c_int {
    // SAFETY: the library passes a context, and the argument of `_Unwind_Backtrace`.
    unsafe {
        let expected = &mut *expected.cast::<Expected>();
        if let Some(place) = expected.frames.get_mut(expected.count) {
            *place = _Unwind_GetIP(context) as u64;
            expected.count += 1;
        }
    }
    0
}

extern "C" fn compare(sp: usize, bp: usize) {
    // SAFETY: `check` passes the registers of its call, where a return address is at the stack pointer.
    let (id, leaf) =
        unsafe { (walker().stack(process(), &Memory, sp, bp, MOST_FRAMES), *(sp as *const u64)) };
    let mut expected = Expected { frames: [0; _], count: 0 };
    // SAFETY: `note` takes this argument.
    unsafe { _Unwind_Backtrace(note, (&raw mut expected).cast()) };
    let all = &expected.frames[..expected.count];
    let from = all.iter().position(|&ip| ip == leaf).unwrap_or(all.len());
    let expected = all[from..].strip_suffix(&[0]).unwrap_or(&all[from..]);
    COMPARED.fetch_add(1, Relaxed);
    if !is_same(id, expected) {
        DIFFERENT.fetch_add(1, Relaxed);
        report(id, expected);
    }
}

/// Returns whether a stack has these frames. It may have more if they are marked as guessed, where the compiler's library
/// goes no further.
fn is_same(mut id: u32, expected: &[u64]) -> bool {
    for &ip in expected {
        match process().node(id) {
            Some((found, parent)) if found & !(GUESSED | INTERRUPTED) == ip => id = parent,
            _ => return false,
        }
    }
    id <= CUT || process().node(id).is_some_and(|(ip, _)| ip & GUESSED != 0)
}

/// Says what differs.
fn report(id: u32, expected: &[u64]) {
    if DIFFERENT.load(Relaxed) < 5 {
        let (found, cut) = frames(id);
        let _ = writeln!(stderr(), "found {found:x?} (cut: {cut}), expected {expected:x?}");
    }
}

/// Runs a test, and checks that stacks were compared, at least this many, and that all were the same.
pub(crate) fn compared(least: usize, test: impl FnOnce()) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = (COMPARED.load(Relaxed), DIFFERENT.load(Relaxed));
    test();
    let compared = COMPARED.load(Relaxed) - before.0;
    assert!(compared >= least, "only {compared} stacks were compared");
    assert_eq!(DIFFERENT.load(Relaxed), before.1, "of {compared}");
}

/// A shared library made from a source file in `tests/programs`.
pub(crate) struct Library(*mut c_void);

impl Library {
    /// Compiles and loads a library; `None`, with a message, if there is no compiler.
    pub(crate) fn build(source: &str, name: &str, options: &[&str]) -> Option<Self> {
        Some(Self::load(&compile(source, name, options)?))
    }

    pub(crate) fn load(path: &std::path::Path) -> Self {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: the libraries of these tests do nothing when they are loaded.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null());
        Self(handle)
    }

    /// Returns a function.
    ///
    /// # Safety
    ///
    /// It must have this type.
    pub(crate) unsafe fn function<F: Copy>(&self, name: &str) -> F {
        let name = CString::new(name).unwrap();
        // SAFETY: the handle and the name are valid.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!found.is_null() && size_of::<F>() == size_of::<*mut c_void>());
        // SAFETY: the caller guarantees the type.
        unsafe { std::mem::transmute_copy(&found) }
    }

    /// Unloads the library.
    pub(crate) fn close(self) {
        // SAFETY: the handle is valid, and the tests do not use the library's functions later.
        assert_eq!(unsafe { libc::dlclose(self.0) }, 0);
    }
}

/// Compiles a library; returns its path.
pub(crate) fn compile(source: &str, name: &str, options: &[&str]) -> Option<PathBuf> {
    let compiler = if source.ends_with(".cc") { "c++" } else { "cc" };
    let target =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("unwind-{name}-{}.so", std::process::id()));
    let status = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .arg(&target)
        .arg(format!("{}/tests/programs/{source}", env!("CARGO_MANIFEST_DIR")))
        .args(options)
        .status();
    match status {
        Ok(status) => assert!(status.success(), "{source} could not be compiled"),
        Err(error) => {
            let said =
                writeln!(stderr(), "SKIPPED: stacks of {source}, because there is no {compiler}: {error}");
            said.unwrap();
            return None;
        }
    }
    Some(target)
}
