//! Misuse of a pool: what was found, and how it is reported.
//!
//! A pool and the guards around it call no hook themselves: a report waits until the shell asks for it, outside of
//! every borrow and lock ([`PoolHooks::pending_report`](crate::raw::PoolHooks::pending_report)). Guards around
//! allocators report at once.

use core::{alloc::Layout, fmt, panic::Location};

use crate::base::{abort_on_unwind, events};

/// The kind of misuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MisuseKind {
    /// The block was freed before, and was not handed out again since.
    DoubleFree,
    /// No block of this pool begins or reaches there: the block belongs to another allocator, or to none.
    Foreign,
    /// The address lies in a block of this pool, but is not its start.
    Interior {
        /// The address at which the block begins.
        start: usize,
    },
    /// The block was handed out for another layout, or never for one of this kind.
    WrongLayout {
        /// The layout that would have been right.
        expected: Layout,
    },
    /// Bytes behind the block, or in front of it, were overwritten.
    Overflow {
        /// The first byte that was overwritten, relative to the start of the block. In front of the block this is a
        /// negative number in two's complement: see [`usize::cast_signed`].
        offset: usize,
    },
    /// The block was written to after it had been freed.
    WrittenAfterFree {
        /// The first byte that was overwritten, relative to the start of the block.
        offset: usize,
    },
    /// The block that the pool was about to hand out overlaps a live one: what the pool keeps in its memory was
    /// overwritten, by a write after free or past the end of a block.
    Overlap {
        /// The address at which the live block begins.
        live: usize,
    },
    /// The address that the pool was about to hand out is not that of a block: a free block was overwritten.
    Forged,
    /// The call would have followed what the pool keeps between its blocks, and that was overwritten by a write past
    /// the end of a block, in front of one, or after free. The block that was to be freed stays live.
    Damaged {
        /// Where the damage is: the address of a word, or of the block that the word belongs to. If a block was about
        /// to be handed out, this is also the address that is reported.
        at: usize,
    },
    /// Blocks were still live when the pool was dropped or reset.
    Leak {
        /// The number of blocks.
        blocks: usize,
        /// The number of bytes in all of them.
        bytes: usize,
    },
}

impl MisuseKind {
    /// Returns whether the call was not performed, because it would have corrupted the pool. With other kinds of misuse
    /// the harm has already been done.
    #[must_use]
    pub const fn is_prevented(self) -> bool {
        matches!(
            self,
            Self::DoubleFree
                | Self::Foreign
                | Self::Interior { .. }
                | Self::WrongLayout { .. }
                | Self::Overlap { .. }
                | Self::Forged
                | Self::Damaged { .. }
        )
    }
}

/// The places in the program from which the calls came, as far as they were tracked: see
/// [`Tracked`](crate::guard::Tracked).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallSites {
    /// Where the block was allocated.
    pub allocated: Option<&'static Location<'static>>,
    /// Where it was first freed.
    pub freed: Option<&'static Location<'static>>,
    /// Where it was misused.
    pub misused: Option<&'static Location<'static>>,
}

/// A report of misuse: which pool, which block, what was wrong, and where.
///
/// Its `Display` text is meant for people:
///
/// ```text
/// pool "sessions": block 0x7f2d8c0010c0 (64 bytes, aligned to 8) was freed twice
///   allocated at src/main.rs:10:21
///   freed     at src/main.rs:14:14
///   misused   at src/main.rs:20:14
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Misuse {
    /// The name of the pool: see [`Reporter::named`].
    pub pool: &'static str,
    /// The address at which the block begins, or which was passed as one; for leaks, the first block.
    pub address: usize,
    /// The layout that was passed with it; for leaks, that of the first block.
    pub layout: Layout,
    /// The kind of misuse.
    pub kind: MisuseKind,
    /// The places in the program.
    pub sites: CallSites,
    /// How many more were found in the same call. Only the first one is reported.
    pub more: usize,
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {:?}: ", self.pool)?;
        let (size, align) = (self.layout.size(), self.layout.align());
        if let MisuseKind::Leak { blocks, bytes } = self.kind {
            write!(f, "{blocks} blocks ({bytes} bytes in total) were never freed; the first is ")?;
        }
        write!(f, "block {:#x} ({size} bytes, aligned to {align})", self.address)?;
        match self.kind {
            MisuseKind::DoubleFree => f.write_str(" was freed twice")?,
            MisuseKind::Foreign => f.write_str(" does not belong to this pool")?,
            MisuseKind::Interior { start } => write!(f, " lies inside the block that begins at {start:#x}")?,
            MisuseKind::WrongLayout { expected } => {
                let (size, align) = (expected.size(), expected.align());
                write!(f, " was allocated with another layout: {size} bytes, aligned to {align}")?;
            }
            MisuseKind::Overflow { offset } if offset.cast_signed() < 0 => {
                write!(f, " was overwritten before its start, at offset {}", offset.cast_signed())?;
            }
            MisuseKind::Overflow { offset } => {
                write!(f, " was overwritten past its end, at offset {offset}")?
            }
            MisuseKind::WrittenAfterFree { offset } => {
                write!(f, " was written to after it was freed, at offset {offset}")?;
            }
            MisuseKind::Overlap { live } => write!(
                f,
                " was about to be handed out, but overlaps the live block {live:#x}: the pool's memory was overwritten"
            )?,
            MisuseKind::Forged => {
                f.write_str(" was about to be handed out, but is no block: a free block was written to")?;
            }
            MisuseKind::Damaged { at } => {
                write!(f, " was not used, because memory of the pool was overwritten at {at:#x}")?;
            }
            MisuseKind::Leak { .. } => {}
        }
        let CallSites { allocated, freed, misused } = self.sites;
        for (what, site) in [("allocated", allocated), ("freed    ", freed), ("misused  ", misused)] {
            if let Some(site) = site {
                write!(f, "\n  {what} at {site}")?;
            }
        }
        if self.more != 0 {
            write!(f, "\n  and {} more", self.more)?;
        }
        Ok(())
    }
}

/// Where misuse is reported, and under which name for the pool.
///
/// By default, a report ends the program with a message, because a program that frees twice can no longer be reasoned
/// about. A hook can do something else. It must not panic: that ends the program too, because no allocator may unwind.
///
/// ```
/// use millpond::observe::{Misuse, Reporter};
///
/// fn count(misuse: &Misuse) {
///     eprintln!("{misuse}");
/// }
/// let reporter = Reporter::named("sessions").with_hook(count);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reporter {
    name: &'static str,
    hook: fn(&Misuse),
}

impl Reporter {
    /// Creates a reporter that ends the program with a message about a pool of this name.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name, hook: panic_with_report }
    }

    /// Sets a hook that is called instead of ending the program. When it returns, the program continues, and the block
    /// that was misused is unchanged.
    #[must_use]
    pub const fn with_hook(self, hook: fn(&Misuse)) -> Self {
        Self { hook, ..self }
    }

    /// Creates the report that `address` was misused.
    pub(crate) fn pending_report(
        self,
        address: usize,
        layout: Layout,
        diagnosis: Diagnosis,
    ) -> PendingReport {
        let Diagnosis { kind, sites } = diagnosis;
        let misuse = Misuse { pool: self.name, address, layout, kind, sites, more: 0 };
        PendingReport { misuse, hook: self.hook }
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::named("unnamed")
    }
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug)]
pub struct Diagnosis {
    pub kind: MisuseKind,
    pub sites: CallSites,
}

impl From<MisuseKind> for Diagnosis {
    fn from(kind: MisuseKind) -> Self {
        Self { kind, sites: CallSites::default() }
    }
}

/// A report of misuse, with the hook that is to get it.
#[derive(Clone, Copy, Debug)]
#[must_use = "a pending report must be delivered"]
pub struct PendingReport {
    misuse: Misuse,
    hook: fn(&Misuse),
}

impl PendingReport {
    /// Returns the misuse that is reported.
    #[must_use]
    pub fn misuse(&self) -> &Misuse {
        &self.misuse
    }

    /// Calls the hook, or ends the program. Must be called outside of every borrow and lock.
    pub fn raise(self) {
        events::misused(&self.misuse);
        abort_on_unwind(|| (self.hook)(&self.misuse));
    }
}

/// A report that waits to be asked for: the first one, and the number of others.
#[derive(Debug, Default)]
pub(crate) struct Pending(Option<PendingReport>);

impl Pending {
    pub(crate) const NONE: Self = Self(None);

    pub(crate) fn add(&mut self, pending_report: PendingReport) {
        match &mut self.0 {
            Some(first) => first.misuse.more += 1,
            None => self.0 = Some(pending_report),
        }
    }

    pub(crate) fn take(&mut self) -> Option<PendingReport> {
        self.0.take()
    }

    /// Returns whether a report waits that says that the pool cannot be trusted: it would hand out a live block, or was
    /// overwritten.
    pub(crate) fn is_about_the_pool(&self) -> bool {
        let is_broken = |kind| matches!(kind, MisuseKind::Overlap { .. } | MisuseKind::Damaged { .. });
        self.0.as_ref().is_some_and(|first| is_broken(first.misuse.kind))
    }
}

/// Ends the program with a message about the misuse. The caller ensures that unwinding ends the program.
#[cold]
#[expect(clippy::panic, reason = "this is what misuse does unless a hook is set")]
pub(crate) fn panic_with_report(misuse: &Misuse) {
    panic!("{misuse}");
}
