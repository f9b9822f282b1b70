//! mimalloc, called by its own names: it is not this program's allocator.

use libmimalloc_sys as mi;

use super::{Contender, Request};

/// Which mimalloc takes part.
pub(crate) fn mimalloc_version() -> String {
    // SAFETY: this only answers: two digits for each part of the version.
    let version = unsafe { mi::mi_version() };
    format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

/// mi_malloc and its kin.
pub(crate) struct Mimalloc;

impl Contender for Mimalloc {
    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        // SAFETY: mi_malloc may be called with any size.
        unsafe { mi::mi_malloc(request.size()).cast() }
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        // SAFETY: mi_zalloc may be called with any size.
        unsafe { mi::mi_zalloc(request.size()).cast() }
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        // SAFETY: the alignment is a power of two.
        unsafe { mi::mi_malloc_aligned(request.size(), request.align()).cast() }
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, _: Request, new: Request) -> *mut u8 {
        // SAFETY: the caller promises a live block.
        unsafe { mi::mi_realloc(block.cast(), new.size()).cast() }
    }

    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, _: Request) {
        // SAFETY: the caller promises a live block.
        unsafe { mi::mi_free(block.cast()) }
    }

    unsafe fn usable(&self, block: *mut u8, _: Request) -> usize {
        // SAFETY: the caller promises a live block.
        unsafe { mi::mi_usable_size(block.cast()) }
    }
}
