//! What can take part in a replay: one trait, one file for each contender.

mod bare;
mod glibc;
mod mimalloc;
mod pools;

pub(crate) use bare::Bare;
pub(crate) use glibc::Glibc;
pub(crate) use mimalloc::{Mimalloc, mimalloc_version};
pub(crate) use pools::Pools;
use serde::{Deserialize, Serialize};

use crate::trace::Request;

/// An allocator as the replay sees it. Null means that there is no memory.
pub(crate) trait Contender {
    /// Offsets into a block are cut to these bits before they are touched; see [`Bare`].
    const REACH: usize = usize::MAX;

    /// `malloc`.
    fn allocate(&self, request: Request) -> *mut u8;

    /// `calloc`.
    fn allocate_zeroed(&self, request: Request) -> *mut u8;

    /// `memalign`.
    fn allocate_aligned(&self, request: Request) -> *mut u8;

    /// `realloc`: keeps the contents. On success the block passed in is dead.
    ///
    /// # Safety
    ///
    /// `block` is live, from this contender, and `old` is what it was last asked for with.
    unsafe fn resize(&self, block: *mut u8, old: Request, new: Request) -> *mut u8;

    /// `free`.
    ///
    /// # Safety
    ///
    /// As [`resize`](Self::resize).
    unsafe fn free(&self, block: *mut u8, request: Request);

    /// Bytes that were handed out with the block.
    ///
    /// # Safety
    ///
    /// As [`resize`](Self::resize).
    unsafe fn usable(&self, block: *mut u8, request: Request) -> usize;
}

/// The contenders by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Name {
    /// No allocator at all: what the loop itself costs.
    Bare,
    /// The C library's malloc.
    #[default]
    Glibc,
    /// mimalloc.
    Mimalloc,
    /// Millpond's size classes, four for each doubling.
    Pools,
    /// Millpond's pools with block sizes chosen from the trace.
    Advised,
    /// The same on huge pages.
    Huge,
}

impl Name {
    /// Those that the user may choose; glibc always runs, being what the others are compared with.
    pub(crate) const CHOICES: [Self; 4] = [Self::Mimalloc, Self::Pools, Self::Advised, Self::Huge];

    /// As it is written on the command line and in JSON.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Glibc => "glibc",
            Self::Mimalloc => "mimalloc",
            Self::Pools => "pools",
            Self::Advised => "advised",
            Self::Huge => "huge",
        }
    }

    /// As people read it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Huge => "advised, huge",
            _ => self.text(),
        }
    }

    /// Whether it has the advised block sizes.
    pub(crate) fn is_advised(self) -> bool {
        matches!(self, Self::Advised | Self::Huge)
    }

    /// Whether it is made of Millpond's pools.
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
            format!("there is no allocator of that name; choose from {names}")
        })
    }
}
