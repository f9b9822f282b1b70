//! How many bytes of blocks a depot keeps in full magazines.
//!
//! Programs that free and allocate many blocks in turn need as many blocks in magazines as there are in such a batch:
//! otherwise each batch goes back to the spans, block by block, and is taken from there again. How large a batch is shows
//! when blocks are taken from spans to which others went back shortly before.

/// The lowest limit.
const LEAST: usize = 64 << 10;
/// The highest limit.
const MOST: usize = 4 << 20;

/// A limit that grows as it is needed, and shrinks with time.
pub(super) struct Limit {
    bytes: usize,
    /// Whether blocks went back to their spans because of the limit.
    poured: bool,
    /// The period in which the limit was last looked at, and whether it has grown since.
    period: u32,
    grown: bool,
}

impl Limit {
    pub(super) const fn new() -> Self {
        Self { bytes: LEAST, poured: false, period: 0, grown: false }
    }

    /// Returns the limit for a depot whose spans have this many bytes.
    pub(super) fn bytes(&self, used: usize) -> usize {
        self.bytes.min(used.max(LEAST))
    }

    /// Notes that blocks went back to their spans because of the limit.
    pub(super) fn pour(&mut self) {
        self.poured = true;
    }

    /// Notes that blocks are taken from spans. If others went back before, the limit was too low.
    pub(super) fn take(&mut self) {
        if core::mem::take(&mut self.poured) {
            self.bytes = (2 * self.bytes).min(MOST);
            self.grown = true;
        }
    }

    /// Notes that a period has begun: the limit is half as high, unless it was too low in the period before.
    pub(super) fn age(&mut self, period: u32) {
        if period != self.period {
            self.period = period;
            self.poured = false;
            if !core::mem::take(&mut self.grown) {
                self.bytes = (self.bytes / 2).max(LEAST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_grows_with_batches_and_shrinks_without() {
        let mut limit = Limit::new();
        let large = 1 << 30;
        for _ in 0..3 {
            limit.pour();
            limit.take();
            limit.take();
        }
        assert_eq!(limit.bytes(large), 8 * LEAST);
        assert_eq!(limit.bytes(100 << 10), 100 << 10, "no more than there is");
        assert_eq!(limit.bytes(0), LEAST);
        limit.age(1);
        assert_eq!(limit.bytes(large), 8 * LEAST, "it was needed in the period that is over");
        limit.age(1);
        assert_eq!(limit.bytes(large), 8 * LEAST, "the same period");
        limit.pour();
        for period in 2..10 {
            limit.age(period);
        }
        limit.take();
        assert_eq!(limit.bytes(large), LEAST);
        for _ in 0..30 {
            limit.pour();
            limit.take();
        }
        assert_eq!(limit.bytes(large), MOST);
    }
}
