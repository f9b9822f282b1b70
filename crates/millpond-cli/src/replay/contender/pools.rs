//! Millpond's pools: size classes on the heap, or on huge pages.

use std::{alloc::Layout, ptr::NonNull};

use millpond::{
    Allocator, Cached, Classes, Heap, Linear, Local, Locked, guard::Segregator, pool::ClassesError,
    raw::Allocation, source::TunedPages,
};

use super::{Contender, Malloc, Request};
use crate::advise::align_of_block;

/// Size classes on the heap, for a program with one thread.
pub(crate) type OnHeap = Local<Classes, Heap>;

/// The same with chunks packed onto huge pages. Requests larger than any class come from the heap; smaller requests
/// with more alignment than any class, which are rare, come from the chunks and are not reused.
pub(crate) type OnHugePages = Segregator<Local<Classes, Local<Linear, TunedPages>>, Heap>;

/// The first of these for a program with several threads,
pub(crate) type OnHeapShared = Cached<Classes, Heap>;

/// and the second.
pub(crate) type OnHugePagesShared = Segregator<Cached<Classes, Locked<Linear, TunedPages>>, Heap>;

/// A pool of size classes.
pub(crate) struct Pools<A> {
    pool: A,
    /// Size and alignment of each class's blocks, ascending by size.
    blocks: Vec<Layout>,
    /// Whether small requests that no class serves come from the heap.
    misfits_on_heap: bool,
}

impl Pools<OnHeap> {
    /// Creates a pool with the block sizes that the library chooses.
    pub(crate) fn standard() -> Self {
        Self::on_heap(Classes::default())
    }

    /// Creates a pool with the given block sizes.
    pub(crate) fn chosen(sizes: &[usize]) -> Result<Self, ClassesError> {
        Classes::with_sizes(sizes).map(Self::on_heap)
    }

    fn on_heap(classes: Classes) -> Self {
        Self { blocks: blocks(&classes), pool: Local::new_in(classes, Heap), misfits_on_heap: true }
    }
}

impl Pools<OnHugePages> {
    /// Creates a pool with the given block sizes, on huge pages.
    pub(crate) fn chosen_on_huge_pages(sizes: &[usize]) -> Result<Self, ClassesError> {
        let classes = Classes::with_sizes(sizes)?;
        let blocks = blocks(&classes);
        let largest = blocks.last().map_or(0, Layout::size);
        let pages = Local::new_in(Linear::new(), TunedPages::new().transparent_huge_pages());
        let pool = Segregator::new(largest, Local::new_in(classes, pages), Heap);
        Ok(Self { pool, blocks, misfits_on_heap: false })
    }
}

impl Pools<OnHeapShared> {
    /// Creates a pool with the block sizes that the library chooses.
    pub(crate) fn standard_shared() -> Self {
        Self::on_heap_shared(Classes::default())
    }

    /// Creates a pool with the given block sizes.
    pub(crate) fn chosen_shared(sizes: &[usize]) -> Result<Self, ClassesError> {
        Classes::with_sizes(sizes).map(Self::on_heap_shared)
    }

    fn on_heap_shared(classes: Classes) -> Self {
        Self { blocks: blocks(&classes), pool: Cached::new_in(classes, Heap), misfits_on_heap: true }
    }
}

impl Pools<OnHugePagesShared> {
    /// Creates a pool with the given block sizes, on huge pages.
    pub(crate) fn chosen_on_huge_pages_shared(sizes: &[usize]) -> Result<Self, ClassesError> {
        let classes = Classes::with_sizes(sizes)?;
        let blocks = blocks(&classes);
        let largest = blocks.last().map_or(0, Layout::size);
        let pages = Locked::new_in(Linear::new(), TunedPages::new().transparent_huge_pages());
        let pool = Segregator::new(largest, Cached::new_in(classes, pages), Heap);
        Ok(Self { pool, blocks, misfits_on_heap: false })
    }
}

/// Returns the blocks that the classes hand out.
fn blocks(classes: &Classes) -> Vec<Layout> {
    classes.sizes().filter_map(|size| Layout::from_size_align(size, align_of_block(size)).ok()).collect()
}

#[inline(always)]
fn start(block: Allocation) -> *mut u8 {
    block.map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
}

impl<A: Allocator> Contender for Pools<A> {
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
        // SAFETY: the caller passes a live block, which is not null.
        let block = unsafe { NonNull::new_unchecked(block) };
        // SAFETY: the block is live, and the caller passes the request that it last served as `old`.
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
        // SAFETY: the caller passes a live block, which is not null, and the layout that it last served.
        unsafe { self.pool.deallocate(NonNull::new_unchecked(block), request.layout()) }
    }

    unsafe fn usable(&self, block: *mut u8, request: Request) -> usize {
        let fits = |class: &&Layout| class.size() >= request.size() && class.align() >= request.align();
        let largest = self.blocks.last().map_or(0, Layout::size);
        match self.blocks.iter().find(fits) {
            _ if request.size() == 0 => 0,
            Some(class) => class.size(),
            None if request.size() <= largest && !self.misfits_on_heap => request.size(),
            // SAFETY: all other blocks come from the heap, which is `malloc`.
            None => unsafe { Malloc.usable(block, request) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes and alignments of requests, and the size of the block for each; 0 if the heap decides.
    const CASES: [(u64, u32, usize); 10] = [
        (0, 0, 0),
        (1, 0, 24),
        (24, 0, 24),
        (32, 0, 48),
        (40, 0, 48),
        (40, 16, 48),
        (40, 32, 1024),
        (49, 0, 1024),
        (1024, 0, 1024),
        (1025, 0, 0),
    ];

    fn check<A: Allocator>(pools: &Pools<A>, size: u64, align: u32, expected: usize) {
        let request = Request::recorded(size, align).unwrap();
        let block = pools.pool.allocate(request.layout()).unwrap();
        // SAFETY: the block is live and was allocated for this request.
        let usable = unsafe { pools.usable(block.as_ptr().cast(), request) };
        match expected {
            0 => assert!(usable as u64 >= size, "{size} bytes"),
            _ => assert_eq!((usable, block.len()), (expected, expected), "{size} bytes, aligned to {align}"),
        }
        // SAFETY: as above.
        unsafe { pools.free(block.as_ptr().cast(), request) };
    }

    #[test]
    fn blocks_have_the_size_of_their_class() {
        let on_heap = Pools::chosen(&[24, 48, 1024]).unwrap();
        let on_huge_pages = Pools::chosen_on_huge_pages(&[24, 48, 1024]).unwrap();
        for (size, align, expected) in CASES {
            check(&on_heap, size, align, expected);
            check(&on_huge_pages, size, align, expected);
        }
        check(&on_heap, 100, 256, 0);
        check(&on_huge_pages, 100, 256, 100);
    }
}
