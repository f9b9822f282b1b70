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

use super::{FreeList, free_list::Sealed, uncarved::Uncarved};
use crate::{
    pool::chunks::{LiveBitmap, Span},
    traits::{InvariantError, MisuseKind, Pending, PendingReport, Reporter},
};

/// Another strategy, checked: finds every block that is freed although it is not live, before anything happens.
///
/// Exactly found, and prevented: a block that is freed twice (unless it has been handed out again since), an address that
/// is no block's, be it foreign, another pool's or inside a block, and a layout that this pool does not serve. Found when
/// the pool goes: blocks that were never freed. Not found is a layout that the pool serves but for which the block was not
/// requested, and one of no bytes, which is ignored; and resizing a dead block is reported, but the shell may read it.
///
/// What is handed out was free: if a write after free has put another address into a free block, be it a live block's or none
/// of this pool's, that is reported instead ([`MisuseKind::Overlap`], [`MisuseKind::Forged`]), and what had been freed so far is not
/// handed out before a reset. So it is if what leads from one free block to others was overwritten.
///
/// For debugging, and cheap enough to stay: see BENCHMARKS.md. [`Checked`](crate::Checked) finds more, around any pool.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{Allocator, Blocks, MisuseKind, Fixed, Lifo, Local, Validated, Misuse, Reporter};
///
/// static FOUND: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     assert_eq!(misuse.kind, MisuseKind::DoubleFree);
///     FOUND.fetch_add(1, Relaxed);
/// }
///
/// let blocks = Blocks::<(Fixed<64>, Validated<Lifo>)>::new();
/// let pool = Local::new(blocks.reporting(Reporter::named("particles").with_hook(hear)));
/// let layout = Layout::new::<[u64; 8]>();
/// let block = pool.allocate(layout)?.cast();
/// // SAFETY: the second call is wrong, and it is the free_list that sees to it that nothing happens.
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
pub struct Validated<S> {
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

impl<S> Validated<S> {
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
        is_there.then(|| LiveBitmap::of(self.last).bit(number))
    }

    /// The span of the chunk that an address lies in, if there is one; it is what is guessed from now on.
    #[cold]
    #[inline(never)]
    fn look_up(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> Option<Span> {
        let span = uncarved.chunks.spans().map(|(span, _)| span).find(|span| span.contains(block))?;
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
    fn find_elsewhere(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> Option<Bit> {
        let guessed = self.guesses[self.place(block)].into_iter().find(|span| span.contains(block));
        self.last = match guessed {
            Some(span) => span,
            None => self.look_up(uncarved, block, size)?,
        };
        let offset = block - self.last.start;
        offset.is_multiple_of(size).then(|| LiveBitmap::of(self.last).bit(offset / size))
    }

    /// The bit of a block, if there is such a block.
    #[inline(always)]
    fn find(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> Option<Bit> {
        match self.guess(block, size) {
            None => self.find_elsewhere(uncarved, block, size),
            found => found,
        }
    }
}

impl<S: FreeList> Validated<S> {
    /// Marks a block that is about to be handed out; false, and nothing else is handed out that was freed, if it is live or
    /// no block.
    #[inline(always)]
    fn claim(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        if let Some((word, bit)) = self.find(uncarved, block, size) {
            // SAFETY: the word is one of the chunk's bits.
            let bits = unsafe { *word };
            if bits & bit == 0 {
                // SAFETY: as above.
                unsafe { *word = bits | bit };
                return true;
            }
        }
        self.refuse(uncarved, block, size);
        false
    }

    #[cold]
    #[inline(never)]
    fn refuse(&mut self, uncarved: &Uncarved, block: usize, size: usize) {
        let is_live = self.find(uncarved, block, size).is_some();
        self.forget(
            block,
            size,
            if is_live { MisuseKind::Overlap { live: block } } else { MisuseKind::Forged },
        );
    }

    /// Reports what was about to be handed out or read, and forgets what had been freed.
    #[cold]
    #[inline(never)]
    fn forget(&mut self, block: usize, size: usize, kind: MisuseKind) {
        let layout = Layout::from_size_align(size, 1).unwrap_or(Layout::new::<()>());
        self.pending.add(self.reporter.pending_report(block, layout, kind.into()));
        self.inner.clear();
    }
}

impl<S: FreeList> FreeList for Validated<S> {}

impl<S: FreeList> Sealed for Validated<S> {
    const REGION: usize = S::REGION;
    const VALIDATES: bool = true;
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
    fn take_hot(&mut self, uncarved: &Uncarved, size: usize) -> Option<NonNull<u8>> {
        // Before it is read: it may be an address that somebody has written into a free block.
        let block = self.inner.first_freed();
        if block == 0 || !self.claim(uncarved, block, size) {
            return None;
        }
        self.inner.take_freed()
    }

    #[inline(always)]
    fn take(&mut self, uncarved: &mut Uncarved, size: usize) -> Option<NonNull<u8>> {
        if let Some(block) = self.take_hot(uncarved, size) {
            return Some(block);
        }
        // What is in the blocks behind an empty array is followed when that is filled.
        if let Some(at) = self.inner.damage(uncarved, size) {
            self.forget(at, size, MisuseKind::Forged);
        }
        let block = self.inner.take(uncarved, size)?;
        self.claim(uncarved, block.addr().get(), size).then_some(block)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.inner.put(block, size) };
    }

    #[inline(always)]
    fn set_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) {
        if let Some((word, bit)) = self.find(uncarved, block, size) {
            // SAFETY: the word is one of the chunk's bits.
            unsafe { *word |= bit };
        }
    }

    #[inline(always)]
    fn clear_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        let Some((word, bit)) = self.find(uncarved, block, size) else { return false };
        // SAFETY: the word is one of the chunk's bits.
        unsafe {
            let bits = *word;
            *word = bits & !bit;
            bits & bit != 0
        }
    }

    fn is_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        // SAFETY: the word is one of the chunk's bits.
        self.find(uncarved, block, size).is_some_and(|(word, bit)| unsafe { *word & bit != 0 })
    }

    fn diagnose(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> MisuseKind {
        let Some(carved) = uncarved.carved().find(|carved| carved.contains(block)) else {
            return MisuseKind::Foreign;
        };
        let offset = (block - carved.start) % size;
        if offset == 0 { MisuseKind::DoubleFree } else { MisuseKind::Interior { start: block - offset } }
    }

    fn report_misuse(&mut self, address: usize, layout: Layout, kind: MisuseKind) {
        self.pending.add(self.reporter.pending_report(address, layout, kind.into()));
    }

    fn pending_report(&mut self) -> Option<PendingReport> {
        self.pending.take()
    }

    fn damage(&self, uncarved: &Uncarved, size: usize) -> Option<usize> {
        self.inner.damage(uncarved, size)
    }

    fn clear(&mut self) {
        self.inner.clear();
        (self.last, self.guesses) = (Span::EMPTY, NO_GUESSES);
    }

    fn free(&self, uncarved: &Uncarved, size: usize) -> impl Iterator<Item = usize> {
        self.inner.free(uncarved, size)
    }

    fn count_free(&self, uncarved: &Uncarved, size: usize, most: usize) -> usize {
        self.inner.count_free(uncarved, size, most)
    }

    fn collect_empty(&mut self, uncarved: &mut Uncarved, size: usize) {
        self.inner.collect_empty(uncarved, size);
        (self.last, self.guesses) = (Span::EMPTY, NO_GUESSES);
    }

    fn check(&self, uncarved: &Uncarved, size: usize) -> Result<(), InvariantError> {
        self.inner.check(uncarved, size)
    }
}
