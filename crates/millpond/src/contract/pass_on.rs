//! What a guard, a shell or a pointer does not change, it passes on: one line instead of a method each.

/// Passes methods of [`Inspect`](crate::Inspect), [`RawPool`](crate::RawPool) or [`Reserve`](crate::Reserve) on to another,
/// within an implementation of the trait: `pass_on!(self: self.inner; stats owns)`. If the other has to be reached by a method
/// `with`, as in a shell, that is for questions alone: `pass_on!(self: with self.reach(); stats owns)`.
macro_rules! pass_on {
    ($self:ident: with $reach:expr; $($method:ident)*) => {
        $($crate::contract::pass_on!(@$method $self (with $reach));)*
    };
    ($self:ident: $inner:expr; $($method:ident)*) => {
        $($crate::contract::pass_on!(@$method $self ($inner));)*
    };

    // What `Inspect` asks.
    (@stats $self:ident $inner:tt) => {
        fn stats(&$self) -> $crate::contract::Snapshot {
            $crate::contract::pass_on!(@ask $inner |inner| inner.stats())
        }
    };
    (@largest_free $self:ident $inner:tt) => {
        fn largest_free(&$self) -> Option<usize> {
            $crate::contract::pass_on!(@ask $inner |inner| inner.largest_free())
        }
    };
    (@holes $self:ident $inner:tt) => {
        fn holes(&$self) -> Option<$crate::contract::Holes> {
            $crate::contract::pass_on!(@ask $inner |inner| inner.holes())
        }
    };
    (@report $self:ident $inner:tt) => {
        fn report(&$self) -> $crate::contract::Report {
            $crate::contract::pass_on!(@ask $inner |inner| inner.report())
        }
    };
    (@figures $self:ident $inner:tt) => {
        fn figures(&$self) -> $crate::contract::Figures {
            $crate::contract::pass_on!(@ask $inner |inner| inner.figures())
        }
    };
    (@check $self:ident $inner:tt) => {
        fn check(&$self) -> Result<(), $crate::contract::Flaw> {
            $crate::contract::pass_on!(@ask $inner |inner| inner.check())
        }
    };
    (@owns $self:ident $inner:tt) => {
        fn owns(&$self, address: *const u8) -> bool {
            $crate::contract::pass_on!(@ask $inner |inner| inner.owns(address))
        }
    };
    (@paint $self:ident $inner:tt) => {
        fn paint(&$self, canvas: &mut $crate::contract::Canvas<'_>) {
            $crate::contract::pass_on!(@ask $inner |inner| inner.paint(canvas));
        }
    };
    (@ask (with $reach:expr) |$other:ident| $answer:expr) => {
        $reach.with(|$other| $answer)
    };
    (@ask ($inner:expr) |$other:ident| $answer:expr) => {{
        let $other = &$inner;
        $answer
    }};

    // What a shell has a `RawPool` do.
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
            // SAFETY: the caller's promises are passed on.
            unsafe { $inner.deallocate(block, layout) };
        }
    };
    (@may_deallocate $self:ident ($inner:expr)) => {
        fn may_deallocate(&mut $self, block: core::ptr::NonNull<u8>, layout: core::alloc::Layout) -> bool {
            $inner.may_deallocate(block, layout)
        }
    };
    (@damage $self:ident ($inner:expr)) => {
        fn damage(
            &mut $self,
            block: Option<core::ptr::NonNull<u8>>,
            layout: core::alloc::Layout,
        ) -> Option<usize> {
            $inner.damage(block, layout)
        }
    };
    (@wants $self:ident ($inner:expr)) => {
        fn wants(&$self, layout: core::alloc::Layout) -> Option<$crate::contract::ChunkRequest> {
            $inner.wants(layout)
        }
    };
    (@adopt $self:ident ($inner:expr)) => {
        unsafe fn adopt(
            &mut $self,
            chunk: $crate::contract::Chunk,
            layout: core::alloc::Layout,
        ) -> Result<(), $crate::contract::Chunk> {
            // SAFETY: the caller's promises are passed on.
            unsafe { $inner.adopt(chunk, layout) }
        }
    };
    (@settle $self:ident ($inner:expr)) => {
        fn settle(&mut $self) {
            $inner.settle();
        }
    };
    (@surrender $self:ident ($inner:expr)) => {
        fn surrender(&mut $self, which: $crate::contract::Surrender) -> Option<$crate::contract::Chunk> {
            $inner.surrender(which)
        }
    };
    (@bypasses $self:ident ($inner:expr)) => {
        #[inline(always)]
        fn bypasses(&$self, layout: core::alloc::Layout) -> bool {
            $inner.bypasses(layout)
        }
    };
    (@admits $self:ident ($inner:expr)) => {
        fn admits(&$self, layout: core::alloc::Layout) -> Result<(), $crate::base::AllocError> {
            $inner.admits(layout)
        }
    };
    (@note_failure $self:ident ($inner:expr)) => {
        fn note_failure(&mut $self, layout: core::alloc::Layout) {
            $inner.note_failure(layout);
        }
    };
    (@relent $self:ident ($inner:expr)) => {
        fn relent(&mut $self) -> bool {
            $inner.relent()
        }
    };
    (@retire $self:ident ($inner:expr)) => {
        fn retire(&mut $self) {
            $inner.retire();
        }
    };
    (@complaint $self:ident ($inner:expr)) => {
        fn complaint(&mut $self) -> Option<$crate::contract::Complaint> {
            $inner.complaint()
        }
    };
    (@resize_in_place $self:ident ($inner:expr)) => {
        unsafe fn resize_in_place(
            &mut $self,
            block: core::ptr::NonNull<u8>,
            old: core::alloc::Layout,
            new: core::alloc::Layout,
        ) -> Option<core::ptr::NonNull<[u8]>> {
            // SAFETY: the caller's promises are passed on.
            unsafe { $inner.resize_in_place(block, old, new) }
        }
    };

    // What `Reserve` asks.
    (@lacks $self:ident ($inner:expr)) => {
        fn lacks(
            &$self,
            layout: core::alloc::Layout,
            count: usize,
        ) -> Result<Option<$crate::contract::ChunkRequest>, $crate::base::AllocError> {
            $inner.lacks(layout, count)
        }
    };
    (@adopt_ahead $self:ident ($inner:expr)) => {
        unsafe fn adopt_ahead(
            &mut $self,
            chunk: $crate::contract::Chunk,
            layout: core::alloc::Layout,
            count: usize,
        ) -> Result<(), $crate::contract::Chunk> {
            // SAFETY: the caller's promises are passed on.
            unsafe { $inner.adopt_ahead(chunk, layout, count) }
        }
    };
    (@surrender_ahead $self:ident ($inner:expr)) => {
        fn surrender_ahead(
            &mut $self,
            layout: core::alloc::Layout,
            count: usize,
        ) -> Option<$crate::contract::Chunk> {
            $inner.surrender_ahead(layout, count)
        }
    };
}
pub(crate) use pass_on;
