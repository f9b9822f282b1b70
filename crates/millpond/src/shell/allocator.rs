//! `Allocator` for the shells that are allocators: one implementation for all of them.

/// Implements a method of [`Allocator`](crate::Allocator) that grows a block and the corresponding one that shrinks it.
macro_rules! resize_alike {
    ($grow:ident, $shrink:ident: |$this:ident, $block:ident, $old:ident, $new:ident| $resize:expr) => {
        unsafe fn $grow(
            &self,
            $block: NonNull<u8>,
            $old: Layout,
            $new: Layout,
        ) -> $crate::traits::Allocation {
            let $this = self;
            // SAFETY: the caller upholds the contract of `$grow`, which is all that `$resize` requires.
            unsafe { $resize }
        }

        unsafe fn $shrink(
            &self,
            $block: NonNull<u8>,
            $old: Layout,
            $new: Layout,
        ) -> $crate::traits::Allocation {
            let $this = self;
            // SAFETY: the caller upholds the contract of `$shrink`, which is all that `$resize` requires.
            unsafe { $resize }
        }
    };
}

/// Implements [`Allocator`](crate::Allocator) for a shell that has `access()`, `parent` and `policy`.
macro_rules! implement_for_shell {
    ($shell:ident<P, A, $($more:ident: $bound:path),+>) => {
        // SAFETY: blocks are the pool's or the parent's, which both keep the contract; a layout that fits a block
        // determines which of the two it belongs to. Neither unwinds.
        unsafe impl<P: RawPool, A: Allocator, $($more: $bound),+> Allocator for $shell<P, A, $($more),+> {
            #[inline(always)]
            fn allocate(&self, layout: Layout) -> $crate::traits::Allocation {
                ops::allocate(self.access(), (&self.parent, &self.policy), layout)
            }

            fn allocate_zeroed(&self, layout: Layout) -> $crate::traits::Allocation {
                ops::allocate_zeroed(self.access(), (&self.parent, &self.policy), layout)
            }

            #[inline(always)]
            unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
                // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
                unsafe { ops::deallocate(self.access(), &self.parent, block, layout) };
            }

            fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
                ops::may_deallocate(self.access(), &self.parent, block, layout)
            }

            unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
                // SAFETY: the caller upholds the contract of `damage`, which is the same.
                unsafe { ops::damage(self.access(), &self.parent, block, layout) }
            }

            fn allocate_between(&self, least: Layout, preferred: usize) -> $crate::traits::Allocation {
                ops::allocate_between(self.access(), (&self.parent, &self.policy), (least, preferred))
            }

            $crate::shell::allocator::resize_alike!(grow, shrink: |this, block, old, new| {
                ops::resize((this, this.access(), &this.parent, &this.policy), block, (old, new))
            });

            $crate::shell::allocator::resize_alike!(grow_in_place, shrink_in_place: |this, block, old, new| {
                ops::resize_in_place(this.access(), &this.parent, block, (old, new))
            });
        }
    };
}

pub(super) use {implement_for_shell, resize_alike};
