//! Scopes of a [`Stack`](crate::Stack) in a shell, with or without guards, and blocks that are lent for the lifetime of
//! a scope or an arena.
//!
//! A scope borrows its shell, or the enclosing scope, mutably: while it is open, nothing else can allocate from the
//! stack, so everything allocated in between belongs to the scope. Its lifetime is known only to the closure, so
//! neither a block lent by the scope nor a pool on top of it can leave the closure.

use core::{alloc::Layout, marker::PhantomData, mem::MaybeUninit, ptr::NonNull};

use lock_api::RawMutex;

use super::{Local, Locked, Owned, generic::PoolCell, oom::OomPolicy};
use crate::{
    base::AllocError,
    traits::{Allocator, Inspect, RawPool, Rewind, delegate_allocator, delegate_inspect},
};

/// A scope of a stack: an [`Allocator`] whose blocks are freed when the scope ends. See [`Local::scope`].
///
/// `'s` is the lifetime of the scope; `'env` is that of its environment, which outlives it: values in the scope may
/// refer to the environment. `S` is the shell.
pub struct Scope<'s, 'env: 's, S> {
    stack: &'s S,
    /// Makes the lifetimes invariant: two scopes never have the same type and cannot be swapped.
    exact: PhantomData<fn(&'s &'env ()) -> &'s &'env ()>,
}

/// A shell with scopes: an allocator that gives access to its pool.
pub trait ScopeShell: Allocator {
    /// The pool that is rewound when a scope ends.
    type Pool: Rewind;

    /// Calls `use_it` with the pool, which the closure must not access by other means.
    fn with_pool<R>(&self, use_it: impl FnOnce(&mut Self::Pool) -> R) -> R;
}

impl<P: Rewind, A: Allocator, O: OomPolicy> ScopeShell for Local<P, A, O> {
    type Pool = P;

    #[inline]
    fn with_pool<R>(&self, use_it: impl FnOnce(&mut P) -> R) -> R {
        self.0.cell.with(use_it)
    }
}

impl<P: Rewind, A: Allocator, L: RawMutex, O: OomPolicy> ScopeShell for Locked<P, A, L, O> {
    type Pool = P;

    fn with_pool<R>(&self, use_it: impl FnOnce(&mut P) -> R) -> R {
        self.0.cell.with(use_it)
    }
}

/// Releases a mark on drop, even if the closure unwinds.
struct ReleaseOnDrop<'a, S: ScopeShell> {
    stack: &'a S,
    mark: Option<<S::Pool as Rewind>::Mark>,
}

impl<S: ScopeShell> Drop for ReleaseOnDrop<'_, S> {
    fn drop(&mut self) {
        if let Some(mark) = self.mark.take() {
            // SAFETY: the mark is of this stack, and inner scopes have ended. The scope borrows the shell mutably, so
            // every block handed out since was handed out by the scope; and blocks that it lent are no longer used.
            self.stack.with_pool(|stack| unsafe { stack.release(mark) });
        }
    }
}

/// Runs a closure in a scope of its own. Nothing else allocates from the shell meanwhile.
#[inline]
fn run<'env, S: ScopeShell, R>(stack: &S, work: impl for<'s> FnOnce(&mut Scope<'s, 'env, S>) -> R) -> R {
    let end = ReleaseOnDrop { stack, mark: Some(stack.with_pool(Rewind::mark)) };
    work(&mut Scope { stack: end.stack, exact: PhantomData })
}

impl<P: Rewind, A: Allocator, L: RawMutex, O: OomPolicy> Locked<P, A, L, O> {
    /// Runs a closure in a scope: see [`Local::scope`]. Threads may share the scope while it is open.
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Inspect, Locked, Stack, guard::Stats};
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
    /// Runs a closure in a scope: see [`Local::scope`]. For the duration of the call the shell is moved into a
    /// [`Local`].
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
    /// Runs a closure in a scope: everything allocated in it is free again when the scope ends, whether by returning or
    /// by unwinding.
    ///
    /// The scope is an [`Allocator`] and therefore usable as a parent for pools, and scopes nest:
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
    /// No block can leave its scope:
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
    /// Neither can a pool that uses the scope as its parent:
    ///
    /// ```compile_fail
    /// use millpond::{Blocks, Fixed, Local, Stack};
    ///
    /// let mut stack = Local::new(Stack::new());
    /// let pool = stack.scope(|scope| Local::new_in(Blocks::<Fixed<64>>::new(), &*scope)); // error: as above
    /// # // instead: stack.scope(|scope| drop(Local::new_in(Blocks::<Fixed<64>>::new(), &*scope)));
    /// ```
    ///
    /// Values in a scope may refer to the environment, as with `std::thread::scope`:
    ///
    /// ```
    /// use millpond::{ArenaAlloc, Local, Stack};
    ///
    /// let (text, mut stack) = (String::from("a word"), Local::new(Stack::new()));
    /// let length = stack.scope(|outer| {
    ///     let word: &mut &str = outer.alloc(&text[2..]);
    ///     outer.scope(|inner| inner.alloc((&*word, &text)).0.len())
    /// });
    /// assert_eq!(length, 4);
    /// ```
    ///
    /// While a scope is open, the enclosing scope cannot allocate, because the block would be freed with the inner
    /// scope:
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

    /// Returns a mark at the current position of the stack: see [`Stack::mark`](crate::Stack::mark).
    #[inline]
    pub fn mark(&self) -> P::Mark {
        self.0.cell.with(Rewind::mark)
    }

    /// Rewinds the stack to a mark: see [`Stack::release`](crate::Stack::release).
    ///
    /// ```
    /// use core::alloc::Layout;
    /// use millpond::{Allocator, Inspect, Local, Stack};
    ///
    /// let stack = Local::new(Stack::new());
    /// let mark = stack.mark();
    /// stack.allocate(Layout::new::<[u8; 100]>())?;
    /// // SAFETY: the mark is this stack's newest, and the block is no longer used.
    /// unsafe { stack.release(mark) };
    /// assert_eq!(stack.stats().live, 0);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    ///
    /// # Safety
    ///
    /// As for [`Stack::release`](crate::Stack::release).
    ///
    /// # Panics
    ///
    /// As for [`Stack::release`](crate::Stack::release).
    #[inline]
    pub unsafe fn release(&self, mark: P::Mark) {
        // SAFETY: the caller upholds the contract of `Stack::release`, which is the same.
        self.0.cell.with(|stack| unsafe { stack.release(mark) });
    }
}

impl<P: RawPool, A: Allocator, O: OomPolicy> Local<P, A, O> {
    /// Lends an uninitialized block for as long as the pool is neither reset nor dropped. It cannot be freed earlier,
    /// so this is for arenas, and for blocks that live as long as their pool.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "every call lends another block")]
    pub fn alloc_uninit(&self, layout: Layout) -> Result<&mut [MaybeUninit<u8>], AllocError> {
        // SAFETY: the pool is borrowed as long as the block is used.
        unsafe { alloc_uninit(self, layout) }
    }
}

/// Allocates a block and returns it as a slice.
///
/// # Safety
///
/// The lifetime ends before the allocator is dropped, and before blocks that were not freed become invalid.
#[inline]
unsafe fn alloc_uninit<'a>(
    allocator: &impl Allocator,
    layout: Layout,
) -> Result<&'a mut [MaybeUninit<u8>], AllocError> {
    let block = allocator.allocate(layout)?;
    let bytes = NonNull::slice_from_raw_parts(block.cast(), block.len());
    // SAFETY: the block was just handed out, to no other caller, and the caller guarantees that it outlives the
    // lifetime.
    Ok(unsafe { &mut *bytes.as_ptr() })
}

impl<'s, S: ScopeShell> Scope<'s, '_, S> {
    /// Returns the allocator of the scope's blocks. Blocks that are not freed stay valid until the scope ends.
    pub(crate) fn allocator(&self) -> &'s S {
        self.stack
    }

    /// Runs a closure in a scope within this one: see [`Local::scope`]. Blocks lent by this scope stay valid.
    #[inline]
    pub fn scope<'around, R>(
        &mut self,
        work: impl for<'inner> FnOnce(&mut Scope<'inner, 'around, S>) -> R,
    ) -> R {
        run(self.stack, work)
    }

    /// Lends an uninitialized block until the scope ends.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    #[inline]
    pub fn alloc_uninit(&self, layout: Layout) -> Result<&'s mut [MaybeUninit<u8>], AllocError> {
        // SAFETY: blocks that are not freed stay until the scope ends, and the lifetime ends before that.
        unsafe { alloc_uninit(self.stack, layout) }
    }
}

// While the scope can be used, no inner scope is open, so a block is dead only when this scope ends.
delegate_allocator!([S: Allocator] Scope<'_, '_, S>: |this| this.stack);

delegate_inspect!(
/// Concerns the whole stack, not this scope alone.
[S: Inspect] Scope<'_, '_, S>: |this| this.stack);
