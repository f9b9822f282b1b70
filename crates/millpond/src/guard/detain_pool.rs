//! How the guard that holds freed blocks back goes around a pool.
//!
//! What it finds waits until the shell asks; so freeing is not hot here.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    detain::{Detain, Hold},
    ring::Held,
};
use crate::contract::{Cause, Chunk, Complaint, RawPool, Reserve, Surrender, pass_on};

impl<H: Hold, P: RawPool, const N: usize> Detain<H, P, N> {
    /// Looks at a block that has left the ring, and keeps what was done to it until the shell asks.
    fn inspect(&mut self, held: Held) -> Option<NonNull<u8>> {
        let block = held.block()?;
        // SAFETY: the block was in the ring.
        if let Err(finding) = unsafe { self.hold.leave(block, held.layout) } {
            self.pending.add(self.reporter.complaint(block.addr().get(), held.layout, finding));
        }
        Some(block)
    }

    /// Frees a block that has left the ring.
    fn let_go(&mut self, held: Held) {
        if let Some(block) = self.inspect(held) {
            if let Some(at) = self.inner.damage(Some(block), held.layout) {
                let damaged = Cause::Damaged { at }.into();
                return self.pending.add(self.reporter.complaint(block.addr().get(), held.layout, damaged));
            }
            // SAFETY: its holder has freed it with this layout, and nobody has it any more.
            unsafe { self.inner.deallocate(block, held.layout) };
        }
    }

    /// Frees everything that is held; says whether there was anything.
    fn let_all_go(&mut self) -> bool {
        let mut any = false;
        while let Some(held) = self.ring.get_mut().pop() {
            self.let_go(held);
            any = true;
        }
        any
    }

    /// Forgets everything that is held, because it is dead in another way.
    fn forget(&mut self) {
        while let Some(held) = self.ring.get_mut().pop() {
            self.inspect(held);
        }
    }
}

// SAFETY: every block is the inner pool's, which keeps the contract. A block in the ring is no holder's and not free, so
// nobody gets it. A hold calls nobody.
unsafe impl<H: Hold, P: RawPool, const N: usize> RawPool for Detain<H, P, N> {
    pass_on!(self: self.inner; allocate allocate_hot damage wants adopt bypasses admits note_failure);

    unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.ring.get_mut().holds(block) {
            let finding = Cause::DoubleFree.into();
            self.pending.add(self.reporter.complaint(block.addr().get(), layout, finding));
            return;
        }
        if !self.inner.may_deallocate(block, layout) {
            // Nothing is written to it, and whoever is further in reports it.
            // SAFETY: the caller's promises are passed on.
            return unsafe { self.inner.deallocate(block, layout) };
        }
        // SAFETY: the caller gives the block up.
        unsafe { self.hold.enter(block, layout) };
        let held = Held::new(block, layout);
        loop {
            match self.ring.get_mut().push(held, self.most) {
                Ok(()) => return,
                Err(Some(oldest)) => self.let_go(oldest),
                Err(None) => return self.let_go(held),
            }
        }
    }

    fn may_deallocate(&mut self, block: NonNull<u8>, layout: Layout) -> bool {
        !self.ring.get_mut().holds(block) && self.inner.may_deallocate(block, layout)
    }

    unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        if self.ring.get_mut().holds(block) {
            // It is told when the shell frees it because it has to move.
            return None;
        }
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.resize_in_place(block, old, new) }
    }

    #[inline(always)]
    unsafe fn deallocate_hot(&mut self, _: NonNull<u8>, _: Layout) -> bool {
        false
    }

    fn settle(&mut self) {
        self.let_all_go();
        self.inner.settle();
    }

    fn surrender(&mut self, which: Surrender) -> Option<Chunk> {
        if which == Surrender::Any {
            self.forget();
        }
        self.inner.surrender(which)
    }

    fn reset(&mut self) {
        self.forget();
        self.inner.reset();
    }

    fn relent(&mut self) -> bool {
        self.let_all_go() | self.inner.relent()
    }

    fn retire(&mut self) {
        // Freed, so that nobody further in takes it for a leak.
        self.let_all_go();
        self.inner.retire();
    }

    fn complaint(&mut self) -> Option<Complaint> {
        self.pending.take().or_else(|| self.inner.complaint())
    }
}

impl<H: Hold, P: Reserve, const N: usize> Reserve for Detain<H, P, N> {
    pass_on!(self: self.inner; lacks adopt_ahead surrender_ahead);
}
