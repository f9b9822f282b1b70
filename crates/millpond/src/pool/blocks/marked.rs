//! The strategy *Marked*: another strategy, and a bit per block that says whether it is live.
//!
//! The bits of a chunk lie at its end, off the blocks, and come from the chunk's own memory. Which chunk a block lies in
//! is guessed: the one of the last call, or else one from a small table, by the upper bits of the address. The guess is
//! compared with the address, so a wrong one costs a look through the chunks, O(log blocks), and nothing else. A foreign
//! address is compared and never read.
//!
//! * Costs: a bit per block, 2 KiB per pool, and on top of the other strategy's time a few instructions per call.
//! * Growth and reset write all bits: O(blocks / word).

use core::{alloc::Layout, ptr::NonNull};

use super::{Strategy, fresh::Fresh, strategy::Sealed};
use crate::{
    contract::{Cause, Complaint, Flaw, Pending, Reporter},
    pool::chunks::{Marks, Span},
};

/// Another strategy, checked: finds every block that is freed although it is not live, before anything happens.
///
/// Exactly found, and prevented: a block that is freed twice (unless it has been handed out again since), an address that
/// is no block's, be it foreign, another pool's or inside a block, and a layout that this pool does not serve. Found when
/// the pool goes: blocks that were never freed. Not found is a layout that the pool serves but for which the block was not
/// requested, and one of no bytes, which is ignored; and resizing a dead block is reported, but the shell may read it.
///
/// What is handed out was free: if a write after free has put another address into a free block, be it a live block's or none
/// of this pool's, that is reported instead ([`Cause::Overlap`], [`Cause::Forged`]), and what had been freed so far is not
/// handed out before a reset. So it is if what leads from one free block to others was overwritten.
///
/// For debugging, and cheap enough to stay: see BENCHMARKS.md. [`Checked`](crate::Checked) finds more, around any pool.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{Allocator, Blocks, Cause, Fixed, Lifo, Local, Marked, Misuse, Reporter};
///
/// static FOUND: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     assert_eq!(misuse.cause, Cause::DoubleFree);
///     FOUND.fetch_add(1, Relaxed);
/// }
///
/// let blocks = Blocks::<(Fixed<64>, Marked<Lifo>)>::new();
/// let pool = Local::new(blocks.reporting(Reporter::named("particles").calling(hear)));
/// let layout = Layout::new::<[u64; 8]>();
/// let block = pool.allocate(layout)?.cast();
/// // SAFETY: the second call is wrong, and it is the strategy that sees to it that nothing happens.
/// unsafe {
///     pool.deallocate(block, layout);
///     pool.deallocate(block, layout);
/// }
/// assert_eq!(FOUND.load(Relaxed), 1);
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// # Invariants
///
/// * A block's bit is set if and only if it is live.
/// * `last` and what is in `guesses` are spans of chunks of the pool, or empty.
#[derive(Debug)]
pub struct Marked<S> {
    inner: S,
    last: Span,
    guesses: [[Span; 2]; GUESSES],
    /// How many lower bits of an address make no difference to where in `guesses` it belongs.
    shift: u32,
    /// 2⁶⁴ divided by the size of a block, rounded up, once it is known.
    reciprocal: u64,
    pub(super) reporter: Reporter,
    pending: Pending,
}

/// How many places for guesses there are. The largest chunk takes a quarter of them at most, so all chunks together take
/// half, as long as chunks double in size. Two chunks may meet in one place, so it has two guesses, the last one first.
const GUESSES: usize = 64;
const NO_GUESSES: [[Span; 2]; GUESSES] = [[Span::EMPTY; 2]; GUESSES];

/// A bit and the word that it is in.
type Bit = (*mut usize, usize);

impl<S> Marked<S> {
    fn place(&self, block: usize) -> usize {
        (block >> self.shift) % GUESSES
    }

    /// The bit of a block, if the block lies in the chunk of the last call and on a boundary.
    #[inline(always)]
    fn guess(&self, block: usize, size: usize) -> Option<Bit> {
        let offset = block.wrapping_sub(self.last.start);
        // What is known at compile time is a shift; and a product is faster than a quotient.
        let number = if size.is_power_of_two() {
            offset >> size.trailing_zeros()
        } else {
            ((u128::from(self.reciprocal) * offset as u128) >> 64) as usize
        };
        let is_there = offset < self.last.end - self.last.start && number.wrapping_mul(size) == offset;
        is_there.then(|| Marks::of(self.last).bit(number))
    }

    /// The span of the chunk that an address lies in, if there is one; it is what is guessed from now on.
    #[cold]
    #[inline(never)]
    fn look_up(&mut self, fresh: &Fresh, block: usize, size: usize) -> Option<Span> {
        let span = fresh.chunks.spans().map(|(span, _)| span).find(|span| span.contains(block))?;
        let shift = (span.end - span.start).ilog2().saturating_sub(GUESSES.ilog2() - 3);
        if shift > self.shift {
            (self.shift, self.guesses) = (shift, NO_GUESSES);
        }
        self.reciprocal = u64::MAX / size as u64 + 1;
        let place = self.place(block);
        self.guesses[place] = [span, self.guesses[place][0]];
        Some(span)
    }

    #[inline(never)]
    fn find_elsewhere(&mut self, fresh: &Fresh, block: usize, size: usize) -> Option<Bit> {
        let guessed = self.guesses[self.place(block)].into_iter().find(|span| span.contains(block));
        self.last = match guessed {
            Some(span) => span,
            None => self.look_up(fresh, block, size)?,
        };
        let offset = block - self.last.start;
        offset.is_multiple_of(size).then(|| Marks::of(self.last).bit(offset / size))
    }

    /// The bit of a block, if there is such a block.
    #[inline(always)]
    fn find(&mut self, fresh: &Fresh, block: usize, size: usize) -> Option<Bit> {
        match self.guess(block, size) {
            None => self.find_elsewhere(fresh, block, size),
            found => found,
        }
    }
}

impl<S: Strategy> Marked<S> {
    /// Marks a block that is about to be handed out; false, and nothing else is handed out that was freed, if it is live or
    /// no block.
    #[inline(always)]
    fn claim(&mut self, fresh: &Fresh, block: usize, size: usize) -> bool {
        if let Some((word, bit)) = self.find(fresh, block, size) {
            // SAFETY: the word is one of the chunk's bits.
            let bits = unsafe { *word };
            if bits & bit == 0 {
                // SAFETY: as above.
                unsafe { *word = bits | bit };
                return true;
            }
        }
        self.refuse(fresh, block, size);
        false
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, fresh: &Fresh, block: usize, size: usize) {
        let is_live = self.find(fresh, block, size).is_some();
        self.forget(block, size, if is_live { Cause::Overlap { live: block } } else { Cause::Forged });
    }

    /// Reports what was about to be handed out or read, and forgets what had been freed.
    #[cold]
    #[inline(never)]
    fn forget(&mut self, block: usize, size: usize, cause: Cause) {
        let layout = Layout::from_size_align(size, 1).unwrap_or(Layout::new::<()>());
        self.pending.add(self.reporter.complaint(block, layout, cause.into()));
        self.inner.clear();
    }
}

impl<S: Strategy> Strategy for Marked<S> {}

impl<S: Strategy> Sealed for Marked<S> {
    const REGION: usize = S::REGION;
    const MARKS: bool = true;
    const EMPTY: Self = Self {
        inner: S::EMPTY,
        last: Span::EMPTY,
        guesses: NO_GUESSES,
        shift: 0,
        reciprocal: 0,
        reporter: Reporter::named("blocks"),
        pending: Pending::NONE,
    };

    /// Cannot be marked without the chunks: see [`take_hot`](Sealed::take_hot).
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        None
    }

    fn first_freed(&self) -> usize {
        self.inner.first_freed()
    }

    #[inline(always)]
    fn take_hot(&mut self, fresh: &Fresh, size: usize) -> Option<NonNull<u8>> {
        // Before it is read: it may be an address that somebody has written into a free block.
        let block = self.inner.first_freed();
        if block == 0 || !self.claim(fresh, block, size) {
            return None;
        }
        self.inner.take_freed()
    }

    #[inline(always)]
    fn take(&mut self, fresh: &mut Fresh, size: usize) -> Option<NonNull<u8>> {
        if let Some(block) = self.take_hot(fresh, size) {
            return Some(block);
        }
        // What is in the blocks behind an empty array is followed when that is filled.
        if let Some(at) = self.inner.damage(fresh, size) {
            self.forget(at, size, Cause::Forged);
        }
        let block = self.inner.take(fresh, size)?;
        self.claim(fresh, block.addr().get(), size).then_some(block)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.put(block, size) };
    }

    #[inline(always)]
    fn mark(&mut self, fresh: &Fresh, block: usize, size: usize) {
        if let Some((word, bit)) = self.find(fresh, block, size) {
            // SAFETY: the word is one of the chunk's bits.
            unsafe { *word |= bit };
        }
    }

    #[inline(always)]
    fn unmark(&mut self, fresh: &Fresh, block: usize, size: usize) -> bool {
        let Some((word, bit)) = self.find(fresh, block, size) else { return false };
        // SAFETY: the word is one of the chunk's bits.
        unsafe {
            let bits = *word;
            *word = bits & !bit;
            bits & bit != 0
        }
    }

    fn is_live(&mut self, fresh: &Fresh, block: usize, size: usize) -> bool {
        // SAFETY: the word is one of the chunk's bits.
        self.find(fresh, block, size).is_some_and(|(word, bit)| unsafe { *word & bit != 0 })
    }

    fn diagnose(&mut self, fresh: &Fresh, block: usize, size: usize) -> Cause {
        let Some(cut) = fresh.cut().find(|cut| cut.contains(block)) else { return Cause::Foreign };
        let offset = (block - cut.start) % size;
        if offset == 0 { Cause::DoubleFree } else { Cause::Interior { start: block - offset } }
    }

    fn complain(&mut self, address: usize, layout: Layout, cause: Cause) {
        self.pending.add(self.reporter.complaint(address, layout, cause.into()));
    }

    fn complaint(&mut self) -> Option<Complaint> {
        self.pending.take()
    }

    fn damage(&self, fresh: &Fresh, size: usize) -> Option<usize> {
        self.inner.damage(fresh, size)
    }

    fn clear(&mut self) {
        self.inner.clear();
        (self.last, self.guesses) = (Span::EMPTY, NO_GUESSES);
    }

    fn free(&self, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize> {
        self.inner.free(fresh, size)
    }

    fn count_free(&self, fresh: &Fresh, size: usize, most: usize) -> usize {
        self.inner.count_free(fresh, size, most)
    }

    fn settle(&mut self, fresh: &mut Fresh, size: usize) {
        self.inner.settle(fresh, size);
        (self.last, self.guesses) = (Span::EMPTY, NO_GUESSES);
    }

    fn check(&self, fresh: &Fresh, size: usize) -> Result<(), Flaw> {
        self.inner.check(fresh, size)
    }
}
