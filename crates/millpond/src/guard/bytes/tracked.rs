//! The guard that records where each block was allocated.

use alloc::vec::Vec;
use core::{alloc::Layout, fmt, panic::Location};

use super::{
    checked::{BlockTable, SiteTracker},
    hooks::Site,
    instrumented::Instrumented,
};
use crate::{
    base::AllocError,
    traits::{CallSites, Requested},
};

/// As [`Checked`](crate::guard::Checked), and knows where in the program each block was allocated and freed first.
///
/// A double free is reported with three places, a leak with the place where its first block was allocated, and
/// [`sites`](Instrumented::sites) lists what each place in the program has live now and had live at the peak.
///
/// The place is that of the call, as with `panic!`: the line that calls a method of this guard. So the guard goes
/// around an allocator, outside of the shell; what collections allocate has a place in the collection.
///
/// Costs what `Checked` costs, and a search among the places. For debugging.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Classes, Local, guard::Tracked};
///
/// let pool = Tracked::new(Local::new(Classes::new()));
/// let layout = Layout::new::<[u8; 100]>();
/// let block = pool.allocate(layout)?;
/// println!("{}", pool.sites());
/// // SAFETY: the block is live, and was handed out for this layout.
/// unsafe { pool.deallocate(block.cast(), layout) };
/// let sites = pool.sites();
/// assert_eq!((sites.sites().len(), sites.sites()[0].at_peak.bytes), (1, 100));
/// assert!(sites.sites()[0].site.is_some_and(|site| site.file() == file!()));
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Tracked<X> = Instrumented<BlockTable<SiteTable>, X>;

impl<X> Instrumented<BlockTable<SiteTable>, X> {
    /// Creates a guard that tracks what is done to `inner` from now on. No block of `inner` may be live.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(BlockTable::new(), inner, "tracked")
    }

    /// Returns what each place in the program has live, and had live at the peak.
    #[must_use]
    pub fn sites(&self) -> SiteReport {
        let state = self.hooks.state.lock();
        let mut sites = state.track.sites.clone();
        for stats in &mut sites {
            stats.update_peak(state.track.peak_id);
        }
        sites.sort_by_key(|stats| core::cmp::Reverse(stats.at_peak.bytes));
        SiteReport { sites, live: state.track.live, peak: state.track.peak }
    }
}

/// What each place in the program has allocated: see [`Tracked`]. Its `Display` text is a table, sorted by bytes at the
/// peak, the largest first.
#[derive(Clone, Debug)]
pub struct SiteReport {
    sites: Vec<SiteStats>,
    live: Requested,
    peak: Requested,
}

impl SiteReport {
    /// Returns an entry per place, sorted by bytes at the peak, the largest first.
    #[must_use]
    pub fn sites(&self) -> &[SiteStats] {
        &self.sites
    }

    /// Returns what is live in total.
    #[must_use]
    pub fn live(&self) -> Requested {
        self.live
    }

    /// Returns what was live at the peak, in total.
    #[must_use]
    pub fn peak(&self) -> Requested {
        self.peak
    }
}

/// What one place in the program has allocated.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SiteStats {
    /// The place, if known.
    pub site: Option<&'static Location<'static>>,
    /// What is live now.
    pub live: Requested,
    /// What was live when the total of live bytes was at its maximum.
    pub at_peak: Requested,
    /// Everything that was ever handed out.
    pub total: Requested,
    /// The number of the peak to which `at_peak` belongs.
    seen: usize,
}

impl SiteStats {
    /// Records what was live at the last peak, if not done yet: nothing has changed since then.
    fn update_peak(&mut self, peak_id: usize) {
        if self.seen != peak_id {
            self.at_peak = self.live;
            self.seen = peak_id;
        }
    }
}

impl fmt::Display for SiteReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>12} {:>8} {:>12} {:>8}  allocated at",
            "bytes live", "blocks", "at the peak", "blocks"
        )?;
        let mut row = |live: Requested, peak: Requested, site: &dyn fmt::Display| {
            writeln!(f, "{:>12} {:>8} {:>12} {:>8}  {site}", live.bytes, live.blocks, peak.bytes, peak.blocks)
        };
        for stats in &self.sites {
            match stats.site {
                Some(site) => row(stats.live, stats.at_peak, site)?,
                None => row(stats.live, stats.at_peak, &"a place that is not known")?,
            }
        }
        row(self.live, self.peak, &"in all")
    }
}

/// The table of places: the part of [`Tracked`] that differs from [`Checked`](crate::guard::Checked).
///
/// # Invariants
///
/// * `sites` is sorted by place, with one entry per place.
/// * An entry whose `seen` is not `peak_id` has not changed since the peak.
#[derive(Debug)]
pub struct SiteTable {
    sites: Vec<SiteStats>,
    live: Requested,
    peak: Requested,
    /// The number of peaks so far, each higher than the one before.
    peak_id: usize,
}

/// Where a block was allocated and, if it is dead, where it was freed.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlockSites {
    allocated: Site,
    freed: Site,
}

impl SiteTable {
    fn stats(&mut self, site: Site) -> Result<&mut SiteStats, AllocError> {
        let at = match self.sites.binary_search_by(|stats| stats.site.cmp(&site)) {
            Ok(at) => at,
            Err(at) => {
                self.sites.try_reserve(1).map_err(|_| AllocError::Exhausted)?;
                let none = Requested::default();
                let stats = SiteStats { site, live: none, at_peak: none, total: none, seen: self.peak_id };
                self.sites.insert(at, stats);
                at
            }
        };
        self.sites[at].update_peak(self.peak_id);
        Ok(&mut self.sites[at])
    }

    /// Adds to what is live from a place.
    fn add(&mut self, site: Site, more: Requested) -> Result<(), AllocError> {
        let stats = self.stats(site)?;
        stats.live = stats.live.plus(more);
        stats.total = stats.total.plus(more);
        self.live = self.live.plus(more);
        if self.live.bytes > self.peak.bytes {
            self.peak = self.live;
            self.peak_id += 1;
        }
        Ok(())
    }

    fn subtract(&mut self, site: Site, less: Requested) {
        if let Ok(stats) = self.stats(site) {
            stats.live = stats.live.saturating_sub(less);
            self.live = self.live.saturating_sub(less);
        }
    }
}

impl SiteTracker for SiteTable {
    const WANTS_SITES: bool = true;
    type Note = BlockSites;
    const EMPTY: Self = Self {
        sites: Vec::new(),
        live: Requested { blocks: 0, bytes: 0 },
        peak: Requested { blocks: 0, bytes: 0 },
        peak_id: 0,
    };

    fn allocated(&mut self, layout: Layout, site: Site) -> Result<BlockSites, AllocError> {
        self.add(site, Requested::of(layout))?;
        Ok(BlockSites { allocated: site, freed: None })
    }

    fn freed(&mut self, layout: Layout, note: BlockSites, site: Site) -> BlockSites {
        self.subtract(note.allocated, Requested::of(layout));
        BlockSites { freed: site, ..note }
    }

    fn on_resize(&mut self, old: Layout, new: Layout, note: BlockSites) {
        let (before, after) = (Requested::of(old), Requested::of(new));
        self.subtract(note.allocated, before.saturating_sub(after));
        // The entry exists, so no memory is requested.
        let _ = self.add(note.allocated, after.saturating_sub(before));
    }

    fn sites(note: BlockSites) -> CallSites {
        CallSites { allocated: note.allocated, freed: note.freed, misused: None }
    }

    fn reset(&mut self) {
        for stats in &mut self.sites {
            stats.update_peak(self.peak_id);
            stats.live = Requested::default();
        }
        self.live = Requested::default();
    }
}
