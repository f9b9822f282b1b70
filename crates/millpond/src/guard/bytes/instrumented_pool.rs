//! The guard that works on the bytes of blocks, around a pool.
//!
//! A report waits until the shell asks for it. So nothing is hot here: every call takes the path on which the shell
//! asks.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    hooks::{
        BlockHooks, NewBlock, NotResized, Rejected, resize, start_with_margins, truncate, with_margins,
        without_margins,
    },
    instrumented::Instrumented,
};
use crate::{
    base::AllocError,
    traits::{
        Chunk, ChunkRequest, Diagnosis, MisuseKind, PendingReport, PoolHooks, RawPool, Release, Reserve,
    },
};

impl<D: BlockHooks, P> Instrumented<D, P> {
    /// Keeps a diagnosis until the shell asks for it; returns whether the call is to be prevented.
    fn note(&mut self, address: usize, layout: Layout, diagnosis: Diagnosis) -> bool {
        self.pending.add(self.reporter.pending_report(address, layout, diagnosis));
        diagnosis.kind.is_prevented()
    }
}

impl<D: BlockHooks, P: RawPool> Instrumented<D, P> {
    fn may_deallocate_within(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = start_with_margins::<D>(block, layout.align());
        with_margins::<D>(layout).is_some_and(|wide| self.inner.may_deallocate(start, wide))
    }

    /// # Safety
    ///
    /// As of [`PoolHooks::damage`].
    unsafe fn damage_within(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let start = block.map(|block| start_with_margins::<D>(block, layout.align()));
        // SAFETY: with its margins, the block was handed out by the inner pool for the wider layout.
        unsafe { self.inner.damage(start, with_margins::<D>(layout)?) }
    }

    /// Keeps a report of damage that a call, for this block or for a new one, would run into; returns whether there was
    /// any.
    fn notes_damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> bool {
        // An address that is not that of a block gets a report of its own.
        if !D::ASKS_FOR_DAMAGE || !block.is_none_or(|block| self.hooks.may_free(block, layout)) {
            return false;
        }
        // SAFETY: the hooks have this block as live with this layout, if there is one.
        let Some(at) = (unsafe { self.damage_within(block, layout) }) else { return false };
        self.note(block.map_or(at, |block| block.addr().get()), layout, MisuseKind::Damaged { at }.into())
    }
}

// SAFETY: every block is one of the inner pool, which upholds the contract; the guard returns a part of it, and frees
// all of it. The hooks stay within the block and its margins, and call no foreign code.
unsafe impl<D: BlockHooks, P: RawPool> RawPool for Instrumented<D, P> {
    fn collect_empty(&mut self) {
        self.inner.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        self.inner.release_chunk(which)
    }

    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let wide = with_margins::<D>(layout)?;
        if self.notes_damage(None, layout) {
            return None;
        }
        let whole = self.inner.allocate(wide)?;
        // SAFETY: the block was just handed out, is at least as long as requested, and nothing else uses it.
        let (block, outcome) = unsafe {
            let block = without_margins::<D>(whole, layout.align());
            let new = NewBlock { start: block.cast(), layout, room: block.len(), kept: 0, site: None };
            (block, self.hooks.on_alloc_mut(new))
        };
        match outcome {
            Ok(()) => Some(truncate(block, layout.size())),
            Err(Rejected::Misuse(diagnosis)) => {
                self.note(block.addr().get(), layout, diagnosis);
                None
            }
            Err(Rejected::Memory(_)) => {
                // SAFETY: as above, and the block is not returned to the caller.
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
        // A block that is refused further in is reported there, and not accessed here.
        let is_refused = D::WRITES_FREED && !self.may_deallocate_within(block, layout);
        if !is_refused
            // SAFETY: the caller upholds the contract of `deallocate`, so the block is live and of this layout.
            && let Err(diagnosis) = unsafe { self.hooks.on_free_mut(block, layout) }
            && self.note(block.addr().get(), layout, diagnosis)
        {
            return;
        }
        if let Some(wide) = with_margins::<D>(layout) {
            // SAFETY: as above; with its margins, the block was handed out as `wide`.
            unsafe { self.inner.deallocate(start_with_margins::<D>(block, layout.align()), wide) };
        }
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, _: NonNull<u8>, _: Layout) -> bool {
        false
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.inner.chunk_request(with_margins::<D>(layout)?)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        match with_margins::<D>(layout) {
            // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
            Some(wide) => unsafe { self.inner.add_chunk(chunk, wide) },
            None => Err(chunk),
        }
    }

    fn reset(&mut self) {
        self.hooks.reset();
        self.inner.reset();
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        // SAFETY: the caller upholds the contract of `resize_in_place`, so the block is live and of this layout.
        if let Err(diagnosis) = unsafe { self.hooks.verify(block, old) }
            && self.note(block.addr().get(), old, diagnosis)
        {
            return None;
        }
        if self.notes_damage(Some(block), old) {
            return None;
        }
        let inner = &mut self.inner;
        // SAFETY: the caller upholds the contract of `resize_in_place`; with its margins, the block was handed out for
        // the layout `from`.
        let inner = |start, from, to| unsafe { inner.resize_in_place(start, from, to) }.ok_or(());
        // SAFETY: the caller guarantees that the block is live and of this layout, and that its owner does not use it.
        match unsafe { resize(&self.hooks, block, (old, new), inner) } {
            Ok(resized) => Some(resized),
            Err(NotResized::Moves | NotResized::Refused(())) => None,
            Err(NotResized::Misuse(diagnosis)) => {
                self.note(block.addr().get(), new, diagnosis);
                None
            }
        }
    }
}

impl<D: BlockHooks, P: RawPool> PoolHooks for Instrumented<D, P> {
    fn release_held(&mut self) -> bool {
        self.inner.release_held()
    }

    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.damage_within(block, layout) }
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        self.hooks.may_free(block, layout) && self.may_deallocate_within(block, layout)
    }

    #[inline]
    fn passes_through(&self, layout: Layout) -> bool {
        with_margins::<D>(layout).is_some_and(|wide| self.inner.passes_through(wide))
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        if self.pending.is_about_the_pool() {
            // A pool that hands out live blocks, or was overwritten, is reported first: another chunk does not help.
            return Err(AllocError::Exhausted);
        }
        self.inner.may_allocate(with_margins::<D>(layout).ok_or(AllocError::Unsupported)?)
    }

    fn note_failure(&mut self, layout: Layout) {
        if let Some(wide) = with_margins::<D>(layout) {
            self.inner.note_failure(wide);
        }
    }

    fn before_drop(&mut self) {
        if let Some((address, layout, diagnosis)) = self.hooks.find_leak() {
            self.note(address, layout, diagnosis);
            self.hooks.reset();
        }
        self.inner.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.pending.take().or_else(|| self.inner.pending_report())
    }
}

impl<D: BlockHooks, P: Reserve> Reserve for Instrumented<D, P> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.inner.reserve_request(with_margins::<D>(layout).ok_or(AllocError::Unsupported)?, count)
    }

    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        match with_margins::<D>(layout) {
            // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same.
            Some(wide) => unsafe { self.inner.add_reserved_chunk(chunk, wide, count) },
            None => Err(chunk),
        }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.inner.release_reserved_chunk(with_margins::<D>(layout)?, count)
    }
}
