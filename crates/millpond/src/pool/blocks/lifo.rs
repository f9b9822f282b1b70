//! The free list *Lifo*: an intrusive list of free blocks, last freed first.
//!
//! Each free block begins with the address of the next one; the last one holds zero. There is no other state, so the
//! overhead is a word per pool and nothing per block. Taking a block is one dependent load. An aged list hands blocks
//! out in the reverse order in which they were freed, so blocks that are allocated consecutively need not be adjacent
//! in memory.
//!
//! Source: Kenwright, "Fast Efficient Fixed-Size Memory Pool" (2012), for the list in the blocks and for carving them
//! lazily.

use core::ptr::NonNull;

use super::{FreeList, free_list::Sealed, uncarved::Uncarved};
use crate::{base::address::recover, traits::InvariantError};

/// Freed blocks in an intrusive list, last freed first: no overhead per block, a word per pool.
#[derive(Clone, Copy, Debug)]
pub struct Lifo {
    /// The address of the first free block, or zero. Invariant: following the links visits each block once and ends at
    /// zero.
    head: usize,
}

/// How many bytes of uncarved blocks are added to the list at a time: enough to make the cold call rare, and less than
/// a page, so that memory is not accessed long before it is used.
const BATCH: usize = 2048;

/// Carves a few blocks, links them into a list that ends in zero, lowest address first, and returns the address of the
/// first; zero if there is no uncarved memory. The links are written in ascending order, which suits hardware
/// prefetching.
#[cold]
#[inline(never)]
fn thread(uncarved: &mut Uncarved, size: usize) -> usize {
    let run = uncarved.carve_up_to((BATCH / size).max(1), |_| ());
    if run.start == run.end {
        return 0;
    }
    let mut block = run.start;
    while block < run.end {
        let next = block + size;
        // SAFETY: the block lies in the current chunk, which belongs to the pool, and has at least the size and
        // alignment of a word.
        unsafe { recover::<usize>(block).write(if next == run.end { 0 } else { next }) };
        block = next;
    }
    run.start
}

impl FreeList for Lifo {}

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
        // SAFETY: a block on the list is free and begins with the address of the next one.
        self.head = unsafe { block.cast::<usize>().read() };
        Some(block)
    }

    #[inline(always)]
    fn take(&mut self, uncarved: &mut Uncarved, size: usize) -> Option<NonNull<u8>> {
        let mut block = self.head;
        if block == 0 {
            block = thread(uncarved, size);
        }
        let block = NonNull::new(recover::<u8>(block))?;
        // SAFETY: a block on the list is free and begins with the address of the next one.
        self.head = unsafe { block.cast::<usize>().read() };
        Some(block)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, _: usize) {
        // SAFETY: the caller no longer uses the block, which has at least the size and alignment of a word.
        unsafe { recover::<usize>(block.addr().get()).write(self.head) };
        self.head = block.addr().get();
    }

    fn damage(&self, uncarved: &Uncarved, _: usize) -> Option<usize> {
        Some(self.head).filter(|&head| head != 0 && !uncarved.is_block(head))
    }

    fn clear(&mut self) {
        self.head = 0;
    }

    fn free(&self, uncarved: &Uncarved, _: usize) -> impl Iterator<Item = usize> {
        uncarved.walk(self.head)
    }

    fn collect_empty(&mut self, uncarved: &mut Uncarved, _: usize) {
        let mut all = uncarved.walk(self.head);
        let Some(empty_chunks) = uncarved.empty_chunks(all.by_ref()) else {
            if all.reaches_its_end() {
                self.head = uncarved.make_free_reusable(self.head);
            }
            return;
        };
        if !all.has_ended() || empty_chunks.is_empty() {
            return;
        }
        let all = uncarved.walk(self.head);
        let mut last = &mut self.head;
        for block in all.filter(|&block| !empty_chunks.has(block)).take(empty_chunks.left()) {
            *last = block;
            // SAFETY: the block is free, has at least the size and alignment of a word, and its link has been read.
            last = unsafe { &mut *recover(block) };
        }
        *last = 0;
        uncarved.make_reusable(|carved| empty_chunks.has(carved.start));
    }

    fn check(&self, uncarved: &Uncarved, _: usize) -> Result<(), InvariantError> {
        if uncarved.walk(self.head).reaches_its_end() {
            Ok(())
        } else {
            Err(InvariantError(
                "a link in a free block leads to no block, or back: it was overwritten, or freed twice",
            ))
        }
    }
}
