//! mimalloc, called by its own names because it is not the global allocator of this program.

use libmimalloc_sys as mi;

use super::{Contender, Request};

/// Returns the version of mimalloc.
pub(crate) fn mimalloc_version() -> String {
    // SAFETY: this function has no preconditions. It returns two digits for each part of the version.
    let version = unsafe { mi::mi_version() };
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// The allocator mimalloc.
pub(crate) struct Mimalloc;

impl Contender for Mimalloc {
    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        // SAFETY: `mi_malloc` accepts any size.
        unsafe { mi::mi_malloc(request.size()).cast() }
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        // SAFETY: `mi_zalloc` accepts any size.
        unsafe { mi::mi_zalloc(request.size()).cast() }
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        // SAFETY: the alignment is a power of two.
        unsafe { mi::mi_malloc_aligned(request.size(), request.align()).cast() }
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, _: Request, new: Request) -> *mut u8 {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe { mi::mi_realloc(block.cast(), new.size()).cast() }
    }

    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, _: Request) {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe { mi::mi_free(block.cast()) }
    }

    unsafe fn usable(&self, block: *mut u8, _: Request) -> usize {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe { mi::mi_usable_size(block.cast()) }
    }
}
