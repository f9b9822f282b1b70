//! The guard that holds freed blocks back, around a pool.
//!
//! A report waits until the shell asks for it, so freeing is not hot here.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    delayed_free::{DelayedFree, DelayedFreeHooks},
    ring::HeldBlock,
};
use crate::{
    base::AllocError,
    traits::{Chunk, ChunkRequest, MisuseKind, PendingReport, PoolHooks, RawPool, Release, Reserve},
};

impl<H: DelayedFreeHooks, P: RawPool, const N: usize> DelayedFree<H, P, N> {
    /// Checks a block that has left the ring, and keeps the report until the shell asks for it.
    fn inspect(&mut self, held: HeldBlock) -> Option<NonNull<u8>> {
        let block = held.block()?;
        // SAFETY: the block was in the ring.
        if let Err(diagnosis) = unsafe { self.hooks.on_release(block, held.layout) } {
            self.pending.add(self.reporter.pending_report(block.addr().get(), held.layout, diagnosis));
        }
        Some(block)
    }

    /// Frees a block that has left the ring.
    fn free_held_mut(&mut self, held: HeldBlock) {
        if let Some(block) = self.inspect(held) {
            // SAFETY: the caller freed the block with this layout; the inner pool still has it as live.
            if let Some(at) = unsafe { self.inner.damage(Some(block), held.layout) } {
                let damaged = MisuseKind::Damaged { at }.into();
                return self.pending.add(self.reporter.pending_report(
                    block.addr().get(),
                    held.layout,
                    damaged,
                ));
            }
            // SAFETY: the caller freed the block with this layout, and nothing uses it any more.
            unsafe { self.inner.deallocate(block, held.layout) };
        }
    }

    /// Frees all blocks that are held; returns whether there were any.
    fn free_all_held_mut(&mut self) -> bool {
        let mut any = false;
        while let Some(held) = self.ring.get_mut().pop() {
            self.free_held_mut(held);
            any = true;
        }
        any
    }

    /// Forgets all blocks that are held, because they are dead for another reason.
    fn forget(&mut self) {
        while let Some(held) = self.ring.get_mut().pop() {
            self.inspect(held);
        }
    }
}

// SAFETY: every block is one of the inner pool, which upholds the contract. A block in the ring is neither in use nor
// free, so it is not handed out. The hooks call no foreign code.
unsafe impl<H: DelayedFreeHooks, P: RawPool, const N: usize> RawPool for DelayedFree<H, P, N> {
    #[inline]
    fn allocate(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.inner.allocate(layout)
    }

    #[inline(always)]
    fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        self.inner.allocate_hot(layout)
    }

    fn chunk_request(&self, layout: Layout) -> Option<ChunkRequest> {
        self.inner.chunk_request(layout)
    }

    unsafe fn add_chunk(&mut self, chunk: Chunk, layout: Layout) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
        unsafe { self.inner.add_chunk(chunk, layout) }
    }

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.ring.get_mut().holds(block) {
            let diagnosis = MisuseKind::DoubleFree.into();
            self.pending.add(self.reporter.pending_report(block.addr().get(), layout, diagnosis));
            return;
        }
        if !self.inner.may_deallocate(block, layout) {
            // The block is not written to, and what is further in reports it. SAFETY: the caller upholds the contract
            // of `deallocate`, which is the same.
            return unsafe { self.inner.deallocate(block, layout) };
        }
        // SAFETY: the caller no longer uses the block.
        unsafe { self.hooks.on_hold(block, layout) };
        let held = HeldBlock::new(block, layout);
        loop {
            match self.ring.get_mut().push(held, self.most) {
                Ok(()) => return,
                Err(Some(oldest)) => self.free_held_mut(oldest),
                Err(None) => return self.free_held_mut(held),
            }
        }
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if self.ring.get_mut().holds(block) {
            // The block has to move, and is reported when the shell frees it.
            return None;
        }
        // SAFETY: the caller upholds the contract of `resize_in_place`, which is the same.
        unsafe { self.inner.resize_in_place(block, old, new) }
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, _: NonNull<u8>, _: Layout) -> bool {
        false
    }

    fn collect_empty(&mut self) {
        self.free_all_held_mut();
        self.inner.collect_empty();
    }

    fn release_chunk(&mut self, which: Release) -> Option<Chunk> {
        if which == Release::Any {
            self.forget();
        }
        self.inner.release_chunk(which)
    }

    fn reset(&mut self) {
        self.forget();
        self.inner.reset();
    }
}

impl<H: DelayedFreeHooks, P: RawPool, const N: usize> PoolHooks for DelayedFree<H, P, N> {
    unsafe fn damage(&mut self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.inner.damage(block, layout) }
    }

    #[inline(always)]
    fn passes_through(&self, layout: Layout) -> bool {
        self.inner.passes_through(layout)
    }

    fn may_allocate(&self, layout: Layout) -> Result<(), AllocError> {
        self.inner.may_allocate(layout)
    }

    fn note_failure(&mut self, layout: Layout) {
        self.inner.note_failure(layout);
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        !self.ring.get_mut().holds(block) && self.inner.may_deallocate(block, layout)
    }

    fn release_held(&mut self) -> bool {
        self.free_all_held_mut() | self.inner.release_held()
    }

    fn before_drop(&mut self) {
        // Freed, so that no guard further in takes them for leaks.
        self.free_all_held_mut();
        self.inner.before_drop();
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.pending.take().or_else(|| self.inner.pending_report())
    }
}

impl<H: DelayedFreeHooks, P: Reserve, const N: usize> Reserve for DelayedFree<H, P, N> {
    fn reserve_request(&self, layout: Layout, count: usize) -> Result<Option<ChunkRequest>, AllocError> {
        self.inner.reserve_request(layout, count)
    }

    unsafe fn add_reserved_chunk(&mut self, chunk: Chunk, layout: Layout, count: usize) -> Result<(), Chunk> {
        // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same.
        unsafe { self.inner.add_reserved_chunk(chunk, layout, count) }
    }

    fn release_reserved_chunk(&mut self, layout: Layout, count: usize) -> Option<Chunk> {
        self.inner.release_reserved_chunk(layout, count)
    }
}
