//! The free list *Validated*: another free list, and a bit per block that records whether it is live.
//!
//! The bits of a chunk lie at its end, away from the blocks, in the chunk's own memory. The chunk in which a block lies
//! is guessed: it is the chunk of the last call, otherwise one from a small table, indexed by the upper bits of the
//! address. The guess is compared with the address, so a wrong guess only costs a search through the chunks, O(log
//! blocks). A foreign address is compared and never read.
//!
//! * Cost: a bit per block, 2 KiB per pool, and a few instructions per call in addition to the other free list.
//! * Growth and reset write all bits: O(blocks / bits of a word).

use core::{alloc::Layout, ptr::NonNull};

use super::{
    FreeList,
    free_list::{Sealed, diagnose},
    uncarved::Uncarved,
};
use crate::{
    pool::chunks::{LiveBitmap, Span},
    traits::{InvariantError, MisuseKind, Pending, PendingReport, Reporter},
};

/// A free list that validates another one: it detects every free of a block that is not live, before the free has any
/// effect.
///
/// Always detected, and prevented: a block that is freed twice (unless it has been handed out again in between); an
/// address at which no block begins, whether it is foreign, another pool's or inside a block; and a layout that this
/// pool does not serve. Detected when the pool is dropped: blocks that were never freed. Not detected: a layout that
/// the pool serves but for which the block was not requested, and a layout of zero bytes, which is ignored. Resizing a
/// dead block is reported, but the shell may read the block.
///
/// A block that is handed out was free before: if a write after free has stored another address in a free block, be it
/// that of a live block or of no block of this pool, this is reported instead ([`MisuseKind::Overlap`],
/// [`MisuseKind::Forged`]), and the blocks freed so far are not handed out before a reset. The same happens if the
/// links between free blocks were overwritten.
///
/// It is intended for debugging, and cheap enough to stay enabled: see BENCHMARKS.md. [`Checked`](crate::guard::Checked)
/// detects more, around any pool.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{
///     Allocator, Blocks, Fixed, Local, observe::{Misuse, MisuseKind, Reporter},
///     pool::{Lifo, Validated},
/// };
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
/// // SAFETY: the second call is a double free, which the free list detects and ignores.
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
/// * The bit of a block is set if and only if the block is live.
/// * `last` and the entries of `guesses` are spans of chunks of the pool, or empty.
#[derive(Debug)]
pub struct Validated<S> {
    inner: S,
    last: Span,
    guesses: [[Span; 2]; GUESSES],
    /// How many low bits of an address are ignored when it is looked up in `guesses`.
    shift: u32,
    /// 2⁶⁴ divided by the block size, rounded up, once the size is known.
    reciprocal: u64,
    pub(super) reporter: Reporter,
    pending: Pending,
}

/// The number of places for guesses. The largest chunk takes at most a quarter of them, so all chunks together take
/// half, as long as chunks double in size. Two chunks may share one place, so it has two guesses, the last one first.
const GUESSES: usize = 64;
const NO_GUESSES: [[Span; 2]; GUESSES] = [[Span::EMPTY; 2]; GUESSES];

/// A bit and the word that contains it.
type Bit = (*mut usize, usize);

impl<S> Validated<S> {
    fn place(&self, block: usize) -> usize {
        (block >> self.shift) % GUESSES
    }

    /// Returns the bit of a block, if the block lies in the chunk of the last call and on a block boundary.
    #[inline(always)]
    fn guess(&self, block: usize, size: usize) -> Option<Bit> {
        let offset = block.wrapping_sub(self.last.start);
        // If the size is a constant, this is a shift; and a multiplication is faster than a division.
        let number = if size.is_power_of_two() {
            offset >> size.trailing_zeros()
        } else {
            ((u128::from(self.reciprocal) * offset as u128) >> 64) as usize
        };
        let is_there = offset < self.last.end - self.last.start && number.wrapping_mul(size) == offset;
        is_there.then(|| LiveBitmap::of(self.last).bit(number))
    }

    /// Returns the span of the chunk in which an address lies, if there is one, and adds it to the guesses.
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

    /// Returns the bit of a block, if there is such a block.
    #[inline(always)]
    fn find(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> Option<Bit> {
        match self.guess(block, size) {
            None => self.find_elsewhere(uncarved, block, size),
            found => found,
        }
    }
}

impl<S: FreeList> Validated<S> {
    /// Marks a block that is about to be handed out as live. If it is live already, or is not a block, returns false,
    /// and no block that was freed so far is handed out any more.
    #[inline(always)]
    fn claim(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        if let Some((word, bit)) = self.find(uncarved, block, size) {
            // SAFETY: the word is part of the live bitmap of the chunk.
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

    /// Reports an address that was about to be handed out or read, and forgets all free blocks.
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

    /// Returns `None`: the block cannot be marked without the chunks. See [`take_hot`](Sealed::take_hot).
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        None
    }

    fn first_freed(&self) -> usize {
        self.inner.first_freed()
    }

    #[inline(always)]
    fn take_hot(&mut self, uncarved: &Uncarved, size: usize) -> Option<NonNull<u8>> {
        // Checks the address before it is read: a write after free may have stored it in a free block.
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
        // If the array is empty, refilling it follows addresses in the blocks behind it.
        if let Some(at) = self.inner.damage(uncarved, size) {
            self.forget(at, size, MisuseKind::Forged);
        }
        let block = self.inner.take(uncarved, size)?;
        self.claim(uncarved, block.addr().get(), size).then_some(block)
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        // SAFETY: the caller upholds the contract of `put`, which is the same.
        unsafe { self.inner.put(block, size) };
    }

    #[inline(always)]
    fn set_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) {
        if let Some((word, bit)) = self.find(uncarved, block, size) {
            // SAFETY: the word is part of the live bitmap of the chunk.
            unsafe { *word |= bit };
        }
    }

    #[inline(always)]
    fn clear_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        let Some((word, bit)) = self.find(uncarved, block, size) else { return false };
        // SAFETY: the word is part of the live bitmap of the chunk.
        unsafe {
            let bits = *word;
            *word = bits & !bit;
            bits & bit != 0
        }
    }

    fn is_live(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> bool {
        // SAFETY: the word is part of the live bitmap of the chunk.
        self.find(uncarved, block, size).is_some_and(|(word, bit)| unsafe { *word & bit != 0 })
    }

    fn diagnose(&mut self, uncarved: &Uncarved, block: usize, size: usize) -> MisuseKind {
        diagnose(uncarved.carved(), block, size)
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
