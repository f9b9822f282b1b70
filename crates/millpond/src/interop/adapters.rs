//! One macro for all traits that resemble the standard library's.

/// Defines `Exported` and `Imported` for the traits `Allocator` and `AllocError` in a module.
macro_rules! adapters {
    ($($theirs:ident)::+) => {
        use core::{alloc::Layout, ptr::NonNull};

        use $($theirs)::+ as theirs;

        use crate::{
            base::{AllocError, address::zero_sized, abort_on_unwind},
            traits::{Allocation, Allocator, relocate},
        };

        /// An allocator of Millpond that implements this trait. Usually around a reference: `Exported(&pool)`.
        ///
        /// It implements `Clone` if the allocator is a reference or counts references, because clones must be the same
        /// allocator.
        #[derive(Debug)]
        pub struct Exported<A>(pub A);

        impl<A: ?Sized> Clone for Exported<&A> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<A: ?Sized> Copy for Exported<&A> {}

        #[cfg(feature = "alloc")]
        impl<A: ?Sized> Clone for Exported<alloc::rc::Rc<A>> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        #[cfg(feature = "alloc")]
        impl<A: ?Sized> Clone for Exported<alloc::sync::Arc<A>> {
            fn clone(&self) -> Self {
                Self(self.0.clone())
            }
        }

        /// The result type of this trait.
        type Theirs = Result<NonNull<[u8]>, theirs::AllocError>;

        fn export(block: Allocation) -> Theirs {
            block.map_err(|_| theirs::AllocError)
        }

        // SAFETY: the contract of `Allocator` includes that of this trait, and clones share one allocator.
        unsafe impl<A: Allocator> theirs::Allocator for Exported<A> {
            #[inline]
            fn allocate(&self, layout: Layout) -> Theirs {
                export(self.0.allocate(layout))
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Theirs {
                export(self.0.allocate_zeroed(layout))
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
                unsafe { self.0.deallocate(block, layout) };
            }

            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Theirs {
                // SAFETY: the caller upholds the contract of `grow`, which is the same.
                export(unsafe { self.0.grow(block, old, new) })
            }

            #[inline]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Theirs {
                // SAFETY: the caller upholds the contract of `grow_zeroed`, which is the same.
                export(unsafe { self.0.grow_zeroed(block, old, new) })
            }

            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Theirs {
                // SAFETY: the caller upholds the contract of `shrink`, which is the same.
                export(unsafe { self.0.shrink(block, old, new) })
            }
        }

        /// An allocator that implements this trait, as a Millpond [`Allocator`]: a parent for pools.
        ///
        /// It never receives a request of zero bytes. If it panics, the program ends, because no allocator of Millpond
        /// unwinds.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Imported<A>(pub A);

        fn import(block: Theirs) -> Allocation {
            block.map_err(|theirs::AllocError| AllocError::Exhausted)
        }

        // SAFETY: the contract of this trait is that of `Allocator`, except for requests of zero bytes and panics. The
        // former are served here, the latter end the program.
        unsafe impl<A: theirs::Allocator> Allocator for Imported<A> {
            #[inline]
            fn allocate(&self, layout: Layout) -> Allocation {
                if layout.size() == 0 {
                    return Ok(zero_sized(layout));
                }
                abort_on_unwind(|| import(self.0.allocate(layout)))
            }

            #[inline]
            fn allocate_zeroed(&self, layout: Layout) -> Allocation {
                if layout.size() == 0 {
                    return Ok(zero_sized(layout));
                }
                abort_on_unwind(|| import(self.0.allocate_zeroed(layout)))
            }

            #[inline]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                if layout.size() != 0 {
                    // SAFETY: the caller upholds the contract of `deallocate`; the block is not empty, so `self.0`
                    // handed it out.
                    abort_on_unwind(|| unsafe { self.0.deallocate(block, layout) });
                }
            }

            unsafe fn grow(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Allocation {
                if old.size() == 0 {
                    return self.allocate(new);
                }
                // SAFETY: the caller upholds the contract of `grow`; the block is not empty, so `self.0` handed it out.
                abort_on_unwind(|| import(unsafe { self.0.grow(block, old, new) }))
            }

            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Allocation {
                if old.size() == 0 || new.size() == 0 {
                    // SAFETY: the caller upholds the contract of `shrink`, which includes that of `relocate`.
                    return unsafe { relocate(self, block, old, new) };
                }
                // SAFETY: the caller upholds the contract of `shrink`; the block is not empty, so `self.0` handed it
                // out.
                abort_on_unwind(|| import(unsafe { self.0.shrink(block, old, new) }))
            }
        }
    };
}

pub(super) use adapters;
