//! The blocks that other threads have freed: a list that any thread pushes to and one thread takes as a whole.
//!
//! The links lie in the blocks: only the thread that has taken all of them follows them.

use core::{marker::PhantomData, ptr::NonNull};

use super::{
    cache_padded::CachePadded,
    ordering::{Correct, Orderings},
};
use crate::base::{
    address::recover,
    atomic::{AtomicUsize, Ordering},
};

/// A list of freed blocks with many producers and one consumer.
///
/// # Invariants
///
/// * From `head` on, each block begins with the address of the next one; zero ends the list.
pub(crate) struct MpscFreeList<T = Correct> {
    head: CachePadded<AtomicUsize>,
    orderings: PhantomData<fn() -> T>,
}

impl<T: Orderings> MpscFreeList<T> {
    pub(crate) const fn new() -> Self {
        Self { head: CachePadded(AtomicUsize::new(0)), orderings: PhantomData }
    }

    /// Pushes a block. Lock-free.
    ///
    /// # Safety
    ///
    /// The caller owns the block, which lies in exposed memory, is aligned to a word and has room for one.
    #[inline]
    pub(crate) unsafe fn push(&self, block: NonNull<u8>) {
        let block = block.addr().get();
        let mut head = self.head.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller owns the block, which is aligned to a word and has room for one.
            unsafe { recover::<usize>(block).write(head) };
            match self.head.0.compare_exchange_weak(head, block, T::RELEASE, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all blocks, calls `each` with every one, and returns their number. Wait-free, except for what `each` does.
    pub(crate) fn take_all(&self, mut each: impl FnMut(NonNull<u8>)) -> usize {
        let mut next = NonNull::new(recover::<u8>(self.head.0.swap(0, T::ACQUIRE)));
        let mut count = 0;
        while let Some(block) = next {
            // SAFETY: the block belongs to this thread now, and begins with the address of the next one.
            next = unsafe { Self::next(block) };
            each(block);
            count += 1;
        }
        count
    }

    /// Returns the address of the first block, which begins with the address of the next one; zero if there is none.
    pub(crate) fn head(&self) -> usize {
        self.head.0.load(T::ACQUIRE)
    }

    /// Returns the block after this one.
    ///
    /// # Safety
    ///
    /// The block is in the list, or was taken from it and is unchanged.
    unsafe fn next(block: NonNull<u8>) -> Option<NonNull<u8>> {
        // SAFETY: the block is in the list or unchanged since it was taken from it, as the caller guarantees.
        NonNull::new(recover(unsafe { recover::<usize>(block.addr().get()).read() }))
    }

    /// Forgets all blocks.
    pub(crate) fn clear(&mut self) {
        self.head.0.store(0, Ordering::Relaxed);
    }
}
