//! The guard that calls an observer.

use core::{alloc::Layout, ptr::NonNull};

use crate::{
    base::{AllocError, abort_on_unwind},
    traits::{Allocation, Allocator, AtFork, Inspect, Reclaim, delegate_inspect},
};

/// Something that happened in an allocator. Addresses serve to distinguish blocks, not to access their contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A block was handed out.
    Allocated {
        /// The address of the block.
        address: usize,
        /// The requested layout.
        layout: Layout,
    },
    /// A shell got a chunk from its parent, because its pool has to grow.
    Grew {
        /// The address of the chunk.
        address: usize,
        /// The size of the chunk in bytes.
        size: usize,
    },
    /// A block was resized, and possibly moved.
    Resized {
        /// The old address.
        from: usize,
        /// The new address.
        to: usize,
        /// The old layout.
        old: Layout,
        /// The new layout.
        new: Layout,
    },
    /// A block, or a chunk, is about to be freed.
    Freed {
        /// The address of the block.
        address: usize,
        /// The layout with which it is freed.
        layout: Layout,
    },
    /// A request failed. Failed attempts to resize in place do not count.
    Failed {
        /// The requested layout.
        layout: Layout,
        /// The reason.
        error: AllocError,
    },
}

/// A receiver of events: any function of an [`Event`].
///
/// It must not panic: that ends the program, because no allocator may unwind.
pub trait Observer {
    /// Receives an event.
    fn note(&self, event: Event);
}

impl<F: Fn(Event)> Observer for F {
    fn note(&self, event: Event) {
        self(event);
    }
}

/// Calls an [`Observer`] on every event of the allocator behind it.
///
/// Around a shell it sees blocks; around the shell's parent it sees chunks come ([`Event::Grew`]) and go. In both cases
/// it is called outside of every borrow and lock, so it may allocate, even from the same allocator: then preferably
/// from the one [behind](Self::inner) the guard, otherwise it is called for that as well. Requests of zero bytes are
/// not events. With several threads, a block is reported as freed before another thread is reported to have it, unless
/// it was freed by resizing.
///
/// ```
/// use core::{alloc::Layout, cell::Cell};
/// use millpond::{Allocator, Blocks, Fixed, Heap, Local, guard::{Event, Observe}};
///
/// let grown = Cell::new(0);
/// let parent = Observe::new(Heap, |event| match event {
///     Event::Grew { size, .. } => grown.set(grown.get() + size),
///     _ => {}
/// });
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &parent);
/// pool.allocate(Layout::new::<u64>())?;
/// assert_eq!(grown.get(), 256);
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[derive(Debug)]
pub struct Observe<A, O> {
    inner: A,
    observer: O,
}

impl<A, O: Observer> Observe<A, O> {
    /// Creates a guard that reports to `observer` what `inner` does.
    #[must_use]
    pub const fn new(inner: A, observer: O) -> Self {
        Self { inner, observer }
    }

    fn note(&self, event: Event) {
        abort_on_unwind(|| self.observer.note(event));
    }
}

impl<A, O> Observe<A, O> {
    /// Returns a reference to what is behind the guard.
    #[must_use]
    pub fn inner(&self) -> &A {
        &self.inner
    }

    /// Returns a reference to the observer.
    #[must_use]
    pub fn observer(&self) -> &O {
        &self.observer
    }
}

impl<A: Allocator, O: Observer> Observe<A, O> {
    fn handed_out(&self, layout: Layout, block: Allocation) -> Allocation {
        match block {
            Ok(block) if layout.size() != 0 => {
                self.note(Event::Allocated { address: block.addr().get(), layout });
            }
            Ok(_) => {}
            Err(error) => self.note(Event::Failed { layout, error }),
        }
        block
    }

    /// Reports what happened to a block that was resized: it appeared, disappeared, or changed.
    fn resized(&self, block: NonNull<u8>, old: Layout, new: Layout, resized: Allocation) -> Allocation {
        let Ok(now) = resized else { return resized };
        let (from, to) = (block.addr().get(), now.addr().get());
        match (old.size(), new.size()) {
            (0, 0) => {}
            (0, _) => self.note(Event::Allocated { address: to, layout: new }),
            (_, 0) => self.note(Event::Freed { address: from, layout: old }),
            _ => self.note(Event::Resized { from, to, old, new }),
        }
        resized
    }

    fn resized_or_failed(
        &self,
        block: NonNull<u8>,
        old: Layout,
        new: Layout,
        resized: Allocation,
    ) -> Allocation {
        if let Err(error) = resized {
            self.note(Event::Failed { layout: new, error });
        }
        self.resized(block, old, new, resized)
    }
}

// SAFETY: every block is one of the inner allocator, which upholds the contract, and observers do not unwind.
unsafe impl<A: Allocator, O: Observer> Allocator for Observe<A, O> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.handed_out(layout, self.inner.allocate(layout))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if layout.size() != 0 {
            self.note(Event::Freed { address: block.addr().get(), layout });
        }
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.inner.deallocate(block, layout) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.inner.may_deallocate(block, layout)
    }

    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        // SAFETY: the caller upholds the contract of `damage`, which is the same.
        unsafe { self.inner.damage(block, layout) }
    }

    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        self.handed_out(layout, self.inner.allocate_zeroed(layout))
    }

    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which is the same.
        self.resized_or_failed(block, old, new, unsafe { self.inner.grow(block, old, new) })
    }

    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_zeroed`, which is the same.
        self.resized_or_failed(block, old, new, unsafe { self.inner.grow_zeroed(block, old, new) })
    }

    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which is the same.
        self.resized_or_failed(block, old, new, unsafe { self.inner.shrink(block, old, new) })
    }

    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_in_place`, which is the same.
        self.resized(block, old, new, unsafe { self.inner.grow_in_place(block, old, new) })
    }

    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink_in_place`, which is the same.
        self.resized(block, old, new, unsafe { self.inner.shrink_in_place(block, old, new) })
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        let chunk = self.inner.allocate_between(least, preferred);
        self.note(match chunk {
            Ok(chunk) => Event::Grew { address: chunk.addr().get(), size: chunk.len() },
            Err(error) => Event::Failed { layout: least, error },
        });
        chunk
    }

    fn is_fine_grained(&self) -> bool {
        self.inner.is_fine_grained()
    }
}

delegate_inspect!([A: Inspect, O] Observe<A, O>: |this| this.inner);

impl<A: Reclaim, O> Reclaim for Observe<A, O> {
    fn reset(&mut self) {
        self.inner.reset();
    }

    fn trim(&mut self) -> usize {
        self.inner.trim()
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<A: Allocator + AtFork, O> AtFork for Observe<A, O> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.inner);
    }
}
