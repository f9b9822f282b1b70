//! A parent that detects leaks.

use core::{alloc::Layout, ops::Range, ptr::NonNull};
use std::{collections::BTreeMap, sync::Mutex};

use crate::{
    base::AllocError,
    source::Heap,
    traits::{Allocation, Allocator},
};

/// The heap, with a list of the blocks handed out. Panics if a block is freed that was not handed out, or with a layout
/// that does not fit it, and if it is dropped while blocks are still out.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, testing::TrackingParent};
///
/// let parent = TrackingParent::default();
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &parent);
/// pool.allocate(Layout::new::<u64>())?;
/// assert_eq!((parent.out(), parent.requests()), (1, 1));
/// drop(pool); // otherwise the parent would be dropped first and panic
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug, Default)]
pub struct TrackingParent {
    state: Mutex<State>,
    /// The requests that fail, counted from zero.
    fails: Range<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// By address: the layout with which a block was requested, and the bytes returned.
    out: BTreeMap<usize, (Layout, usize)>,
    requests: usize,
}

impl TrackingParent {
    /// Creates a parent that refuses these requests, counted from zero.
    #[must_use]
    pub fn failing(fails: Range<usize>) -> Self {
        Self { fails, state: Mutex::default() }
    }

    /// Returns the number of blocks handed out and not freed.
    pub fn out(&self) -> usize {
        self.with(|state| state.out.len())
    }

    /// Returns the number of bytes handed out and not freed.
    pub fn bytes(&self) -> usize {
        self.with(|state| state.out.values().map(|&(_, returned)| returned).sum())
    }

    /// Returns the number of requests, those refused included.
    pub fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut State) -> R) -> R {
        use_it(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

// SAFETY: the heap upholds the contract. A method panics only if the caller has violated the contract, in which case
// nothing is guaranteed.
unsafe impl Allocator for TrackingParent {
    fn allocate(&self, layout: Layout) -> Allocation {
        let request = self.with(|state| {
            state.requests += 1;
            state.requests - 1
        });
        if self.fails.contains(&request) {
            return Err(AllocError::Exhausted);
        }
        let block = Heap.allocate(layout)?;
        if layout.size() != 0 {
            self.with(|state| state.out.insert(block.addr().get(), (layout, block.len())));
        }
        Ok(block)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() == 0 {
            return;
        }
        let out = self.with(|state| state.out.remove(&block.addr().get()));
        let (asked, returned) = out.expect("a block came back to the parent that is not out");
        assert_eq!(asked.align(), layout.align(), "a block came back to the parent with another alignment");
        assert!(
            (asked.size()..=returned).contains(&layout.size()),
            "a block of {} to {returned} bytes came back to the parent as {}",
            asked.size(),
            layout.size()
        );
        // SAFETY: the block is out, and was requested with this layout.
        unsafe { Heap.deallocate(block, asked) };
    }
}

impl Drop for TrackingParent {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.out(), 0, "blocks never came back to the parent");
        }
    }
}
