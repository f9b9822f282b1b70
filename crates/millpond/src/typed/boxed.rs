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

/// A value in a pool, owned by one holder: dropping the handle drops the value and returns its block, in O(1).
///
/// What `Box` is for the heap. It borrows the pool for `'p`, so no handle outlives its pool, no pool is reset or moved
/// under its handles, and a pool whose handles are gone may go to another thread. It is two words long, and one more
/// for an unsized `T`. On a [`SharedPool`](crate::SharedPool) it may be dropped on another thread than it was made on.
///
/// [`Pool::alloc`](crate::Pool::alloc) makes one; [`new_in`](Self::new_in) makes one in any [`Allocator`]:
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
/// A value may own others of its kind, in the same pool:
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
/// A handle does not outlive its pool, nor a reset:
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
/// `value` points to a live block of `memory` that nobody else has, whose layout is the value's, and which holds a valid
/// `T`.
pub struct PoolBox<'p, T: ?Sized, M: Allocator + ?Sized = Local<Blocks>> {
    value: NonNull<T>,
    memory: &'p M,
    owns: PhantomData<T>,
}

/// A value in a [`SharedPool`](crate::SharedPool): the [`PoolBox`] to name in a struct.
///
/// In a pool in a `static` its lifetime is `'static`, and it goes wherever its value may:
///
/// ```
/// use millpond::{SharedBox, SharedPool};
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
/// `M` is what a pool is made on if it is not made by [`SharedPool::new`](crate::SharedPool::new). Shared by counting, it is a
/// [`PoolArc`](crate::PoolArc).
pub type SharedBox<'p, T, M = Locked<Blocks>> = PoolBox<'p, T, M>;

/// A value in a [`CachedPool`](crate::CachedPool): as [`SharedBox`].
///
/// ```
/// use millpond::{CachedBox, CachedPool, SharedPool};
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

// SAFETY: the handle owns its value, as `Box` does, and frees into the allocator on whatever thread it is dropped, which
// takes an allocator that threads share.
unsafe impl<T: Send + ?Sized, M: Allocator + Sync + ?Sized> Send for PoolBox<'_, T, M> {}
// SAFETY: a shared handle gives shared access to its value and to nothing else.
unsafe impl<T: Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync for PoolBox<'_, T, M> {}

impl<'p, T, M: Allocator + ?Sized> PoolBox<'p, MaybeUninit<T>, M> {
    /// Puts a value in.
    #[inline]
    #[must_use]
    pub fn write(mut this: Self, value: T) -> PoolBox<'p, T, M> {
        (*this).write(value);
        // SAFETY: the value was just written.
        unsafe { this.assume_init() }
    }

    /// Says that the value is there.
    ///
    /// # Safety
    ///
    /// It is: all of it is valid.
    #[inline]
    #[must_use]
    pub unsafe fn assume_init(self) -> PoolBox<'p, T, M> {
        let this = ManuallyDrop::new(self);
        PoolBox { value: this.value.cast(), memory: this.memory, owns: PhantomData }
    }
}

impl<'p, T, M: Allocator + ?Sized> PoolBox<'p, T, M> {
    /// A block for a `T` in any allocator, to be filled in place: nothing of the value is on the stack, whatever the
    /// compiler does. Dropping it returns the block.
    ///
    /// ```
    /// use millpond::{Pages, PoolBox};
    ///
    /// let mut place = PoolBox::<[u8; 8 << 20], _>::uninit_in(&Pages)?;
    /// // SAFETY: all bytes are written, and any byte is a `u8`.
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
    /// As [`Allocator::allocate`].
    #[inline]
    pub fn uninit_in(memory: &'p M) -> Result<PoolBox<'p, MaybeUninit<T>, M>, AllocError> {
        let block = memory.allocate(Layout::new::<T>())?;
        Ok(PoolBox { value: block.cast(), memory, owns: PhantomData })
    }

    /// Puts a value into any allocator. One without bytes takes no block.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; the error returns the value.
    #[inline]
    pub fn new_in(value: T, memory: &'p M) -> Result<Self, TryAllocError<T>> {
        match Self::uninit_in(memory) {
            Ok(place) => Ok(PoolBox::write(place, value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// As [`uninit_in`](Self::uninit_in), for callers that cannot go on without.
    #[inline]
    pub(crate) fn uninit_or_oom(memory: &'p M) -> PoolBox<'p, MaybeUninit<T>, M> {
        match Self::uninit_in(memory) {
            Ok(place) => place,
            Err(error) => out_of_memory(Layout::new::<T>(), error),
        }
    }

    /// Takes the value out and returns its block.
    #[inline]
    #[must_use]
    pub fn into_inner(this: Self) -> T {
        let (value, memory) = Self::into_parts(this);
        // SAFETY: the handle was the value's only owner and is gone, so the block is ours to free.
        unsafe {
            let _block = DeallocOnDrop::new(value.cast(), Layout::new::<T>(), memory);
            value.read()
        }
    }
}

impl<'p, T: ?Sized, M: Allocator + ?Sized> PoolBox<'p, T, M> {
    /// The handle of a value.
    ///
    /// # Safety
    ///
    /// The invariants of the type hold.
    #[inline]
    pub(crate) unsafe fn from_parts(value: NonNull<T>, memory: &'p M) -> Self {
        Self { value, memory, owns: PhantomData }
    }

    #[inline]
    pub(crate) fn into_parts(this: Self) -> (NonNull<T>, &'p M) {
        let this = ManuallyDrop::new(this);
        (this.value, this.memory)
    }

    /// A pointer to the value, which somebody else takes care of from now on: see [`from_raw_in`](Self::from_raw_in).
    #[inline]
    #[must_use = "nobody else drops the value"]
    pub fn into_raw(this: Self) -> NonNull<T> {
        Self::into_parts(this).0
    }

    /// The handle of a value that [`into_raw`](Self::into_raw) let go of.
    ///
    /// # Safety
    ///
    /// The pointer came from a handle of the same allocator, and nobody else makes a handle of it.
    #[inline]
    #[must_use]
    pub unsafe fn from_raw_in(value: NonNull<T>, memory: &'p M) -> Self {
        // SAFETY: the caller says that the handle's invariants hold again.
        unsafe { Self::from_parts(value, memory) }
    }

    /// Gives the value up to the pool: it lives as long as the pool is borrowed, and is never dropped. Its block is
    /// free again after a reset, or when the pool goes.
    #[inline]
    #[must_use = "dropping the reference does not drop the value"]
    pub fn leak(this: Self) -> &'p mut T {
        let (value, _) = Self::into_parts(this);
        // SAFETY: the handle was the value's only owner and is gone; the block stays while the pool is borrowed.
        unsafe { &mut *value.as_ptr() }
    }

    /// Pins the value where it is, for good: its pool is never reset.
    ///
    /// That can be promised only of a pool that is borrowed for `'static`, such as one in a `static`. Elsewhere, a handle
    /// that is forgotten would let the memory of a pinned value be used again.
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
        // SAFETY: a handle does not move its value, and the block stays the value's until the handle is dropped: `memory` is
        // borrowed for ever, so it is neither reset nor dropped.
        unsafe { Pin::new_unchecked(this) }
    }

    /// The allocator that the block came from.
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
        // SAFETY: the pointer is the same, after a coercion, so it is not null; the handle of the whole value is gone.
        unsafe { PoolBox::from_parts(NonNull::new_unchecked(coerce(value.as_ptr())), memory) }
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> Drop for PoolBox<'_, T, M> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle owns the value and its block and is about to go. The block goes back after the destructor,
        // also if that unwinds.
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
        // SAFETY: the value is valid, and borrowed as long as the handle is.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> DerefMut for PoolBox<'_, T, M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the value is valid, and borrowed as long as the handle is, mutably.
        unsafe { self.value.as_mut() }
    }
}

/// The value never moves when its handle does.
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
