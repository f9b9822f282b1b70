//! Indices of places in segments, each twice as long as the one before: the table grows, and its contents never move.
//!
//! An index contains the segment and the offset in it, so a place is found in O(1).
//!
//! Source: Dechev, Pirkelbauer and Stroustrup, "Lock-Free Dynamically Resizable Arrays" (2006), for the segments.

/// Number of places in the first segment.
const FIRST_SEGMENT: u32 = 4;

/// Number of bits that hold the offset in a segment; the bits above hold the segment.
const OFFSET_BITS: u32 = 27;

/// Maximum number of segments: the last one is as long as an offset can express. There are therefore at most 2²⁸ − 4
/// places.
pub(crate) const MAX_SEGMENTS: usize = (OFFSET_BITS - FIRST_SEGMENT.ilog2() + 1) as usize;

/// The index of a place in a table of segments: the segment and the offset in it, which are extracted from a word
/// without a logarithm.
///
/// # Invariants
///
/// The offset is less than the segment's length, or equal to it for the end of the segment, which is not a place.
/// Indices are therefore ordered as their words are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SlotIndex(u32);

impl SlotIndex {
    /// Number of segments that can be distinguished; there are never more than [`MAX_SEGMENTS`].
    #[cfg(target_has_atomic = "64")]
    pub(crate) const ADDRESSABLE_SEGMENTS: usize = 1 << (u32::BITS - OFFSET_BITS);

    /// The first index.
    pub(crate) const ZERO: Self = Self(0);

    /// Returns the index with these bits, or `None` if there is none.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        let index = Self(bits);
        (index.segment() < MAX_SEGMENTS && index.offset() < segment_len(index.segment())).then_some(index)
    }

    /// Returns the index with these bits.
    ///
    /// # Panics
    ///
    /// Debug builds panic if the bits are not those of an index.
    #[inline(always)]
    pub(crate) fn from_valid_bits(bits: u32) -> Self {
        debug_assert!(Self::from_bits(bits).is_some(), "no place has these bits");
        Self(bits)
    }

    #[inline(always)]
    pub(crate) fn bits(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn segment(self) -> usize {
        (self.0 >> OFFSET_BITS) as usize
    }

    #[inline(always)]
    pub(crate) fn offset(self) -> usize {
        (self.0 & ((1 << OFFSET_BITS) - 1)) as usize
    }

    /// Returns the number of places that come before this one.
    #[inline(always)]
    pub(crate) fn position(self) -> u32 {
        (FIRST_SEGMENT << self.segment()) - FIRST_SEGMENT + self.offset() as u32
    }

    /// Returns the next place of the segment, or its end.
    #[inline(always)]
    pub(crate) fn next_in_segment(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the place that is `count` places further on in the same segment.
    #[inline(always)]
    pub(crate) fn skip(self, count: u32) -> Self {
        Self(self.0 + count)
    }

    /// Returns the place after this one: after the last place of a segment, the first one of the next.
    #[inline(always)]
    pub(crate) fn next(self) -> Self {
        if self.offset() + 1 == segment_len(self.segment()) {
            Self::start(self.segment() + 1)
        } else {
            self.next_in_segment()
        }
    }

    /// Returns the place before this one, which must not be the first.
    pub(crate) fn previous(self) -> Self {
        match self.offset() {
            0 => Self(
                ((self.segment() - 1) as u32) << OFFSET_BITS | (segment_len(self.segment() - 1) - 1) as u32,
            ),
            _ => Self(self.0 - 1),
        }
    }

    /// Returns the first place of a segment, whether or not it exists yet.
    #[inline(always)]
    pub(crate) fn start(segment: usize) -> Self {
        Self((segment as u32) << OFFSET_BITS)
    }
}

/// Returns the number of places in a segment.
#[inline(always)]
pub(crate) fn segment_len(segment: usize) -> usize {
    (FIRST_SEGMENT as usize) << segment
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn last_index() {
        let end = SlotIndex::start(MAX_SEGMENTS);
        assert_eq!((end.position(), end.previous().segment()), ((1 << 28) - FIRST_SEGMENT, MAX_SEGMENTS - 1));
        assert!(SlotIndex::from_bits(end.previous().bits()).is_some());
        assert_eq!([end.bits(), FIRST_SEGMENT, u32::MAX].map(SlotIndex::from_bits), [None; 3]);
    }
}
