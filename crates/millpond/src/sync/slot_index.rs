//! Numbers of places in segments, each segment twice as long as the one before: a table that grows, and in which nothing ever
//! moves.
//!
//! A place says which segment, and where in it, so that what is there is found in O(1).
//!
//! Source: Dechev, Pirkelbauer and Stroustrup, "Lock-Free Dynamically Resizable Arrays" (2006), for the segments.

/// Places in the first segment.
const FIRST_SEGMENT: u32 = 4;

/// How many bits of a place say where in its segment it is; those above say which segment.
const OFFSET_BITS: u32 = 27;

/// The most segments that there can be: the last is as long as an offset can say. So there are 2²⁸ − 4 places at most.
pub(crate) const MAX_SEGMENTS: usize = (OFFSET_BITS - FIRST_SEGMENT.ilog2() + 1) as usize;

/// Where something is in a table of segments: which segment, and where in it. A word that is taken apart without a
/// logarithm.
///
/// # Invariants
///
/// The offset is below the segment's length; for the segment's end, which is no place of anything, it is that. So they are in
/// the order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SlotIndex(u32);

impl SlotIndex {
    /// So many segments can be told apart; there are never more than [`MAX_SEGMENTS`].
    #[cfg(target_has_atomic = "64")]
    pub(crate) const ADDRESSABLE_SEGMENTS: usize = 1 << (u32::BITS - OFFSET_BITS);

    /// The first of all.
    pub(crate) const ZERO: Self = Self(0);

    /// The place that is this word; `None` if none is.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        let index = Self(bits);
        (index.segment() < MAX_SEGMENTS && index.offset() < segment_len(index.segment())).then_some(index)
    }

    /// The place that is this word.
    ///
    /// # Panics
    ///
    /// Never, but checks in debug builds that one is.
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

    /// How many places come before.
    #[inline(always)]
    pub(crate) fn position(self) -> u32 {
        (FIRST_SEGMENT << self.segment()) - FIRST_SEGMENT + self.offset() as u32
    }

    /// The place after this one, or the end of its segment.
    #[inline(always)]
    pub(crate) fn next_in_segment(self) -> Self {
        Self(self.0 + 1)
    }

    /// So many places further on in the same segment.
    #[inline(always)]
    pub(crate) fn skip(self, count: u32) -> Self {
        Self(self.0 + count)
    }

    /// The place after this one; after the last of a segment, the first of the next.
    #[inline(always)]
    pub(crate) fn next(self) -> Self {
        if self.offset() + 1 == segment_len(self.segment()) {
            Self::start(self.segment() + 1)
        } else {
            self.next_in_segment()
        }
    }

    /// The place before this one, which is not the first.
    pub(crate) fn previous(self) -> Self {
        match self.offset() {
            0 => Self(
                ((self.segment() - 1) as u32) << OFFSET_BITS | (segment_len(self.segment() - 1) - 1) as u32,
            ),
            _ => Self(self.0 - 1),
        }
    }

    /// The first of a segment, or where it would be.
    #[inline(always)]
    pub(crate) fn start(segment: usize) -> Self {
        Self((segment as u32) << OFFSET_BITS)
    }
}

/// How many places a segment has.
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
