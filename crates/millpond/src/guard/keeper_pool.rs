//! How a guard that looks after blocks goes around a pool.
//!
//! What it finds waits until the shell asks; so nothing is hot here, and every call takes the path on which it asks.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    Keeper,
    duty::{Duty, Withheld, between, cut, front, wide_start, widened},
};
use crate::{
    base::AllocError,
    contract::{Cause, Chunk, ChunkRequest, Complaint, Finding, RawPool, Reserve, pass_on},
};

impl<D: Duty, P> Keeper<D, P> {
    /// Keeps what was found until the shell asks; says whether the call is to be prevented.
    fn note(&mut self, address: usize, layout: Layout, finding: Finding) -> bool {
        self.pending.add(self.reporter.complaint(address, layout, finding));
        finding.cause.is_prevented()
    }
}

impl<D: Duty, P: RawPool> Keeper<D, P> {
    fn may_deallocate_within(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = wide_start::<D>(block, layout.align());
        widened::<D>(layout).is_some_and(|wide| self.inner.may_deallocate(start, wide))
    }

    fn damage_within(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let start = block.map(|block| wide_start::<D>(block, layout.align()));
        self.inner.damage(start, widened::<D>(layout)?)
    }

    /// Keeps it until the shell asks if a call, for this block or for a new one, would follow what was overwritten; says so.
    fn notes_damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> bool {
        let found = if D::ASKS_FOR_DAMAGE { self.damage_within(block, layout) } else { None };
        // A block that is none gets a report of its own.
        let Some(at) = found.filter(|_| block.is_none_or(|block| self.duty.may_take_back(block, layout)))
        else {
            return false;
        };
        self.note(block.map_or(at, |block| block.addr().get()), layout, Cause::Damaged { at }.into())
    }
}

// SAFETY: every block is the inner pool's, which keeps the contract; the guard returns the first bytes of it, and gives
// back all. A duty stays within the block and its margin, and calls nobody.
unsafe impl<D: Duty, P: RawPool> RawPool for Keeper<D, P> {
    pass_on!(self: self.inner; settle surrender relent);

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let wide = widened::<D>(layout)?;
        if self.notes_damage(None, layout) {
            return None;
        }
        let whole = self.inner.allocate(wide)?;
        // SAFETY: it was just handed out, at least as long as was asked for, and nobody else has it.
        let (block, outcome) = unsafe {
            let block = between::<D>(whole, layout.align());
            (block, self.duty.hand_out_alone(block.cast(), (layout, block.len())))
        };
        match outcome {
            Ok(()) => Some(cut(block, layout.size())),
            Err(Withheld::Misuse(finding)) => {
                self.note(block.addr().get(), layout, finding);
                None
            }
            Err(Withheld::Memory(_)) => {
                // SAFETY: as above, and nobody has it.
                unsafe { self.inner.deallocate(whole.cast(), wide) };
                None
            }
        }
    }

    #[inline(always)]
    fn allocate_hot(&mut self, _: Layout) -> Option<NonNull<[u8]>> {
        None
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.notes_damage(Some(block), layout) {
            return;
        }
        // What is refused further in is reported there, and not touched here.
        let is_refused = D::TOUCHES_FREED && !self.may_deallocate_within(block, layout);
        if !is_refused
            // SAFETY: the caller's promises are passed on.
            && let Err(finding) = unsafe { self.duty.take_back_alone(block, layout) }
            && self.note(block.addr().get(), layout, finding)
        {
            return;
        }
        if let Some(wide) = widened::<D>(layout) {
            // SAFETY: as above; with its margins, the block was handed out as `wide`.
            unsafe { self.inner.deallocate(wide_start::<D>(block, layout.align()), wide) };
        }
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        self.duty.may_take_back(block, layout) && self.may_deallocate_within(block, layout)
    }

    fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.damage_within(block, layout)
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, _: NonNull<u8>, _: Layout) -> bool {
        false
    }

    fn wants(&self, layout: Layout) -> Option<ChunkRequest> {
        self.inner.wants(widened::<D>(layout)?)
    }

    unsafe fn adopt(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match widened::<D>(layout) {
            // SAFETY: the caller's promises are passed on.
            Some(wide) => unsafe { self.inner.adopt(chunk, wide) },
            None => Err(chunk),
        }
    }

    fn reset(&mut self) {
        self.duty.reset();
        self.inner.reset();
    }

    #[inline]
    fn bypasses(&self, layout: Layout) -> bool {
        widened::<D>(layout).is_some_and(|wide| self.inner.bypasses(wide))
    }

    fn admits(&self, layout: Layout) -> Result<(), AllocError> {
        if self.pending.is_about_the_pool() {
            // A pool that hands out what is live, or was overwritten, has to be heard of first: another chunk does not mend it.
            return Err(AllocError::Exhausted);
        }
        self.inner.admits(widened::<D>(layout).ok_or(AllocError::Unsupported)?)
    }

    fn note_failure(&mut self, layout: Layout) {
        if let Some(wide) = widened::<D>(layout) {
            self.inner.note_failure(wide);
        }
    }

    fn retire(&mut self) {
        if let Some((address, layout, finding)) = self.duty.leak() {
            self.note(address, layout, finding);
            self.duty.reset();
        }
        self.inner.retire();
    }

    fn complaint(&mut self) -> Option<Complaint> {
        self.pending.take().or_else(|| self.inner.complaint())
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller's promises are passed on.
        if let Err(finding) = unsafe { self.duty.verify(block, old) }
            && self.note(block.addr().get(), old, finding)
        {
            return None;
        }
        if self.notes_damage(Some(block), old) {
            return None;
        }
        let moves = front::<D>(old.align()) != front::<D>(new.align());
        if moves || (new.size() < old.size() && !D::SHRINKS_IN_PLACE) {
            return None;
        }
        let (wide, wider) = (widened::<D>(old)?, widened::<D>(new)?);
        let grows = new.size() > old.size();
        if !grows {
            self.duty.relabel(block, old, new);
        }
        let whole = wide_start::<D>(block, old.align());
        // SAFETY: the caller's promises are passed on; with its margins, the block was handed out as `wide`.
        let resized = unsafe { self.inner.resize_in_place(whole, wide, wider) };
        if resized.is_none() && !grows {
            self.duty.relabel(block, new, old);
        }
        // SAFETY: the block is at least as long as `wider`.
        let resized = unsafe { between::<D>(resized?, new.align()) };
        let fit = (new, resized.len());
        // SAFETY: the block is as long now, and still its holder's, who waits.
        if let Err(finding) = unsafe { self.duty.resized(block, old, fit) } {
            self.note(block.addr().get(), new, finding);
            return None;
        }
        Some(cut(resized, new.size()))
    }
}

impl<D: Duty, P: Reserve> Reserve for Keeper<D, P> {
    fn lacks(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.inner.lacks(widened::<D>(layout).ok_or(AllocError::Unsupported)?, count)
    }

    unsafe fn adopt_ahead(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        match widened::<D>(layout) {
            // SAFETY: the caller's promises are passed on.
            Some(wide) => unsafe { self.inner.adopt_ahead(chunk, wide, count) },
            None => Err(chunk),
        }
    }

    fn surrender_ahead(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.inner.surrender_ahead(widened::<D>(layout)?, count)
    }
}
