//! Address space that is reserved first and backed by memory as it is needed.

use core::{ops::Range, ptr::NonNull};

use super::{os, pages::whole_pages};
use crate::base::AllocError;

/// A reserved range of addresses, parts of which can be committed. Dropping it releases the whole range.
///
/// Reserving uses no memory. Accessing memory that is not committed faults. Offsets are in bytes from the start; ranges
/// are rounded to whole pages.
///
/// ```
/// use millpond::source::MappedRegion;
///
/// let mapped_region = MappedRegion::reserve(1 << 30)?; // a gibibyte of addresses
/// mapped_region.commit(0..100)?; // one page of memory
/// // SAFETY: the first page is committed, and nothing else uses it.
/// unsafe { mapped_region.start().write(7) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct MappedRegion {
    start: NonNull<u8>,
    size: usize,
}

impl MappedRegion {
    /// Reserves `size` bytes, rounded up to whole pages. The region starts at a multiple of a [huge
    /// page](crate::Pages::huge_size) if it has room for one.
    ///
    /// # Errors
    ///
    /// [`AllocError::Unsupported`] if the size is zero or exceeds the address space, otherwise the error of the system.
    pub fn reserve(size: usize) -> Result<Self, AllocError> {
        let size = whole_pages(size, os::page_size())?;
        if size == 0 {
            return Err(AllocError::Unsupported);
        }
        let align = if size < os::huge_size() { os::page_size() } else { os::huge_size() };
        Ok(Self { start: os::reserve(size, align)?, size })
    }

    /// Returns a pointer to the first byte, which may be accessed once it is committed.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Returns the number of bytes reserved.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Commits memory for `range`: new memory is zeroed, memory that was committed before keeps its contents.
    ///
    /// # Errors
    ///
    /// [`AllocError::Unsupported`] if the range does not lie in the region, otherwise the error of the system.
    pub fn commit(&self, range: Range<usize>) -> Result<(), AllocError> {
        let (start, size) = self.pages(range, Rounding::Out)?;
        // SAFETY: the range lies in this reservation.
        if size == 0 { Ok(()) } else { unsafe { os::commit(start, size) } }
    }

    /// Decommits the whole pages within `range`; their contents are lost.
    ///
    /// # Safety
    ///
    /// These pages are no longer used.
    ///
    /// # Errors
    ///
    /// The same as for [`commit`](Self::commit).
    pub unsafe fn decommit(&self, range: Range<usize>) -> Result<(), AllocError> {
        let (start, size) = self.pages(range, Rounding::In)?;
        // SAFETY: the range lies in this reservation, and the caller guarantees that its pages are no longer used.
        if size == 0 { Ok(()) } else { unsafe { os::decommit(start, size) } }
    }

    /// Returns the whole pages that touch `range` (out), or those that lie within it (in).
    fn pages(&self, range: Range<usize>, rounding: Rounding) -> Result<(NonNull<u8>, usize), AllocError> {
        if range.start > range.end || range.end > self.size {
            return Err(AllocError::Unsupported);
        }
        let page = os::page_size();
        let (down, up) =
            (|offset: usize| offset / page * page, |offset: usize| offset.next_multiple_of(page));
        let (from, to) = match rounding {
            Rounding::Out => (down(range.start), up(range.end)),
            Rounding::In => (up(range.start), down(range.end)),
        };
        // SAFETY: the region is whole pages long and `range` lies in it, so `from` does too.
        Ok((unsafe { self.start.add(from) }, to.saturating_sub(from)))
    }
}

/// The direction in which a range is rounded to whole pages.
enum Rounding {
    Out,
    In,
}

impl Drop for MappedRegion {
    fn drop(&mut self) {
        // SAFETY: the reservation belongs to this region, and code that accesses its memory through raw pointers must
        // have stopped before the region is dropped.
        let _ = unsafe { os::release(self.start, self.size) };
    }
}

// SAFETY: a region holds only addresses. The system calls on them are safe from any thread, and the memory is reached
// only through raw pointers.
unsafe impl Send for MappedRegion {}
// SAFETY: as above: the methods make system calls that are safe from any thread.
unsafe impl Sync for MappedRegion {}
