//! Getting memory back from the shells that own a pool: one implementation for all of them.

/// Implements `reset`, `trim` and `stats` for a shell, and [`Reclaim`](crate::Reclaim). `$own` is the pool of a shell that is
/// borrowed mutably, `$pool` how the shell reaches it to trim it.
macro_rules! reclaim_for_shell {
    ($shell:ident<P, A $(, $more:ident: $bound:path)+>, |$this:ident| $own:expr, |$self:ident: $receiver:ty| $pool:expr) => {
        impl<P: RawPool, A: Allocator $(, $more: $bound)+> $shell<P, A $(, $more)+> {
            /// Declares every block dead and keeps every chunk for the next ones.
            pub fn reset(&mut self) {
                let $this = self;
                $own.reset();
            }

            /// Returns the chunks in which no block is live to the parent; says how many bytes that were. O(free blocks), as far
            /// as the pool has to look for such chunks: see there.
            ///
            /// What is live stays where it is, so this may be called at any time. It happens by itself, once for each
            /// request, before one is refused because the parent has nothing more: so memory that is free for blocks of one
            /// size is there for those of another.
            pub fn trim($self: $receiver) -> usize {
                ops::trim($pool, &$self.parent)
            }

            /// What the pool holds, and how much of it is live: see [`Inspect::stats`](crate::Inspect::stats).
            #[must_use]
            pub fn stats(&self) -> crate::traits::PoolStats
            where
                P: Inspect,
            {
                Inspect::stats(self)
            }
        }

        impl<P: RawPool, A: Allocator $(, $more: $bound)+> Reclaim for $shell<P, A $(, $more)+> {
            fn reset(&mut self) {
                self.reset();
            }

            fn trim(&mut self) -> usize {
                Self::trim(self)
            }
        }
    };
}

pub(super) use reclaim_for_shell;
