//! Scopes of a [`Stack`] in a shell, with or without guards, and blocks that are lent for as long as a scope or an arena.
//!
//! A scope borrows its shell, or the scope around it, mutably: while it is open, nothing else can allocate from the stack,
//! so all that is allocated in between is its own. Its lifetime is one that only the closure knows, so nothing that was
//! lent by it, and no pool that stands on it, leaves the closure.

use core::{alloc::Layout, marker::PhantomData, mem::MaybeUninit, ptr::NonNull};

use lock_api::RawMutex;

use super::{Local, Locked, Owned, oom::OomPolicy, ops::WithPool};
use crate::{
    base::AllocError,
    pool::{Linear, Stack},
    traits::{Allocation, Allocator, Inspect, Rewind, delegate},
};

/// A part of a stack's life: an [`Allocator`] whose blocks are gone when it ends. See [`Local::scope`].
///
/// `'s` is the scope; `'env` is what is around it, which outlives it: values in the scope may refer to that. `S` is the
/// shell.
pub struct Scope<'s, 'env: 's, S> {
    stack: &'s S,
    /// Makes the lifetimes exact: two scopes never have the same type, and cannot be swapped.
    exact: PhantomData<fn(&'s &'env ()) -> &'s &'env ()>,
}

/// A shell with scopes: an allocator, and a way to its pool.
pub trait ScopeShell: Allocator {
    /// What goes back when a scope ends.
    type Pool: Rewind;

    /// Reaches the pool, which must not be reached from within.
    fn with_pool<R>(&self, use_it: impl FnOnce(&mut Self::Pool) -> R) -> R;
}

impl<P: Rewind, A: Allocator, O: OomPolicy> ScopeShell for Local<P, A, O> {
    type Pool = P;

    #[inline]
    fn with_pool<R>(&self, use_it: impl FnOnce(&mut P) -> R) -> R {
        self.access().with(use_it)
    }
}

impl<P: Rewind, A: Allocator, L: RawMutex, O: OomPolicy> ScopeShell for Locked<P, A, L, O> {
    type Pool = P;

    fn with_pool<R>(&self, use_it: impl FnOnce(&mut P) -> R) -> R {
        self.access().with(use_it)
    }
}

/// Releases a mark, also when the closure unwinds.
struct ReleaseOnDrop<'a, S: ScopeShell> {
    stack: &'a S,
    mark: Option<<S::Pool as Rewind>::Mark>,
}

impl<S: ScopeShell> Drop for ReleaseOnDrop<'_, S> {
    fn drop(&mut self) {
        if let Some(mark) = self.mark.take() {
            // SAFETY: the mark is of this stack, and inner scopes have ended. What was handed out since was handed out
            // by the scope, because it borrows the shell mutably; and what it lent is used no more.
            self.stack.with_pool(|stack| unsafe { stack.release(mark) });
        }
    }
}

/// Runs a closure in a scope of its own. Nobody else allocates from the shell meanwhile.
#[inline]
fn run<'env, S: ScopeShell, R>(stack: &S, work: impl for<'s> FnOnce(&mut Scope<'s, 'env, S>) -> R) -> R {
    let end = ReleaseOnDrop { stack, mark: Some(stack.with_pool(Rewind::mark)) };
    work(&mut Scope { stack: end.stack, exact: PhantomData })
}

impl<P: Rewind, A: Allocator, L: RawMutex, O: OomPolicy> Locked<P, A, L, O> {
    /// Runs a closure in a scope: see [`Local::scope`]. Threads may share the scope, as long as it lasts.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Inspect, Locked, Stack, Stats};
    ///
    /// let mut stack = Locked::<_>::new(Stats::new(Stack::new()));
    /// stack.scope(|scope| {
    ///     std::thread::scope(|threads| {
    ///         for _ in 0..2 {
    ///             threads.spawn(|| scope.alloc_uninit(Layout::new::<[u8; 100]>()).map(|bytes| bytes.len()));
    ///         }
    ///     });
    ///     assert_eq!(scope.report().live_blocks, Some(2));
    /// });
    /// assert_eq!((stack.report().live_blocks, stack.stats().live), (Some(0), 0));
    /// ```
    pub fn scope<'env, R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s, 'env, Self>) -> R) -> R {
        run(self, work)
    }
}

impl<P: Rewind, A: Allocator, O: OomPolicy> Owned<P, A, O> {
    /// Runs a closure in a scope: see [`Local::scope`]. For its time the shell is a [`Local`] one.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Inspect, Owned, Stack};
    ///
    /// let mut stack = Owned::new(Stack::new());
    /// let length = stack.scope(|scope| scope.alloc_uninit(Layout::new::<[u8; 100]>()).map(|bytes| bytes.len()))?;
    /// assert_eq!((length, stack.stats().live), (100, 0));
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    pub fn scope<'env, R>(
        &mut self,
        work: impl for<'s> FnOnce(&mut Scope<'s, 'env, Local<P, A, O>>) -> R,
    ) -> R {
        self.as_local(|local| run(local, work))
    }
}

impl<P: Rewind, A: Allocator, O: OomPolicy> Local<P, A, O> {
    /// Runs a closure in a scope: all that it allocates is free again when it ends, by returning or by unwinding.
    ///
    /// The scope is an [`Allocator`], hence a parent for pools, and scopes nest:
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Blocks, Fixed, Inspect, Local, Stack};
    ///
    /// let mut stack = Local::new(Stack::new());
    /// stack.scope(|outer| {
    ///     let kept = outer.alloc_uninit(Layout::new::<[u8; 300]>())?;
    ///     outer.scope(|inner| {
    ///         let pool = Local::new_in(Blocks::<Fixed<64>>::new(), &*inner);
    ///         pool.allocate(Layout::new::<[u64; 8]>()).map(|_| ())
    ///     })?;
    ///     kept.fill(core::mem::MaybeUninit::new(1));
    ///     assert_eq!(outer.stats().live, 300);
    ///     Ok::<(), millpond::AllocError>(())
    /// })?;
    /// assert_eq!(stack.stats().live, 0);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    ///
    /// No block leaves its scope:
    ///
    /// ```compile_fail
    /// use core::alloc::Layout;
    /// use millpond::{Local, Stack};
    ///
    /// let mut stack = Local::new(Stack::new());
    /// let block = stack.scope(|scope| scope.alloc_uninit(Layout::new::<u64>())); // error: it does not live long enough
    /// # // instead: let block = stack.scope(|scope| scope.alloc_uninit(Layout::new::<u64>()).is_ok());
    /// ```
    ///
    /// ```compile_fail
    /// use core::alloc::Layout;
    /// use millpond::{Local, Stack};
    ///
    /// let mut stack = Local::new(Stack::new());
    /// stack.scope(|outer| {
    ///     let mut block = None;
    ///     outer.scope(|inner| block = inner.alloc_uninit(Layout::new::<u64>()).ok()); // error: it would outlive `inner`
    /// #     // instead: outer.scope(|inner| block = inner.alloc_uninit(Layout::new::<u64>()).ok().map(|_| ()));
    ///     drop(block);
    /// });
    /// ```
    ///
    /// Nor does a pool that stands on it:
    ///
    /// ```compile_fail
    /// use millpond::{Blocks, Fixed, Local, Stack};
    ///
    /// let mut stack = Local::new(Stack::new());
    /// let pool = stack.scope(|scope| Local::new_in(Blocks::<Fixed<64>>::new(), &*scope)); // error: as above
    /// # // instead: stack.scope(|scope| drop(Local::new_in(Blocks::<Fixed<64>>::new(), &*scope)));
    /// ```
    ///
    /// What is in a scope may refer to what is around it, as with `std::thread::scope`:
    ///
    /// ```
    /// use millpond::{Local, Stack};
    ///
    /// let (text, mut stack) = (String::from("a word"), Local::new(Stack::new()));
    /// let length = stack.scope(|outer| {
    ///     let word: &mut &str = outer.alloc(&text[2..]);
    ///     outer.scope(|inner| inner.alloc((&*word, &text)).0.len())
    /// });
    /// assert_eq!(length, 4);
    /// ```
    ///
    /// And while a scope is open, what is around it cannot allocate, because the block would go with the scope:
    ///
    /// ```compile_fail
    /// use core::alloc::Layout;
    /// use millpond::{Local, Stack};
    ///
    /// let mut stack = Local::new(Stack::new());
    /// stack.scope(|outer| outer.scope(|_| drop(outer.alloc_uninit(Layout::new::<u64>())))); // error: `outer` is borrowed
    /// # // instead: stack.scope(|outer| outer.scope(|inner| drop(inner.alloc_uninit(Layout::new::<u64>()))));
    /// ```
    #[inline]
    pub fn scope<'env, R>(&mut self, work: impl for<'s> FnOnce(&mut Scope<'s, 'env, Self>) -> R) -> R {
        run(self, work)
    }

    /// Remembers where the stack stands: see [`Stack::mark`].
    #[inline]
    pub fn mark(&self) -> P::Mark {
        self.access().with(Rewind::mark)
    }

    /// Goes back to a mark: see [`Stack::release`].
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Inspect, Local, Stack};
    ///
    /// let stack = Local::new(Stack::new());
    /// let mark = stack.mark();
    /// stack.allocate(Layout::new::<[u8; 100]>())?;
    /// // SAFETY: the mark is this stack's newest, and nobody use_probe the block any more.
    /// unsafe { stack.release(mark) };
    /// assert_eq!(stack.stats().live, 0);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    ///
    /// # Safety
    ///
    /// As for [`Stack::release`].
    ///
    /// # Panics
    ///
    /// As for [`Stack::release`].
    #[inline]
    pub unsafe fn release(&self, mark: P::Mark) {
        // SAFETY: the caller's promises are passed on.
        self.access().with(|stack| unsafe { stack.release(mark) });
    }
}

/// Implements `alloc_uninit` for the arenas, whose blocks are seldom freed one by one.
macro_rules! implement_lend {
    ($arena:ty) => {
        impl<A: Allocator, O: OomPolicy> Local<$arena, A, O> {
            /// Lends a block, uninitialised, for as long as the arena is neither reset nor dropped.
            ///
            /// # Errors
            ///
            /// As [`Allocator::allocate`].
            #[inline]
            #[expect(clippy::mut_from_ref, reason = "every call lends another block")]
            pub fn alloc_uninit(&self, layout: Layout) -> Result<&mut [MaybeUninit<u8>], AllocError> {
                // SAFETY: the arena is borrowed as long as the block is used.
                unsafe { alloc_uninit(self, layout) }
            }
        }
    };
}

implement_lend!(Linear);
implement_lend!(Stack);

/// A block as a slice.
///
/// # Safety
///
/// The lifetime ends before the allocator goes, and before blocks that nobody freed become invalid.
#[inline]
unsafe fn alloc_uninit<'a>(
    allocator: &impl Allocator,
    layout: Layout,
) -> Result<&'a mut [MaybeUninit<u8>], AllocError> {
    let block = allocator.allocate(layout)?;
    let bytes = NonNull::slice_from_raw_parts(block.cast(), block.len());
    // SAFETY: the block was just handed out, to nobody else, and lives as long as the caller promises.
    Ok(unsafe { &mut *bytes.as_ptr() })
}

impl<'s, S: ScopeShell> Scope<'s, '_, S> {
    /// What the scope's blocks come from: those that nobody frees stay until the scope ends.
    pub(crate) fn allocator(&self) -> &'s S {
        self.stack
    }

    /// Runs a closure in a scope within this one: see [`Local::scope`]. What this one has lent stays good.
    #[inline]
    pub fn scope<'around, R>(
        &mut self,
        work: impl for<'inner> FnOnce(&mut Scope<'inner, 'around, S>) -> R,
    ) -> R {
        run(self.stack, work)
    }

    /// Lends a block, uninitialised, until the scope ends.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    #[inline]
    pub fn alloc_uninit(&self, layout: Layout) -> Result<&'s mut [MaybeUninit<u8>], AllocError> {
        // SAFETY: blocks that nobody frees stay until the scope ends, and its lifetime ends before that.
        unsafe { alloc_uninit(self.stack, layout) }
    }
}

// SAFETY: every call goes to one and the same allocator, which keeps the contract: while the scope can be reached, no
// inner scope is open, so a block is dead only when this scope ends.
unsafe impl<S: Allocator> Allocator for Scope<'_, '_, S> {
    #[inline]
    fn allocate(&self, layout: Layout) -> Allocation {
        self.stack.allocate(layout)
    }

    #[inline]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.stack.deallocate(block, layout) }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.stack.may_deallocate(block, layout)
    }

    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        self.stack.damage(block, layout)
    }

    #[inline]
    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.stack.grow_in_place(block, old, new) }
    }

    #[inline]
    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.stack.shrink_in_place(block, old, new) }
    }
}

/// About the whole stack, not this scope alone.
impl<S: Inspect> Inspect for Scope<'_, '_, S> {
    delegate!(self: self.stack; stats largest_free holes render metrics owns check report);
}
