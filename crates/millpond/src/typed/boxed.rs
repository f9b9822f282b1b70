//! The handle that owns one value in a pool.

use core::{
    alloc::Layout,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::{Deref, DerefMut},
    pin::Pin,
    ptr::NonNull,
};

use super::{CoerceUnsize, TryAllocError, dealloc_on_drop::DeallocOnDrop, forward::forward_to_value};
use crate::{
    base::AllocError,
    pool::Blocks,
    shell::{Cached, Local, Locked, out_of_memory},
    source::DefaultParent,
    traits::Allocator,
};

/// A value in a pool with a single owner. Dropping the handle drops the value and returns its block, in O(1).
///
/// This is to a pool what `Box` is to the heap. It borrows the pool for `'p`: a handle cannot outlive its pool, and a
/// pool cannot be reset or moved while it has handles. A pool without handles can be sent to another thread. A handle
/// is two words long, plus one word if `T` is unsized. A handle of a [`SharedPool`](crate::SharedPool) may be dropped
/// on a different thread from the one that created it.
///
/// [`Pool::alloc`](crate::Pool::alloc) creates a handle; [`new_in`](Self::new_in) creates one in any [`Allocator`]:
///
/// ```
/// use millpond::{Classes, Local, Pool, PoolBox};
///
/// let pool = Pool::new();
/// let mut answer = pool.alloc(41);
/// *answer += 1;
/// assert_eq!(*answer, 42);
///
/// let classes = Local::new(Classes::new());
/// let number = PoolBox::new_in(7u64, &classes)?;
/// let text = PoolBox::str_in("of any length", &classes)?;
/// assert_eq!(format!("{number} {text}"), "7 of any length");
/// # Ok::<(), millpond::AllocError>(())
/// ```
///
/// A value may own other values of the same type in the same pool:
///
/// ```
/// use millpond::{Pool, PoolBox};
///
/// struct Node<'p> {
///     value: u32,
///     next: Option<PoolBox<'p, Node<'p>>>,
/// }
///
/// let pool = Pool::new();
/// let mut list = None;
/// for value in 0..3 {
///     list = Some(pool.alloc(Node { value, next: list }));
/// }
/// let values = std::iter::successors(list.as_ref(), |node| node.next.as_ref()).map(|node| node.value);
/// assert!(values.eq([2, 1, 0]));
/// ```
///
/// A handle outlives neither its pool nor a reset:
///
/// ```compile_fail,E0597
/// let number;
/// {
///     let pool = millpond::Pool::new();
///     number = pool.alloc(1); // error: `pool` does not live long enough
/// #     // instead: number = *pool.alloc(1);
/// }
/// drop(number);
/// ```
///
/// ```compile_fail,E0502
/// use millpond::{Pool, Reclaim};
///
/// let mut pool = Pool::new();
/// let number = pool.alloc(1);
/// pool.reset(); // error: `pool` is borrowed
/// # // instead: pool.alloc(2);
/// drop(number);
/// ```
///
/// # Invariants
///
/// `value` points to a live block of `memory` that nothing else owns, that has the layout of the value, and that
/// holds a valid `T`.
pub struct PoolBox<'p, T: ?Sized, M: Allocator + ?Sized = Local<Blocks>> {
    value: NonNull<T>,
    memory: &'p M,
    owns: PhantomData<T>,
}

/// A value in a [`SharedPool`](crate::SharedPool): a [`PoolBox`] with the parameters to name in a struct.
///
/// If the pool is a `static`, the lifetime is `'static`, and the handle can be sent wherever its value can:
///
/// ```
/// use millpond::{SharedPool, typed::SharedBox};
///
/// struct Packet {
///     bytes: [u8; 1500],
/// }
///
/// struct Connection {
///     unsent: Vec<SharedBox<'static, Packet>>,
/// }
///
/// static PACKETS: SharedPool<Packet> = SharedPool::new();
///
/// let mut connection = Connection { unsent: Vec::new() };
/// connection.unsent.push(PACKETS.alloc(Packet { bytes: [7; 1500] }));
/// let sender = std::thread::spawn(move || connection.unsent.pop().map(|packet| packet.bytes[0]));
/// assert_eq!(sender.join().expect("no panic"), Some(7));
/// ```
///
/// `M` is the allocator of a pool that was not created by [`SharedPool::new`](crate::SharedPool::new). For a
/// reference-counted value see [`PoolArc`](crate::PoolArc).
pub type SharedBox<'p, T, M = Locked<Blocks>> = PoolBox<'p, T, M>;

/// A value in a [`CachedPool`](crate::CachedPool). See [`SharedBox`].
///
/// ```
/// use millpond::{CachedPool, SharedPool, typed::CachedBox};
///
/// struct Message {
///     text: CachedBox<'static, [u8; 64]>,
/// }
///
/// static TEXTS: CachedPool<[u8; 64]> = SharedPool::builder().build_cached();
///
/// let message = Message { text: TEXTS.alloc([b'a'; 64]) };
/// std::thread::spawn(move || assert_eq!(message.text[63], b'a')).join().expect("no panic");
/// ```
pub type CachedBox<'p, T, A = DefaultParent> = PoolBox<'p, T, Cached<Blocks, A>>;

// SAFETY: the handle owns its value, as `Box` does. It frees the block on whichever thread drops it, which `M: Sync`
// allows.
unsafe impl<T: Send + ?Sized, M: Allocator + Sync + ?Sized> Send for PoolBox<'_, T, M> {}
// SAFETY: a shared handle gives shared access to its value and to nothing else.
unsafe impl<T: Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync for PoolBox<'_, T, M> {}

impl<'p, T, M: Allocator + ?Sized> PoolBox<'p, MaybeUninit<T>, M> {
    /// Writes a value into the block.
    #[inline]
    #[must_use]
    pub fn write(mut this: Self, value: T) -> PoolBox<'p, T, M> {
        (*this).write(value);
        // SAFETY: the value was just written.
        unsafe { this.assume_init() }
    }

    /// Converts the handle to a handle of an initialized value.
    ///
    /// # Safety
    ///
    /// The value must be fully initialized.
    #[inline]
    #[must_use]
    pub unsafe fn assume_init(self) -> PoolBox<'p, T, M> {
        let this = ManuallyDrop::new(self);
        PoolBox { value: this.value.cast(), memory: this.memory, owns: PhantomData }
    }
}

impl<'p, T, M: Allocator + ?Sized> PoolBox<'p, T, M> {
    /// Allocates a block for a `T` in any allocator, to be initialized in place. No part of the value is ever on the
    /// stack, even in unoptimized builds. Dropping the handle returns the block.
    ///
    /// ```
    /// use millpond::{Pages, PoolBox};
    ///
    /// let mut place = PoolBox::<[u8; 8 << 20], _>::uninit_in(&Pages)?;
    /// // SAFETY: all bytes are initialized, and any byte is a valid `u8`.
    /// let zeros = unsafe {
    ///     place.as_mut_ptr().write_bytes(0, 1);
    ///     place.assume_init()
    /// };
    /// assert_eq!(zeros[8_000_000], 0);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`].
    #[inline]
    pub fn uninit_in(memory: &'p M) -> Result<PoolBox<'p, MaybeUninit<T>, M>, AllocError> {
        let block = memory.allocate(Layout::new::<T>())?;
        Ok(PoolBox { value: block.cast(), memory, owns: PhantomData })
    }

    /// Puts a value into any allocator. A zero-sized value takes no block.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. The error contains the value.
    #[inline]
    pub fn new_in(value: T, memory: &'p M) -> Result<Self, TryAllocError<T>> {
        match Self::uninit_in(memory) {
            Ok(place) => Ok(PoolBox::write(place, value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Allocates a block as [`uninit_in`](Self::uninit_in) does, and ends the program if there is no memory.
    #[inline]
    pub(crate) fn uninit_or_oom(memory: &'p M) -> PoolBox<'p, MaybeUninit<T>, M> {
        match Self::uninit_in(memory) {
            Ok(place) => place,
            Err(error) => out_of_memory(Layout::new::<T>(), error),
        }
    }

    /// Takes the value out of the pool and returns its block.
    #[inline]
    #[must_use]
    pub fn into_inner(this: Self) -> T {
        let (value, memory) = Self::into_parts(this);
        // SAFETY: the handle was the only owner of the value and has been consumed, so this may free the block.
        unsafe {
            let _block = DeallocOnDrop::new(value.cast(), Layout::new::<T>(), memory);
            value.read()
        }
    }
}

impl<'p, T: ?Sized, M: Allocator + ?Sized> PoolBox<'p, T, M> {
    /// Creates the handle of a value.
    ///
    /// # Safety
    ///
    /// The invariants of the type must hold.
    #[inline]
    pub(crate) unsafe fn from_parts(value: NonNull<T>, memory: &'p M) -> Self {
        Self { value, memory, owns: PhantomData }
    }

    #[inline]
    pub(crate) fn into_parts(this: Self) -> (NonNull<T>, &'p M) {
        let this = ManuallyDrop::new(this);
        (this.value, this.memory)
    }

    /// Converts the handle to a pointer to its value. The caller becomes responsible for the value: see
    /// [`from_raw_in`](Self::from_raw_in).
    #[inline]
    #[must_use = "the value is not dropped otherwise"]
    pub fn into_raw(this: Self) -> NonNull<T> {
        Self::into_parts(this).0
    }

    /// Creates a handle from a pointer that [`into_raw`](Self::into_raw) returned.
    ///
    /// # Safety
    ///
    /// The pointer must come from a handle of the same allocator, and no other handle may be created from it.
    #[inline]
    #[must_use]
    pub unsafe fn from_raw_in(value: NonNull<T>, memory: &'p M) -> Self {
        // SAFETY: the pointer comes from a handle of this allocator and no other handle is created from it, so the
        // invariants hold.
        unsafe { Self::from_parts(value, memory) }
    }

    /// Leaks the value: it lives as long as the pool is borrowed and is never dropped. Its block becomes free again
    /// when the pool is reset or dropped.
    #[inline]
    #[must_use = "dropping the reference does not drop the value"]
    pub fn leak(this: Self) -> &'p mut T {
        let (value, _) = Self::into_parts(this);
        // SAFETY: the handle was the only owner of the value and has been consumed. The block stays live while the
        // pool is borrowed.
        unsafe { &mut *value.as_ptr() }
    }

    /// Pins the value.
    ///
    /// This requires a pool that is borrowed for `'static`, such as one in a `static`, because such a pool is never
    /// reset. For any other pool, forgetting the handle would allow the memory of a pinned value to be reused.
    ///
    /// ```
    /// use millpond::{PoolBox, SharedPool};
    ///
    /// static POOL: SharedPool<u32> = SharedPool::new();
    ///
    /// let pinned = PoolBox::into_pin(POOL.alloc(7));
    /// assert_eq!(*pinned, 7);
    /// ```
    ///
    /// ```compile_fail,E0597
    /// let pool = millpond::Pool::new();
    /// let pinned = millpond::PoolBox::into_pin(pool.alloc(7)); // error: `pool` does not live long enough
    /// # // instead: let pinned = std::pin::pin!(pool.alloc(7));
    /// ```
    #[must_use]
    pub fn into_pin(this: Self) -> Pin<Self>
    where
        'p: 'static,
    {
        // SAFETY: a handle does not move its value, and the block stays live until the handle is dropped: `memory` is
        // borrowed for `'static`, so it is neither reset nor dropped.
        unsafe { Pin::new_unchecked(this) }
    }

    /// Returns the allocator that the block came from.
    #[must_use]
    pub fn memory(this: &Self) -> &'p M {
        this.memory
    }
}

impl<'p, T: ?Sized, M: Allocator + ?Sized> CoerceUnsize for PoolBox<'p, T, M> {
    type Value = T;
    type Handle<U: ?Sized> = PoolBox<'p, U, M>;

    #[inline]
    unsafe fn coerce<U: ?Sized>(self, coerce: impl FnOnce(*mut T) -> *mut U) -> PoolBox<'p, U, M> {
        let (value, memory) = Self::into_parts(self);
        // SAFETY: the pointer is not null because it is the old one after a coercion. The handle of the sized value
        // has been consumed.
        unsafe { PoolBox::from_parts(NonNull::new_unchecked(coerce(value.as_ptr())), memory) }
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> Drop for PoolBox<'_, T, M> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle owns the value and its block and is being dropped. The guard frees the block after the
        // destructor has run, even if that unwinds.
        unsafe {
            let _block =
                DeallocOnDrop::new(self.value.cast(), Layout::for_value(self.value.as_ref()), self.memory);
            self.value.drop_in_place();
        }
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> Deref for PoolBox<'_, T, M> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is valid, and borrowed for as long as the handle is.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> DerefMut for PoolBox<'_, T, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is valid, and mutably borrowed for as long as the handle is.
        unsafe { self.value.as_mut() }
    }
}

/// Moving the handle does not move the value.
impl<T: ?Sized, M: Allocator + ?Sized> Unpin for PoolBox<'_, T, M> {}

impl<T: ?Sized, M: Allocator + ?Sized> AsMut<T> for PoolBox<'_, T, M> {
    fn as_mut(&mut self) -> &mut T {
        self
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> core::borrow::BorrowMut<T> for PoolBox<'_, T, M> {
    fn borrow_mut(&mut self) -> &mut T {
        self
    }
}

forward_to_value!(PoolBox; + ?Sized);
