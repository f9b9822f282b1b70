//! Memory that the program already has: a borrowed slice, or a static.
//!
//! Both hand their bytes out from the front, as a cursor moves to the back; what is freed at the cursor moves it back
//! again, anything else stays spent. O(1), no header, no waste but for alignment. The cursor is atomic, so both can be
//! shared by threads; nothing else is synchronised by it, and nothing needs to be, because a block is passed on by
//! whoever holds it.

use core::{alloc::Layout, cell::UnsafeCell, marker::PhantomData, ptr::NonNull};

use crate::{
    base::{
        AllocError, address,
        atomic::{AtomicUsize, Ordering},
    },
    contract::Allocator,
};

/// How much of a piece of memory is spent. Invariant: at most the size of that memory.
struct Cursor(AtomicUsize);

impl Cursor {
    /// Spends room for `least` and up to `preferred` bytes of `memory`.
    fn take(
        &self,
        memory: NonNull<[u8]>,
        least: Layout,
        preferred: usize,
    ) -> Result<NonNull<[u8]>, AllocError> {
        if least.size() == 0 {
            return Ok(address::zero_sized(least));
        }
        let base: NonNull<u8> = memory.cast();
        let mut spent = self.0.load(Ordering::Relaxed);
        loop {
            let padding = (base.addr().get() + spent).wrapping_neg() & (least.align() - 1);
            let room = (memory.len() - spent).checked_sub(padding).ok_or(AllocError::Exhausted)?;
            if room < least.size() {
                return Err(AllocError::Exhausted);
            }
            let size = room.min(preferred.max(least.size()));
            let (start, end) = (spent + padding, spent + padding + size);
            // Relaxed: the bytes past the cursor were never handed out, or came back from a holder whose hand-over
            // the release below orders before this acquire.
            match self.0.compare_exchange_weak(spent, end, Ordering::Acquire, Ordering::Relaxed) {
                // SAFETY: `start + size` is `end`, which lies within the memory.
                Ok(_) => return Ok(NonNull::slice_from_raw_parts(unsafe { base.add(start) }, size)),
                Err(now) => spent = now,
            }
        }
    }

    /// Moves back over a block if it ends at the cursor.
    fn give(&self, memory: NonNull<[u8]>, block: NonNull<u8>, size: usize) {
        if size != 0 {
            let start = block.addr().get() - memory.addr().get();
            // A failure means that the block is not the last one: its bytes stay spent.
            let _ = self.0.compare_exchange(start + size, start, Ordering::Release, Ordering::Relaxed);
        }
    }
}

/// A borrowed slice as a source: exactly these bytes, never more.
///
/// Blocks come from the front; freeing the last one makes room again, freeing any other does not. A pool on top hands
/// blocks out and takes them back as it likes. The alignment within the slice is the only waste.
///
/// ```
/// use core::{alloc::Layout, mem::MaybeUninit};
/// use millpond::{Allocator, Blocks, Buffer, Fixed, Local};
///
/// #[repr(align(64))]
/// struct Aligned([MaybeUninit<u8>; 1000]);
/// let mut bytes = Aligned([MaybeUninit::uninit(); 1000]);
///
/// // 1,000 bytes are 15 blocks of 64, and not one more.
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
    /// A source over `bytes`, which need not be initialised.
    #[must_use]
    pub fn new(bytes: &'a mut [core::mem::MaybeUninit<u8>]) -> Self {
        let size = bytes.len();
        let memory = NonNull::slice_from_raw_parts(NonNull::from(bytes).cast(), size);
        Self { memory, cursor: Cursor(AtomicUsize::new(0)), lent: PhantomData }
    }
}

// SAFETY: the buffer owns its bytes as a `&mut [u8]` would, and the cursor is atomic.
unsafe impl Send for Buffer<'_> {}
// SAFETY: as above; shared access hands every byte out once.
unsafe impl Sync for Buffer<'_> {}

// SAFETY: the cursor hands every byte out once, aligned, and takes back only what ends at it.
unsafe impl Allocator for Buffer<'_> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.cursor.take(self.memory, layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.cursor.give(self.memory, block, layout.size());
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Result<NonNull<[u8]>, AllocError> {
        self.cursor.take(self.memory, least, preferred)
    }
}

/// `SIZE` bytes as a source that can be a `static`, without `unsafe`. Aligned to 16.
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
    /// A buffer of zeros.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: UnsafeCell::new([0; SIZE]), cursor: Cursor(AtomicUsize::new(0)) }
    }

    fn memory(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(NonNull::from(&self.bytes).cast(), SIZE)
    }
}

impl<const SIZE: usize> Default for StaticBuffer<SIZE> {
    fn default() -> Self {
        Self::new()
    }
}

// SAFETY: the bytes are reached only through blocks that the atomic cursor hands out once.
unsafe impl<const SIZE: usize> Sync for StaticBuffer<SIZE> {}

// SAFETY: the cursor hands every byte out once, aligned, and takes back only what ends at it. Only a *borrowed* buffer
// is an allocator: one that moved would take its bytes along, and leave its blocks behind.
unsafe impl<const SIZE: usize> Allocator for &'static StaticBuffer<SIZE> {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        self.cursor.take(self.memory(), layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.cursor.give(self.memory(), block, layout.size());
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Result<NonNull<[u8]>, AllocError> {
        self.cursor.take(self.memory(), least, preferred)
    }
}
