//! The blocks that were returned from other threads: a list to which anyone adds, and which one takes whole.
//!
//! The links lie in the blocks: nobody follows them but who has taken all of them.

use core::{marker::PhantomData, ptr::NonNull};

use super::{
    cache_padded::CachePadded,
    ordering::{Correct, Orderings},
};
use crate::base::{
    address::recover,
    atomic::{AtomicUsize, Ordering},
};

/// # Invariants
///
/// * From `head` on, each block begins with the address of the next one; zero is none.
pub(crate) struct MpscFreeList<T = Correct> {
    head: CachePadded<AtomicUsize>,
    orderings: PhantomData<fn() -> T>,
}

impl<T: Orderings> MpscFreeList<T> {
    pub(crate) const fn new() -> Self {
        Self { head: CachePadded(AtomicUsize::new(0)), orderings: PhantomData }
    }

    /// Adds a block. Lock-free.
    ///
    /// # Safety
    ///
    /// The block is the caller's, in exposed memory, aligned to a word and as long as one.
    #[inline]
    pub(crate) unsafe fn push(&self, block: NonNull<u8>) {
        let block = block.addr().get();
        let mut head = self.head.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller's promise.
            unsafe { recover::<usize>(block).write(head) };
            match self.head.0.compare_exchange_weak(head, block, T::RELEASE, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Takes every block and says how many those were. Wait-free, but for what `each` does with them.
    pub(crate) fn take_all(&self, mut each: impl FnMut(NonNull<u8>)) -> usize {
        let mut next = NonNull::new(recover::<u8>(self.head.0.swap(0, T::ACQUIRE)));
        let mut count = 0;
        while let Some(block) = next {
            // SAFETY: the block is this thread's now, and begins with the address of the next one.
            next = unsafe { Self::next(block) };
            each(block);
            count += 1;
        }
        count
    }

    /// The address of the first block that is there now, which begins with that of the next one; zero is none.
    pub(crate) fn head(&self) -> usize {
        self.head.0.load(T::ACQUIRE)
    }

    /// # Safety
    ///
    /// The block is in the list, or was taken from it and is as it was.
    unsafe fn next(block: NonNull<u8>) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        NonNull::new(recover(unsafe { recover::<usize>(block.addr().get()).read() }))
    }

    /// Forgets every block.
    pub(crate) fn clear(&mut self) {
        self.head.0.store(0, Ordering::Relaxed);
    }
}
