//! Numbers of places in segments, each segment twice as long as the one before: a table that grows, and in which nothing ever
//! moves.
//!
//! A place says which segment, and where in it, so that what is there is found in O(1).
//!
//! Source: Dechev, Pirkelbauer and Stroustrup, "Lock-Free Dynamically Resizable Arrays" (2006), for the segments.

/// Places in the first segment.
const FIRST: u32 = 4;

/// How many bits of a place say where in its segment it is; those above say which segment.
const OFFSET_BITS: u32 = 27;

/// The most segments that there can be: the last is as long as an offset can say. So there are 2²⁸ − 4 places at most.
pub(crate) const MOST_SEGMENTS: usize = (OFFSET_BITS - FIRST.ilog2() + 1) as usize;

/// Where something is in a table of segments: which segment, and where in it. A word that is taken apart without a
/// logarithm.
///
/// # Invariants
///
/// The offset is below the segment's length; for the segment's end, which is no place of anything, it is that. So they are in
/// the order of their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Place(u32);

impl Place {
    /// So many segments can be told apart; there are never more than [`MOST_SEGMENTS`].
    #[cfg(target_has_atomic = "64")]
    pub(crate) const TELLABLE: usize = 1 << (u32::BITS - OFFSET_BITS);

    /// The first of all.
    pub(crate) const ZERO: Self = Self(0);

    /// The place that is this word; `None` if none is.
    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        let place = Self(bits);
        (place.segment() < MOST_SEGMENTS && place.offset() < length(place.segment())).then_some(place)
    }

    /// The place that is this word.
    ///
    /// # Panics
    ///
    /// Never, but checks in debug builds that one is.
    #[inline(always)]
    pub(crate) fn known(bits: u32) -> Self {
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
    pub(crate) fn number(self) -> u32 {
        (FIRST << self.segment()) - FIRST + self.offset() as u32
    }

    /// The place after this one, or the end of its segment.
    #[inline(always)]
    pub(crate) fn step(self) -> Self {
        Self(self.0 + 1)
    }

    /// So many places further on in the same segment.
    #[inline(always)]
    pub(crate) fn ahead(self, count: u32) -> Self {
        Self(self.0 + count)
    }

    /// The place after this one; after the last of a segment, the first of the next.
    #[inline(always)]
    pub(crate) fn next(self) -> Self {
        if self.offset() + 1 == length(self.segment()) {
            Self::start(self.segment() + 1)
        } else {
            self.step()
        }
    }

    /// The place before this one, which is not the first.
    pub(crate) fn previous(self) -> Self {
        match self.offset() {
            0 => Self(((self.segment() - 1) as u32) << OFFSET_BITS | (length(self.segment() - 1) - 1) as u32),
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
pub(crate) fn length(segment: usize) -> usize {
    (FIRST as usize) << segment
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_in_the_last_segment() {
        let end = Place::start(MOST_SEGMENTS);
        assert_eq!((end.number(), end.previous().segment()), ((1 << 28) - FIRST, MOST_SEGMENTS - 1));
        assert!(Place::from_bits(end.previous().bits()).is_some());
        assert_eq!([end.bits(), FIRST, u32::MAX].map(Place::from_bits), [None; 3]);
    }
}
