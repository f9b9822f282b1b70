//! Delegation of [`Allocator`](super::Allocator) and [`Inspect`](super::Inspect): for pointers, and for types around a
//! value that answers for them.

/// Implements [`Allocator`](crate::Allocator) for a type by delegating every method to another allocator, so that
/// nothing the other one overrides is lost: `delegate_allocator!([A: Allocator] Wrapper<A>: |this| this.0)`.
macro_rules! delegate_allocator {
    ([$($parameters:tt)*] $type:ty: |$this:ident| $target:expr) => {
        // SAFETY: every call goes to the same allocator, which upholds the contract.
        unsafe impl<$($parameters)*> $crate::traits::Allocator for $type {
            #[inline(always)]
            fn allocate(&self, layout: core::alloc::Layout) -> $crate::traits::Allocation {
                let $this = self;
                $target.allocate(layout)
            }

            #[inline(always)]
            unsafe fn deallocate(&self, block: core::ptr::NonNull<u8>, layout: core::alloc::Layout) {
                let $this = self;
                // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
                unsafe { $target.deallocate(block, layout) };
            }

            fn may_deallocate(&self, block: core::ptr::NonNull<u8>, layout: core::alloc::Layout) -> bool {
                let $this = self;
                $target.may_deallocate(block, layout)
            }

            unsafe fn damage(
                &self,
                block: Option<core::ptr::NonNull<u8>>,
                layout: core::alloc::Layout,
            ) -> Option<usize> {
                let $this = self;
                // SAFETY: the caller upholds the contract of `damage`, which is the same.
                unsafe { $target.damage(block, layout) }
            }

            #[inline]
            fn allocate_zeroed(&self, layout: core::alloc::Layout) -> $crate::traits::Allocation {
                let $this = self;
                $target.allocate_zeroed(layout)
            }

            #[inline]
            unsafe fn grow(
                &self,
                block: core::ptr::NonNull<u8>,
                old: core::alloc::Layout,
                new: core::alloc::Layout,
            ) -> $crate::traits::Allocation {
                let $this = self;
                // SAFETY: the caller upholds the contract of `grow`, which is the same.
                unsafe { $target.grow(block, old, new) }
            }

            #[inline]
            unsafe fn grow_zeroed(
                &self,
                block: core::ptr::NonNull<u8>,
                old: core::alloc::Layout,
                new: core::alloc::Layout,
            ) -> $crate::traits::Allocation {
                let $this = self;
                // SAFETY: the caller upholds the contract of `grow_zeroed`, which is the same.
                unsafe { $target.grow_zeroed(block, old, new) }
            }

            #[inline]
            unsafe fn shrink(
                &self,
                block: core::ptr::NonNull<u8>,
                old: core::alloc::Layout,
                new: core::alloc::Layout,
            ) -> $crate::traits::Allocation {
                let $this = self;
                // SAFETY: the caller upholds the contract of `shrink`, which is the same.
                unsafe { $target.shrink(block, old, new) }
            }

            #[inline]
            unsafe fn grow_in_place(
                &self,
                block: core::ptr::NonNull<u8>,
                old: core::alloc::Layout,
                new: core::alloc::Layout,
            ) -> $crate::traits::Allocation {
                let $this = self;
                // SAFETY: the caller upholds the contract of `grow_in_place`, which is the same.
                unsafe { $target.grow_in_place(block, old, new) }
            }

            #[inline]
            unsafe fn shrink_in_place(
                &self,
                block: core::ptr::NonNull<u8>,
                old: core::alloc::Layout,
                new: core::alloc::Layout,
            ) -> $crate::traits::Allocation {
                let $this = self;
                // SAFETY: the caller upholds the contract of `shrink_in_place`, which is the same.
                unsafe { $target.shrink_in_place(block, old, new) }
            }

            #[inline]
            fn allocate_between(
                &self,
                least: core::alloc::Layout,
                preferred: usize,
            ) -> $crate::traits::Allocation {
                let $this = self;
                $target.allocate_between(least, preferred)
            }

            #[inline]
            fn allocate_many(
                &self,
                layout: core::alloc::Layout,
                places: &mut [core::mem::MaybeUninit<core::ptr::NonNull<u8>>],
            ) -> Result<(), $crate::base::AllocError> {
                let $this = self;
                $target.allocate_many(layout, places)
            }

            #[inline]
            unsafe fn deallocate_many(&self, blocks: &[core::ptr::NonNull<u8>], layout: core::alloc::Layout) {
                let $this = self;
                // SAFETY: the caller upholds the contract of `deallocate_many`, which is the same.
                unsafe { $target.deallocate_many(blocks, layout) };
            }

            fn is_fine_grained(&self) -> bool {
                let $this = self;
                $target.is_fine_grained()
            }
        }
    };
}

/// Implements [`Inspect`](crate::Inspect) for a type by delegating every query to another value:
/// `delegate_inspect!([A: Inspect] Wrapper<A>: |this| this.0)`.
macro_rules! delegate_inspect {
    ($(#[$attribute:meta])* [$($parameters:tt)*] $type:ty: |$this:ident| $target:expr) => {
        $(#[$attribute])*
        impl<$($parameters)*> $crate::traits::Inspect for $type {
            fn stats(&self) -> $crate::traits::PoolStats {
                let $this = self;
                $target.stats()
            }

            fn owns(&self, address: *const u8) -> bool {
                let $this = self;
                $target.owns(address)
            }

            fn check(&self) -> Result<(), $crate::traits::InvariantError> {
                let $this = self;
                $target.check()
            }

            fn largest_free(&self) -> Option<usize> {
                let $this = self;
                $target.largest_free()
            }

            fn holes(&self) -> Option<$crate::traits::Holes> {
                let $this = self;
                $target.holes()
            }

            fn report(&self) -> $crate::traits::Report {
                let $this = self;
                $target.report()
            }

            fn metrics(&self) -> $crate::traits::Metrics {
                let $this = self;
                $target.metrics()
            }

            fn render(&self, builder: &mut $crate::traits::HeapMapBuilder<'_>) {
                let $this = self;
                $target.render(builder);
            }
        }
    };
}
pub(crate) use {delegate_allocator, delegate_inspect};
