//! The guards that count.

use super::{
    accounted::Accounted,
    counter::{Access, Counter},
    engine::Accounting,
};
use crate::traits::{Counts, InvariantError, Report, Requested};

/// Counts everything: what is live, the peak, the total ever handed out, and failures.
///
/// Bytes are counted as requested, and no excess is returned, so that what is freed is what was counted. Around a pool,
/// a block that has to move to grow counts as another one handed out and one freed; around an allocator, as the bytes
/// that it gained. Costs about eight memory accesses per call; see [`Counted`] for two.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap, observe::Requested, guard::Stats};
///
/// let heap = Stats::new(Heap);
/// let layout = Layout::new::<[u8; 100]>();
/// let block = heap.allocate(layout)?;
/// // SAFETY: the block is live, and was handed out for this layout.
/// unsafe { heap.deallocate(block.cast(), layout) };
/// let counts = heap.counts();
/// assert_eq!((counts.live, counts.peak), (Requested::default(), Requested { blocks: 1, bytes: 100 }));
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Stats<X> = Accounted<Counters, X>;

/// Counts live blocks and nothing else, at the lowest cost on the hot path.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Inspect, Local, guard::Counted};
///
/// let pool = Local::new(Counted::new(Blocks::<Fixed<64>>::new()));
/// pool.allocate(Layout::new::<u64>())?;
/// assert_eq!(pool.report().live_blocks, Some(1));
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Counted<X> = Accounted<LiveCount, X>;

/// The accounting of [`Stats`].
///
/// # Invariants
///
/// * `live` is at most `peak`, and `peak` at most `total`, in blocks and in bytes.
#[derive(Debug, Default)]
pub struct Counters {
    live: Pair,
    peak: Pair,
    total: Pair,
    failed: Counter,
}

#[derive(Debug, Default)]
struct Pair {
    blocks: Counter,
    bytes: Counter,
}

impl Pair {
    const fn new() -> Self {
        Self { blocks: Counter::new(), bytes: Counter::new() }
    }

    fn get(&self) -> Requested {
        Requested { blocks: self.blocks.get(), bytes: self.bytes.get() }
    }

    #[inline(always)]
    fn add<W: Access>(&self, amount: Requested) -> Requested {
        Requested { blocks: self.blocks.add::<W>(amount.blocks), bytes: self.bytes.add::<W>(amount.bytes) }
    }
}

impl<X> Accounted<Counters, X> {
    /// Creates a guard that counts what `inner` does from now on. No block of `inner` may be live.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        let accounting =
            Counters { live: Pair::new(), peak: Pair::new(), total: Pair::new(), failed: Counter::new() };
        Self { accounting, inner }
    }

    /// Returns what was counted so far. While other threads allocate, each number is correct, but they are not all of
    /// the same moment.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.accounting.counts()
    }
}

impl Counters {
    fn counts(&self) -> Counts {
        Counts {
            live: self.live.get(),
            peak: self.peak.get(),
            total: self.total.get(),
            failed: self.failed.get(),
        }
    }
}

impl Accounting for Counters {
    const BY_SIZE: bool = true;

    #[inline(always)]
    fn commit<W: Access>(&self, more: Requested) {
        self.total.add::<W>(more);
        let live = self.live.add::<W>(more);
        self.peak.blocks.raise::<W>(live.blocks);
        self.peak.bytes.raise::<W>(live.bytes);
    }

    fn fail<W: Access>(&self) {
        self.failed.add::<W>(1);
    }

    #[inline(always)]
    fn free<W: Access>(&self, less: Requested) {
        self.live.blocks.subtract::<W>(less.blocks);
        self.live.bytes.subtract::<W>(less.bytes);
    }

    fn live(&self) -> Requested {
        self.live.get()
    }

    fn live_blocks(&self) -> Option<usize> {
        Some(self.live.blocks.get())
    }

    fn set_live(&mut self, live: Requested) {
        self.live.blocks.set(live.blocks);
        self.live.bytes.set(live.bytes);
    }

    fn report_into(&self, report: &mut Report) {
        let counts = self.counts();
        report.counts = Some(counts);
        report.live_blocks = Some(counts.live.blocks);
    }

    fn check(&self) -> Result<(), InvariantError> {
        let Counts { live, peak, total, .. } = self.counts();
        let ordered =
            |small: Requested, large: Requested| small.blocks <= large.blocks && small.bytes <= large.bytes;
        if !ordered(live, peak) {
            return Err(InvariantError("more bytes or blocks are live than at the peak"));
        }
        if ordered(peak, total) {
            Ok(())
        } else {
            Err(InvariantError("the peak exceeds the sum of all blocks handed out"))
        }
    }
}

/// The accounting of [`Counted`].
#[derive(Debug, Default)]
pub struct LiveCount(Counter);

impl<X> Accounted<LiveCount, X> {
    /// Creates a guard that counts the live blocks of `inner`, none of which may be live yet.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self { accounting: LiveCount(Counter::new()), inner }
    }

    /// Returns the number of live blocks.
    #[must_use]
    pub fn live(&self) -> usize {
        self.accounting.0.get()
    }
}

impl Accounting for LiveCount {
    const BY_SIZE: bool = false;

    #[inline(always)]
    fn commit<W: Access>(&self, more: Requested) {
        self.0.add::<W>(more.blocks);
    }

    #[inline(always)]
    fn free<W: Access>(&self, less: Requested) {
        self.0.subtract::<W>(less.blocks);
    }

    fn live(&self) -> Requested {
        Requested { blocks: self.0.get(), bytes: 0 }
    }

    fn live_blocks(&self) -> Option<usize> {
        Some(self.0.get())
    }

    fn set_live(&mut self, live: Requested) {
        self.0.set(live.blocks);
    }

    fn report_into(&self, report: &mut Report) {
        report.live_blocks = Some(self.0.get());
    }
}
