//! The memory of a WebAssembly module as a source.
//!
//! The memory of a module grows at its end, by pages of 64 KiB, and never shrinks. One instruction returns where the
//! memory ended and extends it; the new memory is zero and belongs to the caller.

use core::{
    alloc::Layout,
    arch::wasm32::{memory_grow, memory_size},
    ptr::NonNull,
};

use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork},
};

/// Pages from the end of a WebAssembly module's memory. Available on `wasm32` only.
///
/// Sizes are rounded up to whole pages, and the returned slice has the rounded length. Pages are zero, so
/// [`allocate_zeroed`](Allocator::allocate_zeroed) costs nothing extra. Alignments up to a page are supported. Other
/// code may grow the memory too, including the standard library's allocator, on this thread or another.
///
/// Memory cannot be given back to the system, so *freed blocks stay unavailable*. This suits a pool that lives as long
/// as the program. For pools that are created and dropped, put a pool in between that keeps what they return:
/// `Local<Tlsf, WasmPages>`.
///
/// ```text
/// #[global_allocator]
/// static GLOBAL: Global<Locked<Classes, WasmPages>> = Global(Locked::new_in(Classes::new(), WasmPages));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WasmPages;

impl WasmPages {
    /// The page size, in bytes.
    pub const SIZE: usize = 64 << 10;

    /// Returns the number of pages that the module's memory has now, including those requested by other code.
    #[must_use]
    pub fn count() -> usize {
        memory_size::<0>()
    }
}

// SAFETY: new pages belong to no one else, start at a multiple of their size, and are never handed out again.
unsafe impl Allocator for WasmPages {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let size = layout.size().next_multiple_of(Self::SIZE);
        if layout.align() > Self::SIZE || size > isize::MAX.cast_unsigned() {
            return Err(AllocError::Unsupported);
        }
        let first = memory_grow::<0>(size / Self::SIZE);
        // If the memory cannot grow, the result is the largest integer. A memory without pages would start at a null
        // pointer, and a block up to the very last address would end at one.
        let start = first.checked_mul(Self::SIZE).filter(|start| start.checked_add(size).is_some());
        let start =
            start.and_then(|start| NonNull::new(address::recover(start))).ok_or(AllocError::Exhausted)?;
        Ok(NonNull::slice_from_raw_parts(start, size))
    }

    /// Does nothing: see [`WasmPages`].
    unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.allocate(layout)
    }
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for WasmPages {}
