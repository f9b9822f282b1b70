//! The functions behind the hooks: the next ones with their names after this library, usually those of the C library.
//!
//! They are looked up when first needed. The look-up may itself allocate; it is served from a small buffer in this
//! library, whose blocks are never freed.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void},
    marker::PhantomData,
    mem::transmute_copy,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*},
};

use super::thread;

/// A function behind a hook, or one that the recorder itself calls. It is looked up when first needed.
pub(crate) struct Real<F> {
    name: &'static CStr,
    place: AtomicPtr<c_void>,
    function: PhantomData<F>,
}

impl<F: Copy> Real<F> {
    /// Only for variables that give each name the type of that function.
    pub(crate) const fn new(name: &'static CStr) -> Self {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        Self { name, place: AtomicPtr::new(null_mut()), function: PhantomData }
    }

    /// Returns the function; `None` if there is none, and while the current thread is looking it up.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<F> {
        let known = self.place.load(Relaxed);
        let found = if known.is_null() { find(&self.place, self.name) } else { known };
        // SAFETY: this is the function of that name, which has this type.
        (!found.is_null()).then(|| unsafe { transmute_copy(&found) })
    }

    /// Returns the first function with this name, which is that of the recorder unless the program has its own.
    pub(crate) fn first(&self) -> *mut c_void {
        // SAFETY: the name is a C string.
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, self.name.as_ptr()) }
    }

    /// Returns the function of a library that is loaded, but perhaps not for the whole program.
    pub(crate) fn find_in(&self, library: &CStr) -> Option<F> {
        // SAFETY: both names are C strings, and the function has this type.
        unsafe {
            let handle = libc::dlopen(library.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD);
            let found = libc::dlsym((!handle.is_null()).then_some(handle)?, self.name.as_ptr());
            (!found.is_null()).then(|| transmute_copy(&found))
        }
    }
}

pub(crate) static MALLOC: Real<unsafe extern "C" fn(usize) -> *mut c_void> = Real::new(c"malloc");
pub(crate) static CALLOC: Real<unsafe extern "C" fn(usize, usize) -> *mut c_void> = Real::new(c"calloc");
pub(crate) static REALLOC: Real<unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void> =
    Real::new(c"realloc");
pub(crate) static FREE: Real<unsafe extern "C" fn(*mut c_void)> = Real::new(c"free");
pub(crate) static MEMALIGN: Real<unsafe extern "C" fn(usize, usize) -> *mut c_void> = Real::new(c"memalign");
pub(crate) static ALIGNED_ALLOC: Real<unsafe extern "C" fn(usize, usize) -> *mut c_void> =
    Real::new(c"aligned_alloc");
pub(crate) static POSIX_MEMALIGN: Real<unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int> =
    Real::new(c"posix_memalign");
pub(crate) static VALLOC: Real<unsafe extern "C" fn(usize) -> *mut c_void> = Real::new(c"valloc");
pub(crate) static PVALLOC: Real<unsafe extern "C" fn(usize) -> *mut c_void> = Real::new(c"pvalloc");
pub(crate) static MALLOC_USABLE_SIZE: Real<UsableSize> = Real::new(c"malloc_usable_size");
pub(crate) static PRCTL: Real<unsafe extern "C" fn(c_int, c_ulong, c_ulong, c_ulong, c_ulong) -> c_int> =
    Real::new(c"prctl");
/// `syscall`, with the max number of arguments.
pub(crate) static SYSCALL: Real<
    unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long,
> = Real::new(c"syscall");
pub(crate) static SETUID: Real<unsafe extern "C" fn(libc::uid_t) -> c_int> = Real::new(c"setuid");
pub(crate) static SETEUID: Real<unsafe extern "C" fn(libc::uid_t) -> c_int> = Real::new(c"seteuid");
pub(crate) static SETREUID: Real<unsafe extern "C" fn(libc::uid_t, libc::uid_t) -> c_int> =
    Real::new(c"setreuid");
pub(crate) static SETRESUID: Real<unsafe extern "C" fn(libc::uid_t, libc::uid_t, libc::uid_t) -> c_int> =
    Real::new(c"setresuid");
pub(crate) static CHROOT: Real<unsafe extern "C" fn(Text) -> c_int> = Real::new(c"chroot");
pub(crate) static UNSHARE: Real<unsafe extern "C" fn(c_int) -> c_int> = Real::new(c"unshare");
/// The functions that register handlers for `fork`: that of glibc, and that of other C libraries.
pub(crate) static REGISTER_ATFORK: Real<
    unsafe extern "C" fn(*mut c_void, *mut c_void, Option<Handler>, *mut c_void) -> c_int,
> = Real::new(c"__register_atfork");
pub(crate) static PTHREAD_ATFORK: Real<
    unsafe extern "C" fn(*mut c_void, *mut c_void, Option<Handler>) -> c_int,
> = Real::new(c"pthread_atfork");
#[cfg(target_arch = "x86_64")]
pub(crate) static DLCLOSE: Real<unsafe extern "C" fn(*mut c_void) -> c_int> = Real::new(c"dlclose");
pub(crate) static EXECVE: Real<unsafe extern "C" fn(Text, Texts, Texts) -> c_int> = Real::new(c"execve");
pub(crate) static EXECVPE: Real<unsafe extern "C" fn(Text, Texts, Texts) -> c_int> = Real::new(c"execvpe");
pub(crate) static FEXECVE: Real<unsafe extern "C" fn(c_int, Texts, Texts) -> c_int> = Real::new(c"fexecve");
pub(crate) static EXECVEAT: Real<unsafe extern "C" fn(c_int, Text, Texts, Texts, c_int) -> c_int> =
    Real::new(c"execveat");
pub(crate) static SYSTEM: Real<unsafe extern "C" fn(Text) -> c_int> = Real::new(c"system");
pub(crate) static POPEN: Real<unsafe extern "C" fn(Text, Text) -> *mut c_void> = Real::new(c"popen");
pub(crate) static POSIX_SPAWN: Real<Spawn> = Real::new(c"posix_spawn");
pub(crate) static POSIX_SPAWNP: Real<Spawn> = Real::new(c"posix_spawnp");

/// `malloc_usable_size`.
pub(crate) type UsableSize = unsafe extern "C" fn(*mut c_void) -> usize;
/// A C string.
pub(crate) type Text = *const c_char;
/// A null-terminated array of C strings.
pub(crate) type Texts = *const *const c_char;
/// A handler for `fork`.
pub(crate) type Handler = unsafe extern "C" fn();
/// `posix_spawn` and `posix_spawnp`.
pub(crate) type Spawn =
    unsafe extern "C" fn(*mut libc::pid_t, Text, *const c_void, *const c_void, Texts, Texts) -> c_int;

/// Returns the functions that allocate, as far as there are any, except the obsolete ones, which not every library has.
pub(crate) fn allocating() -> [Option<*mut c_void>; 6] {
    [
        MALLOC.get().map(|real| real as *mut c_void),
        CALLOC.get().map(|real| real as *mut c_void),
        REALLOC.get().map(|real| real as *mut c_void),
        MEMALIGN.get().map(|real| real as *mut c_void),
        ALIGNED_ALLOC.get().map(|real| real as *mut c_void),
        POSIX_MEMALIGN.get().map(|real| real as *mut c_void),
    ]
}

/// Looks up functions that must not be looked up for the first time between a `fork` and an `exec`.
pub(crate) fn prepare() {
    let _ = (PRCTL.get(), SYSCALL.get(), EXECVE.get(), EXECVPE.get(), FEXECVE.get(), EXECVEAT.get());
    let _ = (POSIX_SPAWN.get(), POSIX_SPAWNP.get(), SYSTEM.get(), POPEN.get());
    let _ = (SETUID.get(), SETEUID.get(), SETREUID.get(), SETRESUID.get(), CHROOT.get(), UNSHARE.get());
}

/// Stands for a function that the C library does not have: sets `errno` to `ENOSYS`.
#[cold]
pub(crate) fn missing() -> c_int {
    // SAFETY: `__errno_location` returns a valid pointer on every thread.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

/// Looks up a function and stores its address.
#[cold]
#[inline(never)]
fn find(place: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let thread = thread::current();
    // SAFETY: only this thread accesses its state; the name is a C string.
    unsafe {
        if (*thread).resolving {
            return null_mut();
        }
        (*thread).resolving = true;
        let found = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
        (*thread).resolving = false;
        place.store(found, Relaxed);
        found
    }
}

/// Bytes in the buffer for allocations by the look-up.
const SPARE: usize = 16 * 1024;

#[repr(C, align(16))]
struct Spare(UnsafeCell<[u8; SPARE]>);

// SAFETY: every part of the buffer is handed out only once.
unsafe impl Sync for Spare {}

static BUFFER: Spare = Spare(UnsafeCell::new([0; SPARE]));
static USED: AtomicUsize = AtomicUsize::new(0);

/// Returns a zeroed block, which is never reused; null if the buffer is full.
pub(crate) fn spare(size: usize) -> *mut c_void {
    let Some(rounded) = size.checked_next_multiple_of(16) else { return null_mut() };
    let taken =
        USED.fetch_update(Relaxed, Relaxed, |used| used.checked_add(rounded).filter(|&sum| sum <= SPARE));
    // SAFETY: the offset is within the buffer.
    taken.map_or(null_mut(), |used| unsafe { BUFFER.0.get().cast::<u8>().add(used).cast() })
}

/// Returns whether this is a block of [`spare`].
#[inline(always)]
pub(crate) fn is_spare(block: *mut c_void) -> bool {
    (block as usize).wrapping_sub(BUFFER.0.get() as usize) < SPARE
}

/// Returns the number of readable bytes in a block of [`spare`]: at least the requested size.
pub(crate) fn spare_size(block: *mut c_void) -> usize {
    SPARE - (block as usize - BUFFER.0.get() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buffer_ends() {
        let first = spare(1);
        assert!(is_spare(first) && (first as usize).is_multiple_of(16));
        let second = spare(17);
        assert!(is_spare(second) && second as usize >= first as usize + 16);
        assert!(spare_size(second) >= 32 && spare_size(second) < SPARE);
        assert!(spare(SPARE).is_null() && spare(usize::MAX).is_null());
        while !spare(1024).is_null() {}
        let mut local = 0;
        assert!(!is_spare((&raw mut local).cast()) && !is_spare(null_mut()));
    }

    #[test]
    fn the_c_library_has_them_all() {
        assert!(
            MALLOC.get().is_some()
                && CALLOC.get().is_some()
                && REALLOC.get().is_some()
                && FREE.get().is_some()
        );
        assert!(MEMALIGN.get().is_some() && ALIGNED_ALLOC.get().is_some() && POSIX_MEMALIGN.get().is_some());
        assert!(VALLOC.get().is_some() && PVALLOC.get().is_some());
    }
}
