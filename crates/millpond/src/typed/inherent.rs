//! Methods that a type has without a trait in scope.

/// Implements `stats`, `reset`, `trim` and `allocated_bytes` for a type around memory `M`, those that are named.
macro_rules! inherent {
    ($($name:ident)+: $self:ident.$memory:ident) => {
        $(inherent!(@$name $self $memory);)+
    };
    (@stats $self:ident $memory:ident) => {
        /// Returns what is held, live and free: as [`Inspect::stats`].
        #[must_use]
        pub fn stats(&$self) -> PoolStats
        where
            M: Inspect,
        {
            $self.$memory.stats()
        }
    };
    (@reset $self:ident $memory:ident) => {
        /// Declares everything in it gone, without dropping it, and keeps every chunk: as [`Reclaim::reset`].
        pub fn reset(&mut $self)
        where
            M: Reclaim,
        {
            $self.$memory.reset();
        }
    };
    (@trim $self:ident $memory:ident) => {
        /// Returns chunks without live blocks to the parent; says how many bytes that were. As [`Reclaim::trim`].
        pub fn trim(&mut $self) -> usize
        where
            M: Reclaim,
        {
            $self.$memory.trim()
        }
    };
    (@allocated_bytes $self:ident $memory:ident) => {
        /// Returns how many bytes the allocator holds: the size of all chunks together, whether used or not. O(chunks) for a
        /// [`Linear`](crate::Linear) one.
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
