//! A list of numbers that threads share without a lock: the free blocks of [`LockFree`](crate::LockFree).
//!
//! This is Treiber's stack (1986) with a counted head, IBM's remedy for ABA. The head is one atomic word: the number of
//! the first block and a *tag*. The links lie in an array beside the blocks.
//!
//! * **Why a tag.** A thread reads head A and A's link B, and is stopped. Other threads pop A and B and push A back.
//!   The head is A again, but B is in use: without a tag, the first thread now makes B the head. The tag changes with
//!   every removal, so the thread's exchange fails. It wraps around: a thread that sleeps for exactly 2³² removals (2¹⁶
//!   on targets without 64-bit atomics) and wakes to the same head is deceived. The guarantee is probabilistic.
//! * **Why links beside the blocks.** The link that the stopped thread reads may belong to a block that is live by now
//!   and written to by its owner: if the link lay in the block, that would be a data race. It may also belong to a
//!   block that was returned to the parent: links therefore stay where they are when blocks are returned.
//!
//! Pop and push are lock-free, not wait-free: a step fails only because another thread's has succeeded. They take O(1)
//! except for such retries. Several blocks at once take one exchange, and one step along the links for each.

use self::word::{AtomicWord, Word};
use super::ordering::Orderings;
use crate::base::atomic::{AtomicU32, Ordering};

/// No block.
pub(crate) const NIL: u32 = u32::MAX >> (32 - INDEX_BITS);

/// Number of bits of a block number, and maximum number of bits of a tag.
pub(crate) const INDEX_BITS: u32 = Word::BITS / 2;

// With `--cfg millpond_narrow`, every target behaves like one without 64-bit atomics, so that this can be tested
// anywhere.
#[cfg(all(target_has_atomic = "64", not(millpond_narrow)))]
mod word {
    pub(crate) use crate::base::atomic::AtomicU64 as AtomicWord;
    pub(crate) type Word = u64;
}
#[cfg(not(all(target_has_atomic = "64", not(millpond_narrow))))]
mod word {
    pub(crate) use crate::base::atomic::AtomicU32 as AtomicWord;
    pub(crate) type Word = u32;
}

/// The links of the blocks.
pub(crate) trait LinkTable {
    /// Returns the link of a block that has been [pushed](TreiberStack::push) before, or is about to be.
    fn link(&self, index: u32) -> &AtomicU32;

    /// Returns the link of this block, if this thread can see it. If it cannot, the list has changed since its head was
    /// read.
    fn look(&self, index: u32) -> u32 {
        self.link(index).load(Ordering::Relaxed)
    }
}

/// A stack of block numbers, with a tag against ABA.
///
/// # Invariants
///
/// * Following links from the head visits every free block once, and ends at [`NIL`].
/// * The tag differs from its values before the last `2^INDEX_BITS - 1` removals (fewer if [`Orderings::TAG_BITS`] says
///   so).
#[derive(Debug)]
pub(crate) struct TreiberStack<T> {
    head: AtomicWord,
    orderings: core::marker::PhantomData<fn() -> T>,
}

const fn pack(first: u32, tag: Word) -> Word {
    first as Word | tag << INDEX_BITS
}

const fn first(head: Word) -> u32 {
    head as u32 & NIL
}

/// Returns the block after this one.
pub(crate) fn follow(links: &impl LinkTable, index: u32) -> Option<u32> {
    non_nil(links.look(index))
}

fn non_nil(index: u32) -> Option<u32> {
    (index != NIL).then_some(index)
}

impl<T: Orderings> TreiberStack<T> {
    pub(crate) const fn new() -> Self {
        Self { head: AtomicWord::new(pack(NIL, 0)), orderings: core::marker::PhantomData }
    }

    /// Returns the tag after a removal.
    const fn moved(head: Word) -> Word {
        let mask = if T::TAG_BITS < INDEX_BITS { (1 << T::TAG_BITS) - 1 } else { NIL as Word };
        ((head >> INDEX_BITS) + 1) & mask
    }

    /// Pops a block and returns the result of `of` for it, or `None` if the list is empty or `of` returns `None`. `of`
    /// is called before the exchange, possibly more than once, because code after an exchange has to wait for it.
    #[inline(always)]
    pub(crate) fn pop<R>(&self, links: &impl LinkTable, of: impl Fn(u32) -> Option<R>) -> Option<R> {
        let mut head = self.head.load(T::ACQUIRE);
        while first(head) != NIL {
            let taken = of(first(head))?;
            // The value read here is the link of the head if the exchange succeeds.
            let next = links.link(first(head)).load(Ordering::Relaxed);
            let new = pack(next, Self::moved(head));
            match self.head.compare_exchange_weak(head, new, T::ACQUIRE, T::ACQUIRE) {
                Ok(_) => return Some(taken),
                Err(now) => head = now,
            }
        }
        None
    }

    /// Pops up to `most` blocks at once and returns their number. `place(i, index)` is called for the i-th block,
    /// possibly more than once; the last call is the valid one.
    pub(crate) fn pop_many(
        &self,
        links: &impl LinkTable,
        most: usize,
        mut place: impl FnMut(usize, u32),
    ) -> usize {
        let mut head = self.head.load(T::ACQUIRE);
        loop {
            let (mut next, mut count) = (first(head), 0);
            while next != NIL && count < most {
                place(count, next);
                next = links.look(next);
                count += 1;
            }
            if count == 0 {
                return 0;
            }
            match self.head.compare_exchange_weak(head, pack(next, Self::moved(head)), T::ACQUIRE, T::ACQUIRE)
            {
                Ok(_) => return count,
                Err(now) => head = now,
            }
        }
    }

    /// Takes all blocks and returns the first one.
    pub(crate) fn take_all(&self) -> Option<u32> {
        let mut head = self.head.load(T::ACQUIRE);
        loop {
            let taken = non_nil(first(head))?;
            match self.head.compare_exchange_weak(head, pack(NIL, Self::moved(head)), T::ACQUIRE, T::ACQUIRE)
            {
                Ok(_) => return Some(taken),
                Err(now) => head = now,
            }
        }
    }

    /// Pushes a block, which is the caller's.
    #[inline(always)]
    pub(crate) fn push(&self, links: &impl LinkTable, index: u32) {
        self.push_chain(links, index, index);
    }

    /// Pushes a chain of blocks, which are the caller's and linked from `front` to `back`.
    #[inline(always)]
    pub(crate) fn push_chain(&self, links: &impl LinkTable, front: u32, back: u32) {
        debug_assert!(front < NIL && back < NIL, "no block has this number");
        let back = links.link(back);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            back.store(first(head), Ordering::Relaxed);
            let new = pack(front, head >> INDEX_BITS);
            match self.head.compare_exchange_weak(head, new, T::RELEASE, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Returns the first free block.
    pub(crate) fn first(&self) -> Option<u32> {
        non_nil(first(self.head.load(T::ACQUIRE)))
    }

    /// Returns the free blocks, in order. While other threads change the list, the result is a mix of past states.
    pub(crate) fn walk<L: LinkTable>(&self, links: &L) -> impl Iterator<Item = u32> {
        core::iter::successors(self.first(), |&index| follow(links, index))
    }

    /// Forgets all blocks.
    pub(crate) fn clear(&mut self) {
        let head = self.head.load(Ordering::Relaxed);
        self.head.store(pack(NIL, Self::moved(head)), Ordering::Relaxed);
    }
}
