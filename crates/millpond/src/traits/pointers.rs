//! Pointers to allocators are allocators: a parent may be borrowed, counted or boxed.

use core::{alloc::Layout, ptr::NonNull};

use super::{Allocation, Allocator, Inspect, delegate};

/// Implements [`Allocator`] for a pointer type by calling what it points to, every method, so that nothing that the
/// target overrides is lost.
macro_rules! delegate_allocator {
    ($pointer:ty) => {
        // SAFETY: every call goes to one and the same allocator, which keeps the contract.
        unsafe impl<A: Allocator + ?Sized> Allocator for $pointer {
            #[inline]
            fn allocate(&self, layout: Layout) -> Allocation {
                (**self).allocate(layout)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).deallocate(block, layout) }
            }

            fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
                (**self).may_deallocate(block, layout)
            }

            fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
                (**self).damage(block, layout)
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Allocation {
                (**self).allocate_zeroed(layout)
            }

            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).grow(block, old, new) }
            }

            #[inline]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).grow_zeroed(block, old, new) }
            }

            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).shrink(block, old, new) }
            }

            #[inline]
            unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).grow_in_place(block, old, new) }
            }

            #[inline]
            unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
                // SAFETY: the caller's promises are passed on.
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

/// Implements [`Inspect`] for a pointer type by asking what it points to.
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
