//! The guard that holds freed blocks back, and how it goes around an allocator.

use core::{alloc::Layout, ptr::NonNull};

use super::ring::{HeldBlock, Ring};
use crate::{
    base::{AllocError, Mutex, SpinLock},
    guard::bytes::FREED,
    traits::{
        Allocation, Allocator, AtFork, Diagnosis, Inspect, InvariantError, MisuseKind, Pending, RawPool,
        Reclaim, Reporter, at_fork, delegate, relocate,
    },
};

/// Holds freed blocks back, up to `N` of them, and finds what is written to them meanwhile.
///
/// A block is filled when it is freed, and looked at when it leaves, oldest first: because there are `N` younger ones, or
/// more [bytes](DelayedFree::holding) than are to be held. Found is every byte that was overwritten in between; not what was
/// only read, though that sees rubbish, and not what is written to a block that has left. A block that is freed or resized while
/// it is held is told as freed twice, and nothing happens.
///
/// Before it fills a block, it asks what it guards whether that [may be freed](Allocator::may_deallocate). So it goes inside or
/// outside of [`Checked`](crate::Checked) and of other guards that find out whether a block is one: what they refuse, they
/// report, and it is not written to. Without such a guard, an address that is no block's is written to.
///
/// When memory runs out, and when a pool is trimmed, everything leaves at once: nothing is held back that somebody needs.
/// Around a pool, that is before the shell gives up, but after it has asked its parent. What is held counts as live.
///
/// Costs writing and reading every byte, a search among the `N` blocks, and `N` times three words. Around a pool ([`new`](DelayedFree::new)), or around an
/// allocator ([`around`](DelayedFree::around)).
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{Allocator, Blocks, MisuseKind, Fixed, Local, Misuse, Quarantine, Reporter};
///
/// static OFFSET: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     if let MisuseKind::WrittenAfterFree { offset } = misuse.kind {
///         OFFSET.store(offset, Relaxed);
///     }
/// }
///
/// let guard = Quarantine::<_, 8>::new(Blocks::<Fixed<64>>::new());
/// let pool = Local::new(guard.reporting(Reporter::named("orders").with_hook(hear)));
/// let layout = Layout::new::<[u8; 64]>();
/// let block = pool.allocate(layout)?.cast::<u8>();
/// // SAFETY: what is wrong here is the point; the block is the guard's, and its memory is there.
/// unsafe {
///     pool.deallocate(block, layout);
///     block.add(20).write(1);
/// }
/// drop(pool);
/// assert_eq!(OFFSET.load(Relaxed), 20);
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Quarantine<X, const N: usize = 64> = DelayedFree<Fill, X, N>;

/// A pool or an allocator behind a guard that holds freed blocks back: see [`Quarantine`].
///
/// # Invariants
///
/// * What is in the ring was freed by its holder and not by the guard.
#[derive(Debug)]
pub struct DelayedFree<H: DelayedFreeHooks, X, const N: usize> {
    pub(super) hooks: H,
    pub(super) ring: Mutex<SpinLock, Ring<N>>,
    /// How many bytes are held at most.
    pub(in crate::guard) most: usize,
    pub(super) reporter: Reporter,
    /// What a pool's shell has not asked for yet.
    pub(super) pending: Pending,
    pub(super) inner: X,
    /// How blocks go back to an allocator; a pool's go when it does.
    free: Option<unsafe fn(&X, NonNull<u8>, Layout)>,
}

/// What is done to blocks while they are held back.
///
/// # Safety
///
/// Only bytes of the block are touched. No method unwinds or calls anybody else's code.
pub unsafe trait DelayedFreeHooks {
    /// A block is held back from now on.
    ///
    /// # Safety
    ///
    /// The block is nobody's, and of this layout.
    unsafe fn on_hold(&self, block: NonNull<u8>, layout: Layout);

    /// A block is about to leave; says what was done to it.
    ///
    /// # Safety
    ///
    /// The block has entered.
    unsafe fn on_release(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis>;
}

/// What [`Quarantine`] does to blocks: it fills them.
#[derive(Clone, Copy, Debug)]
pub struct Fill;

// SAFETY: only bytes of the block are touched.
unsafe impl DelayedFreeHooks for Fill {
    unsafe fn on_hold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { block.write_bytes(FREED, layout.size()) };
    }

    unsafe fn on_release(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        // SAFETY: the block has been filled, and whoever writes to it is in the wrong.
        let is_intact = |&offset: &usize| unsafe { block.add(offset).read_volatile() } == FREED;
        match (0..layout.size()).find(|offset| !is_intact(offset)) {
            Some(offset) => Err(MisuseKind::WrittenAfterFree { offset }.into()),
            None => Ok(()),
        }
    }
}

/// Bytes that are held at most, if nothing else is said.
const MOST: usize = 1 << 20;

impl<P: RawPool, const N: usize> DelayedFree<Fill, P, N> {
    /// Holds back what is given back to a pool.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::with_hooks(Fill, pool, None)
    }
}

impl<A: Allocator, const N: usize> DelayedFree<Fill, A, N> {
    /// Holds back what is given back to an allocator. When the guard goes, everything leaves.
    #[must_use]
    pub const fn around(allocator: A) -> Self {
        Self::with_hooks(Fill, allocator, Some(A::deallocate))
    }
}

impl<H: DelayedFreeHooks, X, const N: usize> DelayedFree<H, X, N> {
    pub(in crate::guard) const fn with_hooks(
        hooks: H,
        inner: X,
        free: Option<unsafe fn(&X, NonNull<u8>, Layout)>,
    ) -> Self {
        Self {
            hooks,
            ring: Mutex::new(Ring::EMPTY),
            most: MOST,
            reporter: Reporter::named("quarantined"),
            pending: Pending::NONE,
            inner,
            free,
        }
    }

    /// Holds no more than so many bytes back; a block that is larger is freed at once. Left alone, it is a mebibyte.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Says what the pool is called, and who hears of misuse.
    #[must_use]
    pub fn reporting(mut self, reporter: Reporter) -> Self {
        self.reporter = reporter;
        self
    }

    /// What is behind the guard, to look at.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }

    /// Looks at a block that leaves an allocator's ring, and reports what was done to it.
    fn examine(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the block was in the ring.
        if let Err(diagnosis) = unsafe { self.hooks.on_release(block, layout) } {
            self.reporter.pending_report(block.addr().get(), layout, diagnosis).raise();
        }
    }
}

impl<H: DelayedFreeHooks, A: Allocator, const N: usize> DelayedFree<H, A, N> {
    /// Frees a block that has left the ring.
    fn release(&self, held: HeldBlock) {
        if let Some(block) = held.block() {
            self.examine(block, held.layout);
            if let Some(at) = self.inner.damage(Some(block), held.layout) {
                let damaged = MisuseKind::Damaged { at }.into();
                return self.reporter.pending_report(block.addr().get(), held.layout, damaged).raise();
            }
            // SAFETY: its holder has freed it with this layout, and nobody has it any more.
            unsafe { self.inner.deallocate(block, held.layout) };
        }
    }

    /// Lets everything leave; says whether there was anything.
    fn free_all_held(&self) -> bool {
        let mut any = false;
        while let Some(held) = self.pop() {
            self.release(held);
            any = true;
        }
        any
    }

    /// As one step, so that the lock is not held afterwards.
    fn is_held(&self, block: NonNull<u8>) -> bool {
        self.ring.lock().holds(block)
    }

    /// As one step, too.
    fn pop(&self) -> Option<HeldBlock> {
        self.ring.lock().pop()
    }

    /// Reports a block that is held, or that freeing it would be prevented further in; it is not touched.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), AllocError> {
        if layout.size() == 0 {
            return Ok(());
        }
        if self.is_held(block) {
            self.reporter.pending_report(block.addr().get(), layout, MisuseKind::DoubleFree.into()).raise();
        } else if !self.inner.may_deallocate(block, layout) {
            // SAFETY: the caller's promises are passed on; the call only reports.
            unsafe { self.inner.deallocate(block, layout) };
        } else {
            return Ok(());
        }
        Err(AllocError::Unsupported)
    }

    /// Asks, and asks again when everything has left.
    fn ask(&self, ask: impl Fn(&A) -> Allocation) -> Allocation {
        match ask(&self.inner) {
            Err(AllocError::Unsupported) => Err(AllocError::Unsupported),
            Err(_) if self.free_all_held() => ask(&self.inner),
            outcome => outcome,
        }
    }
}

/// What an allocator's ring holds goes back to it.
impl<H: DelayedFreeHooks, X, const N: usize> Drop for DelayedFree<H, X, N> {
    fn drop(&mut self) {
        let Some(free) = self.free else { return };
        while let Some(held) = self.ring.get_mut().pop() {
            if let Some(block) = held.block() {
                self.examine(block, held.layout);
                // SAFETY: its holder has freed it with this layout, and nobody has it any more.
                unsafe { free(&self.inner, block, held.layout) };
            }
        }
    }
}

// SAFETY: every block is the inner allocator's, which keeps the contract. A block in the ring is no holder's and not free,
// so nobody gets it. Neither a hold nor a reporter unwinds.
unsafe impl<H: DelayedFreeHooks, A: Allocator, const N: usize> Allocator for DelayedFree<H, A, N> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.ask(|inner| inner.allocate(layout))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        if layout.size() == 0 || unsafe { self.verify(block, layout) }.is_err() {
            return;
        }
        // SAFETY: the caller gives the block up.
        unsafe { self.hooks.on_hold(block, layout) };
        let held = HeldBlock::new(block, layout);
        loop {
            let pushed = self.ring.lock().push(held, self.most);
            match pushed {
                Ok(()) => return,
                Err(Some(oldest)) => self.release(oldest),
                Err(None) => return self.release(held),
            }
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        !self.is_held(block) && self.inner.may_deallocate(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.inner.damage(block, layout)
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.ask(|inner| inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old)?;
            self.inner.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old)?;
            self.inner.grow_in_place(block, old, new)
        }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old)?;
            self.inner.shrink_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            self.verify(block, old)?;
            self.inner.shrink_in_place(block, old, new)
        }
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        self.ask(|inner| inner.allocate_between(least, preferred))
    }

    fn is_fine_grained(&self) -> bool {
        self.inner.is_fine_grained()
    }
}

impl<H: DelayedFreeHooks, X: Inspect, const N: usize> Inspect for DelayedFree<H, X, N> {
    delegate!(self: self.inner; stats largest_free holes render owns report);

    fn check(&self) -> Result<(), InvariantError> {
        self.ring.lock().check()?;
        self.inner.check()
    }
}

impl<H: DelayedFreeHooks, A: Allocator + Reclaim, const N: usize> Reclaim for DelayedFree<H, A, N> {
    fn reset(&mut self) {
        self.free_all_held();
        self.inner.reset();
    }

    fn trim(&mut self) -> usize {
        self.free_all_held();
        self.inner.trim()
    }
}

at_fork!([H: DelayedFreeHooks, A: Allocator + AtFork, const N: usize] DelayedFree<H, A, N>: ring, inner);
