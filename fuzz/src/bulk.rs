//! A shell whose blocks are allocated and freed several at a time.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull, slice};

use millpond::{
    Allocator, Inspect, Reclaim,
    observe::{InvariantError, PoolStats},
    raw::Allocation,
};

/// Number of blocks that are allocated for each requested one.
const MANY: usize = 5;

/// Allocates several blocks from its shell, fills and compares them, and frees all except one in one call.
pub struct InBulk<S>(pub S);

// SAFETY: every block is the shell's, which upholds the contract.
unsafe impl<S: Allocator> Allocator for InBulk<S> {
    fn allocate(&self, layout: Layout) -> Allocation {
        let mut places = [MaybeUninit::uninit(); MANY];
        self.0.allocate_many(layout, &mut places)?;
        // SAFETY: all places were filled.
        let blocks = places.map(|place| unsafe { place.assume_init() });
        for (stamp, block) in (1u8..).zip(&blocks) {
            // SAFETY: each block is live and has this layout.
            unsafe { block.write_bytes(stamp, layout.size()) };
        }
        for (stamp, block) in (1u8..).zip(&blocks) {
            // SAFETY: as above, and the bytes were written.
            let bytes = unsafe { slice::from_raw_parts(block.as_ptr(), layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == stamp), "two of many blocks overlap");
        }
        let (&one, others) = blocks.split_first().expect("there are many");
        // SAFETY: the blocks are live and not used after this.
        unsafe { self.0.deallocate_many(others, layout) };
        Ok(NonNull::slice_from_raw_parts(one, layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the contract is the same as the caller's.
        unsafe { self.0.deallocate_many(&[block], layout) };
    }
}

impl<S: Inspect> Inspect for InBulk<S> {
    fn stats(&self) -> PoolStats {
        self.0.stats()
    }

    fn owns(&self, address: *const u8) -> bool {
        self.0.owns(address)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.0.check()
    }
}

impl<S: Reclaim> Reclaim for InBulk<S> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn trim(&mut self) -> usize {
        self.0.trim()
    }
}
