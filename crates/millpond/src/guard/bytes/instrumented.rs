//! The guard that works on the bytes of blocks, around an allocator.

use core::{alloc::Layout, panic::Location, ptr::NonNull};

use super::hooks::{
    BlockHooks, NewBlock, NotResized, Rejected, Site, margins, resize, start_with_margins, truncate,
    with_margins, without_margins,
};
use crate::{
    base::{AllocError, address},
    traits::{
        Allocation, Allocator, AtFork, Diagnosis, HeapMapBuilder, Holes, Inspect, InvariantError, MisuseKind,
        Pending, PoolStats, Reclaim, Report, Reporter, relocate,
    },
};

/// A pool or an allocator behind a guard with the hooks `D`: see [`Poison`](crate::guard::Poison),
/// [`Canary`](crate::guard::Canary), [`Zeroed`](crate::guard::Zeroed), and with the feature `alloc` `Checked` and
/// `Tracked`.
///
/// Around a pool it is a pool, around an allocator it is an allocator, and [`Inspect`] and [`Reclaim`] are delegated.
/// These guards stack in any order. Each returns exactly as many bytes as were requested. Requests of zero bytes, and
/// those that pass through a pool, are not instrumented.
///
/// A guard that counts belongs inside of one that prevents misuse, otherwise it counts calls that were prevented.
///
/// Misuse is reported to the [`Reporter`], which by default ends the program. Around a pool this happens after the
/// shell has ended its borrow or lock, so a hook may use the very allocator that was misused.
#[derive(Debug)]
pub struct Instrumented<D: BlockHooks, X> {
    pub(super) hooks: D,
    pub(super) reporter: Reporter,
    /// A report that a pool's shell has not asked for yet.
    pub(super) pending: Pending,
    pub(super) inner: X,
}

impl<D: BlockHooks, X> Instrumented<D, X> {
    pub(super) const fn with_hooks(hooks: D, inner: X, name: &'static str) -> Self {
        Self { hooks, reporter: Reporter::named(name), pending: Pending::NONE, inner }
    }

    /// Sets the name of the pool and how misuse is reported.
    #[must_use]
    pub fn reporting(mut self, reporter: Reporter) -> Self {
        self.reporter = reporter;
        self
    }

    /// Returns a reference to what is behind the guard.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }

    /// Reports a diagnosis at once; returns whether the call is to be prevented.
    fn raise(&self, block: NonNull<u8>, layout: Layout, diagnosis: Diagnosis) -> bool {
        self.reporter.pending_report(block.addr().get(), layout, diagnosis).raise();
        diagnosis.kind.is_prevented()
    }
}

/// Reports what is live when the guard is dropped, if it was not reported before.
impl<D: BlockHooks, X> Drop for Instrumented<D, X> {
    fn drop(&mut self) {
        if let Some((address, layout, diagnosis)) = self.hooks.find_leak() {
            self.reporter.pending_report(address, layout, diagnosis).raise();
        }
    }
}

impl<D: BlockHooks, A: Allocator> Instrumented<D, A> {
    /// Requests a wider block and prepares it; its first `kept` bytes are not changed.
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

    /// Prepares a block that was just handed out, or frees it.
    fn ready(&self, whole: NonNull<[u8]>, layout: Layout, kept: usize, site: Site) -> Allocation {
        // SAFETY: the block was just handed out, is at least as long as requested, and nothing else uses it.
        let (block, outcome) = unsafe {
            let block = without_margins::<D>(whole, layout.align());
            let new = NewBlock { start: block.cast(), layout, room: block.len(), kept, site };
            (block, self.hooks.on_alloc(new))
        };
        match outcome {
            Ok(()) => Ok(truncate(block, layout.size())),
            Err(Rejected::Misuse(diagnosis)) => {
                self.raise(block.cast(), layout, at(diagnosis, site));
                Err(AllocError::Exhausted)
            }
            Err(Rejected::Memory(error)) => {
                if let Some(wide) = with_margins::<D>(layout) {
                    // SAFETY: as above, and the block is not returned to the caller.
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
            // SAFETY: the caller upholds the contract of `BlockHooks::verify`. What is further in refuses the block, so
            // the call only reports that.
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
    /// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], depending on the sizes.
    unsafe fn resize_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        if old.size() == 0 || new.size() == 0 {
            return Err(AllocError::InPlace);
        }
        // SAFETY: the caller upholds the contract of the method that is called; with its margins, the block was handed
        // out for the layout `from`.
        let inner = |start, from: Layout, to: Layout| unsafe {
            if to.size() < from.size() {
                self.inner.shrink_in_place(start, from, to)
            } else {
                self.inner.grow_in_place(start, from, to)
            }
        };
        // SAFETY: the caller guarantees that the block is live and of this layout, and no longer uses it.
        match unsafe { resize(&self.hooks, block, (old, new), inner) } {
            Ok(resized) => Ok(resized),
            Err(NotResized::Moves) => Err(AllocError::InPlace),
            Err(NotResized::Refused(error)) => Err(error),
            Err(NotResized::Misuse(diagnosis)) => {
                self.raise(block, new, diagnosis);
                Err(AllocError::InPlace)
            }
        }
    }

    /// Frees a block, unless that is to be prevented.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    unsafe fn free(&self, block: NonNull<u8>, layout: Layout, site: Site) {
        if self.reports_damage(Some(block), layout, site) {
            return;
        }
        // A block that is refused further in is reported there, and not accessed here.
        let is_refused = self.is_refused(block, layout);
        if !is_refused
            // SAFETY: the caller upholds the contract of `free`, so the block is live and of this layout.
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

    /// Returns whether the block must not be accessed, because freeing it would be prevented further in.
    fn is_refused(&self, block: NonNull<u8>, layout: Layout) -> bool {
        D::WRITES_FREED && layout.size() != 0 && !self.may_deallocate_inside(block, layout)
    }

    fn may_deallocate_inside(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = start_with_margins::<D>(block, layout.align());
        with_margins::<D>(layout).is_some_and(|wide| self.inner.may_deallocate(start, wide))
    }

    /// # Safety
    ///
    /// As of [`Allocator::damage`].
    unsafe fn damage_inside(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let start = block.map(|block| start_with_margins::<D>(block, layout.align()));
        // SAFETY: with its margins, the block was handed out by the inner allocator for the wider layout.
        unsafe { self.inner.damage(start, with_margins::<D>(layout)?) }
    }

    /// Reports damage that a call, for this block or for a new one, would run into; returns whether there was any.
    fn reports_damage(&self, block: Option<NonNull<u8>>, layout: Layout, site: Site) -> bool {
        // An address that is not that of a block gets a report of its own.
        let is_ours = |block| self.hooks.may_free(block, layout);
        if !D::ASKS_FOR_DAMAGE || layout.size() == 0 || !block.is_none_or(is_ours) {
            return false;
        }
        // SAFETY: the hooks have this block as live with this layout, if there is one.
        let Some(damage) = (unsafe { self.damage_inside(block, layout) }) else { return false };
        let diagnosis = at(MisuseKind::Damaged { at: damage }.into(), site);
        let address = block.map_or(damage, |block| block.addr().get());
        self.reporter.pending_report(address, layout, diagnosis).raise();
        true
    }
}

/// Adds the place of the call to a diagnosis.
pub(super) fn at(mut diagnosis: Diagnosis, site: Site) -> Diagnosis {
    diagnosis.sites.misused = site;
    diagnosis
}

/// Returns the caller of the calling method, for hooks that use it.
#[inline(always)]
#[track_caller]
fn here<D: BlockHooks>() -> Site {
    if D::WANTS_SITES { Some(Location::caller()) } else { None }
}

// SAFETY: every block is one of the inner allocator, which upholds the contract; the guard returns a part of it, and
// frees all of it. The hooks stay within the block and its margins, and neither they nor a reporter unwind.
unsafe impl<D: BlockHooks, A: Allocator> Allocator for Instrumented<D, A> {
    #[track_caller]
    fn allocate(&self, layout: Layout) -> Allocation {
        self.on_alloc(layout, 0, here::<D>(), |inner, wide| inner.allocate(wide))
    }

    #[track_caller]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is that of `free`.
        unsafe { self.free(block, layout, here::<D>()) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.hooks.may_free(block, layout) && self.may_deallocate_inside(block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.damage_inside(block, layout) }
    }

    #[track_caller]
    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.on_alloc(layout, layout.size(), here::<D>(), |inner, wide| inner.allocate_zeroed(wide))
    }

    #[track_caller]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which includes those of the methods called.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    #[track_caller]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which includes those of the methods called.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    #[track_caller]
    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which includes those of the methods called.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new)
        }
    }

    #[track_caller]
    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which includes those of the methods called.
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
    fn stats(&self) -> PoolStats {
        self.inner.stats()
    }

    fn holes(&self) -> Option<Holes> {
        self.inner.holes()
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.inner.render(builder);
    }

    fn owns(&self, address: *const u8) -> bool {
        self.inner.owns(address)
    }

    fn report(&self) -> Report {
        self.inner.report()
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.hooks.check()?;
        self.inner.check()
    }

    fn largest_free(&self) -> Option<usize> {
        self.inner.largest_free().map(|size| size.saturating_sub(margins::<D>(1)))
    }
}

impl<D: BlockHooks, A: Allocator + Reclaim> Reclaim for Instrumented<D, A> {
    /// Reports what is live, as when the guard is dropped.
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

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<D: BlockHooks, A: Allocator + AtFork> AtFork for Instrumented<D, A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.hooks);
        visit(&self.inner);
    }
}
