//! The memory of a WebAssembly module as a source.
//!
//! A module's memory grows by pages of 64 KiB, at its end, and never shrinks. One instruction says where it ended and
//! makes it longer; what it adds is zero, and belongs to whoever asked.

use core::{
    alloc::Layout,
    arch::wasm32::{memory_grow, memory_size},
    ptr::NonNull,
};

use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork},
};

/// Pages from the end of a WebAssembly module's memory. On `wasm32` only.
///
/// Sizes are rounded up to whole pages, and the slice returned is as long as they are; they are zero, so
/// [`allocate_zeroed`](Allocator::allocate_zeroed) costs nothing more. Alignments up to a page are served. Others may make the
/// memory grow too, the standard library's allocator among them, on this thread or another.
///
/// There is no way to give memory back, so *what is freed stays spent*. That is right below a pool that lives as long as the
/// program. Where pools come and go, put one between that keeps what they return: `Local<Tlsf, WasmPages>`.
///
/// ```text
/// #[global_allocator]
/// static GLOBAL: Global<Locked<Classes, WasmPages>> = Global(Locked::new_in(Classes::new(), WasmPages));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WasmPages;

impl WasmPages {
    /// Bytes in a page.
    pub const SIZE: usize = 64 << 10;

    /// How many pages the module's memory has now, whoever asked for them.
    #[must_use]
    pub fn count() -> usize {
        memory_size::<0>()
    }
}

// SAFETY: pages that were not there before are nobody's, start at a multiple of their size, and are never handed out again.
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
        // Where it cannot grow, that is the largest number there is. Memory of no pages at all would start at a null pointer, and
        // a block up to the last byte there can be would end at one.
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

impl AtFork for WasmPages {}
