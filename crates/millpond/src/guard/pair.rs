//! What a pair of pools or allocators answers together.

/// Implements [`Inspect`](crate::Inspect) and [`Reclaim`](crate::Reclaim) for a guard with two behind it.
macro_rules! inspect_both {
    ($pair:ident, $one:ident, $other:ident) => {
        impl<A: crate::contract::Inspect, B: crate::contract::Inspect> crate::contract::Inspect
            for $pair<A, B>
        {
            fn stats(&self) -> crate::contract::Snapshot {
                self.$one.stats().plus(self.$other.stats())
            }

            fn largest_free(&self) -> Option<usize> {
                self.$one.largest_free().max(self.$other.largest_free())
            }

            fn holes(&self) -> Option<crate::contract::Holes> {
                match (self.$one.holes(), self.$other.holes()) {
                    (Some(one), Some(other)) => Some(one.plus(other)),
                    (one, other) => one.or(other),
                }
            }

            fn paint(&self, canvas: &mut crate::contract::Canvas<'_>) {
                self.$one.paint(canvas);
                self.$other.paint(canvas);
            }

            fn owns(&self, address: *const u8) -> bool {
                self.$one.owns(address) || self.$other.owns(address)
            }

            fn check(&self) -> Result<(), crate::contract::Flaw> {
                self.$one.check()?;
                self.$other.check()
            }

            fn report(&self) -> crate::contract::Report {
                self.$one.report().plus(self.$other.report())
            }
        }

        impl<A: crate::contract::Reclaim, B: crate::contract::Reclaim> crate::contract::Reclaim
            for $pair<A, B>
        {
            fn reset(&mut self) {
                self.$one.reset();
                self.$other.reset();
            }

            fn trim(&mut self) -> usize {
                self.$one.trim() + self.$other.trim()
            }
        }
    };
}

pub(super) use inspect_both;
