//! Address space that is reserved first and backed by memory as it is needed.

use core::{ops::Range, ptr::NonNull};

use super::{os, pages::whole_pages};
use crate::base::AllocError;

/// A reserved range of addresses, of which parts can be committed. Dropping it releases everything.
///
/// Reserving costs no memory; touching what is not committed faults. Offsets are in bytes from the start; ranges are
/// widened to whole pages.
///
/// ```
/// use millpond::MappedRegion;
///
/// let mapped_region = MappedRegion::reserve(1 << 30)?; // a gibibyte of addresses
/// mapped_region.commit(0..100)?; // one page of memory
/// // SAFETY: the first page is committed, and nobody else uses it.
/// unsafe { mapped_region.start().write(7) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct MappedRegion {
    start: NonNull<u8>,
    size: usize,
}

impl MappedRegion {
    /// Reserves `size` bytes, rounded up to whole pages. The region starts at a multiple of a
    /// [huge page](crate::Pages::huge_size) if it has room for one.
    ///
    /// # Errors
    ///
    /// [`AllocError::Unsupported`] for a size of zero or beyond the address space, else what the system says.
    pub fn reserve(size: usize) -> Result<Self, AllocError> {
        let size = whole_pages(size, os::page_size())?;
        if size == 0 {
            return Err(AllocError::Unsupported);
        }
        let align = if size < os::huge_size() { os::page_size() } else { os::huge_size() };
        Ok(Self { start: os::reserve(size, align)?, size })
    }

    /// The first byte; it may be touched once it is committed.
    #[must_use]
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes reserved.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Puts memory behind `range`: zeroed where there was none, unchanged where there was.
    ///
    /// # Errors
    ///
    /// [`AllocError::Unsupported`] if the range does not lie in the region, else what the system says.
    pub fn commit(&self, range: Range<usize>) -> Result<(), AllocError> {
        let (start, size) = self.pages(range, Rounding::Out)?;
        // SAFETY: the range lies in this reservation.
        if size == 0 { Ok(()) } else { unsafe { os::commit(start, size) } }
    }

    /// Takes the memory away from the whole pages within `range`, and their contents with it.
    ///
    /// # Safety
    ///
    /// Nobody uses these pages any more.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    pub unsafe fn decommit(&self, range: Range<usize>) -> Result<(), AllocError> {
        let (start, size) = self.pages(range, Rounding::In)?;
        // SAFETY: the range lies in this reservation, and the caller promises that nobody uses it.
        if size == 0 { Ok(()) } else { unsafe { os::decommit(start, size) } }
    }

    /// The whole pages that touch `range` (out), or that lie within it (in).
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

/// Which way a range is made whole pages.
enum Rounding {
    Out,
    In,
}

impl Drop for MappedRegion {
    fn drop(&mut self) {
        // SAFETY: the reservation is this region's; whoever used its memory promised to have stopped.
        let _ = unsafe { os::release(self.start, self.size) };
    }
}

// SAFETY: a region is addresses; the system calls on them are safe from any thread, and its memory is reached only
// through raw pointers.
unsafe impl Send for MappedRegion {}
// SAFETY: as above.
unsafe impl Sync for MappedRegion {}
