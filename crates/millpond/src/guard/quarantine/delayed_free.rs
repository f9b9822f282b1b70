//! The guard that holds freed blocks back, around an allocator.

use core::{alloc::Layout, ptr::NonNull};

use super::ring::{HeldBlock, Ring};
use crate::{
    base::{AllocError, Mutex},
    guard::FREED,
    sync::SpinLock,
    traits::{
        Allocation, Allocator, AtFork, Diagnosis, HeapMapBuilder, Holes, Inspect, InvariantError, MisuseKind,
        Pending, PoolStats, RawPool, Reclaim, Report, Reporter, relocate,
    },
};

/// Holds up to `N` freed blocks back, and detects writes to them meanwhile.
///
/// A block is filled when it is freed, and checked when it leaves. The oldest block leaves when there are `N` younger
/// ones, or more [bytes](DelayedFree::holding) than are to be held. The guard detects every byte that was overwritten
/// in between. It does not detect reads, though they see the filling, or writes to a block that has left. A block that
/// is freed or resized while it is held is reported as a double free, and nothing else happens.
///
/// Before it fills a block, the guard asks what is behind it whether the block [may be
/// freed](Allocator::may_deallocate). So it can go inside or outside of [`Checked`](crate::guard::Checked) and of other
/// guards that detect invalid frees: they report what they refuse, and it is not written to. Without such a guard, or
/// if it is inside a [`Cached`](crate::Cached), which does not ask it, an address that is not that of a block is written
/// to.
///
/// When memory runs out, and when a pool is trimmed, all blocks leave at once, so that no memory is held back that is
/// needed. Around a pool, this happens after the shell has asked its parent and before it fails. Blocks that are held
/// count as live.
///
/// Costs writing and reading every byte, a search among the `N` blocks, and `N` times three words. Around a pool
/// ([`new`](DelayedFree::new)), or around an allocator ([`around`](DelayedFree::around)).
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{
///     Allocator, Blocks, Fixed, Local, observe::{Misuse, MisuseKind, Reporter},
///     guard::Quarantine,
/// };
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
/// // SAFETY: the write after free is deliberate; the guard holds the block, so its memory is still allocated.
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
/// * The caller has freed the blocks in the ring, and the guard has not.
#[derive(Debug)]
pub struct DelayedFree<H: DelayedFreeHooks, X, const N: usize> {
    pub(super) hooks: H,
    pub(super) ring: Mutex<SpinLock, Ring<N>>,
    /// The maximum number of bytes held.
    pub(in crate::guard) most: usize,
    pub(super) reporter: Reporter,
    /// A report that a pool's shell has not asked for yet.
    pub(super) pending: Pending,
    pub(super) inner: X,
    /// Returns blocks to an allocator. `None` for a pool, whose blocks end with it.
    free: Option<unsafe fn(&X, NonNull<u8>, Layout)>,
}

/// What is done to blocks while they are held back.
///
/// # Safety
///
/// Only bytes of the block are accessed. No method unwinds or calls foreign code.
pub unsafe trait DelayedFreeHooks {
    /// Called when a block starts to be held back.
    ///
    /// # Safety
    ///
    /// The block is not in use, and is of this layout.
    unsafe fn on_hold(&self, block: NonNull<u8>, layout: Layout);

    /// Called before a block leaves; reports what was done to it.
    ///
    /// # Safety
    ///
    /// [`on_hold`](Self::on_hold) was called for the block.
    unsafe fn on_release(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis>;
}

/// The hooks of [`Quarantine`]: they fill blocks.
#[derive(Clone, Copy, Debug)]
pub struct Fill;

// SAFETY: only bytes of the block are accessed.
unsafe impl DelayedFreeHooks for Fill {
    unsafe fn on_hold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller guarantees that the block is not in use and is of this layout.
        unsafe { block.write_bytes(FREED, layout.size()) };
    }

    unsafe fn on_release(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        // SAFETY: the block has been filled; writing to it at the same time would be misuse.
        let is_intact = |&offset: &usize| unsafe { block.add(offset).read_volatile() } == FREED;
        match (0..layout.size()).find(|offset| !is_intact(offset)) {
            Some(offset) => Err(MisuseKind::WrittenAfterFree { offset }.into()),
            None => Ok(()),
        }
    }
}

/// The default maximum number of bytes held.
const MOST: usize = 1 << 20;

impl<P: RawPool, const N: usize> DelayedFree<Fill, P, N> {
    /// Creates a guard that holds back the blocks freed to a pool.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::with_hooks(Fill, pool, None)
    }
}

impl<A: Allocator, const N: usize> DelayedFree<Fill, A, N> {
    /// Creates a guard that holds back the blocks freed to an allocator. When the guard is dropped, all blocks leave.
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

    /// Sets the maximum number of bytes held back; a larger block is freed at once. The default is a mebibyte.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> Self {
        self.most = bytes;
        self
    }

    /// Sets the name of the pool and how misuse is reported.
    #[must_use]
    pub fn reporting(mut self, reporter: Reporter) -> Self {
        self.reporter = reporter;
        self
    }

    /// Returns a reference to what is behind the guard.
    #[must_use]
    pub fn inner(&self) -> &X {
        &self.inner
    }

    /// Checks a block that leaves an allocator's ring, and reports what was done to it.
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
            // SAFETY: the caller freed the block with this layout; the inner allocator still has it as live.
            if let Some(at) = unsafe { self.inner.damage(Some(block), held.layout) } {
                let damaged = MisuseKind::Damaged { at }.into();
                return self.reporter.pending_report(block.addr().get(), held.layout, damaged).raise();
            }
            // SAFETY: the caller freed the block with this layout, and nothing uses it any more.
            unsafe { self.inner.deallocate(block, held.layout) };
        }
    }

    /// Releases all blocks; returns whether there were any.
    fn free_all_held(&self) -> bool {
        let mut any = false;
        while let Some(held) = self.pop() {
            self.release(held);
            any = true;
        }
        any
    }

    /// A function of its own, so that the lock is not held afterwards.
    fn is_held(&self, block: NonNull<u8>) -> bool {
        self.ring.lock().holds(block)
    }

    /// A function of its own for the same reason.
    fn pop(&self) -> Option<HeldBlock> {
        self.ring.lock().pop()
    }

    /// Reports a block that is held, or whose freeing would be prevented further in. The block is not accessed.
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
            // SAFETY: the caller upholds the contract of `Allocator::deallocate`. The call only reports, because the
            // block is refused.
            unsafe { self.inner.deallocate(block, layout) };
        } else {
            return Ok(());
        }
        Err(AllocError::Unsupported)
    }

    /// Makes a request, and retries after releasing all blocks.
    fn ask(&self, ask: impl Fn(&A) -> Allocation) -> Allocation {
        match ask(&self.inner) {
            Err(AllocError::Unsupported) => Err(AllocError::Unsupported),
            Err(_) if self.free_all_held() => ask(&self.inner),
            outcome => outcome,
        }
    }
}

/// Returns the blocks in an allocator's ring to it.
impl<H: DelayedFreeHooks, X, const N: usize> Drop for DelayedFree<H, X, N> {
    fn drop(&mut self) {
        let Some(free) = self.free else { return };
        while let Some(held) = self.ring.get_mut().pop() {
            if let Some(block) = held.block() {
                self.examine(block, held.layout);
                // SAFETY: the caller freed the block with this layout, and nothing uses it any more.
                unsafe { free(&self.inner, block, held.layout) };
            }
        }
    }
}

// SAFETY: every block is one of the inner allocator, which upholds the contract. A block in the ring is neither in use
// nor free, so it is not handed out. Neither the hooks nor a reporter unwind.
unsafe impl<H: DelayedFreeHooks, A: Allocator, const N: usize> Allocator for DelayedFree<H, A, N> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.ask(|inner| inner.allocate(layout))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is that of `verify`.
        if layout.size() == 0 || unsafe { self.verify(block, layout) }.is_err() {
            return;
        }
        // SAFETY: the caller no longer uses the block.
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

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.inner.damage(block, layout) }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.ask(|inner| inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which includes those of the methods called.
        unsafe {
            self.verify(block, old)?;
            self.inner.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which includes those of the methods called.
        unsafe {
            self.verify(block, old)?;
            self.inner.grow_in_place(block, old, new)
        }
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which includes those of the methods called.
        unsafe {
            self.verify(block, old)?;
            self.inner.shrink_in_place(block, old, new).or_else(|_| relocate(self, block, old, new))
        }
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which includes those of the methods called.
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
    fn stats(&self) -> PoolStats {
        self.inner.stats()
    }

    fn largest_free(&self) -> Option<usize> {
        self.inner.largest_free()
    }

    fn holes(&self) -> Option<Holes> {
        self.inner.holes()
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.inner.render(builder);
    }

    fn owns(&self, address: *const u8) -> bool {
        self.inner.owns(address)
    }

    fn report(&self) -> Report {
        self.inner.report()
    }

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

// SAFETY: the parts are fields, so they are the same in each call.
unsafe impl<H: DelayedFreeHooks, A: Allocator + AtFork, const N: usize> AtFork for DelayedFree<H, A, N> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.ring);
        visit(&self.inner);
    }
}
