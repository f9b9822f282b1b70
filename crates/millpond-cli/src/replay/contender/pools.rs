//! Millpond's own: a pool of size classes over the heap.

use std::{alloc::Layout, ptr::NonNull};

use millpond::{AllocError, Allocator, Classes, ClassesError, Heap, Local};

use super::{Contender, Glibc, Request};
use crate::advise::align_of_block;

/// `Local<Classes, Heap>`, as a program of one thread would use it.
pub(crate) struct Pools {
    pool: Local<Classes, Heap>,
    /// Size and alignment of each class's blocks, ascending by size.
    blocks: Vec<Layout>,
}

impl Pools {
    /// With the block sizes that the library chooses.
    pub(crate) fn standard() -> Self {
        Self::of(Classes::default())
    }

    /// With chosen block sizes.
    pub(crate) fn chosen(sizes: &[usize]) -> Result<Self, ClassesError> {
        Classes::with_sizes(sizes).map(Self::of)
    }

    fn of(classes: Classes) -> Self {
        let blocks =
            classes.sizes().filter_map(|size| Layout::from_size_align(size, align_of_block(size)).ok());
        Self { blocks: blocks.collect(), pool: Local::new_in(classes, Heap) }
    }
}

#[inline(always)]
fn start(block: Result<NonNull<[u8]>, AllocError>) -> *mut u8 {
    block.map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
}

impl Contender for Pools {
    #[inline(always)]
    fn allocate(&self, request: Request) -> *mut u8 {
        start(self.pool.allocate(request.layout()))
    }

    #[inline(always)]
    fn allocate_zeroed(&self, request: Request) -> *mut u8 {
        start(self.pool.allocate_zeroed(request.layout()))
    }

    #[inline(always)]
    fn allocate_aligned(&self, request: Request) -> *mut u8 {
        start(self.pool.allocate(request.layout()))
    }

    #[inline(always)]
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8 {
        let (old, new) = (old.layout(), new.layout());
        // SAFETY: the caller promises a live block, hence not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the block is live, and the caller promises that `old` is what it was asked for with.
        start(unsafe {
            if new.size() >= old.size() {
                self.pool.grow(block, old, new)
            } else {
                self.pool.shrink(block, old, new)
            }
        })
    }

    #[inline(always)]
    unsafe fn free(&self, block: *mut u8, request: Request) {
        // SAFETY: the caller promises a live block, hence not null, and the layout that it was asked for with.
        unsafe { self.pool.deallocate(NonNull::new_unchecked(block), request.layout()) }
    }

    unsafe fn usable(&self, block: *mut u8, request: Request) -> usize {
        let fits = |class: &&Layout| class.size() >= request.size() && class.align() >= request.align();
        match self.blocks.iter().find(fits) {
            _ if request.size() == 0 => 0,
            Some(class) => class.size(),
            // SAFETY: what no class serves comes from the heap, and that is the C library's.
            None => unsafe { Glibc.usable(block, request) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_has_the_size_that_the_pool_says() {
        let pools = Pools::chosen(&[24, 48, 1000]).unwrap();
        for (size, expected) in [(0, 0), (1, 24), (24, 24), (32, 48), (40, 48), (49, 1000), (1000, 1000)] {
            let request = Request::of_size(size);
            let block = pools.pool.allocate(request.layout()).unwrap();
            // SAFETY: the block is live and was asked for with this request.
            let usable = unsafe { pools.usable(block.as_ptr().cast(), request) };
            assert_eq!((usable, block.len()), (expected, expected), "{size} bytes");
            // SAFETY: as above.
            unsafe { pools.free(block.as_ptr().cast(), request) };
        }
    }
}
