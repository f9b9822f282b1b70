//! A cache that is held in the hand, instead of found by thread.

use core::{alloc::Layout, cell::Cell, marker::PhantomData, ptr::NonNull};

use lock_api::RawMutex;

use super::{Cached, numbers::Number};
use crate::{
    base::{AllocError, Spin},
    contract::Allocator,
    pool::Kinds,
    share::{
        allocator::resize_alike,
        policy::{Fail, Policy},
    },
};

/// A cache in front of a [`Cached`] pool, for one thread at a time: see [`Cached::handle`].
///
/// An [`Allocator`] for the blocks of that pool: they may be freed through it, through another handle, or by the pool.
/// Dropping it gives back what it holds.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Cached, Fixed};
///
/// let pool = Cached::new(Blocks::<Fixed<64>>::new());
/// let layout = Layout::new::<[u64; 8]>();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         let handle = pool.handle();
///         scope.spawn(move || {
///             let block = handle.allocate(layout).expect("the heap has 64 bytes");
///             // SAFETY: the block is live, and the pool handed it out for this layout.
///             unsafe { handle.deallocate(block.cast(), layout) };
///         });
///     }
/// });
/// ```
///
/// Two threads do not share one:
///
/// ```compile_fail
/// # use millpond::{Blocks, Cached, Fixed};
/// let pool = Cached::new(Blocks::<Fixed<64>>::new());
/// let handle = pool.handle();
/// std::thread::scope(|scope| {
///     scope.spawn(|| &handle); // error: a `Handle` cannot be shared between threads
/// });
/// ```
pub struct Handle<'a, P: Kinds, A: Allocator, L: RawMutex = Spin, O: Policy = Fail, const PLACES: usize = 128>
{
    pool: &'a Cached<P, A, L, O, PLACES>,
    number: Option<Number>,
    /// One thread at a time.
    alone: PhantomData<Cell<()>>,
}

impl<'a, P: Kinds, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Handle<'a, P, A, L, O, PLACES> {
    pub(super) fn new(pool: &'a Cached<P, A, L, O, PLACES>) -> Self {
        Self { pool, number: Number::lease(), alone: PhantomData }
    }

    /// The handle's number; zero if there was none.
    #[inline(always)]
    fn number(&self) -> usize {
        self.number.as_ref().map_or(0, Number::get)
    }
}

// SAFETY: every call goes to the pool, which keeps the contract. The number is the handle's, which one thread has.
unsafe impl<P: Kinds, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Allocator
    for Handle<'_, P, A, L, O, PLACES>
{
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: the number is the handle's.
        unsafe {
            match self.pool.allocate_hot(self.number(), layout) {
                Some(block) => Ok(block),
                None => self.pool.allocate_at(self.number(), layout).unpack(),
            }
        }
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the number is the handle's, and the caller's promises are passed on.
        unsafe {
            if !self.pool.deallocate_hot(self.number(), block, layout) {
                self.pool.deallocate_at(self.number(), block, layout);
            }
        }
    }

    resize_alike!(grow_in_place, shrink_in_place: |this, block, old, new| {
        this.pool.resize_in_place(block, old, new)
    });
}

impl<P: Kinds, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Drop
    for Handle<'_, P, A, L, O, PLACES>
{
    fn drop(&mut self) {
        // SAFETY: the number is the handle's, until it is dropped after this.
        unsafe { self.pool.flush_number(self.number()) };
    }
}
