//! The blocks that were returned from other threads: a list to which anyone adds, and which one takes whole.
//!
//! The links lie in the blocks: nobody follows them but who has taken all of them.

use core::{marker::PhantomData, ptr::NonNull};

use super::{
    line::Line,
    lock_free::list::{Sound, Terms},
};
use crate::base::{
    address::recover,
    atomic::{AtomicUsize, Ordering},
};

/// # Invariants
///
/// * From `first` on, each block begins with the address of the next one; zero is none.
pub(super) struct Returned<T = Sound> {
    first: Line<AtomicUsize>,
    terms: PhantomData<fn() -> T>,
}

impl<T: Terms> Returned<T> {
    pub(super) const fn new() -> Self {
        Self { first: Line(AtomicUsize::new(0)), terms: PhantomData }
    }

    /// Adds a block. Lock-free.
    ///
    /// # Safety
    ///
    /// The block is the caller's, in exposed memory, aligned to a word and as long as one.
    #[inline]
    pub(super) unsafe fn add(&self, block: NonNull<u8>) {
        let block = block.addr().get();
        let mut first = self.first.0.load(Ordering::Relaxed);
        loop {
            // SAFETY: the caller's promise.
            unsafe { recover::<usize>(block).write(first) };
            match self.first.0.compare_exchange_weak(first, block, T::PUT, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    /// Takes every block and says how many those were. Wait-free, but for what `each` does with them.
    pub(super) fn take_all(&self, mut each: impl FnMut(NonNull<u8>)) -> usize {
        let mut next = NonNull::new(recover::<u8>(self.first.0.swap(0, T::TAKE)));
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
    pub(super) fn first(&self) -> usize {
        self.first.0.load(T::TAKE)
    }

    /// # Safety
    ///
    /// The block is in the list, or was taken from it and is as it was.
    unsafe fn next(block: NonNull<u8>) -> Option<NonNull<u8>> {
        // SAFETY: the caller's promise.
        NonNull::new(recover(unsafe { recover::<usize>(block.addr().get()).read() }))
    }

    /// Forgets every block.
    pub(super) fn clear(&mut self) {
        self.first.0.store(0, Ordering::Relaxed);
    }
}
