//! The guard that looks after blocks byte by byte, and how it goes around an allocator.

use core::{alloc::Layout, panic::Location, ptr::NonNull};

use super::hooks::{
    BlockHooks, Rejected, Site, front, margins, start_with_margins, truncate, with_margins, without_margins,
};
use crate::{
    base::{AllocError, address},
    traits::{
        Allocation, Allocator, AtFork, Diagnosis, Inspect, InvariantError, MisuseKind, Pending, Reclaim,
        Reporter, at_fork, delegate, relocate,
    },
};

/// A pool or an allocator behind a guard that does the duty `D`: see [`Poison`](crate::Poison),
/// [`Canary`](crate::Canary), [`Zeroed`](crate::Zeroed), and with the feature `alloc` `Checked` and `Tracked`.
///
/// Around a pool it is a pool, around an allocator it is an allocator, and [`Inspect`] and [`Reclaim`] pass through.
/// These guards stack in any order. Each returns exactly as many bytes as were requested. Requests of zero bytes, and
/// those that pass a pool by, are not its business.
///
/// A guard that counts is to be inside of one that prevents misuse, or it counts what was prevented.
///
/// Misuse that it finds goes to its [`Reporter`], which ends the program unless it is told otherwise. Around a pool that
/// happens when the shell has ended its borrow or lock, so a hook may use the very allocator that was misused.
#[derive(Debug)]
pub struct Instrumented<D: BlockHooks, X> {
    pub(super) hooks: D,
    pub(super) reporter: Reporter,
    /// What a pool's shell has not asked for yet.
    pub(super) pending: Pending,
    pub(super) inner: X,
}

impl<D: BlockHooks, X> Instrumented<D, X> {
    pub(super) const fn with_hooks(hooks: D, inner: X, name: &'static str) -> Self {
        Self { hooks, reporter: Reporter::named(name), pending: Pending::NONE, inner }
    }

    /// Says what the pool is called, and who hears of misuse.
    #[must_use]
    pub fn reporting(mut self, reporter: Reporter) -> Self {
        self.reporter = reporter;
        self
    }

    /// What is behind the guard, to look at.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }

    /// Reports what was found at once; says whether the call is to be prevented.
    fn raise(&self, block: NonNull<u8>, layout: Layout, diagnosis: Diagnosis) -> bool {
        self.reporter.pending_report(block.addr().get(), layout, diagnosis).raise();
        diagnosis.kind.is_prevented()
    }
}

/// What is live when the guard goes, and nobody has asked yet, is reported.
impl<D: BlockHooks, X> Drop for Instrumented<D, X> {
    fn drop(&mut self) {
        if let Some((address, layout, diagnosis)) = self.hooks.find_leak() {
            self.reporter.pending_report(address, layout, diagnosis).raise();
        }
    }
}

impl<D: BlockHooks, A: Allocator> Instrumented<D, A> {
    /// Asks for a wider block and readies it; its first `kept` bytes are as they are to be.
    #[inline]
    fn on_alloc(
        &self,
        layout: Layout,
        kept: usize,
        site: Site,
        ask: impl FnOnce(&A, Layout) -> Allocation,
    ) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let wide = with_margins::<D>(layout).ok_or(AllocError::Unsupported)?;
        if self.reports_damage(None, layout, site) {
            return Err(AllocError::Exhausted);
        }
        let block = ask(&self.inner, wide)?;
        self.ready(block, layout, kept, site)
    }

    /// Readies a block that was just handed out, or gives it back.
    fn ready(&self, whole: NonNull<[u8]>, layout: Layout, kept: usize, site: Site) -> Allocation {
        // SAFETY: it was just handed out, at least as long as was asked for, and nobody else has it.
        let (block, outcome) = unsafe {
            let block = without_margins::<D>(whole, layout.align());
            (block, self.hooks.on_alloc(block.cast(), (layout, block.len()), kept, site))
        };
        match outcome {
            Ok(()) => Ok(truncate(block, layout.size())),
            Err(Rejected::Misuse(diagnosis)) => {
                self.raise(block.cast(), layout, at(diagnosis, site));
                Err(AllocError::Exhausted)
            }
            Err(Rejected::Memory(error)) => {
                if let Some(wide) = with_margins::<D>(layout) {
                    // SAFETY: as above, and nobody has it.
                    unsafe { self.inner.deallocate(whole.cast(), wide) };
                }
                Err(error)
            }
        }
    }

    /// Reports a block that must not be resized.
    ///
    /// # Safety
    ///
    /// As for [`BlockHooks::verify`].
    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), AllocError> {
        if self.is_refused(block, layout) {
            // SAFETY: the caller's promises are passed on; as whoever is further in refuses it, the call only reports that.
            unsafe { self.free(block, layout, site) };
            return Err(AllocError::Unsupported);
        }
        // SAFETY: the caller upholds the contract of `verify`, which is the same.
        match unsafe { self.hooks.verify(block, layout) } {
            Err(diagnosis) if self.raise(block, layout, at(diagnosis, site)) => Err(AllocError::Unsupported),
            _ if self.reports_damage(Some(block), layout, site) => Err(AllocError::Exhausted),
            _ => Ok(()),
        }
    }

    /// # Safety
    ///
    /// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], whichever the sizes say.
    unsafe fn resize_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let shrinks = new.size() < old.size();
        let moves = front::<D>(old.align()) != front::<D>(new.align());
        if old.size() == 0 || new.size() == 0 || (shrinks && !D::SHRINKS_IN_PLACE) || moves {
            return Err(AllocError::InPlace);
        }
        let (Some(wide), Some(wider)) = (with_margins::<D>(old), with_margins::<D>(new)) else {
            return Err(AllocError::InPlace);
        };
        let grows = new.size() > old.size();
        if !grows {
            self.hooks.set_layout(block, old, new);
        }
        let whole = start_with_margins::<D>(block, old.align());
        // SAFETY: the caller's promises are passed on; with its margins, the block was handed out as `wide`.
        let resized = unsafe {
            if shrinks {
                self.inner.shrink_in_place(whole, wide, wider)
            } else {
                self.inner.grow_in_place(whole, wide, wider)
            }
        };
        if resized.is_err() && !grows {
            self.hooks.set_layout(block, new, old);
        }
        // SAFETY: the block is at least as long as `wider`.
        let resized = unsafe { without_margins::<D>(resized?, new.align()) };
        // SAFETY: the block is as long now, and still its holder's, who waits.
        match unsafe { self.hooks.on_resize(block, old, (new, resized.len())) } {
            Ok(()) => Ok(truncate(resized, new.size())),
            Err(diagnosis) => {
                self.raise(block, new, diagnosis);
                Err(AllocError::InPlace)
            }
        }
    }

    /// Takes a block back, and frees it unless it must not be.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout, site: Site) {
        if self.reports_damage(Some(block), layout, site) {
            return;
        }
        // What is refused further in is reported there, and not touched here.
        let is_refused = self.is_refused(block, layout);
        if !is_refused
            // SAFETY: the caller's promises are passed on.
            && let Err(diagnosis) = unsafe { self.hooks.on_free(block, layout, site) }
            && self.raise(block, layout, at(diagnosis, site))
        {
            return;
        }
        if let Some(wide) = with_margins::<D>(layout)
            && layout.size() != 0
        {
            // SAFETY: as above; with its margins, the block was handed out as `wide`.
            unsafe { self.inner.deallocate(start_with_margins::<D>(block, layout.align()), wide) };
        }
    }

    /// Whether this is a block that must not be touched, because freeing it would be prevented further in.
    fn is_refused(&self, block: NonNull<u8>, layout: Layout) -> bool {
        D::WRITES_FREED && layout.size() != 0 && !self.may_deallocate_inside(block, layout)
    }

    fn may_deallocate_inside(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = start_with_margins::<D>(block, layout.align());
        with_margins::<D>(layout).is_some_and(|wide| self.inner.may_deallocate(start, wide))
    }

    fn damage_inside(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let start = block.map(|block| start_with_margins::<D>(block, layout.align()));
        self.inner.damage(start, with_margins::<D>(layout)?)
    }

    /// Reports it if a call, for this block or for a new one, would follow what was overwritten; says so.
    fn reports_damage(&self, block: Option<NonNull<u8>>, layout: Layout, site: Site) -> bool {
        if !D::ASKS_FOR_DAMAGE || layout.size() == 0 {
            return false;
        }
        // A block that is none gets a report of its own.
        let is_ours = |block| self.hooks.may_free(block, layout);
        let Some(damage) = self.damage_inside(block, layout).filter(|_| block.is_none_or(is_ours)) else {
            return false;
        };
        let diagnosis = at(MisuseKind::Damaged { at: damage }.into(), site);
        let address = block.map_or(damage, |block| block.addr().get());
        self.reporter.pending_report(address, layout, diagnosis).raise();
        true
    }
}

/// A finding, with the place where it was made.
pub(super) fn at(mut diagnosis: Diagnosis, site: Site) -> Diagnosis {
    diagnosis.sites.misused = site;
    diagnosis
}

/// Where the calling method was called from, for duties that want to know.
#[inline(always)]
#[track_caller]
fn here<D: BlockHooks>() -> Site {
    if D::WANTS_SITES { Some(Location::caller()) } else { None }
}

// SAFETY: every block is the inner allocator's, which keeps the contract; the guard returns the first bytes of it, and
// gives back all. A duty stays within the block and its margin, and does not unwind; nor does a reporter.
unsafe impl<D: BlockHooks, A: Allocator> Allocator for Instrumented<D, A> {
    #[track_caller]
    fn allocate(&self, layout: Layout) -> Allocation {
        self.on_alloc(layout, 0, here::<D>(), |inner, wide| inner.allocate(wide))
    }

    #[track_caller]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.free(block, layout, here::<D>()) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.hooks.may_free(block, layout) && self.may_deallocate_inside(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.damage_inside(block, layout)
    }

    #[track_caller]
    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.on_alloc(layout, layout.size(), here::<D>(), |inner, wide| inner.allocate_zeroed(wide))
    }

    #[track_caller]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    #[track_caller]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    #[track_caller]
    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new)
        }
    }

    #[track_caller]
    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new)
        }
    }

    #[track_caller]
    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.size() == 0 {
            return Ok(address::zero_sized(least));
        }
        let wide = with_margins::<D>(least).ok_or(AllocError::Unsupported)?;
        let preferred = preferred.max(least.size());
        let margins = margins::<D>(least.align());
        if self.reports_damage(None, least, here::<D>()) {
            return Err(AllocError::Exhausted);
        }
        let block = self.inner.allocate_between(wide, preferred.saturating_add(margins))?;
        let size = preferred.min(block.len() - margins);
        let layout = Layout::from_size_align(size, least.align()).map_err(|_| AllocError::Unsupported)?;
        self.ready(block, layout, 0, here::<D>())
    }

    fn is_fine_grained(&self) -> bool {
        self.inner.is_fine_grained()
    }
}

impl<D: BlockHooks, X: Inspect> Inspect for Instrumented<D, X> {
    delegate!(self: self.inner; stats holes render owns report);

    fn check(&self) -> Result<(), InvariantError> {
        self.hooks.check()?;
        self.inner.check()
    }

    fn largest_free(&self) -> Option<usize> {
        self.inner.largest_free().map(|size| size.saturating_sub(margins::<D>(1)))
    }
}

impl<D: BlockHooks, A: Allocator + Reclaim> Reclaim for Instrumented<D, A> {
    /// What is live is reported, as when the guard goes.
    fn reset(&mut self) {
        let find_leak = self.hooks.find_leak();
        self.hooks.reset();
        self.inner.reset();
        if let Some((address, layout, diagnosis)) = find_leak {
            self.reporter.pending_report(address, layout, diagnosis).raise();
        }
    }

    fn trim(&mut self) -> usize {
        self.inner.trim()
    }
}

at_fork!([D: BlockHooks, A: Allocator + AtFork] Instrumented<D, A>: hooks, inner);
