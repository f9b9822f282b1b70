//! `malloc` of this process, called as the recorded program called it: that of glibc, or of a library that was loaded
//! before it.

use std::ptr;

use super::{Contender, Request};

/// The allocator behind `malloc`.
pub(crate) struct Malloc;

impl Contender for Malloc {
    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        // SAFETY: `malloc` accepts any size.
        unsafe { libc::malloc(request.size()).cast() }
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        // SAFETY: `calloc` accepts any sizes.
        unsafe { libc::calloc(1, request.size()).cast() }
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        let mut block = ptr::null_mut();
        let align = request.align().max(size_of::<usize>());
        // SAFETY: the alignment is a power of two and a multiple of the size of a pointer; `block` is valid for writes.
        let failed = unsafe { libc::posix_memalign(&mut block, align, request.size()) } != 0;
        if failed { ptr::null_mut() } else { block.cast() }
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, _: Request, new: Request) -> *mut u8 {
        // SAFETY: the caller passes a live block of this allocator. The size is not zero, which would free the block.
        unsafe { libc::realloc(block.cast(), new.size().max(1)).cast() }
    }

    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, _: Request) {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe { libc::free(block.cast()) }
    }

    unsafe fn usable(&self, block: *mut u8, _: Request) -> usize {
        // SAFETY: the caller passes a live block of this allocator.
        unsafe { libc::malloc_usable_size(block.cast()) }
    }
}
