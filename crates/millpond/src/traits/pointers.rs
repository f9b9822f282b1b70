//! Pointers to allocators are allocators: a parent may be borrowed, reference-counted or boxed.

use core::{alloc::Layout, ptr::NonNull};

use super::{Allocation, Allocator, Inspect, delegate};

/// Implements [`Allocator`] for a pointer type by delegating every method to the target, so that nothing the target
/// overrides is lost.
macro_rules! delegate_allocator {
    ($pointer:ty) => {
        // SAFETY: every call goes to the same allocator, which upholds the contract.
        unsafe impl<A: Allocator + ?Sized> Allocator for $pointer {
            #[inline]
            fn allocate(&self, layout: Layout) -> Allocation {
                (**self).allocate(layout)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
                unsafe { (**self).deallocate(block, layout) }
            }

            fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
                (**self).may_deallocate(block, layout)
            }

            unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
                // SAFETY: the caller upholds the contract of `damage`, which is the same.
                unsafe { (**self).damage(block, layout) }
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Allocation {
                (**self).allocate_zeroed(layout)
            }

            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller upholds the contract of `grow`, which is the same.
                unsafe { (**self).grow(block, old, new) }
            }

            #[inline]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller upholds the contract of `grow_zeroed`, which is the same.
                unsafe { (**self).grow_zeroed(block, old, new) }
            }

            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller upholds the contract of `shrink`, which is the same.
                unsafe { (**self).shrink(block, old, new) }
            }

            #[inline]
            unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller upholds the contract of `grow_in_place`, which is the same.
                unsafe { (**self).grow_in_place(block, old, new) }
            }

            #[inline]
            unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller upholds the contract of `shrink_in_place`, which is the same.
                unsafe { (**self).shrink_in_place(block, old, new) }
            }

            #[inline]
            fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
                (**self).allocate_between(least, preferred)
            }

            fn is_fine_grained(&self) -> bool {
                (**self).is_fine_grained()
            }
        }
    };
}

delegate_allocator!(&A);
#[cfg(feature = "alloc")]
delegate_allocator!(alloc::boxed::Box<A>);
#[cfg(feature = "alloc")]
delegate_allocator!(alloc::rc::Rc<A>);
#[cfg(feature = "alloc")]
delegate_allocator!(alloc::sync::Arc<A>);

/// Implements [`Inspect`] for a pointer type by delegating to the target.
macro_rules! delegate_inspect {
    ($pointer:ty) => {
        impl<A: Inspect + ?Sized> Inspect for $pointer {
            delegate!(self: **self; stats largest_free holes render metrics owns check report);
        }
    };
}

delegate_inspect!(&A);
#[cfg(feature = "alloc")]
delegate_inspect!(alloc::boxed::Box<A>);
#[cfg(feature = "alloc")]
delegate_inspect!(alloc::rc::Rc<A>);
#[cfg(feature = "alloc")]
delegate_inspect!(alloc::sync::Arc<A>);
