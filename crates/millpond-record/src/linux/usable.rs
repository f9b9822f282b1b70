//! Usable sizes of blocks, if addresses are requested. Streams then log every call in the slow way, so that the fast path
//! is the same without them.

use core::{
    ffi::c_void,
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering::*},
};

use millpond_trace::raw::{Control, Kind};

use super::{
    module::Module,
    real::{self, UsableSize},
    thread,
};

/// The function that knows them; null if they are not requested, or if there is none for the blocks that the recorder
/// sees. Like all statics, kept by `fork`.
static FUNCTION: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Looks for the function, if sizes are requested. It must be of the library that serves all calls: another one would read
/// what it takes for the header of its own block.
pub(crate) fn prepare(control: &Control) {
    if control.addresses.load(Relaxed) == 0 {
        return;
    }
    let function = real::MALLOC_USABLE_SIZE.get().map_or(null_mut(), |function| function as *mut c_void);
    let own = Module::of(function);
    if real::allocating().into_iter().flatten().all(|real| Module::are_same(Module::of(real), own)) {
        FUNCTION.store(function, Relaxed);
    }
}

/// Returns the usable bytes of the block that a call has returned; 0 if they are unknown or not requested. The allocator
/// may itself allocate for that (tcmalloc does), and log events.
pub(crate) fn of(kind: Kind, address: usize) -> usize {
    let function = FUNCTION.load(Relaxed);
    let is_new = matches!(kind, Kind::Allocate | Kind::AllocateZeroed | Kind::ResizeEnd) && address != 0;
    if function.is_null() || !is_new {
        return 0;
    }
    let thread = thread::current();
    // SAFETY: only this thread accesses its state; the function is `malloc_usable_size` of the library that has just
    // returned the block.
    unsafe {
        if core::mem::replace(&mut (*thread).sizing, true) {
            return 0;
        }
        let size = core::mem::transmute::<*mut c_void, UsableSize>(function)(address as *mut c_void);
        (*thread).sizing = false;
        size
    }
}
