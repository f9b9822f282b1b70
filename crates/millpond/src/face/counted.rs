//! Handles that share one value in a pool, by counting.

use core::{
    alloc::Layout,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit},
    ops::Deref,
    ptr::NonNull,
};

use super::{Pool, PoolBox, SharedPool, release::Release, value::forward_to_value};
use crate::{
    base::AllocError,
    contract::Allocator,
    pool::Blocks,
    share::{AtomicCount, Count, Local, Locked, PlainCount},
};

/// What a block holds for a value that handles share: two counts of four bytes, and the value.
///
/// # Invariants
///
/// * `strong` counts the handles that keep the value; it is valid until that is zero.
/// * `weak` counts those that keep the block, all strong ones together as one; the block is freed when that is zero.
#[repr(C)]
pub struct Countable<C, T: ?Sized> {
    strong: C,
    weak: C,
    value: T,
}

/// A pool of values that handles on one thread share: see [`PoolRc`].
pub type RcPool<T, M = Local<Blocks>> = Pool<Countable<PlainCount, T>, M>;

/// A pool of values that handles on many threads share: see [`PoolArc`].
pub type ArcPool<T, M = Locked<Blocks>> = SharedPool<Countable<AtomicCount, T>, M>;

/// A value in a pool, shared by handles on one thread: the last one drops it.
///
/// ```
/// use millpond::RcPool;
///
/// let pool = RcPool::new();
/// let one = pool.alloc_rc(String::from("shared"));
/// let other = one.clone();
/// drop(one);
/// assert_eq!(*other, "shared");
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::RcPool::new();
/// let one = pool.alloc_rc(1);
/// std::thread::scope(|scope| {
///     scope.spawn(move || drop(one)); // error: its count is for one thread
/// });
/// ```
pub type PoolRc<'p, T, M = Local<Blocks>> = PoolRef<'p, T, PlainCount, M>;

/// A value in a pool, shared by handles on many threads: the last one drops it.
///
/// ```
/// use millpond::ArcPool;
///
/// static POOL: ArcPool<String> = ArcPool::new();
///
/// let one = POOL.alloc_arc(String::from("shared"));
/// let other = one.clone();
/// std::thread::spawn(move || assert_eq!(*other, "shared")).join().expect("no panic");
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::ArcPool::new();
/// let one = pool.alloc_arc(std::cell::Cell::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(|| one.set(2)); // error: a `Cell` cannot be shared between threads
/// });
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::ArcPool::new();
/// let one = pool.alloc_arc(std::cell::Cell::new(1));
/// let other = one.clone();
/// std::thread::scope(|scope| {
///     scope.spawn(move || other.set(2)); // error: sent, it would be shared with `one`
/// });
/// ```
pub type PoolArc<'p, T, M = Locked<Blocks>> = PoolRef<'p, T, AtomicCount, M>;

/// A handle that shares its value with its clones: [`PoolRc`] or [`PoolArc`].
///
/// What `Rc` and `Arc` are for the heap. It borrows the pool, as [`PoolBox`] does. Clone and drop: O(1).
///
/// # Invariants
///
/// `inner` points to a live block of `memory` that holds a valid value, and the handle is one of those that `strong`
/// counts.
pub struct PoolRef<'p, T: ?Sized, C: Count, M: Allocator + ?Sized> {
    inner: NonNull<Countable<C, T>>,
    memory: &'p M,
    owns: PhantomData<Countable<C, T>>,
}

/// A handle that does not keep its value, but its block: see [`PoolRef::downgrade`].
///
/// # Invariants
///
/// `inner` points to a live block of `memory`, and the handle is one of those that `weak` counts.
pub struct PoolWeak<'p, T: ?Sized, C: Count, M: Allocator + ?Sized> {
    inner: NonNull<Countable<C, T>>,
    memory: &'p M,
    owns: PhantomData<Countable<C, T>>,
}

// SAFETY: handles on several threads give shared access to one value, the last drops it on its thread and frees into the
// allocator, and the counts are atomic.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Send for PoolRef<'_, T, AtomicCount, M> {}
// SAFETY: as above: a shared handle can be cloned.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync for PoolRef<'_, T, AtomicCount, M> {}
// SAFETY: as above: a weak handle becomes a strong one.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Send for PoolWeak<'_, T, AtomicCount, M> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync for PoolWeak<'_, T, AtomicCount, M> {}

impl<T, M: Allocator> Pool<Countable<PlainCount, T>, M> {
    /// Puts a value into the pool, to be shared on one thread. A pool without memory ends the program.
    pub fn alloc_rc(&self, value: T) -> PoolRc<'_, T, M> {
        PoolRef::fill(PoolBox::uninit_or_end(self.memory()), value)
    }

    /// As [`alloc_rc`](Self::alloc_rc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_rc(&self, value: T) -> Result<PoolRc<'_, T, M>, AllocError> {
        PoolRef::new_in(value, self.memory())
    }
}

impl<T, M: Allocator> Pool<Countable<AtomicCount, T>, M> {
    /// Puts a value into the pool, to be shared by threads. A pool without memory ends the program.
    pub fn alloc_arc(&self, value: T) -> PoolArc<'_, T, M> {
        PoolRef::fill(PoolBox::uninit_or_end(self.memory()), value)
    }

    /// As [`alloc_arc`](Self::alloc_arc), or says why there is no room.
    ///
    /// # Errors
    ///
    /// As [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_arc(&self, value: T) -> Result<PoolArc<'_, T, M>, AllocError> {
        PoolRef::new_in(value, self.memory())
    }
}

impl<'p, T, C: Count, M: Allocator + ?Sized> PoolRef<'p, T, C, M> {
    /// Puts a value into any allocator.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; the value is dropped.
    pub fn new_in(value: T, memory: &'p M) -> Result<Self, AllocError> {
        Ok(Self::fill(PoolBox::uninit_in(memory)?, value))
    }

    fn fill(place: PoolBox<'p, MaybeUninit<Countable<C, T>>, M>, value: T) -> Self {
        let (inner, memory) = place.write(Countable { strong: C::ONE, weak: C::ONE, value }).into_parts();
        Self { inner, memory, owns: PhantomData }
    }

    /// Takes the value out, if this is the last handle that keeps it; else this is as dropping the handle. Of several
    /// threads that do this with their handles of one value, exactly one gets it.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        let this = ManuallyDrop::new(self);
        if !this.count().less() {
            return None;
        }
        let _block = PoolWeak { inner: this.inner, memory: this.memory, owns: PhantomData };
        // SAFETY: nobody else keeps the value any more, and weak handles do not look at it.
        Some(unsafe { (&raw const (*this.inner.as_ptr()).value).read() })
    }
}

impl<'p, T: ?Sized, C: Count, M: Allocator + ?Sized> PoolRef<'p, T, C, M> {
    fn count(&self) -> &C {
        // SAFETY: the block is live.
        unsafe { &(*self.inner.as_ptr()).strong }
    }

    /// A handle that does not keep the value: what refers back, from a child to its parent say, does so by one of these,
    /// lest the two keep each other for ever.
    #[must_use]
    pub fn downgrade(this: &Self) -> PoolWeak<'p, T, C, M> {
        // SAFETY: the block is live.
        unsafe { &(*this.inner.as_ptr()).weak }.more();
        PoolWeak { inner: this.inner, memory: this.memory, owns: PhantomData }
    }

    /// How many handles keep the value. Other threads may change it at any moment.
    #[must_use]
    pub fn strong_count(this: &Self) -> usize {
        this.count().get() as usize
    }

    /// Whether two handles share one value.
    #[must_use]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        core::ptr::addr_eq(this.inner.as_ptr(), other.inner.as_ptr())
    }
}

impl<T: ?Sized, M: Allocator + ?Sized> PoolRef<'_, T, PlainCount, M> {
    /// The value, to be changed, if no other handle is there, weak ones included.
    #[must_use]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        // SAFETY: the block is live; and if both counts are one, nobody else can reach the value.
        unsafe {
            let inner = this.inner.as_ptr();
            ((*inner).strong.get() == 1 && (*inner).weak.get() == 1).then(|| &mut (*inner).value)
        }
    }
}

impl<T: ?Sized, C: Count, M: Allocator + ?Sized> Clone for PoolRef<'_, T, C, M> {
    #[inline]
    fn clone(&self) -> Self {
        self.count().more();
        Self { ..*self }
    }
}

impl<T: ?Sized, C: Count, M: Allocator + ?Sized> Drop for PoolRef<'_, T, C, M> {
    #[inline]
    fn drop(&mut self) {
        if self.count().less() {
            // The strong handles' share of the block ends after the destructor, also if that unwinds.
            let _block = PoolWeak { inner: self.inner, memory: self.memory, owns: PhantomData };
            // SAFETY: this was the last handle that kept the value.
            unsafe { (&raw mut (*self.inner.as_ptr()).value).drop_in_place() };
        }
    }
}

impl<T: ?Sized, C: Count, M: Allocator + ?Sized> Deref for PoolRef<'_, T, C, M> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is valid, and borrowed as long as the handle is.
        unsafe { &(*self.inner.as_ptr()).value }
    }
}

forward_to_value!(PoolRef, C: Count; + ?Sized);

impl<'p, T: ?Sized, C: Count, M: Allocator + ?Sized> PoolWeak<'p, T, C, M> {
    /// A handle that keeps the value, if that is still there.
    #[must_use]
    pub fn upgrade(&self) -> Option<PoolRef<'p, T, C, M>> {
        // SAFETY: the block is live.
        let any = unsafe { &(*self.inner.as_ptr()).strong }.more_if_any();
        any.then(|| PoolRef { inner: self.inner, memory: self.memory, owns: PhantomData })
    }
}

impl<T: ?Sized, C: Count, M: Allocator + ?Sized> Clone for PoolWeak<'_, T, C, M> {
    fn clone(&self) -> Self {
        // SAFETY: the block is live.
        unsafe { &(*self.inner.as_ptr()).weak }.more();
        Self { ..*self }
    }
}

impl<T: ?Sized, C: Count, M: Allocator + ?Sized> Drop for PoolWeak<'_, T, C, M> {
    fn drop(&mut self) {
        // SAFETY: the block is live, and freed by whoever is the last to leave it; its size is known though its value is not
        // there any more.
        unsafe {
            if (*self.inner.as_ptr()).weak.less() {
                let layout = Layout::for_value(self.inner.as_ref());
                drop(Release::new(self.inner.cast(), layout, self.memory));
            }
        }
    }
}
