//! Blocks that this heap did not allocate. They come from the C library: what it allocated before this library was
//! loaded, and what libraries opened with `RTLD_DEEPBIND` allocate.

use core::{
    mem::transmute,
    sync::atomic::{AtomicUsize, Ordering::*},
};

type Free = unsafe extern "C" fn(*mut libc::c_void);

/// The address of the C library's `free`; 0: not looked up yet.
static FREE: AtomicUsize = AtomicUsize::new(0);

/// Frees a block of the C library.
///
/// # Safety
///
/// The block must be one of the C library's heap.
pub(crate) unsafe fn deallocate(block: *mut u8) {
    let mut free = FREE.load(Relaxed);
    if free == 0 {
        // SAFETY: the name is a C string. The next `free` after that of this library is the C library's.
        free = unsafe { libc::dlsym(libc::RTLD_NEXT, c"free".as_ptr()) } as usize;
        FREE.store(free, Relaxed);
    }
    // Without the C library's `free` the block is leaked.
    if free != 0 {
        // SAFETY: the address is that of a function of this type; the caller guarantees that the block is one of the C
        // library.
        unsafe { transmute::<usize, Free>(free)(block.cast()) };
    }
}

/// Returns the usable size of a block of the C library: that in the header of its chunk, less the header. (Its function
/// for this is the one that this library replaces.)
///
/// # Safety
///
/// The block must be one of the C library's heap.
pub(crate) unsafe fn usable_size(block: *mut u8) -> usize {
    const FLAGS: usize = 7;
    const IS_MAPPED: usize = 2;
    // SAFETY: the word in front of a block of the C library is the size of its chunk, with flags.
    let header = unsafe { block.cast::<usize>().sub(1).read() };
    (header & !FLAGS) - if header & IS_MAPPED == 0 { 8 } else { 16 }
}
