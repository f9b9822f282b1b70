//! Delegation: one line instead of a method each for what a guard, a shell or a pointer does not change.

/// Delegates methods of [`Inspect`](crate::Inspect), [`RawPool`](crate::raw::RawPool) or [`Reserve`](crate::raw::Reserve) to
/// another value, within an implementation of the trait: `delegate!(self: self.inner; stats owns)`. If the other value
/// is reached by a method `with`, as in a shell, only queries can be delegated: `delegate!(self: with self.reach();
/// stats owns)`.
macro_rules! delegate {
    ($self:ident: with $reach:expr; $($method:ident)*) => {
        $($crate::traits::delegate!(@$method $self (with $reach));)*
    };
    ($self:ident: $inner:expr; $($method:ident)*) => {
        $($crate::traits::delegate!(@$method $self ($inner));)*
    };

    // Methods of `Inspect`.
    (@stats $self:ident $inner:tt) => {
        fn stats(&$self) -> $crate::traits::PoolStats {
            $crate::traits::delegate!(@ask $inner |inner| inner.stats())
        }
    };
    (@largest_free $self:ident $inner:tt) => {
        fn largest_free(&$self) -> Option<usize> {
            $crate::traits::delegate!(@ask $inner |inner| inner.largest_free())
        }
    };
    (@holes $self:ident $inner:tt) => {
        fn holes(&$self) -> Option<$crate::traits::Holes> {
            $crate::traits::delegate!(@ask $inner |inner| inner.holes())
        }
    };
    (@report $self:ident $inner:tt) => {
        fn report(&$self) -> $crate::traits::Report {
            $crate::traits::delegate!(@ask $inner |inner| inner.report())
        }
    };
    (@metrics $self:ident $inner:tt) => {
        fn metrics(&$self) -> $crate::traits::Metrics {
            $crate::traits::delegate!(@ask $inner |inner| inner.metrics())
        }
    };
    (@check $self:ident $inner:tt) => {
        fn check(&$self) -> Result<(), $crate::traits::InvariantError> {
            $crate::traits::delegate!(@ask $inner |inner| inner.check())
        }
    };
    (@owns $self:ident $inner:tt) => {
        fn owns(&$self, address: *const u8) -> bool {
            $crate::traits::delegate!(@ask $inner |inner| inner.owns(address))
        }
    };
    (@render $self:ident $inner:tt) => {
        fn render(&$self, builder: &mut $crate::traits::HeapMapBuilder<'_>) {
            $crate::traits::delegate!(@ask $inner |inner| inner.render(builder));
        }
    };
    (@ask (with $reach:expr) |$other:ident| $answer:expr) => {
        $reach.with(|$other| $answer)
    };
    (@ask ($inner:expr) |$other:ident| $answer:expr) => {{
        let $other = &$inner;
        $answer
    }};

    // Methods of `RawPool`.
    (@allocate $self:ident ($inner:expr)) => {
        #[inline]
        fn allocate(&mut $self, layout: core::alloc::Layout) -> Option<core::ptr::NonNull<[u8]>> {
            $inner.allocate(layout)
        }
    };
    (@allocate_hot $self:ident ($inner:expr)) => {
        #[inline(always)]
        fn allocate_hot(&mut $self, layout: core::alloc::Layout) -> Option<core::ptr::NonNull<[u8]>> {
            $inner.allocate_hot(layout)
        }
    };
    (@deallocate $self:ident ($inner:expr)) => {
        #[inline]
        unsafe fn deallocate(&mut $self, block: core::ptr::NonNull<u8>, layout: core::alloc::Layout) {
            // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
            unsafe { $inner.deallocate(block, layout) };
        }
    };
    (@may_deallocate $self:ident ($inner:expr)) => {
        fn may_deallocate(&mut $self, block: core::ptr::NonNull<u8>, layout: core::alloc::Layout) -> bool {
            $inner.may_deallocate(block, layout)
        }
    };
    (@damage $self:ident ($inner:expr)) => {
        unsafe fn damage(
            &mut $self,
            block: Option<core::ptr::NonNull<u8>>,
            layout: core::alloc::Layout,
        ) -> Option<usize> {
            // SAFETY: the caller upholds the contract of `damage`, which is the same.
            unsafe { $inner.damage(block, layout) }
        }
    };
    (@chunk_request $self:ident ($inner:expr)) => {
        fn chunk_request(&$self, layout: core::alloc::Layout) -> Option<$crate::traits::ChunkRequest> {
            $inner.chunk_request(layout)
        }
    };
    (@add_chunk $self:ident ($inner:expr)) => {
        unsafe fn add_chunk(
            &mut $self,
            chunk: $crate::traits::Chunk,
            layout: core::alloc::Layout,
        ) -> Result<(), $crate::traits::Chunk> {
            // SAFETY: the caller upholds the contract of `add_chunk`, which is the same.
            unsafe { $inner.add_chunk(chunk, layout) }
        }
    };
    (@collect_empty $self:ident ($inner:expr)) => {
        fn collect_empty(&mut $self) {
            $inner.collect_empty();
        }
    };
    (@release_chunk $self:ident ($inner:expr)) => {
        fn release_chunk(&mut $self, which: $crate::traits::Release) -> Option<$crate::traits::Chunk> {
            $inner.release_chunk(which)
        }
    };
    (@passes_through $self:ident ($inner:expr)) => {
        #[inline(always)]
        fn passes_through(&$self, layout: core::alloc::Layout) -> bool {
            $inner.passes_through(layout)
        }
    };
    (@may_allocate $self:ident ($inner:expr)) => {
        fn may_allocate(&$self, layout: core::alloc::Layout) -> Result<(), $crate::base::AllocError> {
            $inner.may_allocate(layout)
        }
    };
    (@note_failure $self:ident ($inner:expr)) => {
        fn note_failure(&mut $self, layout: core::alloc::Layout) {
            $inner.note_failure(layout);
        }
    };
    (@release_held $self:ident ($inner:expr)) => {
        fn release_held(&mut $self) -> bool {
            $inner.release_held()
        }
    };
    (@before_drop $self:ident ($inner:expr)) => {
        fn before_drop(&mut $self) {
            $inner.before_drop();
        }
    };
    (@pending_report $self:ident ($inner:expr)) => {
        fn pending_report(&mut $self) -> Option<$crate::traits::PendingReport> {
            $inner.pending_report()
        }
    };
    (@resize_in_place $self:ident ($inner:expr)) => {
        unsafe fn resize_in_place(
            &mut $self,
            block: core::ptr::NonNull<u8>,
            old: core::alloc::Layout,
            new: core::alloc::Layout,
        ) -> Option<core::ptr::NonNull<[u8]>> {
            // SAFETY: the caller upholds the contract of `resize_in_place`, which is the same.
            unsafe { $inner.resize_in_place(block, old, new) }
        }
    };

    // Methods of `Reserve`.
    (@reserve_request $self:ident ($inner:expr)) => {
        fn reserve_request(
            &$self,
            layout: core::alloc::Layout,
            count: usize,
        ) -> Result<Option<$crate::traits::ChunkRequest>, $crate::base::AllocError> {
            $inner.reserve_request(layout, count)
        }
    };
    (@add_reserved_chunk $self:ident ($inner:expr)) => {
        unsafe fn add_reserved_chunk(
            &mut $self,
            chunk: $crate::traits::Chunk,
            layout: core::alloc::Layout,
            count: usize,
        ) -> Result<(), $crate::traits::Chunk> {
            // SAFETY: the caller upholds the contract of `add_reserved_chunk`, which is the same.
            unsafe { $inner.add_reserved_chunk(chunk, layout, count) }
        }
    };
    (@release_reserved_chunk $self:ident ($inner:expr)) => {
        fn release_reserved_chunk(
            &mut $self,
            layout: core::alloc::Layout,
            count: usize,
        ) -> Option<$crate::traits::Chunk> {
            $inner.release_reserved_chunk(layout, count)
        }
    };
}
pub(crate) use delegate;
