//! Pages with options: guarded, huge, populated, on certain NUMA nodes.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    numa::Numa,
    os::{self, Extent},
    pages::{grow_zeroed, whole_pages},
};
use crate::{
    base::{AllocError, address},
    traits::{Allocation, Allocator, AtFork},
};

/// Whether huge pages are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Huge {
    No,
    /// If the system has some available.
    Preferred,
    /// Only those that the administrator has reserved.
    Required,
}

/// Pages from the operating system, with options: a configurable variant of [`Pages`](crate::Pages).
///
/// As with `Pages`, sizes are rounded up to whole pages, every alignment is supported, and fresh pages are zero and are
/// not zeroed again. Every call makes several system calls: use this type as a parent of pools, not as a pool.
///
/// ```
/// use millpond::{Blocks, Fixed, Local, source::TunedPages};
///
/// // Each chunk lies between two guard pages; large chunks use huge pages if the system has them.
/// let parent = TunedPages::new().guarded().transparent_huge_pages();
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), parent);
/// # let _ = pool;
/// ```
///
/// What each system does:
///
/// | | Linux | Windows | other Unix |
/// |---|---|---|---|
/// | [`guarded`](Self::guarded) | yes | yes | yes |
/// | [`transparent_huge_pages`](Self::transparent_huge_pages) | `madvise` | nothing | alignment only |
/// | [`explicit_huge_pages`](Self::explicit_huge_pages) | `MAP_HUGETLB` | large pages, without guards | refused |
/// | [`populated`](Self::populated) | `madvise`, or touching each page | touching each page | touching each page |
/// | [`numa`](Self::numa) | `mbind` | nothing | nothing |
#[derive(Clone, Copy, Debug)]
pub struct TunedPages {
    guarded: bool,
    huge: Huge,
    populated: bool,
    numa: Option<Numa>,
}

impl TunedPages {
    /// Creates a source of pages without options, like [`Pages`](crate::Pages).
    #[must_use]
    pub const fn new() -> Self {
        Self { guarded: false, huge: Huge::No, populated: false, numa: None }
    }

    /// Places every block between two guards: accessing the byte before its first or the byte after its last byte (of
    /// the returned slice) faults.
    ///
    /// The guards are addresses without memory: one page behind the block, and in front of it as many bytes as the
    /// block's alignment, but at least a page. On Linux a guarded block uses one mapping, which may be part of a larger
    /// one; before Linux 6.13, and together with huge pages or a NUMA policy, up to three. A process may have 65,530
    /// mappings, unless `vm.max_map_count` sets another limit.
    #[must_use]
    pub const fn guarded(self) -> Self {
        Self { guarded: true, ..self }
    }

    /// Requests transparent huge pages: blocks of more than half a [huge page](crate::Pages::huge_size) consist of
    /// whole huge pages, aligned to them, and the system is asked to back them with huge pages; smaller blocks consist
    /// of ordinary pages.
    ///
    /// This is a hint: if the system has no huge pages, or none available, the pages are ordinary. A cold pool is
    /// filled several times faster, and large pools need fewer entries of the processor's address cache. It is not the
    /// default because it has costs: memory is allocated 2 MiB at a time, and the first fill of a process can be
    /// *slower* than with ordinary pages, because the system has to clear, or even to assemble, huge pages first. On
    /// Linux, `/sys/kernel/mm/transparent_hugepage/enabled` says whether they are available: `always` and `madvise`
    /// mean yes.
    #[must_use]
    pub const fn transparent_huge_pages(self) -> Self {
        Self { huge: Huge::Preferred, ..self }
    }

    /// Allocates every block as whole [huge pages](crate::Pages::huge_size), from those that the administrator has
    /// reserved.
    ///
    /// This is a requirement: if none are left, allocation fails with the error of the system. On Linux,
    /// `/proc/sys/vm/nr_hugepages` sets their number. On Windows the process needs the privilege
    /// `SeLockMemoryPrivilege`, enabled in its token, and such pages cannot have guards: [`AllocError::Unsupported`].
    #[must_use]
    pub const fn explicit_huge_pages(self) -> Self {
        Self { huge: Huge::Required, ..self }
    }

    /// Commits the memory of a block before it is handed out, so that first accesses do not fault.
    ///
    /// This moves the cost to the allocation and saves only a part of it. A pool touches only a little of a chunk at
    /// once: use this option if latency matters more than memory.
    #[must_use]
    pub const fn populated(self) -> Self {
        Self { populated: true, ..self }
    }

    /// Allocates blocks on these NUMA nodes. Allocation fails with the error of the system if it does not know the
    /// nodes.
    ///
    /// On systems other than Linux, and on a Linux built without NUMA, this does nothing. It has been tested on a
    /// machine with a single node: the kernel accepts the policy and reports it back; the effect on several nodes has
    /// not been tested.
    #[must_use]
    pub const fn numa(self, numa: Numa) -> Self {
        Self { numa: Some(numa), ..self }
    }

    /// Returns the extent of a block of this layout; it is the same for every layout that fits the block.
    fn extent(&self, layout: Layout) -> Result<Extent, AllocError> {
        let (page, huge) = (os::page_size(), os::huge_size());
        let mut size = whole_pages(layout.size(), page)?;
        let mut align = layout.align().max(page);
        // The threshold is half a huge page, so that the requested size and the returned size are on the same side of
        // it.
        if self.huge == Huge::Required || (self.huge == Huge::Preferred && size > huge / 2) {
            size = whole_pages(size, huge)?;
            align = align.max(huge);
        }
        let (front, back) = if self.guarded { (align, page) } else { (0, 0) };
        let whole = size.checked_add(front + back).filter(|&whole| whole <= isize::MAX.cast_unsigned());
        whole.map(|_| Extent { front, size, back, align }).ok_or(AllocError::Unsupported)
    }

    /// Maps the extent and applies the options to its block.
    fn map(&self, extent: &Extent) -> Result<NonNull<u8>, AllocError> {
        // Other options apply to the mapping of the block, which has to be separate from its guards then.
        let in_one_piece = self.guarded && self.huge == Huge::No && self.numa.is_none();
        let start = match (self.huge, in_one_piece.then(|| os::map_guarded(extent))) {
            (_, Some(Ok(start))) => start,
            (Huge::Required, _) => os::map_huge(extent)?,
            _ => os::reserve(extent.whole(), extent.align)?,
        };
        // SAFETY: the extent is mapped at `start`, the block lies in it, and nothing else uses it yet.
        unsafe {
            let block = start.add(extent.front);
            match self.prepare(block, extent.size) {
                Ok(()) => Ok(block),
                Err(error) => {
                    // On failure the pages stay mapped; there is no better way to handle it.
                    let _ = os::release(start, extent.whole());
                    Err(error)
                }
            }
        }
    }

    /// Applies the options to the pages of a new block.
    ///
    /// # Safety
    ///
    /// The range is reserved, or mapped if huge pages are required; it is fresh, and only the caller uses it.
    unsafe fn prepare(&self, block: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        // SAFETY: the range is fresh and only the caller uses it, as the callees require. The policy is set before
        // memory is committed.
        unsafe {
            if self.huge != Huge::Required {
                os::commit(block, size)?;
            }
            if self.huge == Huge::Preferred && size >= os::huge_size() {
                os::prefer_huge(block, size);
            }
            if let Some(numa) = self.numa {
                os::bind(block, size, numa)?;
            }
            if self.populated { os::populate(block, size) } else { Ok(()) }
        }
    }

    /// Resizes a block that keeps its pages and guards.
    fn resize_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let extent = self.extent(new)?;
        let same = old.size() != 0 && new.size() != 0 && extent == self.extent(old)?;
        if same { Ok(NonNull::slice_from_raw_parts(block, extent.size)) } else { Err(AllocError::InPlace) }
    }
}

impl Default for TunedPages {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: every mapping is fresh, so it overlaps nothing live, and is as large as requested. It starts at a multiple of
// the alignment, and so does the block, which lies a multiple of the alignment behind that start.
unsafe impl Allocator for TunedPages {
    fn allocate(&self, layout: Layout) -> Allocation {
        if layout.size() == 0 {
            return Ok(address::zero_sized(layout));
        }
        let extent = self.extent(layout)?;
        Ok(NonNull::slice_from_raw_parts(self.map(&extent)?, extent.size))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0
            && let Ok(extent) = self.extent(layout)
        {
            // SAFETY: the caller guarantees that the block is live, so it was mapped with this extent. On failure the
            // pages stay mapped; there is no better way to handle it.
            let _ = unsafe { os::release(block.sub(extent.front), extent.whole()) };
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.allocate(layout)
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let pages = self.extent(old)?.size;
        // SAFETY: the caller upholds the contract of `grow_zeroed`, and the block occupies `pages` bytes of pages.
        unsafe { grow_zeroed(self, block, (old, new), pages) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        self.resize_in_place(block, old, new)
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        self.resize_in_place(block, old, new)
    }
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for TunedPages {}
