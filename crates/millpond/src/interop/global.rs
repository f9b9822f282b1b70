//! Using a Millpond allocator as the global allocator.

use core::{
    alloc::{GlobalAlloc, Layout},
    ptr::{NonNull, null_mut},
};

use crate::traits::{Allocation, Allocator, AtFork};

/// A global allocator for the program, used by `Box`, `Vec` and `String`.
///
/// The chunks must not come from [`Heap`](crate::Heap), which *is* the global allocator, but from
/// [`Pages`](crate::Pages), or from a [`StaticBuffer`](crate::StaticBuffer) if there is no operating system. The lock
/// of the pool must not allocate either, on first use or when it is contended: this would recurse without end.
/// [`ParkingLock`](crate::lock::ParkingLock), [`SpinLock`](crate::lock::SpinLock) and
/// [`TicketLock`](crate::lock::TicketLock) never allocate; the mutexes of other crates may, on some systems or on all.
///
/// ```standalone_crate
/// use millpond::{Classes, Inspect, Locked, Pages, interop::Global};
///
/// #[global_allocator]
/// static GLOBAL: Global<Locked<Classes, Pages>> = Global(Locked::new_in(Classes::new(), Pages));
///
/// fn main() {
///     let numbers: Vec<u32> = (0..1000).collect();
///     assert!(GLOBAL.0.owns(numbers.as_ptr().cast()));
/// }
/// ```
///
/// ```standalone_crate
/// use millpond::{Inspect, Locked, StaticBuffer, Tlsf, interop::Global};
///
/// // At most a megabyte.
/// static MEMORY: StaticBuffer<{ 1 << 20 }> = StaticBuffer::new();
///
/// #[global_allocator]
/// static GLOBAL: Global<Locked<Tlsf, &StaticBuffer<{ 1 << 20 }>>> = Global(Locked::new_in(Tlsf::new(), &MEMORY));
///
/// fn main() {
///     let text = String::from("in the static");
///     assert!(MEMORY.owns(text.as_ptr()));
///     assert!(Vec::<u8>::new().try_reserve(2 << 20).is_err());
/// }
/// ```
///
/// With a cache for each thread:
///
/// ```standalone_crate
/// use millpond::{Cached, Classes, Pages, interop::Global};
///
/// #[global_allocator]
/// static GLOBAL: Global<Cached<Classes, Pages>> = Global(Cached::of_classes(Classes::new(), Pages));
///
/// fn main() {
///     let threads = [(); 4].map(|()| std::thread::spawn(|| (0..1000).map(|n| n.to_string()).collect::<Vec<_>>()));
///     assert!(threads.into_iter().all(|thread| thread.join().is_ok_and(|texts| texts[999] == "999")));
/// }
/// ```
#[derive(Debug)]
pub struct Global<A>(pub A);

fn start(block: Allocation) -> *mut u8 {
    block.map_or(null_mut(), |block| block.as_ptr().cast())
}

// SAFETY: the contract of `Allocator` includes that of `GlobalAlloc`: no method unwinds, and a block keeps its layout
// until it is freed.
unsafe impl<A: Allocator> GlobalAlloc for Global<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        start(self.0.allocate(layout))
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        start(self.0.allocate_zeroed(layout))
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the block is live and `layout` fits it, because the caller upholds the contract of `dealloc`.
            unsafe { self.0.deallocate(block, layout) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, old: Layout, size: usize) -> *mut u8 {
        let (Some(block), Ok(new)) = (NonNull::new(block), Layout::from_size_align(size, old.align())) else {
            return null_mut();
        };
        // SAFETY: the block is live and `old` fits it, because the caller upholds the contract of `realloc`; the sizes
        // are compared here.
        start(unsafe {
            if size >= old.size() { self.0.grow(block, old, new) } else { self.0.shrink(block, old, new) }
        })
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl<A: AtFork> AtFork for Global<A> {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.0);
    }
}
