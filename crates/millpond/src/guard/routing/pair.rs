//! Methods that a pair of pools or allocators answers together.

/// Implements [`Inspect`](crate::Inspect) and [`Reclaim`](crate::Reclaim) for a guard with two behind it.
macro_rules! inspect_both {
    ($pair:ident, $one:ident, $other:ident) => {
        impl<A: crate::traits::Inspect, B: crate::traits::Inspect> crate::traits::Inspect for $pair<A, B> {
            fn stats(&self) -> crate::traits::PoolStats {
                self.$one.stats().plus(self.$other.stats())
            }

            fn largest_free(&self) -> Option<usize> {
                self.$one.largest_free().max(self.$other.largest_free())
            }

            fn holes(&self) -> Option<crate::traits::Holes> {
                match (self.$one.holes(), self.$other.holes()) {
                    (Some(one), Some(other)) => Some(one.plus(other)),
                    (one, other) => one.or(other),
                }
            }

            fn render(&self, builder: &mut crate::traits::HeapMapBuilder<'_>) {
                self.$one.render(builder);
                self.$other.render(builder);
            }

            fn owns(&self, address: *const u8) -> bool {
                self.$one.owns(address) || self.$other.owns(address)
            }

            fn check(&self) -> Result<(), crate::traits::InvariantError> {
                self.$one.check()?;
                self.$other.check()
            }

            fn report(&self) -> crate::traits::Report {
                self.$one.report().plus(self.$other.report())
            }
        }

        impl<A: crate::traits::Reclaim, B: crate::traits::Reclaim> crate::traits::Reclaim for $pair<A, B> {
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
