//! A cursor through a span of memory, which [`Linear`](super::Linear) and [`Stack`](super::Stack) share.
//!
//! A block is carved at the cursor, after padding for its alignment. Freeing the last block moves the cursor back, and
//! the last block grows and shrinks in place. Every operation is O(1).

use core::{alloc::Layout, ptr::NonNull};

use super::chunks::Span;
use crate::base::address::{self, WORD};

/// A cursor through a span.
///
/// # Invariants
///
/// * `begin <= remainder.start <= remainder.end`; everything between `begin` and the cursor, `remainder.start`, was
///   carved or is padding.
pub(super) struct Bump {
    pub(super) remainder: Span,
    begin: usize,
}

impl Bump {
    /// A cursor through an empty span.
    pub(super) const EMPTY: Self = Self { remainder: Span::EMPTY, begin: 0 };

    /// Creates a cursor at the start of a span.
    pub(super) fn through(span: Span) -> Self {
        Self { remainder: span, begin: span.start }
    }

    /// Creates a cursor at the end of a span.
    pub(super) fn at_the_end_of(span: Span) -> Self {
        Self { remainder: Span { start: span.end, ..span }, begin: span.start }
    }

    /// Returns where a block of this layout would end in `span`, if it fits.
    #[inline(always)]
    pub(super) fn place(span: Span, layout: Layout) -> Option<usize> {
        let below = layout.align() - 1;
        // The dependency chain from one end to the next has three steps, which bound a loop that allocates. A start
        // beyond the address space wraps, and the size and padding of a layout together never overflow.
        let start = span.start.wrapping_add(below) & !below;
        let taken = start.wrapping_sub(span.start) + layout.size();
        (taken <= span.end - span.start).then(|| span.start + taken)
    }

    /// Carves a block; its size is not zero.
    #[inline(always)]
    pub(super) fn carve(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        let end = Self::place(self.remainder, layout)?;
        self.remainder.start = end;
        // SAFETY: the block lies in a chunk that was added, and thus exposed, and is not at address zero.
        Some(unsafe { address::block(end - layout.size(), layout.size()) })
    }

    /// Carves a block, unless its size is zero or it does not fit.
    #[inline(always)]
    pub(super) fn allocate_hot(&mut self, layout: Layout) -> Option<NonNull<[u8]>> {
        if layout.size() == 0 { None } else { self.carve(layout) }
    }

    /// Returns whether a block ends at the cursor. A block in an adjacent chunk that ends where this span begins does
    /// not count.
    #[inline(always)]
    fn is_last(&self, block: usize, layout: Layout) -> bool {
        block + layout.size() == self.remainder.start && block >= self.begin
    }

    /// Moves back over a block if it is the last one.
    ///
    /// # Safety
    ///
    /// The block was carved with this layout, in this chunk or an earlier one, and is no longer used.
    #[inline(always)]
    pub(super) unsafe fn deallocate(&mut self, block: NonNull<u8>, layout: Layout) {
        if self.is_last(block.addr().get(), layout) {
            self.remainder.start = block.addr().get();
        }
    }

    /// Resizes a block in place, if its address has the new alignment and there is room.
    ///
    /// # Safety
    ///
    /// The block was carved with the layout `old`, in this chunk or an earlier one, and if it shrinks, its end is no
    /// longer used.
    #[inline]
    pub(super) unsafe fn resize_in_place(
        &mut self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
    ) -> Option<NonNull<[u8]>> {
        let start = block.addr().get();
        let last = self.is_last(start, old);
        let room = if last { self.remainder.end - start } else { old.size() };
        if !start.is_multiple_of(new.align()) || new.size() > room {
            return None;
        }
        if last {
            self.remainder.start = start + new.size();
        }
        Some(NonNull::slice_from_raw_parts(block, new.size()))
    }

    /// Returns whether nothing has been carved.
    pub(super) fn is_untouched(&self) -> bool {
        self.remainder.start == self.begin
    }

    /// Returns the number of bytes that can still be carved.
    pub(super) fn left(&self) -> usize {
        self.remainder.end - self.remainder.start
    }

    /// Returns the span that the cursor goes through.
    pub(super) fn span(&self) -> Span {
        Span { start: self.begin, end: self.remainder.end }
    }

    pub(super) fn check(&self) -> Result<(), &'static str> {
        if self.begin > self.remainder.start {
            return Err("the cursor is before the start of its chunk");
        }
        if self.remainder.start > self.remainder.end {
            return Err("the cursor is beyond the end of its chunk");
        }
        Ok(())
    }
}

/// Returns how many bytes hold a block of this layout, wherever they start on a word boundary.
pub(super) fn room(layout: Layout) -> usize {
    // The size and padding of a layout together never overflow.
    layout.size() + (layout.align().max(WORD) - WORD)
}
