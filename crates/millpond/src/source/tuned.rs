//! Pages as somebody wants them: guarded, huge, filled in advance, from a certain node.

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

/// Whether pages are to be huge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Huge {
    No,
    /// Where the system has them to spare.
    Preferred,
    /// Those that the administrator has set aside, or none.
    Required,
}

/// Pages straight from the operating system, with wishes: a [`Pages`](crate::Pages) to be tuned.
///
/// As with `Pages`, sizes are rounded up to whole pages, any alignment is served, fresh pages are zero and are not zeroed
/// again, and every call is several system calls: this is a parent for pools, not a pool.
///
/// ```
/// use millpond::{Blocks, Fixed, Local, TunedPages};
///
/// // Each chunk lies between two pages that fault when touched; large chunks are on huge pages where the system has them.
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
/// | [`populated`](Self::populated) | `madvise`, or each page is touched | each page is touched | each page is touched |
/// | [`numa`](Self::numa) | `mbind` | nothing | nothing |
#[derive(Clone, Copy, Debug)]
pub struct TunedPages {
    guarded: bool,
    huge: Huge,
    populated: bool,
    numa: Option<Numa>,
}

impl TunedPages {
    /// Pages like those of [`Pages`](crate::Pages).
    #[must_use]
    pub const fn new() -> Self {
        Self { guarded: false, huge: Huge::No, populated: false, numa: None }
    }

    /// Every block lies between two guards: the byte before its first and the byte after its last (that of the slice
    /// returned) fault when touched.
    ///
    /// The guards are addresses without memory: a page behind the block, and in front as much as the block's alignment,
    /// but at least a page. On Linux a guarded block takes up to three of the mappings of which a process may have
    /// 65,530 unless `vm.max_map_count` says otherwise.
    #[must_use]
    pub const fn guarded(self) -> Self {
        Self { guarded: true, ..self }
    }

    /// Blocks of more than half a [huge page](crate::Pages::huge_size) are whole huge pages, aligned to them, and the
    /// system is asked to back them with such; smaller ones are ordinary pages.
    ///
    /// A wish: where there are no huge pages, or none to spare, the pages are ordinary. A cold pool is filled several
    /// times faster, and large pools need fewer entries of the processor's address cache. It is to be asked for because
    /// it has a price: memory is taken 2 MiB at a time, and the first fill of a process can be *slower* than with
    /// ordinary pages, as the system has to clear, or even to make, huge pages first. On Linux,
    /// `/sys/kernel/mm/transparent_hugepage/enabled` says whether there are any: `always` and `madvise` mean yes.
    #[must_use]
    pub const fn transparent_huge_pages(self) -> Self {
        Self { huge: Huge::Preferred, ..self }
    }

    /// Every block is whole [huge pages](crate::Pages::huge_size), from those that the administrator has set aside.
    ///
    /// A demand: where there are none left, allocation fails with the system's error. Linux has as many as
    /// `/proc/sys/vm/nr_hugepages` says. On Windows the process needs the privilege `SeLockMemoryPrivilege`, enabled in
    /// its token, and there are no guards beside such pages: [`AllocError::Unsupported`].
    #[must_use]
    pub const fn explicit_huge_pages(self) -> Self {
        Self { huge: Huge::Required, ..self }
    }

    /// There is memory behind a block before it is handed out, so that its holder's first touches fault no more.
    ///
    /// This moves the cost to the allocation and saves only a part of it. A pool touches little of a chunk at once: ask
    /// for it where latency matters and memory does not.
    #[must_use]
    pub const fn populated(self) -> Self {
        Self { populated: true, ..self }
    }

    /// Blocks come from these nodes' memory. Allocation fails with the system's error if it knows no such nodes.
    ///
    /// On systems other than Linux, and on a Linux built without NUMA, this does nothing. It was tried on a machine with
    /// a single node: that the kernel takes the policy and reports it back has been shown, its effect on several nodes
    /// has not.
    #[must_use]
    pub const fn numa(self, numa: Numa) -> Self {
        Self { numa: Some(numa), ..self }
    }

    /// How a block of this layout is laid out; the same for every layout that fits the block.
    fn extent(&self, layout: Layout) -> Result<Extent, AllocError> {
        let (page, huge) = (os::page_size(), os::huge_size());
        let mut size = whole_pages(layout.size(), page)?;
        let mut align = layout.align().max(page);
        // Beyond half a huge page, so that a size asked for and the size returned are on the same side.
        if self.huge == Huge::Required || (self.huge == Huge::Preferred && size > huge / 2) {
            size = whole_pages(size, huge)?;
            align = align.max(huge);
        }
        let (front, back) = if self.guarded { (align, page) } else { (0, 0) };
        let whole = size.checked_add(front + back).filter(|&whole| whole <= isize::MAX.cast_unsigned());
        whole.map(|_| Extent { front, size, back, align }).ok_or(AllocError::Unsupported)
    }

    /// Maps the extent and does with its block what was wished for.
    fn map(&self, extent: &Extent) -> Result<NonNull<u8>, AllocError> {
        let start = match self.huge {
            Huge::Required => os::map_huge(extent)?,
            _ => os::reserve(extent.whole(), extent.align)?,
        };
        // SAFETY: the extent is mapped from `start` on, the block lies in it, and nobody has seen it.
        unsafe {
            let block = start.add(extent.front);
            match self.prepare(block, extent.size) {
                Ok(()) => Ok(block),
                Err(error) => {
                    // A failure would leave the pages mapped, and nobody can do better than that.
                    let _ = os::release(start, extent.whole());
                    Err(error)
                }
            }
        }
    }

    /// # Safety
    ///
    /// The range is reserved, or mapped where huge pages are demanded; it is fresh, and the caller's alone.
    unsafe fn prepare(&self, block: NonNull<u8>, size: usize) -> Result<(), AllocError> {
        // SAFETY: the caller's promises are those that the callees ask for; policies come before memory does.
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

    /// Resizes a block that keeps its pages, and its guards.
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

// SAFETY: every mapping is fresh, hence overlaps nothing that is live, and is as large and as aligned as asked: it starts
// at a multiple of the alignment, and so does what lies a multiple of the alignment behind that.
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
            // SAFETY: the caller promises that the block is live, so it was mapped with this extent. A failure would leave
            // the pages mapped, and nobody can do better than that.
            let _ = unsafe { os::release(block.sub(extent.front), extent.whole()) };
        }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.allocate(layout)
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let pages = self.extent(old)?.size;
        // SAFETY: the caller's promises are passed on.
        unsafe { grow_zeroed(self, block, (old, new), pages) }
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        self.resize_in_place(block, old, new)
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        self.resize_in_place(block, old, new)
    }
}

impl AtFork for TunedPages {}
