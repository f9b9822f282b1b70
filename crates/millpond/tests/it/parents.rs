//! Parents that watch, refuse, or call back.

use std::{
    alloc::Layout,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
    ptr::NonNull,
};

use millpond::{AllocError, Allocator, Heap};

/// The heap, with a list of what is out: panics when something comes back that never went out, or with a wrong layout.
#[derive(Default)]
pub(crate) struct Watched {
    out: RefCell<BTreeMap<usize, (Layout, usize)>>,
    requests: Cell<usize>,
    /// The requests, counted from zero, that fail.
    fails: Range<usize>,
}

impl Watched {
    /// A parent that refuses these requests, counted from zero.
    pub(crate) fn failing(fails: Range<usize>) -> Self {
        Self { fails, out: RefCell::default(), requests: Cell::default() }
    }

    /// How many blocks are out.
    pub(crate) fn out(&self) -> usize {
        self.out.borrow().len()
    }

    /// How many bytes are out.
    pub(crate) fn bytes(&self) -> usize {
        self.out.borrow().values().map(|&(_, returned)| returned).sum()
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.get()
    }
}

// SAFETY: it is the heap's contract.
unsafe impl Allocator for Watched {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let request = self.requests.replace(self.requests.get() + 1);
        if self.fails.contains(&request) {
            return Err(AllocError::Exhausted);
        }
        let block = Heap.allocate(layout)?;
        self.out.borrow_mut().insert(block.addr().get(), (layout, block.len()));
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        let (asked, returned) =
            self.out.borrow_mut().remove(&block.addr().get()).expect("this block is not out");
        assert_eq!(asked.align(), layout.align(), "freed with another alignment");
        assert!((asked.size()..=returned).contains(&layout.size()), "freed with another size");
        // SAFETY: the block is out, and the layout is the one it was allocated with.
        unsafe { Heap.deallocate(block, asked) };
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.out(), 0, "blocks never came back to the parent");
        }
    }
}
