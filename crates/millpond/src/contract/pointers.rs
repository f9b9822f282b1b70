//! Pointers to allocators are allocators: a parent may be borrowed, counted or boxed.

use core::{alloc::Layout, ptr::NonNull};

use super::{Allocator, Canvas, Figures, Flaw, Holes, Inspect, Report, Snapshot};
use crate::base::AllocError;

type Block = Result<NonNull<[u8]>, AllocError>;

/// Implements [`Allocator`] for a pointer type by calling what it points to, every method, so that nothing that the
/// target overrides is lost.
macro_rules! forward {
    ($pointer:ty) => {
        // SAFETY: every call goes to one and the same allocator, which keeps the contract.
        unsafe impl<A: Allocator + ?Sized> Allocator for $pointer {
            #[inline]
            fn allocate(&self, layout: Layout) -> Block {
                (**self).allocate(layout)
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).deallocate(block, layout) }
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Block {
                (**self).allocate_zeroed(layout)
            }

            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).grow(block, old, new) }
            }

            #[inline]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).grow_zeroed(block, old, new) }
            }

            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).shrink(block, old, new) }
            }

            #[inline]
            unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).grow_in_place(block, old, new) }
            }

            #[inline]
            unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
                // SAFETY: the caller's promises are passed on.
                unsafe { (**self).shrink_in_place(block, old, new) }
            }

            #[inline]
            fn allocate_between(&self, least: Layout, preferred: usize) -> Block {
                (**self).allocate_between(least, preferred)
            }
        }
    };
}

forward!(&A);
#[cfg(feature = "alloc")]
forward!(alloc::boxed::Box<A>);
#[cfg(feature = "alloc")]
forward!(alloc::rc::Rc<A>);
#[cfg(feature = "alloc")]
forward!(alloc::sync::Arc<A>);

/// Implements [`Inspect`] for a pointer type by asking what it points to.
macro_rules! forward_questions {
    ($pointer:ty) => {
        impl<A: Inspect + ?Sized> Inspect for $pointer {
            fn stats(&self) -> Snapshot {
                (**self).stats()
            }

            fn largest_free(&self) -> Option<usize> {
                (**self).largest_free()
            }

            fn holes(&self) -> Option<Holes> {
                (**self).holes()
            }

            fn paint(&self, canvas: &mut Canvas<'_>) {
                (**self).paint(canvas);
            }

            fn figures(&self) -> Figures {
                (**self).figures()
            }

            fn owns(&self, address: *const u8) -> bool {
                (**self).owns(address)
            }

            fn check(&self) -> Result<(), Flaw> {
                (**self).check()
            }

            fn report(&self) -> Report {
                (**self).report()
            }
        }
    };
}

forward_questions!(&A);
#[cfg(feature = "alloc")]
forward_questions!(alloc::boxed::Box<A>);
#[cfg(feature = "alloc")]
forward_questions!(alloc::rc::Rc<A>);
#[cfg(feature = "alloc")]
forward_questions!(alloc::sync::Arc<A>);
