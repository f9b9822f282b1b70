//! The global allocator of Rust programs.

use core::alloc::{GlobalAlloc, Layout};

use crate::{
    call::{DEALLOC, Given},
    classes::GRAIN,
    heap,
    settings::{self, Mode},
};

/// The heap as a global allocator: see [the crate](crate).
///
/// All values are the same heap. A program in which `libmillpond_malloc.so` is preloaded has two heaps, this and the one
/// of the library.
#[derive(Clone, Copy, Debug, Default)]
pub struct MillpondAlloc;

impl MillpondAlloc {
    /// Returns the mode of the heap.
    #[must_use]
    pub fn mode(&self) -> Mode {
        settings::mode()
    }

    /// Sets the time after which free memory that was not needed is returned to the system; zero returns it at the
    /// next opportunity. The default is half a second, or `MILLPOND_MALLOC_DECAY_MS`.
    pub fn set_decay(&self, time: core::time::Duration) {
        settings::set_decay(time);
    }

    /// Returns free memory to the system: that of the calling thread, the spare magazines of other threads, what threads
    /// share, and all free units. Returns the number of bytes.
    pub fn trim(&self) -> usize {
        heap::trim()
    }
}

// SAFETY: blocks are live until they are freed, distinct, large enough and aligned; no function unwinds.
unsafe impl GlobalAlloc for MillpondAlloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= GRAIN {
            heap::allocate(layout.size())
        } else {
            heap::allocate_aligned(layout.align(), layout.size())
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller passes a live block.
        unsafe { heap::deallocate_as(block, &DEALLOC, Given::new(layout.size(), layout.align())) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= GRAIN {
            return heap::allocate_zeroed(layout.size());
        }
        let block = heap::allocate_aligned(layout.align(), layout.size());
        if !block.is_null() {
            // SAFETY: the block is as long.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= GRAIN {
            // SAFETY: the caller passes a live block.
            return unsafe { heap::resize(block, size) };
        }
        let moved = heap::allocate_aligned(layout.align(), size);
        if !moved.is_null() {
            // SAFETY: both blocks are live, distinct and at least as long; the old one is the caller's.
            unsafe {
                core::ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}
