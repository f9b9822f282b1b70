//! The guard that looks after blocks byte by byte, and how it goes around an allocator.

use core::{alloc::Layout, panic::Location, ptr::NonNull};

use super::duty::{Duty, Site, Withheld, between, cut, front, margins, wide_start, widened};
use crate::{
    base::{AllocError, address},
    contract::{
        Allocator, AtFork, Cause, Finding, Flaw, Inspect, Pending, Reclaim, Reporter, at_fork, pass_on,
        relocate,
    },
};

type Block = Result<NonNull<[u8]>, AllocError>;

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
pub struct Keeper<D: Duty, X> {
    pub(super) duty: D,
    pub(super) reporter: Reporter,
    /// What a pool's shell has not asked for yet.
    pub(super) pending: Pending,
    pub(super) inner: X,
}

impl<D: Duty, X> Keeper<D, X> {
    pub(super) const fn with_duty(duty: D, inner: X, name: &'static str) -> Self {
        Self { duty, reporter: Reporter::named(name), pending: Pending::NONE, inner }
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
    fn raise(&self, block: NonNull<u8>, layout: Layout, finding: Finding) -> bool {
        self.reporter.complaint(block.addr().get(), layout, finding).raise();
        finding.cause.is_prevented()
    }
}

/// What is live when the guard goes, and nobody has asked yet, is reported.
impl<D: Duty, X> Drop for Keeper<D, X> {
    fn drop(&mut self) {
        if let Some((address, layout, finding)) = self.duty.leak() {
            self.reporter.complaint(address, layout, finding).raise();
        }
    }
}

impl<D: Duty, A: Allocator> Keeper<D, A> {
    /// Asks for a wider block and readies it; its first `kept` bytes are as they are to be.
    #[inline]
    fn hand_out(
        &self,
        layout: Layout,
        kept: usize,
        site: Site,
        ask: impl FnOnce(&A, Layout) -> Block,
    ) -> Block {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let wide = widened::<D>(layout).ok_or(AllocError::Unsupported)?;
        if self.reports_damage(None, layout, site) {
            return Err(AllocError::Exhausted);
        }
        let block = ask(&self.inner, wide)?;
        self.ready(block, layout, kept, site)
    }

    /// Readies a block that was just handed out, or gives it back.
    fn ready(&self, whole: NonNull<[u8]>, layout: Layout, kept: usize, site: Site) -> Block {
        // SAFETY: it was just handed out, at least as long as was asked for, and nobody else has it.
        let (block, outcome) = unsafe {
            let block = between::<D>(whole, layout.align());
            (block, self.duty.hand_out(block.cast(), (layout, block.len()), kept, site))
        };
        match outcome {
            Ok(()) => Ok(cut(block, layout.size())),
            Err(Withheld::Misuse(finding)) => {
                self.raise(block.cast(), layout, at(finding, site));
                Err(AllocError::Exhausted)
            }
            Err(Withheld::Memory(error)) => {
                if let Some(wide) = widened::<D>(layout) {
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
    /// As for [`Duty::verify`].
    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), AllocError> {
        if self.is_refused(block, layout) {
            // SAFETY: the caller's promises are passed on; as whoever is further in refuses it, the call only reports that.
            unsafe { self.free(block, layout, site) };
            return Err(AllocError::Unsupported);
        }
        // SAFETY: the caller's promises are passed on.
        match unsafe { self.duty.verify(block, layout) } {
            Err(finding) if self.raise(block, layout, at(finding, site)) => Err(AllocError::Unsupported),
            _ if self.reports_damage(Some(block), layout, site) => Err(AllocError::Exhausted),
            _ => Ok(()),
        }
    }

    /// # Safety
    ///
    /// As for [`Allocator::grow_in_place`] or [`Allocator::shrink_in_place`], whichever the sizes say.
    unsafe fn resize_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        let shrinks = new.size() < old.size();
        let moves = front::<D>(old.align()) != front::<D>(new.align());
        if old.size() == 0 || new.size() == 0 || (shrinks && !D::SHRINKS_IN_PLACE) || moves {
            return Err(AllocError::InPlace);
        }
        let (Some(wide), Some(wider)) = (widened::<D>(old), widened::<D>(new)) else {
            return Err(AllocError::InPlace);
        };
        let grows = new.size() > old.size();
        if !grows {
            self.duty.relabel(block, old, new);
        }
        let whole = wide_start::<D>(block, old.align());
        // SAFETY: the caller's promises are passed on; with its margins, the block was handed out as `wide`.
        let resized = unsafe {
            if shrinks {
                self.inner.shrink_in_place(whole, wide, wider)
            } else {
                self.inner.grow_in_place(whole, wide, wider)
            }
        };
        if resized.is_err() && !grows {
            self.duty.relabel(block, new, old);
        }
        // SAFETY: the block is at least as long as `wider`.
        let resized = unsafe { between::<D>(resized?, new.align()) };
        // SAFETY: the block is as long now, and still its holder's, who waits.
        match unsafe { self.duty.resized(block, old, (new, resized.len())) } {
            Ok(()) => Ok(cut(resized, new.size())),
            Err(finding) => {
                self.raise(block, new, finding);
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
            && let Err(finding) = unsafe { self.duty.take_back(block, layout, site) }
            && self.raise(block, layout, at(finding, site))
        {
            return;
        }
        if let Some(wide) = widened::<D>(layout)
            && layout.size() != 0
        {
            // SAFETY: as above; with its margins, the block was handed out as `wide`.
            unsafe { self.inner.deallocate(wide_start::<D>(block, layout.align()), wide) };
        }
    }

    /// Whether this is a block that must not be touched, because freeing it would be prevented further in.
    fn is_refused(&self, block: NonNull<u8>, layout: Layout) -> bool {
        D::TOUCHES_FREED && layout.size() != 0 && !self.may_deallocate_inside(block, layout)
    }

    fn may_deallocate_inside(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = wide_start::<D>(block, layout.align());
        widened::<D>(layout).is_some_and(|wide| self.inner.may_deallocate(start, wide))
    }

    fn damage_inside(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let start = block.map(|block| wide_start::<D>(block, layout.align()));
        self.inner.damage(start, widened::<D>(layout)?)
    }

    /// Reports it if a call, for this block or for a new one, would follow what was overwritten; says so.
    fn reports_damage(&self, block: Option<NonNull<u8>>, layout: Layout, site: Site) -> bool {
        if !D::ASKS_FOR_DAMAGE || layout.size() == 0 {
            return false;
        }
        // A block that is none gets a report of its own.
        let is_ours = |block| self.duty.may_take_back(block, layout);
        let Some(damage) = self.damage_inside(block, layout).filter(|_| block.is_none_or(is_ours)) else {
            return false;
        };
        let finding = at(Cause::Damaged { at: damage }.into(), site);
        let address = block.map_or(damage, |block| block.addr().get());
        self.reporter.complaint(address, layout, finding).raise();
        true
    }
}

/// A finding, with the place where it was made.
pub(super) fn at(mut finding: Finding, site: Site) -> Finding {
    finding.sites.misused = site;
    finding
}

/// Where the calling method was called from, for duties that want to know.
#[inline(always)]
#[track_caller]
fn here<D: Duty>() -> Site {
    if D::WANTS_SITES { Some(Location::caller()) } else { None }
}

// SAFETY: every block is the inner allocator's, which keeps the contract; the guard returns the first bytes of it, and
// gives back all. A duty stays within the block and its margin, and does not unwind; nor does a reporter.
unsafe impl<D: Duty, A: Allocator> Allocator for Keeper<D, A> {
    #[track_caller]
    fn allocate(&self, layout: Layout) -> Block {
        self.hand_out(layout, 0, here::<D>(), |inner, wide| inner.allocate(wide))
    }

    #[track_caller]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.free(block, layout, here::<D>()) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.duty.may_take_back(block, layout) && self.may_deallocate_inside(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.damage_inside(block, layout)
    }

    #[track_caller]
    fn allocate_zeroed(&self, layout: Layout) -> Block {
        self.hand_out(layout, layout.size(), here::<D>(), |inner, wide| inner.allocate_zeroed(wide))
    }

    #[track_caller]
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    #[track_caller]
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    #[track_caller]
    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new)
        }
    }

    #[track_caller]
    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old, here::<D>())?;
            self.resize_in_place(block, old, new)
        }
    }

    #[track_caller]
    fn allocate_between(&self, least: Layout, preferred: usize) -> Block {
        if least.size() == 0 {
            return Ok(address::zero_sized(least));
        }
        let wide = widened::<D>(least).ok_or(AllocError::Unsupported)?;
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

impl<D: Duty, X: Inspect> Inspect for Keeper<D, X> {
    pass_on!(self: self.inner; stats holes paint owns report);

    fn check(&self) -> Result<(), Flaw> {
        self.duty.check()?;
        self.inner.check()
    }

    fn largest_free(&self) -> Option<usize> {
        self.inner.largest_free().map(|size| size.saturating_sub(margins::<D>(1)))
    }
}

impl<D: Duty, A: Allocator + Reclaim> Reclaim for Keeper<D, A> {
    /// What is live is reported, as when the guard goes.
    fn reset(&mut self) {
        let leak = self.duty.leak();
        self.duty.reset();
        self.inner.reset();
        if let Some((address, layout, finding)) = leak {
            self.reporter.complaint(address, layout, finding).raise();
        }
    }

    fn trim(&mut self) -> usize {
        self.inner.trim()
    }
}

at_fork!([D: Duty, A: Allocator + AtFork] Keeper<D, A>: duty, inner);
