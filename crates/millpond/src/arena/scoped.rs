//! Values in the scopes of a stack.

use super::{Arena, ArenaAlloc, arena_alloc::ArenaMemory};
use crate::{
    shell::{Local, Scope, ScopeShell, oom::OomPolicy},
    traits::{Allocator, Rewind},
};

impl<P: Rewind, A: Allocator, O: OomPolicy> Arena<Local<P, A, O>> {
    /// Runs a closure in a new scope, for an arena on a [`Stack`](crate::Stack). When the scope ends, by returning or
    /// by unwinding, what was allocated in it is released; earlier values stay. Scopes can be nested. O(chunks begun
    /// in the scope).
    ///
    /// ```
    /// use millpond::{Arena, ArenaAlloc, Inspect, Local, Stack};
    ///
    /// let mut arena = Arena::with_memory(Local::new(Stack::new()));
    /// arena.alloc([1_u64; 10]);
    /// let longest = arena.scope(|outer| {
    ///     let lengths = outer.alloc_slice(&[3, 0]);
    ///     outer.scope(|inner| {
    ///         let name = inner.alloc_str("scratch");
    ///         lengths[1] = name.len(); // memory of the outer scope is still valid
    ///     });
    ///     lengths.iter().max().copied()
    /// });
    /// assert_eq!((longest, arena.stats().live), (Some(7), 80));
    /// ```
    ///
    /// Values in a scope may refer to values outside of it:
    ///
    /// ```
    /// use millpond::{Arena, ArenaAlloc, Local, Stack};
    ///
    /// struct Node<'a> {
    ///     word: &'a str,
    ///     next: Option<&'a Node<'a>>,
    /// }
    ///
    /// fn letters(text: &str) -> usize {
    ///     let mut arena = Arena::with_memory(Local::new(Stack::new()));
    ///     arena.scope(|scope| {
    ///         let mut list: Option<&Node> = None;
    ///         for word in text.split(' ') {
    ///             list = Some(scope.alloc(Node { word, next: list }));
    ///         }
    ///         std::iter::successors(list, |node| node.next).map(|node| node.word.len()).sum()
    ///     })
    /// }
    /// assert_eq!(letters("a bc def"), 6);
    /// ```
    ///
    /// Nothing allocated in a scope outlives it:
    ///
    /// ```compile_fail
    /// use millpond::{Arena, ArenaAlloc, Local, Stack};
    ///
    /// let mut arena = Arena::with_memory(Local::new(Stack::new()));
    /// let number = arena.scope(|scope| scope.alloc(1)); // error: it does not live long enough
    /// # // instead: let number = arena.scope(|scope| *scope.alloc(1));
    /// ```
    ///
    /// A value in an outer scope cannot refer to a value in an inner one:
    ///
    /// ```compile_fail
    /// use millpond::{Arena, ArenaAlloc, Local, Stack};
    ///
    /// let mut arena = Arena::with_memory(Local::new(Stack::new()));
    /// arena.scope(|outer| {
    ///     let numbers = outer.alloc_slice(&[&0]);
    ///     outer.scope(|inner| numbers[0] = inner.alloc(1)); // error: as above
    /// #     // instead: outer.scope(|inner| numbers[0] = if *inner.alloc(1) == 1 { &1 } else { &2 });
    /// });
    /// ```
    #[inline]
    pub fn scope<'env, R>(
        &mut self,
        work: impl for<'s> FnOnce(&mut Scope<'s, 'env, Local<P, A, O>>) -> R,
    ) -> R {
        self.memory_mut().scope(work)
    }
}

/// Allocates values without destructors, as in an [`Arena`], which live until the scope ends.
///
/// ```
/// use millpond::{ArenaAlloc, Local, Stack};
///
/// let mut stack = Local::new(Stack::new());
/// assert_eq!(stack.scope(|scope| *scope.alloc(7) + scope.alloc([1, 2])[0]), 8);
/// ```
///
/// ```compile_fail,E0283
/// use millpond::ArenaAlloc;
///
/// let mut stack = millpond::Local::new(millpond::Stack::new());
/// stack.scope(|scope| drop(scope.alloc(String::from("lost")))); // error: its destructor would never run
/// # // instead: stack.scope(|scope| drop(scope.alloc(1)));
/// ```
impl<'s, S: ScopeShell> ArenaAlloc<'s> for &Scope<'s, '_, S> {
    type Memory = S;

    #[inline]
    fn arena_memory(self) -> ArenaMemory<'s, S> {
        ArenaMemory::new(self.allocator())
    }
}
