//! No allocator: every block is one and the same small buffer. What a replay against it takes is the cost of the loop
//! and of the touches, which is subtracted from what the others take.

use std::cell::UnsafeCell;

use super::{Contender, Request};

/// The buffer that every touch goes to. It stays in the first-level cache, so that what is subtracted is the least that
/// loop and touches can cost: cache misses and page faults of real blocks count as their allocator's.
#[repr(align(4096))]
pub(crate) struct Bare(UnsafeCell<[u8; Self::SIZE]>);

impl Bare {
    const SIZE: usize = 8192;

    /// A buffer whose pages are there.
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self(UnsafeCell::new([1; Self::SIZE])))
    }
}

impl Contender for Bare {
    const REACH: usize = Self::SIZE - 1;

    #[inline(always)]
    fn allocate(&self, _: Request) -> *mut u8 {
        self.0.get().cast()
    }

    #[inline(always)]
    fn allocate_zeroed(&self, _: Request) -> *mut u8 {
        self.0.get().cast()
    }

    #[inline(always)]
    fn allocate_aligned(&self, _: Request) -> *mut u8 {
        self.0.get().cast()
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, _: Request, _: Request) -> *mut u8 {
        block
    }

    #[inline(always)]
    unsafe fn free(&self, _: *mut u8, _: Request) {}

    unsafe fn usable(&self, _: *mut u8, request: Request) -> usize {
        request.size()
    }
}
