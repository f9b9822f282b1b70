//! Reclaiming memory from the shells that own a pool: one implementation for all of them.

/// Implements `reset`, `trim` and `stats` for a shell, and [`Reclaim`](crate::Reclaim). `$own` is the pool of a shell
/// that is borrowed mutably; `$pool` is the shell's access to it for `trim`.
macro_rules! reclaim_for_shell {
    ($shell:ident<P, A $(, $more:ident: $bound:path)+>, |$this:ident| $own:expr, |$self:ident: $receiver:ty| $pool:expr) => {
        impl<P: RawPool, A: Allocator $(, $more: $bound)+> $shell<P, A $(, $more)+> {
            /// Declares every block dead and keeps every chunk for reuse.
            pub fn reset(&mut self) {
                let $this = self;
                $own.reset();
            }

            /// Returns the chunks without live blocks to the parent and returns their total size in bytes. O(free
            /// blocks), if the pool has to search for such chunks: see the pool's documentation.
            ///
            /// Live blocks stay where they are, so this may be called at any time. It happens automatically, once per
            /// request, before a request is refused because the parent has no more memory: memory that is free for
            /// blocks of one size is thereby available for those of another.
            pub fn trim($self: $receiver) -> usize {
                ops::trim($pool, &$self.parent)
            }

            /// Returns how much memory the pool has and how much of it is live: see
            /// [`Inspect::stats`](crate::Inspect::stats).
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
