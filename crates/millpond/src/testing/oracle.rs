//! An independent oracle for allocators: a map of the live intervals.
//!
//! Everything that an allocator hands out is checked against what is live and filled with a stamp, and the stamp is
//! checked when the block is resized or freed. The oracle knows nothing about how an allocator works.

use core::{alloc::Layout, fmt, ptr::NonNull};
use std::{collections::BTreeMap, format, string::String};

use crate::{
    base::AllocError,
    traits::{Allocation, Allocator, Reclaim},
};

/// A clause of the contract that an allocator has violated, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Violation {}

/// The outcome of a request: whether it was served, or the violation.
pub(super) type Judged = Result<Result<(), AllocError>, Violation>;

/// Returns a violation if `broken` is true.
fn unless(broken: bool, sentence: impl FnOnce() -> String) -> Result<(), Violation> {
    if broken { Err(Violation(sentence())) } else { Ok(()) }
}

#[derive(Clone, Copy)]
struct Live {
    returned: usize,
    layout: Layout,
    stamp: u8,
}

/// An allocator, and everything needed to check its contract. Frees all live blocks when it is dropped.
///
/// Blocks are identified by their rank: the block at the lowest address has index zero.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Linear, Local, testing::Oracle};
///
/// let mut oracle = Oracle::new(Local::new(Linear::new()));
/// oracle.allocate(Layout::new::<[u8; 10]>(), false)?;
/// oracle.resize(0, Layout::new::<[u8; 100]>(), true)?;
/// oracle.deallocate(0, 0);
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Panics
///
/// Every method panics if the allocator has violated the contract, or if there is no such block.
pub struct Oracle<A: Allocator> {
    pub(super) allocator: A,
    live: BTreeMap<usize, Live>,
    stamps: u8,
}

impl<A: Allocator> Oracle<A> {
    /// Creates an oracle that checks this allocator from now on.
    pub fn new(allocator: A) -> Self {
        Self { allocator, live: BTreeMap::new(), stamps: 0 }
    }

    /// Returns a reference to the allocator. The oracle does not know of blocks that are requested from it directly.
    pub fn allocator(&self) -> &A {
        &self.allocator
    }

    /// Returns the number of live blocks.
    pub fn count(&self) -> usize {
        self.live.len()
    }

    /// Allocates a block, zeroed or not.
    ///
    /// # Errors
    ///
    /// Returns the error of the allocator.
    pub fn allocate(&mut self, layout: Layout, zeroed: bool) -> Result<(), AllocError> {
        expect(self.try_allocate(layout, zeroed))
    }

    /// Grows or shrinks a block, which keeps the bytes that both layouts have. The bytes gained are zeroed or not.
    ///
    /// # Errors
    ///
    /// Returns the error of the allocator; the block stays as it was.
    pub fn resize(&mut self, index: usize, new: Layout, zeroed: bool) -> Result<(), AllocError> {
        expect(self.try_resize(index, new, zeroed))
    }

    /// Frees a block with a size between what was requested and what was returned; any `slack` selects one.
    pub fn deallocate(&mut self, index: usize, slack: usize) {
        expect(self.try_deallocate(index, slack));
    }

    /// Resets the allocator; no block is live afterwards.
    pub fn reset(&mut self)
    where
        A: Reclaim,
    {
        self.forget();
        self.allocator.reset();
    }

    /// Trims the allocator, and returns the bytes that it returned to its parent.
    pub fn trim(&mut self) -> usize
    where
        A: Reclaim,
    {
        self.allocator.trim()
    }

    /// Forgets all live blocks, which stay allocated, such as those of a scope that is about to end.
    pub fn forget(&mut self) {
        self.live.clear();
    }

    pub(super) fn try_allocate(&mut self, layout: Layout, zeroed: bool) -> Judged {
        let asked =
            if zeroed { self.allocator.allocate_zeroed(layout) } else { self.allocator.allocate(layout) };
        let block = match asked {
            Ok(block) => block,
            Err(error) => return Ok(Err(error)),
        };
        unless(zeroed && bytes(block).iter().any(|&byte| byte != 0), || {
            format!("allocate_zeroed left a byte that is not zero, for {layout:?}")
        })?;
        self.admit(block, layout, layout.size())?;
        Ok(Ok(()))
    }

    pub(super) fn try_allocate_between(&mut self, least: Layout, preferred: usize) -> Judged {
        match self.allocator.allocate_between(least, preferred) {
            Ok(block) => {
                // It is freed as if the preferred size had been requested, or with its length if it is shorter.
                let requested = preferred.max(least.size()).min(block.len());
                self.admit(block, least, requested)?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    pub(super) fn try_resize(&mut self, index: usize, new: Layout, zeroed: bool) -> Judged {
        let (block, live) = self.dismiss(index)?;
        let old = live.layout;
        // SAFETY: the block is live with the layout `old`, and the sizes are as each method requires.
        let resized = unsafe {
            match (new.size() >= old.size(), zeroed) {
                (true, false) => self.allocator.grow(block, old, new),
                (true, true) => self.allocator.grow_zeroed(block, old, new),
                (false, _) => self.allocator.shrink(block, old, new),
            }
        };
        let zeroed = zeroed && new.size() >= old.size();
        self.resized((block, live), new, resized, zeroed)
    }

    pub(super) fn try_resize_in_place(&mut self, index: usize, new: Layout) -> Judged {
        let (block, live) = self.dismiss(index)?;
        let old = live.layout;
        // SAFETY: as for every resize.
        let resized = unsafe {
            if new.size() >= old.size() {
                self.allocator.grow_in_place(block, old, new)
            } else {
                self.allocator.shrink_in_place(block, old, new)
            }
        };
        unless(resized.is_ok_and(|moved| moved.cast() != block), || {
            format!("a block of {old:?} was resized in place to {new:?}, and has moved")
        })?;
        self.resized((block, live), new, resized, false)
    }

    /// Checks the result of resizing a block.
    fn resized(
        &mut self,
        (block, live): (NonNull<u8>, Live),
        new: Layout,
        resized: Allocation,
        zeroed: bool,
    ) -> Judged {
        let old = live.layout;
        match resized {
            Ok(moved) => {
                unless(moved.len() < new.size(), || {
                    format!("{old:?} was resized to {new:?}, and {} bytes were returned", moved.len())
                })?;
                let kept = old.size().min(new.size());
                unless(bytes(moved)[..kept].iter().any(|&byte| byte != live.stamp), || {
                    format!("resizing {old:?} to {new:?} lost contents")
                })?;
                unless(zeroed && bytes(moved)[old.size()..].iter().any(|&byte| byte != 0), || {
                    format!("grow_zeroed from {old:?} to {new:?} left a byte that is not zero")
                })?;
                self.admit(moved, new, new.size())?;
                Ok(Ok(()))
            }
            Err(error) => {
                let all = NonNull::slice_from_raw_parts(block, old.size());
                unless(bytes(all).iter().any(|&byte| byte != live.stamp), || {
                    format!("resizing {old:?} to {new:?} failed, and lost contents")
                })?;
                self.live.insert(block.addr().get(), live);
                Ok(Err(error))
            }
        }
    }

    pub(super) fn try_deallocate(&mut self, index: usize, slack: usize) -> Result<(), Violation> {
        let (block, live) = self.dismiss(index)?;
        let size = live.layout.size() + slack % (live.returned - live.layout.size() + 1);
        let layout = Layout::from_size_align(size, live.layout.align())
            .map_err(|_| Violation("a block is longer than any layout may be".into()))?;
        // SAFETY: the block is live, and the layout fits it.
        unsafe { self.allocator.deallocate(block, layout) };
        Ok(())
    }

    /// Returns the addresses of all live blocks, ascending.
    pub(super) fn addresses(&self) -> impl Iterator<Item = usize> {
        self.live.keys().copied()
    }

    /// Checks a block that was just handed out, and stamps it. It may be freed with `requested` bytes, or more.
    fn admit(&mut self, block: NonNull<[u8]>, layout: Layout, requested: usize) -> Result<(), Violation> {
        let (start, returned) = (block.addr().get(), block.len());
        unless(start % layout.align() != 0, || {
            format!("a block at {start:#x} is misaligned for {layout:?}")
        })?;
        unless(returned < layout.size(), || format!("{returned} bytes were returned for {layout:?}"))?;
        if requested == 0 {
            let expected = (layout.align(), 0);
            return unless((start, returned) != expected, || {
                format!("a block of no bytes lies at {start:#x} and has {returned} bytes, for {layout:?}")
            });
        }
        if let Some((&other, live)) = self.live.range(..start.saturating_add(returned)).next_back() {
            unless(other + live.returned > start, || {
                format!("{returned} bytes at {start:#x} overlap {} bytes at {other:#x}", live.returned)
            })?;
        }
        self.stamps = self.stamps.wrapping_add(1);
        // SAFETY: the block was just handed out, with this length.
        unsafe { block.cast::<u8>().write_bytes(self.stamps, returned) };
        let layout = Layout::from_size_align(requested, layout.align())
            .map_err(|_| Violation("a block is longer than any layout may be".into()))?;
        self.live.insert(start, Live { returned, layout, stamp: self.stamps });
        Ok(())
    }

    /// Removes a block from the map, after checking that its stamp is intact.
    fn dismiss(&mut self, index: usize) -> Result<(NonNull<u8>, Live), Violation> {
        let (&start, &live) = self.live.iter().nth(index).expect("the test asks for blocks that are live");
        let block = NonNull::new(core::ptr::with_exposed_provenance_mut::<u8>(start));
        let block = block.ok_or_else(|| Violation("a block lies at address zero".into()))?;
        let all = NonNull::slice_from_raw_parts(block, live.returned);
        unless(bytes(all).iter().any(|&byte| byte != live.stamp), || {
            format!("the {} bytes at {start:#x} were overwritten", live.returned)
        })?;
        self.live.remove(&start);
        Ok((block, live))
    }
}

fn expect<T>(judged: Result<T, Violation>) -> T {
    match judged {
        Ok(outcome) => outcome,
        Err(violation) => panic!("{violation}"),
    }
}

fn bytes(block: NonNull<[u8]>) -> &'static [u8] {
    block.cast::<u8>().as_ptr().expose_provenance();
    // SAFETY: the oracle reads only live blocks, which it wrote to or which must be zero, and never keeps the slice.
    unsafe { &*block.as_ptr() }
}

impl<A: Allocator> Drop for Oracle<A> {
    fn drop(&mut self) {
        while !std::thread::panicking() && self.count() != 0 {
            self.deallocate(0, 0);
        }
    }
}

crate::base::opaque_debug! {
    Oracle [A: Allocator] Oracle<A>;
}
