//! Pools whose handles are one word. The chunk of a value says which pool the value belongs to.
//!
//! All chunks of a pool are aligned to the same size, are no longer than that, and have a header with the address of
//! the pool, so one mask and one load lead from a value to its pool. A pool cannot be moved while it has handles, but
//! it can be moved while it has none; therefore each allocation writes the current address into the header.
//!
//! If all headers lay at the same offset from an aligned address, they would compete for one set of the processor's
//! cache. So the header of each chunk lies in one of the first cache lines of the chunk, chosen by the address of the
//! chunk.

use core::{
    alloc::Layout,
    borrow::BorrowMut,
    marker::PhantomData,
    mem::{ManuallyDrop, forget},
    ops::{Deref, DerefMut},
    pin::Pin,
    ptr::NonNull,
};

use super::{CoerceUnsize, TryAllocError, dealloc_on_drop::DeallocOnDrop, forward::forward_to_value};
use crate::{
    base::{AllocError, address},
    pool::Blocks,
    shell::{Local, SingleSize, out_of_memory},
    source::{DEFAULT_PARENT, DefaultParent},
    traits::{Allocation, Allocator, PoolStats, Reclaim, delegate_inspect},
};

/// Returns the alignment of chunks for values of `size` bytes, which is also their maximum size: a *window*. It has
/// room for some thousand values, so that a pool of many values has few chunks.
#[inline(always)]
const fn chunk_align(size: usize) -> usize {
    let values = size.saturating_mul(4096);
    if values >= LARGEST {
        LARGEST
    } else if values <= SMALLEST {
        SMALLEST
    } else {
        values.next_power_of_two()
    }
}

/// The size of the smallest window and of the largest.
const SMALLEST: usize = 64 << 10;
const LARGEST: usize = 1 << 20;

/// The size of the part of a chunk that is reserved for its header.
const HEADER_AREA: usize = 1024;

/// The size of a cache line.
const LINE: usize = 64;

/// A parent that places every block in a chunk of its own, behind a header.
struct HeaderedParent<A> {
    parent: A,
    chunk_align: usize,
}

impl<A> HeaderedParent<A> {
    /// Returns the layout of a chunk that holds a block of `bytes` bytes.
    fn chunk(&self, bytes: usize) -> Result<Layout, AllocError> {
        let bytes = bytes.checked_add(HEADER_AREA).filter(|&bytes| bytes <= self.chunk_align);
        let chunk = bytes.and_then(|bytes| Layout::from_size_align(bytes, self.chunk_align).ok());
        chunk.ok_or(AllocError::Unsupported)
    }
}

// SAFETY: every block is a part of a block of the parent, which upholds the contract of `Allocator`.
unsafe impl<A: Allocator> Allocator for HeaderedParent<A> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.allocate_between(layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if let Ok(chunk) = self.chunk(layout.size()) {
            // SAFETY: the block starts `HEADER_AREA` bytes behind the start of its chunk, and the chunk is longer by
            // as much, unless it was limited to its window.
            unsafe { self.parent.deallocate(block.sub(HEADER_AREA), chunk) };
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = NonNull::new(block.as_ptr().wrapping_sub(HEADER_AREA));
        let chunk = self.chunk(layout.size()).ok().zip(start);
        chunk.is_some_and(|(chunk, start)| self.parent.may_deallocate(start, chunk))
    }

    /// Limits every chunk to its window. If the parent is not fine-grained, the remainder of a window would be lost,
    /// so the whole window is requested.
    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.align() > HEADER_AREA {
            return Err(AllocError::Unsupported);
        }
        let wanted = preferred.saturating_add(HEADER_AREA).min(self.chunk_align);
        let preferred = if self.parent.is_fine_grained() { wanted } else { self.chunk_align };
        let chunk = self.parent.allocate_between(self.chunk(least.size())?, preferred)?;
        address::expose(chunk.cast::<u8>());
        // SAFETY: the chunk is longer than `HEADER_AREA`.
        let rest = unsafe { chunk.cast::<u8>().add(HEADER_AREA) };
        Ok(NonNull::slice_from_raw_parts(rest, chunk.len().min(self.chunk_align) - HEADER_AREA))
    }
}

/// The allocator of the blocks.
type Memory<A> = Local<Blocks, HeaderedParent<A>>;

/// Returns the header of the chunk that contains the block of a value of `size` bytes.
#[inline(always)]
fn header_of<A: Allocator>(block: NonNull<u8>, size: usize) -> *mut *const Memory<A> {
    let chunk_align = chunk_align(size);
    let chunk = block.addr().get() & !(chunk_align - 1);
    let line = chunk / chunk_align % (HEADER_AREA / LINE);
    address::recover(chunk + line * LINE)
}

/// A pool of values of one type for one thread, whose handles are one word long: [`ThinBox`].
///
/// Works like [`Pool`](crate::Pool) except for its chunks. The first KiB of each chunk leads from a value back to the
/// pool. For that, a chunk is aligned to 64 KiB, or, for values larger than 16 bytes, to 4096 times the size of a
/// value, rounded up to a power of two and at most 1 MiB; and it is no longer than its alignment. The parent must
/// serve such alignments. With a heap as the parent, the first chunk has some KiB, and later ones are longer. A value
/// has at most 1 MiB less 1 KiB. Unused memory is not touched.
///
/// ```
/// use millpond::{ThinPool, typed::ThinBox};
///
/// struct Node<'p> {
///     value: u32,
///     next: Option<ThinBox<'p, Node<'p>>>,
/// }
///
/// let pool = ThinPool::new();
/// let mut list = None;
/// for value in 0..3 {
///     list = Some(pool.alloc(Node { value, next: list }));
/// }
/// let values = std::iter::successors(list.as_ref(), |node| node.next.as_ref()).map(|node| node.value);
/// assert!(values.eq([2, 1, 0]));
/// assert_eq!(size_of::<Option<ThinBox<Node>>>(), size_of::<usize>());
/// ```
///
/// There is no such pool for several threads: they would write to the header of a chunk while others read it, and
/// with a cache per thread each thread would use a chunk of its own. To name a value that threads share by one word,
/// use a `SharedSlots` and its keys.
///
/// A pool cannot be moved, reset or sent to another thread while it has handles:
///
/// ```compile_fail,E0505
/// let pool = millpond::ThinPool::new();
/// let number = pool.alloc(1);
/// let moved = pool; // error: `pool` is borrowed
/// # // instead: let same = &pool;
/// drop(number);
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::ThinPool::new();
/// let number = pool.alloc(1);
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(number)); // error: it would be freed into the pool of another thread
/// #     // instead: scope.spawn(move || drop(1));
/// });
/// ```
pub struct ThinPool<T, A: Allocator = DefaultParent> {
    memory: Memory<A>,
    of: PhantomData<fn() -> T>,
}

impl<T> ThinPool<T> {
    /// Creates a pool without chunks whose parent is the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }
}

impl<T, A: Allocator> ThinPool<T, A> {
    /// Creates a pool without chunks on a parent that serves chunks aligned as [`ThinPool`] needs them.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        let parent = HeaderedParent { parent, chunk_align: chunk_align(size_of::<T>()) };
        Self { memory: Local::new_in(Blocks::of(Layout::new::<T>()), parent), of: PhantomData }
    }

    /// Puts a value into the pool.
    ///
    /// Ends the program if the pool has no memory, as `Box::new` does. Use [`try_alloc`](Self::try_alloc) to handle
    /// that case.
    #[inline]
    pub fn alloc(&self, value: T) -> ThinBox<'_, T, A> {
        match self.place() {
            // SAFETY: `place` just returned this block, and its header points to this pool.
            Ok(place) => unsafe { ThinBox::put(place, value) },
            Err(error) => out_of_memory(Layout::new::<T>(), error),
        }
    }

    /// Makes a value in the pool, in place where the compiler can. Same as
    /// [`Pool::alloc_with`](crate::Pool::alloc_with).
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> ThinBox<'_, T, A> {
        match self.try_alloc_with(make) {
            Ok(handle) => handle,
            Err(error) => out_of_memory(Layout::new::<T>(), error),
        }
    }

    /// Puts a value into the pool, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Returns the error of the parent, or [`AllocError::Unsupported`] if the value is too large for a chunk. The
    /// error contains the value.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<ThinBox<'_, T, A>, TryAllocError<T>> {
        match self.place() {
            // SAFETY: `place` just returned this block, and its header points to this pool.
            Ok(place) => Ok(unsafe { ThinBox::put(place, value) }),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Makes a value in the pool as [`alloc_with`](Self::alloc_with) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`try_alloc`](Self::try_alloc), without a value. `make` is not called if there is an error.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<ThinBox<'_, T, A>, AllocError> {
        let place = self.place()?;
        // SAFETY: the block was just allocated with the layout of `T`. The guard frees it if `make` panics.
        unsafe {
            let back = DeallocOnDrop::new(place.cast(), Layout::new::<T>(), &self.memory);
            let handle = ThinBox::put(place, make());
            forget(back);
            Ok(handle)
        }
    }

    /// Allocates a block for a `T` and writes the address of the pool into the header of its chunk.
    #[inline]
    fn place(&self) -> Result<NonNull<T>, AllocError> {
        let block = self.memory.allocate(Layout::new::<T>())?.cast::<u8>();
        if size_of::<T>() != 0 {
            // SAFETY: the block belongs to this pool, so it lies in one of its chunks, behind the header of the
            // chunk.
            unsafe { header_of::<A>(block, size_of::<T>()).write(&raw const self.memory) };
        }
        Ok(block.cast())
    }

    /// Returns a reference to the parent.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.memory.parent().parent
    }

    /// Returns the number of values in the pool. Same as [`Pool::len`](crate::Pool::len). O(chunks + free blocks).
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory.live_blocks()
    }

    /// Returns whether the pool has no values. Costs as much as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes held, live and free. Same as [`Inspect::stats`](crate::Inspect::stats).
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.memory.stats()
    }

    /// Removes all values without dropping them and keeps every chunk. Same as [`Reclaim::reset`].
    pub fn reset(&mut self) {
        self.memory.reset();
    }

    /// Returns chunks without live blocks to the parent and returns their size in bytes. Same as [`Reclaim::trim`].
    pub fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

impl<T> Default for ThinPool<T> {
    fn default() -> Self {
        Self::new()
    }
}

delegate_inspect!([T, A: Allocator] ThinPool<T, A>: |this| this.memory);

/// A reset removes values whose handles were leaked or forgotten, without dropping them. No other values can exist at
/// that point.
impl<T, A: Allocator> Reclaim for ThinPool<T, A> {
    fn reset(&mut self) {
        self.memory.reset();
    }

    fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

/// A value in a [`ThinPool`] with a single owner. Dropping the handle drops the value and returns its block, in O(1).
///
/// A handle is one word long, and so is `Option<ThinBox<T>>`; for an unsized `T` it is two words. Otherwise it is the
/// same as [`PoolBox`](crate::PoolBox).
///
/// # Invariants
///
/// `value` points to a live block of the pool that is borrowed for `'p`, that nothing else owns, and that holds a
/// valid `T`. Unless `T` is zero-sized, the header of the block's chunk points to the allocator of that pool.
pub struct ThinBox<'p, T: ?Sized, A: Allocator = DefaultParent> {
    value: NonNull<T>,
    borrows: PhantomData<&'p Memory<A>>,
    owns: PhantomData<T>,
}

impl<'p, T, A: Allocator> ThinBox<'p, T, A> {
    /// Writes a value to a block and returns its handle.
    ///
    /// # Safety
    ///
    /// The place must be a live block of the pool that is borrowed for `'p`, without another owner, and the header of
    /// its chunk must point to the allocator of the pool.
    #[inline]
    unsafe fn put(place: NonNull<T>, value: T) -> Self {
        // SAFETY: the caller guarantees that the place is a live block for a `T` without another owner.
        unsafe { place.write(value) };
        Self::of(place)
    }

    /// Takes the value out of the pool and returns its block.
    #[inline]
    #[must_use]
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: the handle was the only owner of the value and has been consumed, so this may free the block.
        unsafe {
            let _block = this.block();
            this.value.read()
        }
    }
}

impl<'p, T: ?Sized, A: Allocator> ThinBox<'p, T, A> {
    fn of(value: NonNull<T>) -> Self {
        Self { value, borrows: PhantomData, owns: PhantomData }
    }

    /// Converts the handle to a pointer to its value. The caller becomes responsible for the value: see
    /// [`from_raw`](Self::from_raw).
    #[inline]
    #[must_use = "the value is not dropped otherwise"]
    pub fn into_raw(this: Self) -> NonNull<T> {
        ManuallyDrop::new(this).value
    }

    /// Creates a handle from a pointer that [`into_raw`](Self::into_raw) returned. The pointer alone leads to the
    /// pool, so a value can pass through a word without a lifetime, such as the user-data pointer of a C library.
    ///
    /// ```
    /// use millpond::{ThinPool, typed::ThinBox};
    ///
    /// let pool = ThinPool::new();
    /// let word = ThinBox::into_raw(pool.alloc(String::from("context")));
    /// // SAFETY: the pointer comes from a handle, and its pool has not been moved and outlives the new handle.
    /// let context: ThinBox<String> = unsafe { ThinBox::from_raw(word) };
    /// assert_eq!(*context, "context");
    /// ```
    ///
    /// # Safety
    ///
    /// * The pointer must come from a handle of a pool whose parent has type `A`, and no other handle may be created
    ///   from it.
    /// * That pool must be borrowed for `'p`, and must not have been moved or reset since the value was put into it.
    #[inline]
    #[must_use]
    pub unsafe fn from_raw(value: NonNull<T>) -> Self {
        Self::of(value)
    }

    /// Returns a guard that frees the block when it is dropped, or `None` if `T` is zero-sized.
    ///
    /// # Safety
    ///
    /// The block must be freed at most once, and the handle must not be used afterwards.
    #[inline]
    unsafe fn block(&self) -> Option<DeallocOnDrop<'p, Memory<A>>> {
        // SAFETY: the value is valid, or was when its destructor began, so its layout can be read. A block that is
        // not zero-sized lies behind a header that points to the allocator of the pool, which is borrowed for as long
        // as the handle is.
        unsafe {
            let (block, layout) = (self.value.cast::<u8>(), Layout::for_value(self.value.as_ref()));
            (layout.size() != 0)
                .then(|| DeallocOnDrop::new(block, layout, &**header_of::<A>(block, layout.size())))
        }
    }

    /// Leaks the value: it lives as long as the pool is borrowed and is never dropped. Its block becomes free again
    /// when the pool is reset or dropped.
    #[inline]
    #[must_use = "dropping the reference does not drop the value"]
    pub fn leak(this: Self) -> &'p mut T {
        let this = ManuallyDrop::new(this);
        // SAFETY: the handle was the only owner of the value and has been consumed. The block stays live while the
        // pool is borrowed.
        unsafe { &mut *this.value.as_ptr() }
    }

    /// Pins the value. Same as [`PoolBox::into_pin`](crate::PoolBox::into_pin).
    ///
    /// ```
    /// use millpond::{ThinPool, typed::ThinBox};
    ///
    /// let pool: &'static ThinPool<_> = Box::leak(Box::new(ThinPool::new()));
    /// let mut task = ThinBox::into_pin(pool.alloc(async { 7 }));
    /// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert_eq!(task.as_mut().poll(&mut context), std::task::Poll::Ready(7));
    /// # use std::future::Future;
    /// ```
    ///
    /// ```compile_fail,E0597
    /// let pool = millpond::ThinPool::new();
    /// let pinned = millpond::typed::ThinBox::into_pin(pool.alloc(7)); // error: `pool` does not live long enough
    /// # // instead: let pinned = std::pin::pin!(pool.alloc(7));
    /// ```
    #[must_use]
    pub fn into_pin(this: Self) -> Pin<Self>
    where
        'p: 'static,
    {
        // SAFETY: a handle does not move its value, and the block stays live until the handle is dropped: the pool is
        // borrowed for `'static`, so it is neither reset nor dropped.
        unsafe { Pin::new_unchecked(this) }
    }
}

impl<'p, T: ?Sized, A: Allocator> CoerceUnsize for ThinBox<'p, T, A> {
    type Value = T;
    type Handle<U: ?Sized> = ThinBox<'p, U, A>;

    #[inline]
    unsafe fn coerce<U: ?Sized>(self, coerce: impl FnOnce(*mut T) -> *mut U) -> ThinBox<'p, U, A> {
        let value = Self::into_raw(self);
        // SAFETY: the pointer is not null because it is the old one after a coercion.
        ThinBox::of(unsafe { NonNull::new_unchecked(coerce(value.as_ptr())) })
    }
}

impl<T: ?Sized, A: Allocator> Drop for ThinBox<'_, T, A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle owns the value and its block and is being dropped. The guard frees the block after the
        // destructor has run, even if that unwinds.
        unsafe {
            let _block = self.block();
            self.value.drop_in_place();
        }
    }
}

impl<T: ?Sized, A: Allocator> Deref for ThinBox<'_, T, A> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is valid, and borrowed for as long as the handle is.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, A: Allocator> DerefMut for ThinBox<'_, T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is valid, and mutably borrowed for as long as the handle is.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized, A: Allocator> AsMut<T> for ThinBox<'_, T, A> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized, A: Allocator> BorrowMut<T> for ThinBox<'_, T, A> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

forward_to_value!(ThinBox;);

/// Moving the handle does not move the value.
impl<T: ?Sized, A: Allocator> Unpin for ThinBox<'_, T, A> {}

/// Converts an array to a slice of the same length.
impl<'p, T, A: Allocator, const N: usize> From<ThinBox<'p, [T; N], A>> for ThinBox<'p, [T], A> {
    fn from(array: ThinBox<'p, [T; N], A>) -> Self {
        let array = ManuallyDrop::new(array);
        Self::of(NonNull::slice_from_raw_parts(array.value.cast(), N))
    }
}
