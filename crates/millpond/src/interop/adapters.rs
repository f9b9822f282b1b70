//! One macro for all traits that look like the standard library's.

/// Defines `Exported` and `Imported` for the traits `Allocator` and `AllocError` in a module.
macro_rules! adapters {
    ($($theirs:ident)::+) => {
        use core::{alloc::Layout, ptr::NonNull};

        use $($theirs)::+ as theirs;

        use crate::{
            base::{AllocError, address::zero_sized, abort_on_unwind},
            traits::{Allocation, Allocator, relocate},
        };

        /// An allocator of Millpond for this trait. Mostly around a reference: `Exported(&pool)`.
        ///
        /// It can be cloned if it is a reference or counts references, because clones must be one allocator.
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

        /// What we say, as they say it.
        type Theirs = Result<NonNull<[u8]>, theirs::AllocError>;

        fn export(block: Allocation) -> Theirs {
            block.map_err(|_| theirs::AllocError)
        }

        // SAFETY: the contracts are one, but for what ours asks beyond theirs. Clones share one allocator.
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
                // SAFETY: the caller's promises are passed on.
                unsafe { self.0.deallocate(block, layout) };
            }

            #[inline]
            unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Theirs {
                // SAFETY: the caller's promises are passed on.
                export(unsafe { self.0.grow(block, old, new) })
            }

            #[inline]
            unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Theirs {
                // SAFETY: the caller's promises are passed on.
                export(unsafe { self.0.grow_zeroed(block, old, new) })
            }

            #[inline]
            unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Theirs {
                // SAFETY: the caller's promises are passed on.
                export(unsafe { self.0.shrink(block, old, new) })
            }
        }

        /// An allocator for this trait as one of Millpond: a parent for pools.
        ///
        /// It never sees a request of zero bytes. If it panics, the program ends: no allocator of Millpond unwinds.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Imported<A>(pub A);

        fn import(block: Theirs) -> Allocation {
            block.map_err(|theirs::AllocError| AllocError::Exhausted)
        }

        // SAFETY: the contracts are one; what ours asks beyond theirs, of requests without bytes and of panics, is seen to.
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
                    // SAFETY: the caller's promises are passed on; the block is theirs, because it has bytes.
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
                // SAFETY: the caller's promises are passed on; the block is theirs, because it has bytes.
                abort_on_unwind(|| import(unsafe { self.0.grow(block, old, new) }))
            }

            unsafe fn shrink(
                &self,
                block: NonNull<u8>,
                old: Layout,
                new: Layout,
            ) -> Allocation {
                if old.size() == 0 || new.size() == 0 {
                    // SAFETY: the caller's promises are passed on.
                    return unsafe { relocate(self, block, old, new) };
                }
                // SAFETY: the caller's promises are passed on; the block is theirs, because it has bytes.
                abort_on_unwind(|| import(unsafe { self.0.shrink(block, old, new) }))
            }
        }
    };
}

pub(super) use adapters;
