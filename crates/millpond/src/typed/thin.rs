//! Pools whose handles are one word: the way back to the pool is found in the value's chunk.
//!
//! All chunks are of one size, aligned to that size, and begin with the pool's address: one mask and one load lead from a value
//! to its pool. Where a pool is, it cannot be moved from while it has handles; so each allocation notes where that is.
//!
//! Headers that all begin at a multiple of the same power of two would share one set of the processor's cache. So each lies in
//! another line of its chunk's first bytes, by the chunk's address.

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
    traits::{Allocation, Allocator, Inspect, PoolStats, Reclaim, delegate},
};

/// What a chunk for values of so many bytes is aligned to, and the most bytes that it has: a *window*. It has room for some
/// thousand values, so that chunks are few where values are many.
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

/// The smallest window, and the largest one.
const SMALLEST: usize = 64 << 10;
const LARGEST: usize = 1 << 20;

/// The part of a chunk that is for its header.
const HEADER_AREA: usize = 1024;

/// A line of the processor's cache.
const LINE: usize = 64;

/// A parent of which every block lies in a chunk of its own, behind a header.
struct HeaderedParent<A> {
    parent: A,
    chunk_align: usize,
}

impl<A> HeaderedParent<A> {
    /// A chunk in which a block has so many bytes.
    fn chunk(&self, bytes: usize) -> Result<Layout, AllocError> {
        let bytes = bytes.checked_add(HEADER_AREA).filter(|&bytes| bytes <= self.chunk_align);
        let chunk = bytes.and_then(|bytes| Layout::from_size_align(bytes, self.chunk_align).ok());
        chunk.ok_or(AllocError::Unsupported)
    }
}

// SAFETY: every block is the better part of one of the parent's, which keeps the contract.
unsafe impl<A: Allocator> Allocator for HeaderedParent<A> {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.allocate_between(layout, layout.size())
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        if let Ok(chunk) = self.chunk(layout.size()) {
            // SAFETY: the block is so far behind the start of its chunk, which is as much longer, or was cut to its window.
            unsafe { self.parent.deallocate(block.sub(HEADER_AREA), chunk) };
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let start = NonNull::new(block.as_ptr().wrapping_sub(HEADER_AREA));
        let chunk = self.chunk(layout.size()).ok().zip(start);
        chunk.is_some_and(|(chunk, start)| self.parent.may_deallocate(start, chunk))
    }

    /// No chunk is used beyond its window. Where memory is not cut fine, the rest of a window would be lost, and so all of it is
    /// asked for.
    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        if least.align() > HEADER_AREA {
            return Err(AllocError::Unsupported);
        }
        let wanted = preferred.saturating_add(HEADER_AREA).min(self.chunk_align);
        let preferred = if self.parent.is_fine_grained() { wanted } else { self.chunk_align };
        let chunk = self.parent.allocate_between(self.chunk(least.size())?, preferred)?;
        address::expose(chunk.cast::<u8>());
        // SAFETY: the chunk is longer than that.
        let rest = unsafe { chunk.cast::<u8>().add(HEADER_AREA) };
        Ok(NonNull::slice_from_raw_parts(rest, chunk.len().min(self.chunk_align) - HEADER_AREA))
    }
}

/// What the blocks of values come from.
type Memory<A> = Local<Blocks, HeaderedParent<A>>;

/// The header of the chunk in which the block of a value of so many bytes lies.
#[inline(always)]
fn header_of<A: Allocator>(block: NonNull<u8>, size: usize) -> *mut *const Memory<A> {
    let chunk_align = chunk_align(size);
    let chunk = block.addr().get() & !(chunk_align - 1);
    let line = chunk / chunk_align % (HEADER_AREA / LINE);
    address::recover(chunk + line * LINE)
}

/// A pool of values of one type, for one thread, whose handles are one word long: [`ThinBox`].
///
/// As [`Pool`](crate::Pool), but for its chunks: the first KiB of each leads from a value back to the pool. So that it is found,
/// a chunk is aligned to 64 KiB, or, for values larger than 16 bytes, to a power of two of 4096 of them and more, up to a
/// mebibyte; and it is no longer than that. The parent must have chunks so aligned to give; from a heap, the first
/// is some KiB, and the next ones are longer. A value is no larger than a mebibyte less a KiB. Memory that is not used is not touched.
///
/// ```
/// use millpond::{ThinBox, ThinPool};
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
/// There is none for many threads: they would write to a chunk's first bytes while others read them, and a cache for each
/// thread would take a chunk for itself. What threads share and is named by one word are the values of a
/// `SharedSlots`, by their keys.
///
/// A pool is not moved, reset or sent away while it has handles:
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
    /// A pool without chunks, on the default parent.
    #[must_use]
    pub const fn new() -> Self {
        Self::new_in(DEFAULT_PARENT)
    }
}

impl<T, A: Allocator> ThinPool<T, A> {
    /// A pool without chunks, on a parent that has chunks as [`ThinPool`] needs them.
    #[must_use]
    pub const fn new_in(parent: A) -> Self {
        let parent = HeaderedParent { parent, chunk_align: chunk_align(size_of::<T>()) };
        Self { memory: Local::new_in(Blocks::of(Layout::new::<T>()), parent), of: PhantomData }
    }

    /// Puts a value into the pool.
    ///
    /// A pool without memory ends the program, as `Box::new` does; [`try_alloc`](Self::try_alloc) does not.
    #[inline]
    pub fn alloc(&self, value: T) -> ThinBox<'_, T, A> {
        match self.place() {
            // SAFETY: the place was just found.
            Ok(place) => unsafe { ThinBox::put(place, value) },
            Err(error) => out_of_memory(Layout::new::<T>(), error),
        }
    }

    /// Makes a value in the pool: as [`Pool::alloc_with`](crate::Pool::alloc_with).
    #[inline]
    pub fn alloc_with(&self, make: impl FnOnce() -> T) -> ThinBox<'_, T, A> {
        match self.try_alloc_with(make) {
            Ok(handle) => handle,
            Err(error) => out_of_memory(Layout::new::<T>(), error),
        }
    }

    /// As [`alloc`](Self::alloc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// Why the parent has no chunk, or [`AllocError::Unsupported`] for a value that no chunk has room for; and
    /// the value.
    #[inline]
    pub fn try_alloc(&self, value: T) -> Result<ThinBox<'_, T, A>, TryAllocError<T>> {
        match self.place() {
            // SAFETY: the place was just found.
            Ok(place) => Ok(unsafe { ThinBox::put(place, value) }),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// As [`alloc_with`](Self::alloc_with), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`try_alloc`](Self::try_alloc); `make` is not called then.
    #[inline]
    pub fn try_alloc_with(&self, make: impl FnOnce() -> T) -> Result<ThinBox<'_, T, A>, AllocError> {
        let place = self.place()?;
        // SAFETY: the block was just handed out for a `T`. It goes back if `make` panics.
        unsafe {
            let back = DeallocOnDrop::new(place.cast(), Layout::new::<T>(), &self.memory);
            let handle = ThinBox::put(place, make());
            forget(back);
            Ok(handle)
        }
    }

    /// A block for a `T`, whose chunk says where the pool is.
    #[inline]
    fn place(&self) -> Result<NonNull<T>, AllocError> {
        let block = self.memory.allocate(Layout::new::<T>())?.cast::<u8>();
        if size_of::<T>() != 0 {
            // SAFETY: the block is one of this pool's, so it lies in a chunk of its, behind the chunk's header.
            unsafe { header_of::<A>(block, size_of::<T>()).write(&raw const self.memory) };
        }
        Ok(block.cast())
    }

    /// The parent, to look at.
    #[must_use]
    pub fn parent(&self) -> &A {
        &self.memory.parent().parent
    }

    /// Returns how many values there are: as [`Pool::len`](crate::Pool::len). O(chunks + free blocks).
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory.live_blocks()
    }

    /// Returns whether there are no values; as dear as [`len`](Self::len).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns what is held, live and free: as [`Inspect::stats`].
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.memory.stats()
    }

    /// Declares everything in it gone, without dropping it, and keeps every chunk: as [`Reclaim::reset`].
    pub fn reset(&mut self) {
        self.memory.reset();
    }

    /// Returns chunks without live blocks to the parent; says how many bytes that were. As [`Reclaim::trim`].
    pub fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

impl<T> Default for ThinPool<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: Allocator> Inspect for ThinPool<T, A> {
    delegate!(self: self.memory; stats largest_free holes render metrics owns check report);
}

/// Values whose handles were leaked or forgotten are gone after a reset, without being dropped; there are no others then.
impl<T, A: Allocator> Reclaim for ThinPool<T, A> {
    fn reset(&mut self) {
        self.memory.reset();
    }

    fn trim(&mut self) -> usize {
        self.memory.trim()
    }
}

/// A value in a [`ThinPool`], owned by one holder: dropping the handle drops the value and returns its block, in O(1).
///
/// One word, and so is `Option<ThinBox<T>>`; two for an unsized `T`. Otherwise it is what [`PoolBox`](crate::PoolBox) is.
///
/// # Invariants
///
/// `value` points to a live block of the pool that is borrowed for `'p`, which nobody else has, and which holds a valid `T`.
/// Unless a `T` has no bytes, the header of the block's chunk points to that pool's memory.
pub struct ThinBox<'p, T: ?Sized, A: Allocator = DefaultParent> {
    value: NonNull<T>,
    borrows: PhantomData<&'p Memory<A>>,
    owns: PhantomData<T>,
}

impl<'p, T, A: Allocator> ThinBox<'p, T, A> {
    /// The handle of a value that is put there.
    ///
    /// # Safety
    ///
    /// The place is a live block of the pool that is borrowed for `'p`, nobody else's, and its chunk says where the pool is.
    #[inline]
    unsafe fn put(place: NonNull<T>, value: T) -> Self {
        // SAFETY: the caller's promise.
        unsafe { place.write(value) };
        Self::of(place)
    }

    /// Takes the value out and returns its block.
    #[inline]
    #[must_use]
    pub fn into_inner(this: Self) -> T {
        let this = ManuallyDrop::new(this);
        // SAFETY: the handle was the value's only owner and is gone, so the block is ours to free.
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

    /// A pointer to the value, which somebody else takes care of from now on: see [`from_raw`](Self::from_raw).
    #[inline]
    #[must_use = "nobody else drops the value"]
    pub fn into_raw(this: Self) -> NonNull<T> {
        ManuallyDrop::new(this).value
    }

    /// The handle of a value that [`into_raw`](Self::into_raw) let go of: the pointer alone leads to the pool. So a value can
    /// go through a word that knows nothing of lifetimes, such as the pointer that a C library keeps for its caller.
    ///
    /// ```
    /// use millpond::{ThinBox, ThinPool};
    ///
    /// let pool = ThinPool::new();
    /// let word = ThinBox::into_raw(pool.alloc(String::from("context")));
    /// // SAFETY: the pointer came from a handle of a pool that is there, is where it was, and outlives this handle.
    /// let context: ThinBox<String> = unsafe { ThinBox::from_raw(word) };
    /// assert_eq!(*context, "context");
    /// ```
    ///
    /// # Safety
    ///
    /// * The pointer came from a handle whose pool has a parent of type `A`, and nobody else makes a handle of it.
    /// * That pool is borrowed for `'p`, and has not been moved or reset since the value was put in.
    #[inline]
    #[must_use]
    pub unsafe fn from_raw(value: NonNull<T>) -> Self {
        Self::of(value)
    }

    /// The block, which goes back when that is dropped; nothing if a `T` has no bytes.
    ///
    /// # Safety
    ///
    /// The block is freed once, and the handle not used afterwards.
    #[inline]
    unsafe fn block(&self) -> Option<DeallocOnDrop<'p, Memory<A>>> {
        // SAFETY: the value is valid, or was when its destructor began, so its layout is known; a block with bytes lies behind
        // a header that points to the pool's memory, which is borrowed as long as the handle is.
        unsafe {
            let (block, layout) = (self.value.cast::<u8>(), Layout::for_value(self.value.as_ref()));
            (layout.size() != 0)
                .then(|| DeallocOnDrop::new(block, layout, &**header_of::<A>(block, layout.size())))
        }
    }

    /// Gives the value up to the pool: it lives as long as the pool is borrowed, and is never dropped. Its block is
    /// free again after a reset, or when the pool goes.
    #[inline]
    #[must_use = "dropping the reference does not drop the value"]
    pub fn leak(this: Self) -> &'p mut T {
        let this = ManuallyDrop::new(this);
        // SAFETY: the handle was the value's only owner and is gone; the block stays while the pool is borrowed.
        unsafe { &mut *this.value.as_ptr() }
    }

    /// Pins the value where it is, for good: as [`PoolBox::into_pin`](crate::PoolBox::into_pin).
    ///
    /// ```
    /// use millpond::{ThinBox, ThinPool};
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
    /// let pinned = millpond::ThinBox::into_pin(pool.alloc(7)); // error: `pool` does not live long enough
    /// # // instead: let pinned = std::pin::pin!(pool.alloc(7));
    /// ```
    #[must_use]
    pub fn into_pin(this: Self) -> Pin<Self>
    where
        'p: 'static,
    {
        // SAFETY: a handle does not move its value, and the block stays the value's until the handle is dropped: the pool is
        // borrowed for ever, so it is neither reset nor dropped.
        unsafe { Pin::new_unchecked(this) }
    }
}

impl<'p, T: ?Sized, A: Allocator> CoerceUnsize for ThinBox<'p, T, A> {
    type Value = T;
    type Handle<U: ?Sized> = ThinBox<'p, U, A>;

    #[inline]
    unsafe fn coerce<U: ?Sized>(self, coerce: impl FnOnce(*mut T) -> *mut U) -> ThinBox<'p, U, A> {
        let value = Self::into_raw(self);
        // SAFETY: the pointer is the same, after a coercion, so it is not null.
        ThinBox::of(unsafe { NonNull::new_unchecked(coerce(value.as_ptr())) })
    }
}

impl<T: ?Sized, A: Allocator> Drop for ThinBox<'_, T, A> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle owns the value and its block and is about to go. The block goes back after the destructor,
        // also if that unwinds.
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
        // SAFETY: the value is valid, and borrowed as long as the handle is.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, A: Allocator> DerefMut for ThinBox<'_, T, A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is valid, and borrowed as long as the handle is, mutably.
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

/// The value never moves when its handle does.
impl<T: ?Sized, A: Allocator> Unpin for ThinBox<'_, T, A> {}

/// An array is a slice of its length.
impl<'p, T, A: Allocator, const N: usize> From<ThinBox<'p, [T; N], A>> for ThinBox<'p, [T], A> {
    fn from(array: ThinBox<'p, [T; N], A>) -> Self {
        let array = ManuallyDrop::new(array);
        Self::of(NonNull::slice_from_raw_parts(array.value.cast(), N))
    }
}
