//! The strategy *Lifo*: an intrusive list of free blocks, last freed first.
//!
//! Each free block begins with the address of the next one; the last holds zero. Nothing else is stored anywhere, so
//! there is no overhead per block and a word per pool. Taking a block is one dependent load; an aged list hands blocks
//! out in the order in which they were freed, so neighbours in time need not be neighbours in memory.
//!
//! Source: Kenwright, "Fast Efficient Fixed-Size Memory Pool" (2012), for the list in the blocks and for cutting them
//! lazily.

use core::ptr::NonNull;

use super::{Strategy, fresh::Fresh, strategy::Sealed};
use crate::{base::address::recover, contract::Flaw};

/// Freed blocks in an intrusive list, last freed first: no overhead per block, a word per pool.
#[derive(Clone, Copy, Debug)]
pub struct Lifo {
    /// The address of the first free block, or zero. Invariant: following the links visits each block once and ends at
    /// zero.
    head: usize,
}

/// How many bytes of fresh blocks are threaded onto the list at a time: enough to make the cold call rare, and less than
/// a page, so that memory is not touched long before it is used.
const BATCH: usize = 2048;

/// Cuts a few blocks, threads them onto a list that ends in zero, lowest address first, and returns the address of the
/// first; zero if there is no fresh memory. Written upwards, which is how processors fetch ahead.
#[cold]
#[inline(never)]
fn thread(fresh: &mut Fresh, size: usize) -> usize {
    let run = fresh.cut_some((BATCH / size).max(1), |_| ());
    if run.start == run.end {
        return 0;
    }
    let mut block = run.start;
    while block < run.end {
        let next = block + size;
        // SAFETY: the block lies in the current chunk, which is ours, and is at least a word long and as aligned.
        unsafe { recover::<usize>(block).write(if next == run.end { 0 } else { next }) };
        block = next;
    }
    run.start
}

impl Strategy for Lifo {}

impl Sealed for Lifo {
    const REGION: usize = 0;
    const EMPTY: Self = Self { head: 0 };

    #[inline(always)]
    fn first_freed(&self) -> usize {
        self.head
    }

    #[inline(always)]
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        let block = NonNull::new(recover::<u8>(self.head))?;
        // SAFETY: a block on the list is free and begins with the address of the next.
        self.head = unsafe { block.cast::<usize>().read() };
        Some(block)
    }

    #[inline(always)]
    fn take(&mut self, fresh: &mut Fresh, size: usize) -> Option<NonNull<u8>> {
        let mut block = self.head;
        if block == 0 {
            block = thread(fresh, size);
        }
        let block = NonNull::new(recover::<u8>(block))?;
        // SAFETY: a block on the list is free and begins with the address of the next.
        self.head = unsafe { block.cast::<usize>().read() };
        Some(block)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, _: usize) {
        // SAFETY: the caller gives the block up; it is at least a word long and as aligned.
        unsafe { recover::<usize>(block.addr().get()).write(self.head) };
        self.head = block.addr().get();
    }

    fn damage(&self, fresh: &Fresh, _: usize) -> Option<usize> {
        Some(self.head).filter(|&head| head != 0 && !fresh.is_block(head))
    }

    fn clear(&mut self) {
        self.head = 0;
    }

    fn free(&self, fresh: &Fresh, _: usize) -> impl Iterator<Item = usize> {
        fresh.walk(self.head)
    }

    fn settle(&mut self, fresh: &mut Fresh, _: usize) {
        let mut all = fresh.walk(self.head);
        let Some(spare) = fresh.spare(all.by_ref()) else {
            if all.reaches_its_end() {
                self.head = fresh.put_free_ahead(self.head);
            }
            return;
        };
        if !all.has_ended() || spare.is_empty() {
            return;
        }
        let all = fresh.walk(self.head);
        let mut last = &mut self.head;
        for block in all.filter(|&block| !spare.has(block)).take(spare.left()) {
            *last = block;
            // SAFETY: the block is free, at least a word long and as aligned, and its link has been read.
            last = unsafe { &mut *recover(block) };
        }
        *last = 0;
        fresh.put_ahead(|cut| spare.has(cut.start));
    }

    fn check(&self, fresh: &Fresh, _: usize) -> Result<(), Flaw> {
        if fresh.walk(self.head).reaches_its_end() {
            Ok(())
        } else {
            Err(Flaw("a link in a free block leads to no block, or back: it was overwritten, or freed twice"))
        }
    }
}
