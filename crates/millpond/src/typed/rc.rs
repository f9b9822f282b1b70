//! Handles that share one value in a pool by reference counting.

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

/// The content of a block with a shared value: two counts of four bytes each, and the value.
///
/// # Invariants
///
/// * `strong` counts the handles that keep the value alive. The value is valid until the count is zero.
/// * `weak` counts the handles that keep the block alive, where all strong handles together count as one. The block
///   is freed when the count is zero.
#[repr(C)]
pub struct RcInner<C, T: ?Sized> {
    strong: C,
    weak: C,
    value: T,
}

/// A pool of values that are shared by handles on one thread: see [`PoolRc`].
pub type RcPool<T, M = Local<Blocks>> = Pool<RcInner<LocalRefCount, T>, M>;

/// A pool of values that are shared by handles on several threads: see [`PoolArc`].
pub type ArcPool<T, M = Locked<Blocks>> = SharedPool<RcInner<AtomicRefCount, T>, M>;

/// A value in a pool that is shared by handles on one thread. The last handle drops it.
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

/// A value in a pool that is shared by handles on several threads. The last handle drops it.
///
/// ```
/// use millpond::ArcPool;
///
/// static POOL: ArcPool<String> = ArcPool::new();
///
/// let one = POOL.alloc_rc(String::from("shared"));
/// let other = one.clone();
/// std::thread::spawn(move || assert_eq!(*other, "shared")).join().expect("no panic");
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::ArcPool::new();
/// let one = pool.alloc_rc(std::cell::Cell::new(1));
/// std::thread::scope(|scope| {
///     scope.spawn(|| one.set(2)); // error: a `Cell` cannot be shared between threads
/// #     // instead: scope.spawn(|| std::cell::Cell::new(1).set(2));
/// });
/// ```
///
/// ```compile_fail,E0277
/// let pool = millpond::ArcPool::new();
/// let one = pool.alloc_rc(std::cell::Cell::new(1));
/// let other = one.clone();
/// std::thread::scope(|scope| {
///     scope.spawn(move || other.set(2)); // error: sent, it would be shared with `one`
/// #     // instead: scope.spawn(move || std::cell::Cell::new(1).set(2));
/// });
/// ```
pub type PoolArc<'p, T, M = Locked<Blocks>> = PoolRef<'p, T, AtomicRefCount, M>;

/// A handle that shares its value with its clones: [`PoolRc`] or [`PoolArc`].
///
/// This is to a pool what `Rc` and `Arc` are to the heap. It borrows the pool as [`PoolBox`] does. Cloning and
/// dropping a handle are O(1).
///
/// # Invariants
///
/// `inner` points to a live block of `memory` that holds a valid value, and `strong` counts this handle.
pub struct PoolRef<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> {
    inner: NonNull<RcInner<C, T>>,
    memory: &'p M,
    owns: PhantomData<RcInner<C, T>>,
}

/// A handle that keeps the block of a value alive but not the value: see [`PoolRef::downgrade`].
///
/// # Invariants
///
/// `inner` points to a live block of `memory` with the layout `layout`, and `weak` counts this handle.
pub struct PoolWeak<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> {
    inner: NonNull<RcInner<C, T>>,
    layout: LayoutWord,
    memory: &'p M,
    owns: PhantomData<RcInner<C, T>>,
}

/// The layout of a block in one word. It is stored because a value that has been dropped must not be read, not even
/// to determine its size.
///
/// # Invariants
///
/// The word is the size, which is a multiple of the alignment, plus half of the alignment, which is at least 2.
#[derive(Clone, Copy)]
struct LayoutWord(usize);

impl LayoutWord {
    /// Returns the layout of a value with its counts.
    #[inline]
    fn of<C, T: ?Sized>(value: &RcInner<C, T>) -> Self {
        const { assert!(align_of::<C>() >= 2, "the alignment of a count is noted by its half") };
        Self(size_of_val(value) + align_of_val(value) / 2)
    }

    /// Decodes the layout.
    #[inline]
    fn layout(self) -> Layout {
        let half = 1 << self.0.trailing_zeros();
        // SAFETY: by the invariant, these are the size and the alignment of a value.
        unsafe { Layout::from_size_align_unchecked(self.0 - half, half * 2) }
    }
}

// SAFETY: handles on other threads access the value and drop it, so it must be `Send` and `Sync`. The counts are
// atomic. The block is freed on whichever thread drops the last handle, which `M: Sync` allows.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Send
    for PoolRef<'_, T, AtomicRefCount, M>
{
}
// SAFETY: a shared reference to a handle is enough to clone it, so the same bounds as for `Send` are needed.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync
    for PoolRef<'_, T, AtomicRefCount, M>
{
}
// SAFETY: a weak handle can become a strong one, so the bounds are those of `PoolRef`.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Send
    for PoolWeak<'_, T, AtomicRefCount, M>
{
}
// SAFETY: a weak handle can become a strong one, so the bounds are those of `PoolRef`.
unsafe impl<T: Send + Sync + ?Sized, M: Allocator + Sync + ?Sized> Sync
    for PoolWeak<'_, T, AtomicRefCount, M>
{
}

/// Methods of an [`RcPool`], whose handles are [`PoolRc`]s, and of an [`ArcPool`], whose handles are [`PoolArc`]s.
impl<T, C: RefCount, M: Allocator> Pool<RcInner<C, T>, M> {
    /// Puts a value into the pool, to be shared by reference counting. Ends the program if the pool has no memory.
    pub fn alloc_rc(&self, value: T) -> PoolRef<'_, T, C, M> {
        PoolRef::fill(PoolBox::uninit_or_oom(self.memory()), || value)
    }

    /// Puts a value into the pool as [`alloc_rc`](Self::alloc_rc) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`try_alloc`](Self::try_alloc).
    pub fn try_alloc_rc(&self, value: T) -> Result<PoolRef<'_, T, C, M>, TryAllocError<T>> {
        PoolRef::new_in(value, self.memory())
    }

    /// Makes a shared value in place. Same as [`alloc_with`](Self::alloc_with).
    pub fn alloc_rc_with(&self, make: impl FnOnce() -> T) -> PoolRef<'_, T, C, M> {
        PoolRef::fill(PoolBox::uninit_or_oom(self.memory()), make)
    }

    /// Makes a shared value as [`alloc_rc_with`](Self::alloc_rc_with) does, or returns an error if there is no memory.
    ///
    /// # Errors
    ///
    /// Same as [`try_alloc`](Self::try_alloc), without a value. `make` is not called if there is an error.
    pub fn try_alloc_rc_with(&self, make: impl FnOnce() -> T) -> Result<PoolRef<'_, T, C, M>, AllocError> {
        PoolRef::new_with_in(make, self.memory())
    }

    /// Makes a value that holds a weak handle to itself. Same as [`PoolRef::new_cyclic_in`], but ends the program if
    /// the pool has no memory.
    pub fn alloc_rc_cyclic<'p>(
        &'p self,
        make: impl FnOnce(&PoolWeak<'p, T, C, M>) -> T,
    ) -> PoolRef<'p, T, C, M> {
        match PoolRef::new_cyclic_in(make, self.memory()) {
            Ok(handle) => handle,
            Err(error) => out_of_memory(Layout::new::<RcInner<C, T>>(), error),
        }
    }
}

impl<'p, T, C: RefCount, M: Allocator + ?Sized> PoolRef<'p, T, C, M> {
    /// Puts a value into any allocator.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. The error contains the value.
    pub fn new_in(value: T, memory: &'p M) -> Result<Self, TryAllocError<T>> {
        match PoolBox::uninit_in(memory) {
            Ok(place) => Ok(Self::fill(place, || value)),
            Err(error) => Err(TryAllocError::new(error, value)),
        }
    }

    /// Makes a value in any allocator, in place where the compiler can: see [`Pool::alloc_with`]. If `make` panics,
    /// the block is freed.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. `make` is not called if there is an error.
    pub fn new_with_in(make: impl FnOnce() -> T, memory: &'p M) -> Result<Self, AllocError> {
        Ok(Self::fill(PoolBox::uninit_in(memory)?, make))
    }

    /// Makes a value that holds a weak handle to itself, in any allocator. The handle that `make` receives cannot be
    /// [upgraded](PoolWeak::upgrade) until `make` has returned; clones of it can be upgraded afterwards.
    ///
    /// ```
    /// use millpond::{Local, Blocks, PoolRc, RcPool, typed::{LocalRefCount, PoolWeak}};
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
    /// Same as [`Allocator::allocate`]. `make` is not called if there is an error.
    pub fn new_cyclic_in(
        make: impl FnOnce(&PoolWeak<'p, T, C, M>) -> T,
        memory: &'p M,
    ) -> Result<Self, AllocError> {
        let place = PoolBox::<RcInner<C, MaybeUninit<T>>, M>::uninit_in(memory)?;
        let empty = RcInner { strong: C::ZERO, weak: C::ONE, value: MaybeUninit::uninit() };
        let place = PoolBox::write(place, empty);
        let layout = LayoutWord::of(&*place);
        let inner = PoolBox::into_raw(place).cast::<RcInner<C, T>>();
        // This is the weak handle that all strong ones share. If `make` panics, it is dropped and frees the block.
        let weak = PoolWeak { inner, layout, memory, owns: PhantomData };
        let value = make(&weak);
        // SAFETY: the block is live, and the value is not accessed before there is a strong handle.
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

    /// Returns the value if this is the last strong handle, otherwise drops the handle and returns `None`. If several
    /// threads call this with their handles of one value, exactly one of them gets the value.
    #[must_use]
    pub fn into_inner(this: Self) -> Option<T> {
        let this = ManuallyDrop::new(this);
        // SAFETY: the closure runs only if this was the last strong handle.
        this.count().decrement().then(|| unsafe { this.take_out() })
    }

    /// Returns the value if this is the only strong handle.
    ///
    /// If several threads call this at the same time with the last handles of one value, each may find that another
    /// handle exists, and none of them gets the value. Use [`into_inner`](Self::into_inner) in that case.
    ///
    /// # Errors
    ///
    /// Returns the handle if there is another strong one.
    pub fn try_unwrap(this: Self) -> Result<T, Self> {
        if !this.count().clear_if_one() {
            return Err(this);
        }
        // SAFETY: this was the last strong handle.
        Ok(unsafe { ManuallyDrop::new(this).take_out() })
    }

    /// Takes the value out and leaves the block.
    ///
    /// # Safety
    ///
    /// There must be no strong handle left, and this one must not be used afterwards.
    unsafe fn take_out(&self) -> T {
        let _block = self.shared_weak();
        // SAFETY: no strong handle is left, and weak handles do not access the value.
        unsafe { (&raw const (*self.inner.as_ptr()).value).read() }
    }

    /// Returns a mutable reference to the value of this handle. If the value has other handles, including weak ones,
    /// this handle gets a clone of the value first. Ends the program if the allocator has no memory.
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
        // SAFETY: no other handle of the value exists.
        unsafe { &mut (*this.inner.as_ptr()).value }
    }

    /// Returns a mutable reference as [`make_mut`](Self::make_mut) does, or an error if there is no memory for a
    /// clone.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`]. The value is not cloned if there is an error.
    pub fn try_make_mut(this: &mut Self) -> Result<&mut T, AllocError>
    where
        T: Clone,
    {
        Self::make_unique(this)?;
        // SAFETY: no other handle of the value exists.
        Ok(unsafe { &mut (*this.inner.as_ptr()).value })
    }

    /// Makes this the only handle of its value, by cloning the value if necessary.
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

    /// Returns the weak handle that all strong handles share. The last strong handle calls this once, before the
    /// value is dropped.
    #[inline]
    fn shared_weak(&self) -> PoolWeak<'p, T, C, M> {
        // SAFETY: the value is still valid.
        let layout = LayoutWord::of(unsafe { self.inner.as_ref() });
        PoolWeak { inner: self.inner, layout, memory: self.memory, owns: PhantomData }
    }

    /// Returns whether there is no other handle, including weak ones. None can be created while this one is mutably
    /// borrowed.
    fn is_unique(&mut self) -> bool {
        // While the weak count is locked, strong handles cannot create weak ones. The count is locked only if it is
        // one, so there is no weak handle that could be cloned or upgraded.
        self.weak().lock_if_one() && {
            let only = self.count().is_one();
            self.weak().unlock();
            only
        }
    }

    /// Creates a weak handle, which does not keep the value alive. Use one for references back, such as from a child
    /// to its parent: two values with strong handles to each other are never dropped.
    #[must_use]
    pub fn downgrade(this: &Self) -> PoolWeak<'p, T, C, M> {
        this.weak().increment_unless_locked();
        this.shared_weak()
    }

    /// Returns the number of strong handles. Other threads may change it at any moment.
    #[must_use]
    pub fn strong_count(this: &Self) -> usize {
        this.count().get() as usize
    }

    /// Returns the number of weak handles. Other threads may change it at any moment.
    #[must_use]
    pub fn weak_count(this: &Self) -> usize {
        // All strong handles together count as one weak handle.
        this.weak().get() as usize - 1
    }

    /// Returns whether two handles share one value.
    #[must_use]
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        core::ptr::addr_eq(this.inner.as_ptr(), other.inner.as_ptr())
    }

    /// Returns the allocator that the block came from.
    #[must_use]
    pub fn memory(this: &Self) -> &'p M {
        this.memory
    }

    /// Returns a mutable reference to the value if there is no other handle, including weak ones.
    ///
    /// ```
    /// use millpond::{ArcPool, PoolArc};
    ///
    /// static POOL: ArcPool<u32> = ArcPool::new();
    ///
    /// let mut one = POOL.alloc_rc(1);
    /// *PoolArc::get_mut(&mut one).expect("it is the only one") += 1;
    /// let other = one.clone();
    /// assert_eq!((PoolArc::get_mut(&mut one), *other), (None, 2));
    /// ```
    #[must_use]
    pub fn get_mut(this: &mut Self) -> Option<&mut T> {
        // SAFETY: no other handle of the value exists.
        this.is_unique().then(|| unsafe { &mut (*this.inner.as_ptr()).value })
    }

    /// Converts the handle to a pointer to its value, which stays counted: see [`from_raw_in`](Self::from_raw_in).
    #[must_use = "the value is never freed"]
    pub fn into_raw(this: Self) -> NonNull<T> {
        let this = ManuallyDrop::new(this);
        // SAFETY: the value lies in the block, so its address is not null.
        unsafe { NonNull::new_unchecked(&raw mut (*this.inner.as_ptr()).value) }
    }

    /// Creates a handle from a pointer that [`into_raw`](Self::into_raw) returned.
    ///
    /// ```
    /// use millpond::{PoolRc, RcPool};
    ///
    /// let pool = RcPool::new();
    /// let raw = PoolRc::into_raw(pool.alloc_rc(String::from("kept")));
    /// // SAFETY: the pointer comes from one handle of this pool, and this is the only handle created from it.
    /// let kept: PoolRc<String> = unsafe { PoolRc::from_raw_in(raw, pool.memory()) };
    /// assert_eq!(*kept, "kept");
    /// ```
    ///
    /// # Safety
    ///
    /// The pointer must come from a handle of the same allocator with the same type of count. At most as many handles
    /// may be created from it as were converted to it.
    #[must_use]
    pub unsafe fn from_raw_in(value: NonNull<T>, memory: &'p M) -> Self {
        // SAFETY: the handle that was converted to the pointer still counts, so the value is valid.
        let layout = Layout::for_value(unsafe { value.as_ref() });
        let behind = size_of::<[C; 2]>().next_multiple_of(layout.align());
        // SAFETY: the value lies `behind` bytes after the start of its block.
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
            // Dropped after the destructor, even if that unwinds: the share of the strong handles in the block.
            let _block = self.shared_weak();
            // SAFETY: this was the last strong handle.
            unsafe { (&raw mut (*self.inner.as_ptr()).value).drop_in_place() };
        }
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Deref for PoolRef<'_, T, C, M> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value is valid, and borrowed for as long as the handle is.
        unsafe { &(*self.inner.as_ptr()).value }
    }
}

forward_to_value!(PoolRef, C: RefCount; + ?Sized);

/// Converts a pointer to a counted value to one of another type.
///
/// # Safety
///
/// The block must be live, and `coerce` must return its argument, unchanged or after an unsizing coercion.
unsafe fn coerce<C, T: ?Sized, U: ?Sized>(
    inner: NonNull<RcInner<C, T>>,
    coerce: impl FnOnce(*mut T) -> *mut U,
) -> NonNull<RcInner<C, U>> {
    let start = inner.as_ptr();
    // SAFETY: the value lies in the block, whether it is valid or not, and nothing is read. The pointer to the block
    // keeps its address and gets the metadata of the coerced pointer.
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
        // SAFETY: the block is live, and the caller guarantees that the closure only applies an unsizing coercion.
        PoolRef { inner: unsafe { coerce(this.inner, as_unsized) }, memory: this.memory, owns: PhantomData }
    }
}

impl<'p, T: ?Sized, C: RefCount, M: Allocator + ?Sized> CoerceUnsize for PoolWeak<'p, T, C, M> {
    type Value = T;
    type Handle<U: ?Sized> = PoolWeak<'p, U, C, M>;

    unsafe fn coerce<U: ?Sized>(self, as_unsized: impl FnOnce(*mut T) -> *mut U) -> PoolWeak<'p, U, C, M> {
        let this = ManuallyDrop::new(self);
        // SAFETY: the block is live, and the caller guarantees that the closure only applies an unsizing coercion.
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

    /// Creates a strong handle, or returns `None` if the value has been dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<PoolRef<'p, T, C, M>> {
        let any = self.strong().increment_if_nonzero();
        any.then(|| PoolRef { inner: self.inner, memory: self.memory, owns: PhantomData })
    }

    /// Returns the number of strong handles. Other threads may change it at any moment.
    #[must_use]
    pub fn strong_count(&self) -> usize {
        self.strong().get() as usize
    }

    /// Returns whether two handles are of the same value.
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
        // Only a strong handle locks the count, and only if there is no weak handle, so it is not locked now.
        self.weak().increment();
        Self { ..*self }
    }
}

impl<T: ?Sized, C: RefCount, M: Allocator + ?Sized> Drop for PoolWeak<'_, T, C, M> {
    fn drop(&mut self) {
        if self.weak().decrement() {
            // SAFETY: this was the last handle, so it may free the block. The value has been dropped and is not
            // accessed.
            unsafe { drop(DeallocOnDrop::new(self.inner.cast(), self.layout.layout(), self.memory)) };
        }
    }
}
