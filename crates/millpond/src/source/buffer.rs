//! Memory that the program already has: a borrowed slice, or a static.
//!
//! Both allocate from the front and move a cursor towards the back. Freeing the block that ends at the cursor moves the
//! cursor back; any other freed block stays unavailable. Every operation is O(1). There is no header; only alignment
//! padding and a remainder that is smaller than every request are wasted. The cursor is atomic, so threads can share
//! both.

use core::{cell::UnsafeCell, marker::PhantomData, ptr::NonNull};

use super::{cursor::Cursor, space::Space};
use crate::traits::{AtFork, delegate_allocator, delegate_inspect};

/// A borrowed slice as a source of exactly these bytes.
///
/// Blocks are allocated from the front. Freeing the last block makes its memory available again, and the last block
/// grows and shrinks in place; freeing any other block makes no memory available. A pool on top allocates and frees in
/// any order, and receives all remaining bytes in one chunk if fewer remain than it prefers. Alignment padding within
/// the slice is wasted, as is a remainder that is smaller than the smallest request: with 64-byte blocks, 40 of 1,000
/// bytes remain unused.
///
/// ```
/// use core::{alloc::Layout, mem::MaybeUninit};
/// use millpond::{Allocator, Blocks, Buffer, Fixed, Local};
///
/// #[repr(align(64))]
/// struct Aligned([MaybeUninit<u8>; 1000]);
/// let mut bytes = Aligned([MaybeUninit::uninit(); 1000]);
///
/// // 1,000 bytes hold exactly 15 blocks of 64 bytes.
/// let pool = Local::new_in(Blocks::<Fixed<64>>::new(), Buffer::new(&mut bytes.0));
/// let layout = Layout::new::<[u64; 8]>();
/// let blocks = core::iter::from_fn(|| pool.allocate(layout).ok()).count();
/// assert_eq!(blocks, 15);
/// ```
pub struct Buffer<'a> {
    memory: NonNull<[u8]>,
    cursor: Cursor,
    lent: PhantomData<&'a mut [u8]>,
}

impl<'a> Buffer<'a> {
    /// Creates a source over `bytes`, which need not be initialised.
    #[must_use]
    pub fn new(bytes: &'a mut [core::mem::MaybeUninit<u8>]) -> Self {
        let size = bytes.len();
        let memory = NonNull::slice_from_raw_parts(NonNull::from(bytes).cast(), size);
        Self { memory, cursor: Cursor::new(), lent: PhantomData }
    }

    fn space(&self) -> Space<'_> {
        Space { memory: self.memory, cursor: &self.cursor }
    }
}

// SAFETY: the buffer owns its bytes as a `&mut [u8]` would, and the cursor is atomic.
unsafe impl Send for Buffer<'_> {}
// SAFETY: the cursor is atomic, so shared access hands out every byte at most once.
unsafe impl Sync for Buffer<'_> {}

// The bytes do not move with the buffer.
delegate_allocator!([] Buffer<'_>: |this| this.space());

delegate_inspect!(
/// Everything up to the end of the last live block counts as live.
[] Buffer<'_>: |this| this.space());

/// A source of `SIZE` bytes that can be a `static`, without `unsafe`. It is aligned to 16 bytes.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Locked, StaticBuffer};
///
/// static MEMORY: StaticBuffer<4096> = StaticBuffer::new();
/// static POOL: Locked<Blocks<Fixed<64>>, &StaticBuffer<4096>> = Locked::new_in(Blocks::new(), &MEMORY);
///
/// let layout = Layout::new::<[u64; 8]>();
/// assert_eq!(core::iter::from_fn(|| POOL.allocate(layout).ok()).count(), 64);
/// ```
#[repr(C, align(16))]
pub struct StaticBuffer<const SIZE: usize> {
    bytes: UnsafeCell<[u8; SIZE]>,
    cursor: Cursor,
}

impl<const SIZE: usize> StaticBuffer<SIZE> {
    /// Creates a buffer filled with zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; SIZE]), cursor: Cursor::new() }
    }

    fn space(&self) -> Space<'_> {
        let memory = NonNull::slice_from_raw_parts(NonNull::from(&self.bytes).cast(), SIZE);
        Space { memory, cursor: &self.cursor }
    }
}

impl<const SIZE: usize> Default for StaticBuffer<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the bytes are reached only through blocks, and the atomic cursor hands out every byte at most once.
unsafe impl<const SIZE: usize> Sync for StaticBuffer<SIZE> {}

// Only a *borrowed* buffer is an allocator: moving a buffer would move its bytes away from its blocks.
delegate_allocator!([const SIZE: usize] &'static StaticBuffer<SIZE>: |this| this.space());

delegate_inspect!(
/// Everything up to the end of the last live block counts as live.
[const SIZE: usize] StaticBuffer<SIZE>: |this| this.space());

crate::base::unwind_safe! {
    [] Buffer<'_>;
    [const SIZE: usize] StaticBuffer<SIZE>;
}

crate::base::opaque_debug! {
    Buffer [] Buffer<'_>;
    StaticBuffer [const SIZE: usize] StaticBuffer<SIZE>;
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for Buffer<'_> {}
