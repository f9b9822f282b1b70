//! Methods that are available without importing a trait.

/// Implements the given methods, out of `stats`, `reset`, `trim` and `allocated_bytes`, for a type that wraps an
/// allocator `M`.
macro_rules! inherent {
    ($($name:ident)+: $self:ident.$memory:ident) => {
        $(inherent!(@$name $self $memory);)+
    };
    (@stats $self:ident $memory:ident) => {
        /// Returns the bytes held, live and free. Same as [`Inspect::stats`].
        #[must_use]
        pub fn stats(&$self) -> PoolStats
        where
            M: Inspect,
        {
            $self.$memory.stats()
        }
    };
    (@reset $self:ident $memory:ident) => {
        /// Removes all values without dropping them and keeps every chunk. Same as [`Reclaim::reset`].
        pub fn reset(&mut $self)
        where
            M: Reclaim,
        {
            $self.$memory.reset();
        }
    };
    (@trim $self:ident $memory:ident) => {
        /// Returns chunks without live blocks to the parent and returns their size in bytes. Same as
        /// [`Reclaim::trim`].
        pub fn trim(&mut $self) -> usize
        where
            M: Reclaim,
        {
            $self.$memory.trim()
        }
    };
    (@allocated_bytes $self:ident $memory:ident) => {
        /// Returns the number of bytes that the allocator holds: the total size of all chunks, used or not. O(chunks)
        /// for a [`Linear`](crate::Linear) pool.
        ///
        /// ```
        /// let arena = millpond::Arena::new();
        /// assert_eq!(arena.allocated_bytes(), 0);
        /// arena.alloc([0_u8; 100]);
        /// assert!(arena.allocated_bytes() >= 100);
        /// ```
        #[must_use]
        pub fn allocated_bytes(&$self) -> usize
        where
            M: Inspect,
        {
            $self.$memory.stats().held
        }
    };
}

pub(crate) use inherent;
