//! The guard that knows who allocated what.

use alloc::vec::Vec;
use core::{alloc::Layout, fmt, panic::Location};

use super::{
    Keeper,
    books::{Books, Track},
    duty::Site,
};
use crate::{
    base::AllocError,
    contract::{Amount, Sites},
};

/// As [`Checked`](crate::Checked), and knows where in the program each block was allocated and freed first.
///
/// So a double free is told with three places, a leak with the place where its first block comes from, and
/// [`sites`](Keeper::sites) lists what each place in the program has live now and had live at the peak.
///
/// The place is that of the call, as with `panic!`: the line that calls a method of this guard. So it goes around an
/// allocator, outside of the shell; what collections allocate has a place in the collection.
///
/// Costs what `Checked` costs, and a search among the places. For debugging.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Classes, Local, Tracked};
///
/// let pool = Tracked::new(Local::new(Classes::new()));
/// let layout = Layout::new::<[u8; 100]>();
/// let block = pool.allocate(layout)?;
/// println!("{}", pool.sites());
/// // SAFETY: the block is live, and was handed out for this layout.
/// unsafe { pool.deallocate(block.cast(), layout) };
/// let sites = pool.sites();
/// assert_eq!((sites.lines().len(), sites.lines()[0].at_peak.bytes), (1, 100));
/// assert!(sites.lines()[0].site.is_some_and(|site| site.file() == file!()));
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Tracked<X> = Keeper<Books<Places>, X>;

impl<X> Keeper<Books<Places>, X> {
    /// Keeps track of what is done to `inner` from now on, while nothing is live.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_duty(Books::new(), inner, "tracked")
    }

    /// What each place in the program has live, and had live when most was.
    #[must_use]
    pub fn sites(&self) -> BySite {
        let kept = self.duty.kept.lock();
        let mut lines = kept.track.lines.clone();
        for line in &mut lines {
            line.settle(kept.track.peak_number);
        }
        lines.sort_by_key(|line| core::cmp::Reverse(line.at_peak.bytes));
        BySite { lines, live: kept.track.live, peak: kept.track.peak }
    }
}

/// What each place in the program has allocated: see [`Tracked`]. Its text is a table, most at the peak first.
#[derive(Clone, Debug)]
pub struct BySite {
    lines: Vec<Line>,
    live: Amount,
    peak: Amount,
}

impl BySite {
    /// One line per place, most bytes at the peak first.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What is live in all.
    #[must_use]
    pub fn live(&self) -> Amount {
        self.live
    }

    /// What was live in all when it was most bytes.
    #[must_use]
    pub fn peak(&self) -> Amount {
        self.peak
    }
}

/// What one place in the program has allocated.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Line {
    /// The place, if it is known.
    pub site: Option<&'static Location<'static>>,
    /// What is live now.
    pub live: Amount,
    /// What was live when most bytes were live in all.
    pub at_peak: Amount,
    /// All that was ever handed out.
    pub total: Amount,
    /// The number of the peak that `at_peak` is of.
    seen: usize,
}

impl Line {
    /// Remembers what was live at the last peak, if it has not yet: nothing has changed since then.
    fn settle(&mut self, peak_number: usize) {
        if self.seen != peak_number {
            self.at_peak = self.live;
            self.seen = peak_number;
        }
    }
}

impl fmt::Display for BySite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>12} {:>8} {:>12} {:>8}  allocated at",
            "bytes live", "blocks", "at the peak", "blocks"
        )?;
        let mut row = |live: Amount, peak: Amount, site: &dyn fmt::Display| {
            writeln!(f, "{:>12} {:>8} {:>12} {:>8}  {site}", live.bytes, live.blocks, peak.bytes, peak.blocks)
        };
        for line in &self.lines {
            match line.site {
                Some(site) => row(line.live, line.at_peak, site)?,
                None => row(line.live, line.at_peak, &"a place that is not known")?,
            }
        }
        row(self.live, self.peak, &"in all")
    }
}

/// What is kept of places: the part of [`Tracked`] that differs from [`Checked`](crate::Checked).
///
/// # Invariants
///
/// * `lines` is sorted by place, one line for each.
/// * A line whose `seen` is not `peak_number` has not changed since the peak.
#[derive(Debug)]
pub struct Places {
    lines: Vec<Line>,
    live: Amount,
    peak: Amount,
    /// How many peaks there were, each higher than the last.
    peak_number: usize,
}

/// Where a block was allocated and, when it is dead, freed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    allocated: Site,
    freed: Site,
}

impl Places {
    fn line(&mut self, site: Site) -> Result<&mut Line, AllocError> {
        let at = match self.lines.binary_search_by(|line| line.site.cmp(&site)) {
            Ok(at) => at,
            Err(at) => {
                self.lines.try_reserve(1).map_err(|_| AllocError::Exhausted)?;
                let nothing = Amount::default();
                let line =
                    Line { site, live: nothing, at_peak: nothing, total: nothing, seen: self.peak_number };
                self.lines.insert(at, line);
                at
            }
        };
        self.lines[at].settle(self.peak_number);
        Ok(&mut self.lines[at])
    }

    /// So much more is live, from a place that there is a line for.
    fn add(&mut self, site: Site, more: Amount) -> Result<(), AllocError> {
        let line = self.line(site)?;
        line.live = line.live.plus(more);
        line.total = line.total.plus(more);
        self.live = self.live.plus(more);
        if self.live.bytes > self.peak.bytes {
            self.peak = self.live;
            self.peak_number += 1;
        }
        Ok(())
    }

    fn subtract(&mut self, site: Site, less: Amount) {
        if let Ok(line) = self.line(site) {
            line.live = line.live.beyond(less);
            self.live = self.live.beyond(less);
        }
    }
}

impl Track for Places {
    const WANTS_SITES: bool = true;
    type Note = Life;
    const EMPTY: Self = Self {
        lines: Vec::new(),
        live: Amount { blocks: 0, bytes: 0 },
        peak: Amount { blocks: 0, bytes: 0 },
        peak_number: 0,
    };

    fn allocated(&mut self, layout: Layout, site: Site) -> Result<Life, AllocError> {
        self.add(site, Amount::of(layout))?;
        Ok(Life { allocated: site, freed: None })
    }

    fn freed(&mut self, layout: Layout, note: Life, site: Site) -> Life {
        self.subtract(note.allocated, Amount::of(layout));
        Life { freed: site, ..note }
    }

    fn resized(&mut self, old: Layout, new: Layout, note: Life) {
        let (before, after) = (Amount::of(old), Amount::of(new));
        self.subtract(note.allocated, before.beyond(after));
        // The line is there, so no memory is asked for.
        let _ = self.add(note.allocated, after.beyond(before));
    }

    fn sites(note: Life) -> Sites {
        Sites { allocated: note.allocated, freed: note.freed, misused: None }
    }

    fn reset(&mut self) {
        for line in &mut self.lines {
            line.settle(self.peak_number);
            line.live = Amount::default();
        }
        self.live = Amount::default();
    }
}
