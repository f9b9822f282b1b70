//! A parent that notices what is lost.

use core::{alloc::Layout, ops::Range, ptr::NonNull};
use std::{collections::BTreeMap, sync::Mutex};

use crate::{Allocation, base::AllocError, source::Heap, traits::Allocator};

/// The heap, with a list of what is out: panics when something comes back that never went out, or as what it was not,
/// and when it is dropped while something is still out.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, testing::TrackingParent};
///
/// let parent = TrackingParent::default();
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &parent);
/// pool.allocate(Layout::new::<u64>())?;
/// assert_eq!((parent.out(), parent.requests()), (1, 1));
/// drop(pool); // or this would panic: the parent goes first
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug, Default)]
pub struct TrackingParent {
    state: Mutex<State>,
    /// The requests, counted from zero, that fail.
    fails: Range<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// By address: as what a block was requested, and the bytes returned.
    out: BTreeMap<usize, (Layout, usize)>,
    requests: usize,
}

impl TrackingParent {
    /// A parent that refuses these requests, counted from zero.
    #[must_use]
    pub fn failing(fails: Range<usize>) -> Self {
        Self { fails, state: Mutex::default() }
    }

    /// How many blocks are out.
    pub fn out(&self) -> usize {
        self.with(|state| state.out.len())
    }

    /// How many bytes are out.
    pub fn bytes(&self) -> usize {
        self.with(|state| state.out.values().map(|&(_, returned)| returned).sum())
    }

    /// How many requests there were, those refused included.
    pub fn requests(&self) -> usize {
        self.with(|state| state.requests)
    }

    fn with<R>(&self, use_it: impl FnOnce(&mut State) -> R) -> R {
        use_it(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

// SAFETY: it is the heap's contract. (It panics only when its holder has broken the contract; then there is no telling.)
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
        // SAFETY: the block is out, and this is what it was requested as.
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
