//! A cache that is held in the hand, instead of found by thread.

use core::{alloc::Layout, cell::Cell, mem::MaybeUninit, ptr::NonNull};

use lock_api::RawMutex;

use super::{Cached, many, numbers::Number, slot::Slot};
use crate::{
    base::{AllocError, SpinLock},
    pool::SizeClasses,
    share::{
        allocator::resize_alike,
        policy::{Fail, Policy},
        shell::Packed,
    },
    traits::{Allocation, Allocator},
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
/// #     // instead: scope.spawn(|| drop(pool.handle()));
/// });
/// ```
pub struct Handle<
    'a,
    P: SizeClasses,
    A: Allocator,
    L: RawMutex = SpinLock,
    O: Policy = Fail,
    const PLACES: usize = 128,
> {
    pool: &'a Cached<P, A, L, O, PLACES>,
    number: Option<Number>,
    /// The slots of that number, one for each class; vacant ones, as long as it has none. (A cell: one thread at a time.)
    slots: Cell<&'a [Slot]>,
}

impl<'a, P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize>
    Handle<'a, P, A, L, O, PLACES>
{
    pub(super) fn new(pool: &'a Cached<P, A, L, O, PLACES>) -> Self {
        let number = Number::lease();
        let slots = pool.slots.of(number.as_ref().map_or(0, Number::get));
        Self { pool, number, slots: Cell::new(slots) }
    }

    /// The handle's number; zero if there was none.
    fn number(&self) -> usize {
        self.number.as_ref().map_or(0, Number::get)
    }

    /// The slot for a class, which is one of the class map's.
    #[inline(always)]
    fn slot(&self, class: usize) -> &'a Slot {
        // SAFETY: there is a slot for each class.
        unsafe { self.slots.get().get_unchecked(class) }
    }

    /// Fills every place with a block for `layout`; or none. Visits the depot once for each magazine.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`]; no block is taken then.
    pub fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        many::allocate(self, layout, places)
    }

    /// Takes many blocks of one layout back. Visits the depot once for each magazine.
    ///
    /// # Safety
    ///
    /// As for [`Allocator::deallocate`], for each block; no block is there twice.
    pub unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { many::deallocate(self, blocks, layout) };
    }

    #[cold]
    #[inline(never)]
    fn allocate_cold(&self, layout: Layout) -> Packed {
        // SAFETY: the number is the handle's.
        let block = unsafe { self.pool.allocate_at(self.number(), layout) };
        self.slots.set(self.pool.slots.of(self.number()));
        block
    }

    /// # Safety
    ///
    /// As for [`Allocator::deallocate`].
    #[cold]
    #[inline(never)]
    unsafe fn deallocate_cold(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the number is the handle's, and the caller's promises are passed on.
        unsafe { self.pool.deallocate_at(self.number(), block, layout) };
        self.slots.set(self.pool.slots.of(self.number()));
    }
}

// SAFETY: every call goes to the pool, which keeps the contract. The number is the handle's, which one thread has.
unsafe impl<P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Allocator
    for Handle<'_, P, A, L, O, PLACES>
{
    #[inline(always)]
    fn allocate(&self, layout: Layout) -> Allocation {
        // SAFETY: the slot is the handle's.
        match unsafe { self.pool.allocate_hot(|class| self.slot(class), layout) } {
            Some(block) => Ok(block),
            None => self.allocate_cold(layout).unpack(),
        }
    }

    #[inline(always)]
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the slot is the handle's, and the caller's promises are passed on.
        unsafe {
            if !self.pool.deallocate_hot(|class| self.slot(class), block, layout) {
                self.deallocate_cold(block, layout);
            }
        }
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.pool.may_deallocate(block, layout)
    }

    resize_alike!(grow, shrink: |this, block, old, new| {
        this.pool.resize((this, || this.number()), block, old, new)
    });

    resize_alike!(grow_in_place, shrink_in_place: |this, block, old, new| {
        this.pool.resize_in_place(block, old, new)
    });
}

impl<P: SizeClasses, A: Allocator, L: RawMutex, O: Policy, const PLACES: usize> Drop
    for Handle<'_, P, A, L, O, PLACES>
{
    fn drop(&mut self) {
        // SAFETY: the number is the handle's, until it is dropped after this.
        unsafe { self.pool.flush_number(self.number()) };
    }
}
