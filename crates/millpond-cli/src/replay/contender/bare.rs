//! No allocator: all blocks are the same small buffer. A replay against it measures the cost of the loop and of
//! touching blocks, which is subtracted from the times of the others.

use std::cell::UnsafeCell;

use super::{Contender, Request};

/// One buffer per thread for all touches. It stays in the first-level cache, so that the minimum cost of loop and
/// touches is subtracted: cache misses and page faults of real blocks count for their allocator.
pub(crate) struct Bare;

const SIZE: usize = 8192;

thread_local! {
    static BUFFER: UnsafeCell<[u8; SIZE]> = const { UnsafeCell::new([1; SIZE]) };
}

impl Contender for Bare {
    const REACH: usize = SIZE - 1;

    #[inline(always)]
    fn allocate(&self, _: Request) -> *mut u8 {
        BUFFER.with(|buffer| buffer.get().cast())
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        self.allocate(request)
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        self.allocate(request)
    }

    #[inline(always)]
    unsafe fn resize(&self, _: *mut u8, _: Request, new: Request) -> *mut u8 {
        self.allocate(new)
    }

    #[inline(always)]
    unsafe fn free(&self, _: *mut u8, _: Request) {}

    unsafe fn usable(&self, _: *mut u8, request: Request) -> usize {
        request.size()
    }
}
