//! The guards that keep a table of all blocks: [`Checked`] and [`Tracked`].
//!
//! Every block is entered when it is handed out and looked up when it is freed. So misuse is detected before anything
//! is done, and without accessing memory that may belong to anything.

use core::{alloc::Layout, fmt::Debug, ptr::NonNull};

use super::{
    block_map::{BlockMap, InsertError},
    hooks::{BlockHooks, NewBlock, Rejected, ResizedBlock, Site},
    instrumented::Instrumented,
};
use crate::{
    base::{AllocError, Mutex},
    sync::SpinLock,
    traits::{AtFork, CallSites, Diagnosis, InvariantError, MisuseKind},
};

/// Detects every invalid free or resize before it does harm, and detects leaks.
///
/// Detected exactly, and prevented: a block that is freed twice (unless its memory was handed out again in between:
/// then it is a live block, and the call looks valid), an address that is not that of a block, whether foreign or
/// inside a block, a block of another pool, and a layout other than the requested one. Detected when the pool is
/// dropped, and around an allocator also when it is reset: blocks that were never freed. Also detected, and not handed
/// out: a block that overlaps a live one because what the pool keeps in its memory was overwritten. Some pools follow
/// words in memory that their users can reach: boundary tags, links in free blocks, and the footers of
/// [`Buddy`](crate::Buddy). Before each call, such a pool is asked whether those were overwritten
/// ([`PoolHooks::damage`](crate::raw::PoolHooks::damage)); if so, the call is reported and prevented
/// ([`MisuseKind::Damaged`]). Not detected: what is done to the contents of a block, for which there are
/// [`Canary`](crate::guard::Canary) and [`Quarantine`](crate::guard::Quarantine).
///
/// Around an allocator, all of these calls are detected. Around a pool, calls that pass through the pool are not, nor
/// are calls whose layout would pass through; and resizing a dead block is reported, but the shell may read the block.
///
/// The table is kept in memory of the global allocator: 21 to 43 bytes per block, twice that for blocks of a kibibyte
/// or more, three times for those of 64 or more. Entries stay when blocks are freed, so this guard is not for the
/// global allocator itself. Every call costs O(1), whatever the sizes. Around an allocator there is also a lock. For
/// blocks of one size there is the free list [`Validated`](crate::pool::Validated), which costs next to nothing.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{Allocator, Heap, observe::{Misuse, MisuseKind, Reporter}, guard::Checked};
///
/// static FOUND: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     assert_eq!(misuse.kind, MisuseKind::DoubleFree);
///     FOUND.fetch_add(1, Relaxed);
/// }
///
/// let heap = Checked::new(Heap).reporting(Reporter::named("messages").with_hook(hear));
/// let layout = Layout::new::<u64>();
/// let block = heap.allocate(layout)?.cast();
/// // SAFETY: the second call is deliberately invalid; the guard prevents it.
/// unsafe {
///     heap.deallocate(block, layout);
///     heap.deallocate(block, layout);
/// }
/// assert_eq!(FOUND.load(Relaxed), 1);
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Checked<X> = Instrumented<BlockTable<()>, X>;

/// The hooks of [`Checked`] and of [`Tracked`](crate::guard::Tracked).
#[derive(Debug)]
pub struct BlockTable<K: SiteTracker> {
    pub(super) state: Mutex<SpinLock, TableState<K>>,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct TableState<K: SiteTracker> {
    blocks: BlockMap<K::Note>,
    pub(super) track: K,
}

/// What is recorded about the places of calls: nothing, or the call sites.
pub trait SiteTracker: Debug + Sized {
    /// See [`BlockHooks::WANTS_SITES`].
    const WANTS_SITES: bool;
    /// What is known about each block.
    type Note: Copy + Debug + Default;
    /// The initial state.
    const EMPTY: Self;

    /// Records that a block was handed out.
    fn allocated(&mut self, layout: Layout, site: Site) -> Result<Self::Note, AllocError>;
    /// Records that a block was freed.
    fn freed(&mut self, layout: Layout, note: Self::Note, site: Site) -> Self::Note;
    /// Records that a block was resized.
    fn on_resize(&mut self, old: Layout, new: Layout, note: Self::Note);
    /// Returns what is known about a block.
    fn sites(note: Self::Note) -> CallSites;
    /// Records that nothing is live any more.
    fn reset(&mut self);
}

impl SiteTracker for () {
    const WANTS_SITES: bool = false;
    type Note = ();
    const EMPTY: Self = ();

    fn allocated(&mut self, _: Layout, _: Site) -> Result<(), AllocError> {
        Ok(())
    }

    fn freed(&mut self, _: Layout, (): (), _: Site) {}

    fn on_resize(&mut self, _: Layout, _: Layout, (): ()) {}

    fn sites((): ()) -> CallSites {
        CallSites::default()
    }

    fn reset(&mut self) {}
}

impl<X> Instrumented<BlockTable<()>, X> {
    /// Creates a guard that checks what is done to `inner` from now on. No block of `inner` may be live.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(BlockTable::new(), inner, "checked")
    }
}

impl<K: SiteTracker> BlockTable<K> {
    pub(super) const fn new() -> Self {
        Self { state: Mutex::new(TableState { blocks: BlockMap::new(), track: K::EMPTY }) }
    }

    /// Calls `visit` with the start and the layout of each live block.
    #[cfg(any(feature = "valgrind", feature = "asan"))]
    pub(super) fn each_live(&self, mut visit: impl FnMut(usize, Layout)) {
        let state = self.state.lock();
        state
            .blocks
            .iter()
            .filter(|entry| entry.is_live())
            .for_each(|entry| visit(entry.start(), entry.layout()));
    }
}

impl<K: SiteTracker> TableState<K> {
    /// Returns whether a live block begins here and has this layout, or why not.
    fn look_up(&self, address: usize, layout: Layout) -> Result<(), Diagnosis> {
        match self.blocks.at(address) {
            Some(entry) if entry.is_live_as(layout) => Ok(()),
            _ => Err(self.diagnose(address)),
        }
    }

    /// Returns the reason why no live block with the given layout begins here.
    #[cold]
    fn diagnose(&self, address: usize) -> Diagnosis {
        let Some(&entry) = self.blocks.up_to(address) else { return MisuseKind::Foreign.into() };
        let kind = if address - entry.start() >= entry.layout().size() {
            return MisuseKind::Foreign.into();
        } else if address != entry.start() {
            MisuseKind::Interior { start: entry.start() }
        } else if !entry.is_live() {
            MisuseKind::DoubleFree
        } else {
            MisuseKind::WrongLayout { expected: entry.layout() }
        };
        Diagnosis { kind, sites: K::sites(entry.note) }
    }

    fn on_alloc(&mut self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Rejected> {
        let note = self.track.allocated(layout, site)?;
        self.blocks.add(block.addr().get(), layout, note).map_err(|error| {
            self.track.freed(layout, note, site);
            match error {
                InsertError::Memory(error) => Rejected::Memory(error),
                InsertError::Overlap(live) => Rejected::Misuse(self.overlap(live)),
            }
        })
    }

    fn overlap(&self, live: usize) -> Diagnosis {
        let sites = self.blocks.at(live).map(|entry| K::sites(entry.note)).unwrap_or_default();
        Diagnosis { kind: MisuseKind::Overlap { live }, sites }
    }

    /// Changes the layout of the live block that begins here.
    fn resize(&mut self, address: usize, old: Layout, new: Layout) -> Result<(), Diagnosis> {
        let Some(note) = self.blocks.at(address).map(|entry| entry.note) else { return Ok(()) };
        if let Err(InsertError::Overlap(live)) = self.blocks.resize(address, new) {
            return Err(self.overlap(live));
        }
        self.track.on_resize(old, new, note);
        Ok(())
    }

    fn on_free(&mut self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Diagnosis> {
        if is_nothing(block, layout) {
            return Ok(());
        }
        let (address, track) = (block.addr().get(), &mut self.track);
        if self.blocks.mark_freed(address, layout, |note| track.freed(layout, note, site)) {
            Ok(())
        } else {
            Err(self.diagnose(address))
        }
    }
}

/// Returns whether this is a block of zero bytes, which is not in the table.
fn is_nothing(block: NonNull<u8>, layout: Layout) -> bool {
    layout.size() == 0 && block.addr().get() == layout.align()
}

// SAFETY: blocks are not accessed at all.
unsafe impl<K: SiteTracker> BlockHooks for BlockTable<K> {
    const WANTS_SITES: bool = K::WANTS_SITES;
    const ASKS_FOR_DAMAGE: bool = true;

    unsafe fn on_alloc(&self, block: NewBlock) -> Result<(), Rejected> {
        self.state.lock().on_alloc(block.start, block.layout, block.site)
    }

    unsafe fn on_alloc_mut(&mut self, block: NewBlock) -> Result<(), Rejected> {
        self.state.get_mut().on_alloc(block.start, block.layout, block.site)
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        if is_nothing(block, layout) {
            return Ok(());
        }
        self.state.lock().look_up(block.addr().get(), layout)
    }

    fn may_free(&self, block: NonNull<u8>, layout: Layout) -> bool {
        is_nothing(block, layout) || self.state.lock().look_up(block.addr().get(), layout).is_ok()
    }

    fn set_layout(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        // Nothing overlaps: the part that is given back was not handed out again yet.
        let _ = self.state.lock().resize(block.addr().get(), old, new);
    }

    unsafe fn on_resize(&self, ResizedBlock { start, old, new, .. }: ResizedBlock) -> Result<(), Diagnosis> {
        // A block that did not grow got its new layout before, in `set_layout`.
        if new.size() <= old.size() {
            return Ok(());
        }
        self.state.lock().resize(start.addr().get(), old, new)
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Diagnosis> {
        self.state.lock().on_free(block, layout, site)
    }

    unsafe fn on_free_mut(&mut self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        self.state.get_mut().on_free(block, layout, None)
    }

    fn reset(&mut self) {
        let state = self.state.get_mut();
        state.blocks.clear();
        state.track.reset();
    }

    fn find_leak(&self) -> Option<(usize, Layout, Diagnosis)> {
        let state = self.state.lock();
        let live = state.blocks.live();
        if live.blocks == 0 {
            return None;
        }
        let first = state.blocks.iter().filter(|entry| entry.is_live()).min_by_key(|entry| entry.start())?;
        let kind = MisuseKind::Leak { blocks: live.blocks, bytes: live.bytes };
        Some((first.start(), first.layout(), Diagnosis { kind, sites: K::sites(first.note) }))
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.state.lock().blocks.check()
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<K: SiteTracker> AtFork for BlockTable<K> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.state);
    }
}
