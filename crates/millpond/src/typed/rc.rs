//! Handles that share one value in a pool, by counting.

use core::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::{ManuallyDrop, MaybeUninit, forget},
    ops::Deref,
    ptr::NonNull,
};

use super::{
    CoerceUnsize, Pool, PoolBox, SharedPool, TryAllocError, dealloc_on_drop::DeallocOnDrop,
    forward::forward_to_value,
};
use crate::{
    base::AllocError,
    pool::Blocks,
    shell::{Local, Locked, out_of_memory},
    sync::{AtomicRefCount, LocalRefCount, RefCount},
    traits::Allocator,
};

/// What a block holds for a value that handles share: two counts of four bytes, and the value.
///
/// # Invariants
///
/// * `strong` counts the handles that keep the value; it is valid until that is zero.
/// * `weak` counts those that keep the block, all strong ones together as one; the block is freed when that is zero.
#[repr(C)]
pub struct RcInner<C, T: ?Sized> {
    strong: C,
    weak: C,
    value: T,
}

/// A pool of values that handles on one thread share: see [`PoolRc`].
pub type RcPool<T, M = Local<Blocks>> = Pool<RcInner<LocalRefCount, T>, M>;

/// A pool of values that handles on many threads share: see [`PoolArc`].
pub type ArcPool<T, M = Locked<Blocks>> = SharedPool<RcInner<AtomicRefCount, T>, M>;

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
/// #     // instead: scope.spawn(move || drop(1));
/// });
/// ```
pub type PoolRc<'p, T, M = Local<Blocks>> = PoolRef<'p, T, LocalRefCount, M>;

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
/// #     // instead: scope.spawn(|| std::cell::Cell::new(1).set(2));
/// });
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::ArcPool::new();
/// let one = pool.alloc_arc(std::cell::Cell::new(1));
/// let other = one.clone();
/// std::thread::scope(|scope| {
///     scope.spawn(move || other.set(2)); // error: sent, it would be shared with `one`
/// #     // instead: scope.spawn(move || std::cell::Cell::new(1).set(2));
/// });
/// ```
pub type PoolArc<'p, T, M = Locked<Blocks>> = PoolRef<'p, T, AtomicRefCount, M>;

/// A handle that shares its value with its clones: [`PoolRc`] or [`PoolArc`].
///
/// What `Rc` and `Arc` are for the heap. It borrows the pool, as [`PoolBox`] does. Clone and drop: O(1).
///
/// # Invariants
///
/// `inner` points to a live block of `memory` that holds a valid value, and the handle is one of those that `strong`
/// counts.
pub struct PoolRef<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> {
    inner: NonNull<RcInner<C, T>>,
    memory: &'p M,
    owns: PhantomData<RcInner<C, T>>,
}

/// A handle that does not keep its value, but its block: see [`PoolRef::downgrade`].
///
/// # Invariants
///
/// `inner` points to a live block of `memory`, whose layout is `layout`, and the handle is one of those that `weak` counts.
pub struct PoolWeak<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> {
    inner: NonNull<RcInner<C, T>>,
    layout: LayoutWord,
    memory: &'p M,
    owns: PhantomData<RcInner<C, T>>,
}

/// The layout of a block, in one word: a value that was dropped is not referred to any more, not even to learn its size.
///
/// # Invariants
///
/// It is the size, a multiple of the alignment, with half of the alignment, which is at least 2, added to it.
#[derive(Clone, Copy)]
struct LayoutWord(usize);

impl LayoutWord {
    /// The layout of a value with its counts.
    #[inline]
    fn of<C, T: ?Sized>(value: &RcInner<C, T>) -> Self {
        const { assert!(align_of::<C>() >= 2, "the alignment of a count is noted by its half") };
        Self(size_of_val(value) + align_of_val(value) / 2)
    }

    /// The layout again.
    #[inline]
    fn layout(self) -> Layout {
        let half = 1 << self.0.trailing_zeros();
        // SAFETY: by the invariant this is the size and the alignment of a value.
        unsafe { Layout::from_size_align_unchecked(self.0 - half, half * 2) }
    }
}

// SAFETY: handles on other threads see the value and drop it, so it must be `Send` and `Sync`; the count is atomic, and
// the block is freed on whatever thread the last handle is dropped, which takes an allocator that threads share.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Send
    for PoolRef<'_, T, AtomicRefCount, M>
{
}
// SAFETY: whoever has a shared handle can clone it: so as above.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync
    for PoolRef<'_, T, AtomicRefCount, M>
{
}
// SAFETY: it becomes a strong one.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Send
    for PoolWeak<'_, T, AtomicRefCount, M>
{
}
// SAFETY: as above.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync
    for PoolWeak<'_, T, AtomicRefCount, M>
{
}

/// Implements the methods of a pool of shared values, given the count, the handle and the names of the methods.
macro_rules! pools {
    ($count:ident, $handle:ident, $who:literal: $alloc:ident $try:ident $with:ident $try_with:ident $cyclic:ident) => {
        impl<T, M: Allocator> Pool<RcInner<$count, T>, M> {
            #[doc = concat!("Puts a value into the pool, to be shared ", $who, ". A pool without memory ends the program.")]
            pub fn $alloc(&self, value: T) -> $handle<'_, T, M> {
                PoolRef::fill(PoolBox::uninit_or_oom(self.memory()), || value)
            }

            #[doc = concat!("As [`", stringify!($alloc), "`](Self::", stringify!($alloc), "), or says why there is no room.")]
            ///
            /// # Errors
            ///
            /// As [`try_alloc`](Self::try_alloc).
            pub fn $try(&self, value: T) -> Result<$handle<'_, T, M>, TryAllocError<T>> {
                PoolRef::new_in(value, self.memory())
            }

            /// Makes a shared value in its place: as [`alloc_with`](Self::alloc_with).
            pub fn $with(&self, make: impl FnOnce() -> T) -> $handle<'_, T, M> {
                PoolRef::fill(PoolBox::uninit_or_oom(self.memory()), make)
            }

            #[doc = concat!("As [`", stringify!($with), "`](Self::", stringify!($with), "), or says why there is no room.")]
            ///
            /// # Errors
            ///
            /// As [`try_alloc`](Self::try_alloc); `make` is not called then.
            pub fn $try_with(&self, make: impl FnOnce() -> T) -> Result<$handle<'_, T, M>, AllocError> {
                PoolRef::new_with_in(make, self.memory())
            }

            /// Makes a value that has a weak handle of itself: as [`PoolRef::new_cyclic_in`]. A pool without memory ends the
            /// program.
            pub fn $cyclic<'p>(
                &'p self,
                make: impl FnOnce(&PoolWeak<'p, T, $count, M>) -> T,
            ) -> $handle<'p, T, M> {
                match PoolRef::new_cyclic_in(make, self.memory()) {
                    Ok(handle) => handle,
                    Err(error) => out_of_memory(Layout::new::<RcInner<$count, T>>(), error),
                }
            }
        }
    };
}

pools!(LocalRefCount, PoolRc, "on one thread":
    alloc_rc try_alloc_rc alloc_rc_with try_alloc_rc_with alloc_rc_cyclic);
pools!(AtomicRefCount, PoolArc, "by threads":
    alloc_arc try_alloc_arc alloc_arc_with try_alloc_arc_with alloc_arc_cyclic);

impl<'p, T, C: RefCount, M: Allocator + ?Sized> PoolRef<'p, T, C, M> {
    /// Puts a value into any allocator.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; the error returns the value.
    pub fn new_in(value: T, memory: &'p M) -> Result<Self, TryAllocError<T>> {
        match PoolBox::uninit_in(memory) {
            Ok(place) => Ok(Self::fill(place, || value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Makes a value in any allocator, in its place where the compiler can: see [`Pool::alloc_with`]. If `make` panics, the
    /// block goes back.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; `make` is not called then.
    pub fn new_with_in(make: impl FnOnce() -> T, memory: &'p M) -> Result<Self, AllocError> {
        Ok(Self::fill(PoolBox::uninit_in(memory)?, make))
    }

    /// Makes a value that has a weak handle of itself, in any allocator. The handle that `make` gets cannot be
    /// [upgraded](PoolWeak::upgrade) before `make` has returned; clones of it can, afterwards.
    ///
    /// ```
    /// use millpond::{Local, LocalRefCount, Blocks, PoolRc, PoolWeak, RcPool};
    ///
    /// struct Node<'p> {
    ///     this: PoolWeak<'p, Node<'p>, LocalRefCount, Local<Blocks>>,
    /// }
    ///
    /// let pool = RcPool::new();
    /// let node = pool.alloc_rc_cyclic(|this| Node { this: this.clone() });
    /// assert!(node.this.upgrade().is_some_and(|same| PoolRc::ptr_eq(&same, &node)));
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; `make` is not called then.
    pub fn new_cyclic_in(
        make: impl FnOnce(&PoolWeak<'p, T, C, M>) -> T,
        memory: &'p M,
    ) -> Result<Self, AllocError> {
        let place = PoolBox::<RcInner<C, MaybeUninit<T>>, M>::uninit_in(memory)?;
        let empty = RcInner { strong: C::ZERO, weak: C::ONE, value: MaybeUninit::uninit() };
        let place = PoolBox::write(place, empty);
        let layout = LayoutWord::of(&*place);
        let inner = PoolBox::into_raw(place).cast::<RcInner<C, T>>();
        // The weak handle is the one that all strong ones have together. If `make` panics, it goes.
        let weak = PoolWeak { inner, layout, memory, owns: PhantomData };
        let value = make(&weak);
        // SAFETY: the block is live, and nobody looks at its value before there is a strong handle.
        unsafe {
            (&raw mut (*inner.as_ptr()).value).write(value);
            (*inner.as_ptr()).strong.init();
        }
        forget(weak);
        Ok(Self { inner, memory, owns: PhantomData })
    }

    fn fill(place: PoolBox<'p, MaybeUninit<RcInner<C, T>>, M>, make: impl FnOnce() -> T) -> Self {
        let filled = PoolBox::write(place, RcInner { strong: C::ONE, weak: C::ONE, value: make() });
        let (inner, memory) = PoolBox::into_parts(filled);
        Self { inner, memory, owns: PhantomData }
    }

    /// Takes the value out, if this is the last handle that keeps it; else this is as dropping the handle. Of several
    /// threads that do this with their handles of one value, exactly one gets it.
    #[must_use]
    pub fn into_inner(this: Self) -> Option<T> {
        let this = ManuallyDrop::new(this);
        // SAFETY: this was the last handle that kept the value, if it was.
        this.count().decrement().then(|| unsafe { this.take_out() })
    }

    /// Takes the value out, if this is the only handle that keeps it.
    ///
    /// If threads may do this at once with the last handles of one value, each may find the other's still there, and none gets
    /// it: then [`into_inner`](Self::into_inner) is what to use.
    ///
    /// # Errors
    ///
    /// The handle, if there is another one.
    pub fn try_unwrap(this: Self) -> Result<T, Self> {
        if !this.count().clear_if_one() {
            return Err(this);
        }
        // SAFETY: this was the last handle that kept the value.
        Ok(unsafe { ManuallyDrop::new(this).take_out() })
    }

    /// Takes the value out, and leaves the block.
    ///
    /// # Safety
    ///
    /// No strong handle is there any more, and this is not used afterwards.
    unsafe fn take_out(&self) -> T {
        let _block = self.shared_weak();
        // SAFETY: nobody else keeps the value any more, and weak handles do not look at it.
        unsafe { (&raw const (*self.inner.as_ptr()).value).read() }
    }

    /// The value, to be changed: this handle's own. If there are other handles of the value, weak ones included, the handle has a
    /// clone from now on. An allocator without memory ends the program.
    ///
    /// ```
    /// use millpond::{PoolRc, RcPool};
    ///
    /// let pool = RcPool::new();
    /// let mut one = pool.alloc_rc(1);
    /// let other = one.clone();
    /// *PoolRc::make_mut(&mut one) += 1;
    /// assert_eq!((*one, *other), (2, 1));
    /// ```
    pub fn make_mut(this: &mut Self) -> &mut T
    where
        T: Clone,
    {
        if let Err(error) = Self::make_unique(this) {
            out_of_memory(Layout::new::<RcInner<C, T>>(), error);
        }
        // SAFETY: no other handle is there.
        unsafe { &mut (*this.inner.as_ptr()).value }
    }

    /// As [`make_mut`](Self::make_mut), or says why there is no room for a clone.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; nothing is cloned then.
    pub fn try_make_mut(this: &mut Self) -> Result<&mut T, AllocError>
    where
        T: Clone,
    {
        Self::make_unique(this)?;
        // SAFETY: no other handle is there.
        Ok(unsafe { &mut (*this.inner.as_ptr()).value })
    }

    /// Sees to it that the handle is its value's only one.
    fn make_unique(this: &mut Self) -> Result<(), AllocError>
    where
        T: Clone,
    {
        if !this.is_unique() {
            *this = Self::new_with_in(|| T::clone(this), this.memory)?;
        }
        Ok(())
    }
}

impl<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> PoolRef<'p, T, C, M> {
    fn count(&self) -> &C {
        // SAFETY: the block is live.
        unsafe { &(*self.inner.as_ptr()).strong }
    }

    fn weak(&self) -> &C {
        // SAFETY: the block is live.
        unsafe { &(*self.inner.as_ptr()).weak }
    }

    /// The weak handle that all strong ones have together. It is made once, by the last of these, before the value goes.
    #[inline]
    fn shared_weak(&self) -> PoolWeak<'p, T, C, M> {
        // SAFETY: the value is valid.
        let layout = LayoutWord::of(unsafe { self.inner.as_ref() });
        PoolWeak { inner: self.inner, layout, memory: self.memory, owns: PhantomData }
    }

    /// Whether no other handle is there, weak ones included; then there is none as long as this one is borrowed mutably.
    fn is_unique(&mut self) -> bool {
        // Who has a strong handle cannot make a weak one while the weak count is held, and who has a weak one can make
        // neither, because there is none.
        self.weak().lock_if_one() && {
            let only = self.count().is_one();
            self.weak().unlock();
            only
        }
    }

    /// A handle that does not keep the value: what refers back, from a child to its parent say, does so by one of these,
    /// lest the two keep each other for ever.
    #[must_use]
    pub fn downgrade(this: &Self) -> PoolWeak<'p, T, C, M> {
        this.weak().increment_unless_locked();
        this.shared_weak()
    }

    /// How many handles keep the value. Other threads may change it at any moment.
    #[must_use]
    pub fn strong_count(this: &Self) -> usize {
        this.count().get() as usize
    }

    /// How many weak handles there are. Other threads may change it at any moment.
    #[must_use]
    pub fn weak_count(this: &Self) -> usize {
        // All strong handles count as one.
        this.weak().get() as usize - 1
    }

    /// Whether two handles share one value.
    #[must_use]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        core::ptr::addr_eq(this.inner.as_ptr(), other.inner.as_ptr())
    }

    /// The allocator that the block came from.
    #[must_use]
    pub fn memory(this: &Self) -> &'p M {
        this.memory
    }

    /// The value, to be changed, if no other handle is there, weak ones included.
    ///
    /// ```
    /// use millpond::{ArcPool, PoolArc};
    ///
    /// static POOL: ArcPool<u32> = ArcPool::new();
    ///
    /// let mut one = POOL.alloc_arc(1);
    /// *PoolArc::get_mut(&mut one).expect("nobody else has it") += 1;
    /// let other = one.clone();
    /// assert_eq!((PoolArc::get_mut(&mut one), *other), (None, 2));
    /// ```
    #[must_use]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        // SAFETY: nobody else can reach the value.
        this.is_unique().then(|| unsafe { &mut (*this.inner.as_ptr()).value })
    }

    /// A pointer to the value, which stays counted: see [`from_raw_in`](Self::from_raw_in).
    #[must_use = "the value is kept for ever"]
    pub fn into_raw(this: Self) -> NonNull<T> {
        let this = ManuallyDrop::new(this);
        // SAFETY: the value lies in the block, so its address is not null.
        unsafe { NonNull::new_unchecked(&raw mut (*this.inner.as_ptr()).value) }
    }

    /// The handle that [`into_raw`](Self::into_raw) let go of.
    ///
    /// ```
    /// use millpond::{PoolRc, RcPool};
    ///
    /// let pool = RcPool::new();
    /// let raw = PoolRc::into_raw(pool.alloc_rc(String::from("kept")));
    /// // SAFETY: the pointer came from a handle of this pool, and there is no other handle of it.
    /// let kept: PoolRc<String> = unsafe { PoolRc::from_raw_in(raw, pool.memory()) };
    /// assert_eq!(*kept, "kept");
    /// ```
    ///
    /// # Safety
    ///
    /// The pointer came from a handle with the same kind of count, of the same allocator; and as many handles are made of it as
    /// were let go of.
    #[must_use]
    pub unsafe fn from_raw_in(value: NonNull<T>, memory: &'p M) -> Self {
        // SAFETY: a handle that was let go of keeps the value, so that is valid.
        let layout = Layout::for_value(unsafe { value.as_ref() });
        let behind = size_of::<[C; 2]>().next_multiple_of(layout.align());
        // SAFETY: the value lies so far behind the start of its block.
        let inner = unsafe { NonNull::new_unchecked(value.as_ptr().byte_sub(behind) as *mut RcInner<C, T>) };
        Self { inner, memory, owns: PhantomData }
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Clone for PoolRef<'_, T, C, M> {
    #[inline]
    fn clone(&self) -> Self {
        self.count().increment();
        Self { ..*self }
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Drop for PoolRef<'_, T, C, M> {
    #[inline]
    fn drop(&mut self) {
        if self.count().decrement() {
            // The strong handles' share of the block ends after the destructor, also if that unwinds.
            let _block = self.shared_weak();
            // SAFETY: this was the last handle that kept the value.
            unsafe { (&raw mut (*self.inner.as_ptr()).value).drop_in_place() };
        }
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Deref for PoolRef<'_, T, C, M> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is valid, and borrowed as long as the handle is.
        unsafe { &(*self.inner.as_ptr()).value }
    }
}

forward_to_value!(PoolRef, C: RefCount; + ?Sized);

/// A pointer to a counted value, as one of another type.
///
/// # Safety
///
/// The block is live, and `coerce` returns its argument after an unsizing coercion.
unsafe fn coerce<C, T: ?Sized, U: ?Sized>(
    inner: NonNull<RcInner<C, T>>,
    coerce: impl FnOnce(*mut T) -> *mut U,
) -> NonNull<RcInner<C, U>> {
    let start = inner.as_ptr();
    // SAFETY: the value lies in the block, whether it is valid or not; nothing is read. The pointer to the whole is the one that
    // there was, with the metadata of the coerced one.
    unsafe {
        let value = &raw mut (*start).value;
        let behind = value.byte_offset_from(start);
        NonNull::new_unchecked(coerce(value).byte_offset(-behind) as *mut RcInner<C, U>)
    }
}

impl<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> CoerceUnsize for PoolRef<'p, T, C, M> {
    type Value = T;
    type Handle<U: ?Sized> = PoolRef<'p, U, C, M>;

    unsafe fn coerce<U: ?Sized>(self, as_unsized: impl FnOnce(*mut T) -> *mut U) -> PoolRef<'p, U, C, M> {
        let this = ManuallyDrop::new(self);
        // SAFETY: the block is live, and the caller's promise is passed on.
        PoolRef { inner: unsafe { coerce(this.inner, as_unsized) }, memory: this.memory, owns: PhantomData }
    }
}

impl<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> CoerceUnsize for PoolWeak<'p, T, C, M> {
    type Value = T;
    type Handle<U: ?Sized> = PoolWeak<'p, U, C, M>;

    unsafe fn coerce<U: ?Sized>(self, as_unsized: impl FnOnce(*mut T) -> *mut U) -> PoolWeak<'p, U, C, M> {
        let this = ManuallyDrop::new(self);
        // SAFETY: the block is live, and the caller's promise is passed on.
        let inner = unsafe { coerce(this.inner, as_unsized) };
        PoolWeak { inner, layout: this.layout, memory: this.memory, owns: PhantomData }
    }
}

impl<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> PoolWeak<'p, T, C, M> {
    fn strong(&self) -> &C {
        // SAFETY: the block is live.
        unsafe { &(*self.inner.as_ptr()).strong }
    }

    fn weak(&self) -> &C {
        // SAFETY: the block is live.
        unsafe { &(*self.inner.as_ptr()).weak }
    }

    /// A handle that keeps the value, if that is still there.
    #[must_use]
    pub fn upgrade(&self) -> Option<PoolRef<'p, T, C, M>> {
        let any = self.strong().increment_if_nonzero();
        any.then(|| PoolRef { inner: self.inner, memory: self.memory, owns: PhantomData })
    }

    /// How many handles keep the value. Other threads may change it at any moment.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.strong().get() as usize
    }

    /// Whether two handles are of one value.
    #[must_use]
    pub fn ptr_eq(&self, other: &Self) -> bool {
        core::ptr::addr_eq(self.inner.as_ptr(), other.inner.as_ptr())
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> fmt::Debug for PoolWeak<'_, T, C, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(PoolWeak)")
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Clone for PoolWeak<'_, T, C, M> {
    fn clone(&self) -> Self {
        // There is a weak handle, so the count is not one, and nobody holds it.
        self.weak().increment();
        Self { ..*self }
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Drop for PoolWeak<'_, T, C, M> {
    fn drop(&mut self) {
        if self.weak().decrement() {
            // SAFETY: this was the last handle, so the block is ours to free. Its value is gone, and is not looked at.
            unsafe { drop(DeallocOnDrop::new(self.inner.cast(), self.layout.layout(), self.memory)) };
        }
    }
}
