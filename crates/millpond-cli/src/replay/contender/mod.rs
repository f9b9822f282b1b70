//! The allocators that take part in a replay: one trait, one file for each contender.

mod bare;
mod malloc;
mod mimalloc;
mod pools;
mod routed;

pub(crate) use bare::Bare;
pub(crate) use malloc::Malloc;
pub(crate) use mimalloc::{Mimalloc, mimalloc_version};
pub(crate) use pools::Pools;
pub(crate) use routed::{Alone, Route, Routed};
use serde::{Deserialize, Serialize};

use crate::trace::Request;

/// An allocator, as the replay uses it. A null pointer means that there is no memory.
pub(crate) trait Contender {
    /// Mask for offsets into a block before they are touched; see [`Bare`].
    const REACH: usize = usize::MAX;

    /// Allocates, as `malloc` does.
    fn allocate(&self, request: Request) -> *mut u8;

    /// Allocates zeroed memory, as `calloc` does.
    fn allocate_zeroed(&self, request: Request) -> *mut u8;

    /// Allocates aligned memory, as `memalign` does.
    fn allocate_aligned(&self, request: Request) -> *mut u8;

    /// Resizes a block and keeps its contents, as `realloc` does. On success, the block passed in is dead.
    ///
    /// # Safety
    ///
    /// `block` is a live block of this contender, and `old` is the request that it last served.
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8;

    /// Frees a block, as `free` does.
    ///
    /// # Safety
    ///
    /// As [`resize`](Self::resize).
    unsafe fn free(&self, block: *mut u8, request: Request);

    /// Returns the number of bytes that the block has.
    ///
    /// # Safety
    ///
    /// As [`resize`](Self::resize).
    unsafe fn usable(&self, block: *mut u8, request: Request) -> usize;
}

/// Whether this program was built for glibc, whose `malloc` then serves [`Name::Glibc`].
pub(crate) const IS_FOR_GLIBC: bool = cfg!(all(target_os = "linux", target_env = "gnu"));

/// The names of the contenders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    /// No allocator: the cost of the loop itself.
    Bare,
    /// `malloc` of glibc, or of the C library that this program was built for.
    #[default]
    Glibc,
    /// `malloc` of another library: the one that served the program, or one that the user names.
    Library,
    /// mimalloc.
    Mimalloc,
    /// Millpond's size classes, four per doubling.
    Pools,
    /// Millpond's pools with block sizes chosen from the trace.
    Advised,
    /// The same pools on huge pages.
    Huge,
    /// What is advised for some call sites, and `malloc` for all others.
    Routed,
}

impl Name {
    /// The contenders that take part unless the user chooses; the baseline always does, because the others are compared
    /// with it.
    pub(crate) const CHOICES: [Self; 4] = [Self::Mimalloc, Self::Pools, Self::Advised, Self::Huge];

    /// Returns the name on the command line and in JSON.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Glibc => "glibc",
            Self::Library => "library",
            Self::Mimalloc => "mimalloc",
            Self::Pools => "pools",
            Self::Advised => "advised",
            Self::Huge => "huge",
            Self::Routed => "what is advised for call sites",
        }
    }

    /// Returns the name for display.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Huge => "advised, huge",
            Self::Glibc if !IS_FOR_GLIBC => "this system's malloc",
            _ => self.text(),
        }
    }

    /// Returns whether it uses the advised block sizes.
    pub(crate) fn is_advised(self) -> bool {
        matches!(self, Self::Advised | Self::Huge)
    }

    /// Returns whether it uses `malloc` of the baseline, by itself or where its pools get memory.
    pub(crate) fn uses_baseline(self) -> bool {
        matches!(self, Self::Library | Self::Routed) || self.is_pool()
    }

    /// Returns whether it consists of Millpond's pools.
    pub(crate) fn is_pool(self) -> bool {
        matches!(self, Self::Pools | Self::Advised | Self::Huge)
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let choice = [Self::Glibc].into_iter().chain(Self::CHOICES).find(|name| name.text() == text);
        choice.ok_or_else(|| {
            let names = Self::CHOICES.map(Self::text).join(", ");
            format!("there is no allocator of that name; choose from {names}, glibc")
        })
    }
}
