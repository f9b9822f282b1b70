//! The guards that keep books of all blocks: [`Checked`] and [`Tracked`].
//!
//! Every block is entered when it is handed out, and looked up when it is given back. So what is wrong with a call is
//! known before anything is done, without a look at memory that may be anybody's.

use core::{alloc::Layout, fmt::Debug, ptr::NonNull};

use super::{
    Keeper,
    duty::{Duty, Site, Withheld},
    ledger::{Ledger, Refusal},
};
use crate::{
    base::{AllocError, Mutex, Spin},
    contract::{Cause, Finding, Flaw, Sites, at_fork},
};

/// Finds every call that frees or resizes what it must not, before it does harm; and leaks.
///
/// Exactly found, and prevented: a block that is freed twice (unless its memory has been handed out again since: then
/// it is a live block, and the call looks right), an address that is no block's, be it foreign or inside a block, a block
/// of another pool, and another layout than the block was requested with. Found when the pool goes, and around an allocator
/// also when it is reset: blocks that were never freed. Found too, and not handed out: what overlaps a live block, because
/// somebody has overwritten what the pool keeps in its memory. Pools that follow words in memory which their users can reach,
/// as boundary tags, links in free blocks and [`Buddy`](crate::Buddy)'s footers are, are asked before each call whether those
/// were overwritten ([`RawPool::damage`](crate::RawPool::damage)); if so, the call is reported and prevented
/// ([`Cause::Damaged`]). Not found: what is done to the contents of a block, for which there are [`Canary`](crate::Canary) and
/// [`Quarantine`](crate::Quarantine).
///
/// Around an allocator nothing escapes it. Around a pool, what passes the pool by does, and so does a call whose layout
/// says that it would; and a block that is resized while it is dead is reported, but the shell may read it.
///
/// The books are kept in memory of the global allocator: 21 to 43 bytes per block, twice that for blocks of a kibibyte or more,
/// three times for those of 64 or more. They stay when blocks are freed; so this guard is not for the global allocator itself. Every
/// call costs O(1), whatever the sizes. Around an allocator there is a lock besides. For blocks of one size there is the
/// strategy [`Marked`](crate::Marked), which costs next to nothing.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{Allocator, Cause, Checked, Heap, Misuse, Reporter};
///
/// static FOUND: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     assert_eq!(misuse.cause, Cause::DoubleFree);
///     FOUND.fetch_add(1, Relaxed);
/// }
///
/// let heap = Checked::new(Heap).reporting(Reporter::named("messages").calling(hear));
/// let layout = Layout::new::<u64>();
/// let block = heap.allocate(layout)?.cast();
/// // SAFETY: the second call is wrong, and it is the guard that sees to it that nothing happens.
/// unsafe {
///     heap.deallocate(block, layout);
///     heap.deallocate(block, layout);
/// }
/// assert_eq!(FOUND.load(Relaxed), 1);
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Checked<X> = Keeper<Books<()>, X>;

/// The duty of [`Checked`] and of [`Tracked`](crate::Tracked).
#[derive(Debug)]
pub struct Books<K: Track> {
    pub(super) kept: Mutex<Spin, Kept<K>>,
}

/// What is kept behind the lock.
#[derive(Debug)]
pub(super) struct Kept<K: Track> {
    ledger: Ledger<K::Note>,
    pub(super) track: K,
}

/// What is kept of where things happen: nothing, or the sites in the program.
pub trait Track: Debug + Sized {
    /// See [`Duty::WANTS_SITES`].
    const WANTS_SITES: bool;
    /// What is known about each block.
    type Note: Copy + Debug + Default;
    /// Before anything happened.
    const EMPTY: Self;

    /// A block was handed out.
    fn allocated(&mut self, layout: Layout, site: Site) -> Result<Self::Note, AllocError>;
    /// A block was freed.
    fn freed(&mut self, layout: Layout, note: Self::Note, site: Site) -> Self::Note;
    /// A block got another size.
    fn resized(&mut self, old: Layout, new: Layout, note: Self::Note);
    /// What is known about a block.
    fn sites(note: Self::Note) -> Sites;
    /// Nothing is live any more.
    fn reset(&mut self);
}

impl Track for () {
    const WANTS_SITES: bool = false;
    type Note = ();
    const EMPTY: Self = ();

    fn allocated(&mut self, _: Layout, _: Site) -> Result<(), AllocError> {
        Ok(())
    }

    fn freed(&mut self, _: Layout, (): (), _: Site) {}

    fn resized(&mut self, _: Layout, _: Layout, (): ()) {}

    fn sites((): ()) -> Sites {
        Sites::default()
    }

    fn reset(&mut self) {}
}

impl<X> Keeper<Books<()>, X> {
    /// Checks what is done to `inner` from now on, while nothing is live.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_duty(Books::new(), inner, "checked")
    }
}

impl<K: Track> Books<K> {
    pub(super) const fn new() -> Self {
        Self { kept: Mutex::new(Kept { ledger: Ledger::new(), track: K::EMPTY }) }
    }

    /// Tells of each live block where it begins, and its layout.
    #[cfg(any(feature = "valgrind", feature = "asan"))]
    pub(super) fn each_live(&self, mut tell: impl FnMut(usize, Layout)) {
        let kept = self.kept.lock();
        kept.ledger
            .iter()
            .filter(|entry| entry.is_live())
            .for_each(|entry| tell(entry.start(), entry.layout()));
    }
}

impl<K: Track> Kept<K> {
    /// Whether a live block begins here and has this layout; or why not.
    fn look_up(&self, address: usize, layout: Layout) -> Result<(), Finding> {
        match self.ledger.at(address) {
            Some(entry) if entry.is_live_as(layout) => Ok(()),
            _ => Err(self.diagnose(address)),
        }
    }

    /// Why no live block that was requested as it is said begins here.
    #[cold]
    fn diagnose(&self, address: usize) -> Finding {
        let Some(&entry) = self.ledger.up_to(address) else { return Cause::Foreign.into() };
        let cause = if address - entry.start() >= entry.layout().size() {
            return Cause::Foreign.into();
        } else if address != entry.start() {
            Cause::Interior { start: entry.start() }
        } else if !entry.is_live() {
            Cause::DoubleFree
        } else {
            Cause::WrongLayout { expected: entry.layout() }
        };
        Finding { cause, sites: K::sites(entry.note) }
    }

    fn hand_out(&mut self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Withheld> {
        let note = self.track.allocated(layout, site)?;
        self.ledger.enter(block.addr().get(), layout, note).map_err(|refusal| {
            self.track.freed(layout, note, site);
            match refusal {
                Refusal::Memory(error) => Withheld::Memory(error),
                Refusal::Overlap(live) => Withheld::Misuse(self.overlap(live)),
            }
        })
    }

    fn overlap(&self, live: usize) -> Finding {
        let sites = self.ledger.at(live).map(|entry| K::sites(entry.note)).unwrap_or_default();
        Finding { cause: Cause::Overlap { live }, sites }
    }

    /// Gives the live block that begins here another layout.
    fn resize(&mut self, address: usize, old: Layout, new: Layout) -> Result<(), Finding> {
        let Some(note) = self.ledger.at(address).map(|entry| entry.note) else { return Ok(()) };
        if let Err(Refusal::Overlap(live)) = self.ledger.resize(address, new) {
            return Err(self.overlap(live));
        }
        self.track.resized(old, new, note);
        Ok(())
    }

    fn take_back(&mut self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Finding> {
        if is_nothing(block, layout) {
            return Ok(());
        }
        let (address, track) = (block.addr().get(), &mut self.track);
        if self.ledger.mark_freed(address, layout, |note| track.freed(layout, note, site)) {
            Ok(())
        } else {
            Err(self.diagnose(address))
        }
    }
}

/// Whether this is a block of no bytes, which nobody keeps books of.
fn is_nothing(block: NonNull<u8>, layout: Layout) -> bool {
    layout.size() == 0 && block.addr().get() == layout.align()
}

// SAFETY: blocks are not touched at all.
unsafe impl<K: Track> Duty for Books<K> {
    const WANTS_SITES: bool = K::WANTS_SITES;
    const ASKS_FOR_DAMAGE: bool = true;

    unsafe fn hand_out(
        &self,
        block: NonNull<u8>,
        (layout, _): (Layout, usize),
        _: usize,
        site: Site,
    ) -> Result<(), Withheld> {
        self.kept.lock().hand_out(block, layout, site)
    }

    unsafe fn hand_out_alone(
        &mut self,
        block: NonNull<u8>,
        (layout, _): (Layout, usize),
    ) -> Result<(), Withheld> {
        self.kept.get_mut().hand_out(block, layout, None)
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        if is_nothing(block, layout) {
            return Ok(());
        }
        self.kept.lock().look_up(block.addr().get(), layout)
    }

    fn may_take_back(&self, block: NonNull<u8>, layout: Layout) -> bool {
        is_nothing(block, layout) || self.kept.lock().look_up(block.addr().get(), layout).is_ok()
    }

    fn relabel(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        // Nothing is in the way: nobody has got the rest yet.
        let _ = self.kept.lock().resize(block.addr().get(), old, new);
    }

    unsafe fn resized(
        &self,
        block: NonNull<u8>,
        old: Layout,
        (new, _): (Layout, usize),
    ) -> Result<(), Finding> {
        // One that is no larger was relabelled before.
        if new.size() <= old.size() {
            return Ok(());
        }
        self.kept.lock().resize(block.addr().get(), old, new)
    }

    unsafe fn take_back(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Finding> {
        self.kept.lock().take_back(block, layout, site)
    }

    unsafe fn take_back_alone(&mut self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        self.kept.get_mut().take_back(block, layout, None)
    }

    fn reset(&mut self) {
        let kept = self.kept.get_mut();
        kept.ledger.clear();
        kept.track.reset();
    }

    fn leak(&self) -> Option<(usize, Layout, Finding)> {
        let kept = self.kept.lock();
        let live = kept.ledger.live();
        if live.blocks == 0 {
            return None;
        }
        let first = kept.ledger.iter().filter(|entry| entry.is_live()).min_by_key(|entry| entry.start())?;
        let cause = Cause::Leak { blocks: live.blocks, bytes: live.bytes };
        Some((first.start(), first.layout(), Finding { cause, sites: K::sites(first.note) }))
    }

    fn check(&self) -> Result<(), Flaw> {
        self.kept.lock().ledger.check()
    }
}

at_fork!([K: Track] Books<K>: kept);
