//! Memory that a handler zeroes in each child of `fork`: in a sandbox, the system cannot be asked to do that.

use core::{
    ffi::c_void,
    mem::replace,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, AtomicUsize, Ordering::*},
};

use super::{real, thread};

/// A part of memory.
struct Area {
    start: AtomicPtr<u8>,
    bytes: AtomicUsize,
}

/// What is zeroed. Like all statics, kept by `fork`.
static AREAS: [Area; 4] =
    [const { Area { start: AtomicPtr::new(null_mut()), bytes: AtomicUsize::new(0) } }; 4];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Bytes that are looked at, and zeroed, at a time.
const PAGE: usize = 4096;

/// Has the memory, whole pages, zeroed in children from now on; returns whether that will happen. Not to be called by two
/// threads at a time.
pub(crate) fn in_children(start: *mut u8, bytes: usize) -> bool {
    let count = COUNT.load(Relaxed);
    let Some(area) = AREAS.get(count) else { return false };
    if count == 0 && !register() {
        return false;
    }
    area.bytes.store(bytes, Relaxed);
    area.start.store(start, Relaxed);
    COUNT.store(count + 1, Release);
    true
}

/// Registers the handler.
fn register() -> bool {
    let thread = thread::current();
    // SAFETY: a thread's state exists as long as the thread: while it is busy, what the C library allocates is not logged.
    // The handler may be called in any child.
    unsafe {
        let before = replace(&mut (*thread).busy, true);
        let answer = match (real::REGISTER_ATFORK.get(), real::PTHREAD_ATFORK.get()) {
            (Some(register), _) => register(null_mut(), null_mut(), Some(wipe), null_mut::<c_void>()),
            (None, Some(register)) => register(null_mut(), null_mut(), Some(wipe)),
            (None, None) => 1,
        };
        (*thread).busy = before;
        answer == 0
    }
}

/// Zeroes the memory. Pages that are all zeros are not written, because they may not exist yet.
unsafe extern "C" fn wipe() {
    for area in AREAS.iter().take(COUNT.load(Acquire)) {
        let start = area.start.load(Relaxed);
        for offset in (0..area.bytes.load(Relaxed)).step_by(PAGE) {
            // SAFETY: the area is mapped, consists of whole pages, and nothing else runs in the new process.
            unsafe {
                let page = start.add(offset).cast::<[u64; PAGE / 8]>();
                if (*page).iter().any(|&word| word != 0) {
                    page.write_bytes(0, 1);
                }
            }
        }
    }
}
