//! An independent judge of allocators: a map of the intervals that are live.
//!
//! Everything that an allocator hands out is checked against what is live already, filled with a stamp, and the stamp is
//! checked whenever the block is resized or freed. It knows nothing of how any pool works.

use std::{alloc::Layout, collections::BTreeMap, ptr::NonNull};

use millpond::{AllocError, Allocator};

struct Live {
    returned: usize,
    layout: Layout,
    stamp: u8,
}

/// An allocator, and everything that it must have kept promise on. Dropping it frees what is live.
pub(crate) struct Oracle<A: Allocator> {
    pub(crate) allocator: A,
    live: BTreeMap<usize, Live>,
    stamps: u8,
}

impl<A: Allocator> Oracle<A> {
    pub(crate) fn new(allocator: A) -> Self {
        Self { allocator, live: BTreeMap::new(), stamps: 0 }
    }

    pub(crate) fn count(&self) -> usize {
        self.live.len()
    }

    fn nth(&self, index: usize) -> (usize, &Live) {
        let (&start, live) = self.live.iter().nth(index).expect("the test asks for blocks that are live");
        (start, live)
    }

    pub(crate) fn allocate(&mut self, layout: Layout, zeroed: bool) -> Result<(), AllocError> {
        let block =
            if zeroed { self.allocator.allocate_zeroed(layout) } else { self.allocator.allocate(layout) }?;
        if zeroed {
            assert!(
                bytes(block).iter().all(|&byte| byte == 0),
                "allocate_zeroed left a byte that is not zero"
            );
        }
        self.admit(block, layout);
        Ok(())
    }

    /// Checks a block that was just handed out, and stamps it.
    fn admit(&mut self, block: NonNull<[u8]>, layout: Layout) {
        let start = block.addr().get();
        assert_eq!(start % layout.align(), 0, "misaligned for {layout:?}");
        assert!(block.len() >= layout.size(), "{} bytes for {layout:?}", block.len());
        if layout.size() == 0 {
            assert_eq!((start, block.len()), (layout.align(), 0), "a zero-sized block that is not dangling");
            return;
        }
        let before = self.live.range(..start + block.len()).next_back();
        if let Some((&other, live)) = before {
            assert!(other + live.returned <= start, "{start:#x} overlaps the block at {other:#x}");
        }
        self.stamps = self.stamps.wrapping_add(1);
        // SAFETY: the block was just handed out, with this length.
        unsafe { block.cast::<u8>().write_bytes(self.stamps, block.len()) };
        self.live.insert(start, Live { returned: block.len(), layout, stamp: self.stamps });
    }

    fn dismiss(&mut self, index: usize) -> (NonNull<u8>, Live) {
        let (start, live) = self.nth(index);
        let block =
            NonNull::new(std::ptr::with_exposed_provenance_mut::<u8>(start)).expect("blocks are not null");
        let all = NonNull::slice_from_raw_parts(block, live.returned);
        assert!(
            bytes(all).iter().all(|&byte| byte == live.stamp),
            "somebody wrote into the block at {start:#x}"
        );
        let live = self.live.remove(&start).expect("it was just looked up");
        (block, live)
    }

    /// Frees the `index`th live block with the size `freed`, at most what was returned and at least what was requested.
    pub(crate) fn deallocate(&mut self, index: usize, slack: usize) {
        let (block, live) = self.dismiss(index);
        let size = live.layout.size() + slack % (live.returned - live.layout.size() + 1);
        let layout =
            Layout::from_size_align(size, live.layout.align()).expect("no larger than what was returned");
        // SAFETY: the block is live, and the layout fits it.
        unsafe { self.allocator.deallocate(block, layout) };
    }

    /// Grows or shrinks the `index`th live block, which keeps what both layouts have room for.
    pub(crate) fn resize(&mut self, index: usize, new: Layout, zeroed: bool) -> Result<(), AllocError> {
        let (block, live) = self.dismiss(index);
        let old = live.layout;
        // SAFETY: the block is live with the layout `old`, and the sizes are as each method wants them.
        let resized = unsafe {
            match (new.size() >= old.size(), zeroed) {
                (true, false) => self.allocator.grow(block, old, new),
                (true, true) => self.allocator.grow_zeroed(block, old, new),
                (false, _) => self.allocator.shrink(block, old, new),
            }
        };
        match resized {
            Ok(moved) => {
                let kept = old.size().min(new.size());
                assert!(
                    bytes(moved)[..kept].iter().all(|&byte| byte == live.stamp),
                    "resizing lost contents"
                );
                if zeroed && new.size() >= old.size() {
                    assert!(
                        bytes(moved)[old.size()..].iter().all(|&byte| byte == 0),
                        "grow_zeroed left a byte"
                    );
                }
                self.admit(moved, new);
                Ok(())
            }
            Err(error) => {
                let start = block.addr().get();
                let all = NonNull::slice_from_raw_parts(block, old.size());
                assert!(bytes(all).iter().all(|&byte| byte == live.stamp), "a failed resize lost contents");
                self.live.insert(start, live);
                Err(error)
            }
        }
    }

    /// Forgets everything that is live, as after a reset.
    pub(crate) fn forget(&mut self) {
        self.live.clear();
    }
}

fn bytes(block: NonNull<[u8]>) -> &'static [u8] {
    block.cast::<u8>().as_ptr().expose_provenance();
    // SAFETY: the oracle reads blocks that are live, and that it wrote to or that were promised to be zero, and never
    // keeps the slice.
    unsafe { &*block.as_ptr() }
}

impl<A: Allocator> Drop for Oracle<A> {
    fn drop(&mut self) {
        while !std::thread::panicking() && self.count() != 0 {
            self.deallocate(0, 0);
        }
    }
}
