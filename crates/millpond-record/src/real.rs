//! The functions behind the hooks: the next ones with their names after this library, usually those of the C library.
//!
//! They are looked up when first needed. The look-up may itself allocate; it is served from a small buffer in this
//! library, whose blocks are never freed.

use core::{
    cell::UnsafeCell,
    ffi::{CStr, c_char, c_int, c_long, c_ulong, c_void},
    mem::transmute,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*},
};

use crate::thread;

/// Declares functions with their names and types, and the variables for their addresses.
macro_rules! functions {
    ($($(#[$doc:meta])* $function:ident = $name:literal : $type:ty;)*) => {
        $(
            $(#[$doc])*
            #[inline(always)]
            pub(crate) fn $function() -> Option<$type> {
                static PLACE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
                let known = PLACE.load(Relaxed);
                let found = if known.is_null() { find(&PLACE, $name) } else { known };
                // SAFETY: null becomes `None`; anything else is the function with this name, which has this type.
                unsafe { transmute::<*mut c_void, Option<$type>>(found) }
            }
        )*
    };
}

functions! {
    /// `malloc`; like all of these, `None` while the current thread is looking it up.
    malloc = c"malloc": unsafe extern "C" fn(usize) -> *mut c_void;
    /// `calloc`.
    calloc = c"calloc": unsafe extern "C" fn(usize, usize) -> *mut c_void;
    /// `realloc`.
    realloc = c"realloc": unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void;
    /// `free`.
    free = c"free": unsafe extern "C" fn(*mut c_void);
    /// `memalign`.
    memalign = c"memalign": unsafe extern "C" fn(usize, usize) -> *mut c_void;
    /// `aligned_alloc`.
    aligned_alloc = c"aligned_alloc": unsafe extern "C" fn(usize, usize) -> *mut c_void;
    /// `posix_memalign`.
    posix_memalign = c"posix_memalign": unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int;
    /// `valloc`.
    valloc = c"valloc": unsafe extern "C" fn(usize) -> *mut c_void;
    /// `pvalloc`.
    pvalloc = c"pvalloc": unsafe extern "C" fn(usize) -> *mut c_void;
    /// `prctl`.
    prctl = c"prctl": unsafe extern "C" fn(c_int, c_ulong, c_ulong, c_ulong, c_ulong) -> c_int;
    /// `syscall`, with the max number of arguments.
    syscall = c"syscall": unsafe extern "C" fn(c_long, usize, usize, usize, usize, usize, usize) -> c_long;
    /// `execve`.
    execve = c"execve": unsafe extern "C" fn(Text, Texts, Texts) -> c_int;
    /// `execvpe`.
    execvpe = c"execvpe": unsafe extern "C" fn(Text, Texts, Texts) -> c_int;
    /// `fexecve`.
    fexecve = c"fexecve": unsafe extern "C" fn(c_int, Texts, Texts) -> c_int;
    /// `execveat`.
    execveat = c"execveat": unsafe extern "C" fn(c_int, Text, Texts, Texts, c_int) -> c_int;
    /// `system`.
    system = c"system": unsafe extern "C" fn(Text) -> c_int;
    /// `popen`.
    popen = c"popen": unsafe extern "C" fn(Text, Text) -> *mut c_void;
    /// `posix_spawn`.
    posix_spawn = c"posix_spawn": Spawn;
    /// `posix_spawnp`.
    posix_spawnp = c"posix_spawnp": Spawn;
}

/// A C string.
pub(crate) type Text = *const c_char;
/// A null-terminated array of C strings.
pub(crate) type Texts = *const *const c_char;
/// `posix_spawn` and `posix_spawnp`.
pub(crate) type Spawn =
    unsafe extern "C" fn(*mut libc::pid_t, Text, *const c_void, *const c_void, Texts, Texts) -> c_int;

/// Looks up functions that must not be looked up for the first time between a `fork` and an `exec`.
pub(crate) fn prepare() {
    let _ = (prctl(), syscall(), execve(), execvpe(), fexecve(), execveat());
    let _ = (posix_spawn(), posix_spawnp(), system(), popen());
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
        assert!(malloc().is_some() && calloc().is_some() && realloc().is_some() && free().is_some());
        assert!(memalign().is_some() && aligned_alloc().is_some() && posix_memalign().is_some());
        assert!(valloc().is_some() && pvalloc().is_some());
    }
}
