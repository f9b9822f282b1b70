//! The trait for everything that hands out memory.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use crate::base::{AllocError, uninit::assume_init_ref};

/// The result of a request for memory: the block, all bytes of which may be used, or the reason why there is none.
pub type Allocation = Result<NonNull<[u8]>, AllocError>;

/// An allocator that is used through a shared reference: the contract of `core::alloc::Allocator`, spelled out.
///
/// # Contract
///
/// * A block belongs to the caller that requested it until it is freed; moving the allocator does not affect it. Only
///   methods that take `&mut self` may declare live blocks dead.
/// * A *layout fits* a live block if its size lies between the size that was requested and the size that was returned
///   (both included) and its alignment is the one requested.
/// * A request of zero bytes succeeds without accessing any memory: the address of the block is `layout.align()`, its
///   length is zero, and freeing it does nothing.
/// * [`grow`](Self::grow) and [`shrink`](Self::shrink) accept a different alignment, a larger one included; the block
///   they return has it.
/// * When a method fails, the block that was passed in stays live and unchanged.
///
/// Millpond has its own trait because that of the ecosystem is not stable yet; see the crate page.
///
/// # Safety
///
/// Blocks handed out are valid for reads and writes, aligned as requested, at least as large as requested, and overlap
/// no other live block. No method unwinds. If the type also implements [`Inspect`](crate::Inspect), `owns` gives the
/// same answer for the start of a live block as long as that block lives. If it also implements
/// [`Reclaim`](crate::Reclaim), `trim` makes no live block dead.
pub unsafe trait Allocator {
    /// Allocates a block of at least `layout.size()` bytes. All bytes of the returned slice may be used.
    ///
    /// # Errors
    ///
    /// Returns an [`AllocError`] with the reason if there is no block.
    fn allocate(&self, layout: Layout) -> Allocation;

    /// Frees a block.
    ///
    /// # Safety
    ///
    /// `block` is live and was handed out by this allocator, and `layout` fits it.
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout);

    /// Returns whether a call of [`deallocate`](Self::deallocate) would be performed: false if it would be reported as
    /// misuse and prevented. The block is not accessed, whatever its address. Guards that write to freed blocks ask
    /// first. The default is true, which is right for allocators that do not detect misuse.
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let _ = (block, layout);
        true
    }

    /// Returns the address of a word of the allocator's own that was overwritten and that a call would follow: a call
    /// that frees or resizes `block`, or that allocates if `block` is `None`. The word lies in memory that users of the
    /// allocator can reach. Returns `None` if all such words are as the allocator wrote them. Guards that detect misuse
    /// ask first. The default is `None`.
    ///
    /// # Safety
    ///
    /// If there is a `block`, it is live and was handed out by this allocator, and `layout` fits it.
    unsafe fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let _ = (block, layout);
        None
    }

    /// Allocates as [`allocate`](Self::allocate) does, and zeroes every byte returned.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate).
    fn allocate_zeroed(&self, layout: Layout) -> Allocation {
        let block = self.allocate(layout)?;
        // SAFETY: the block was just handed out and is `block.len()` bytes long.
        unsafe { block.cast::<u8>().write_bytes(0, block.len()) };
        Ok(block)
    }

    /// Grows a block: in place if there is room, otherwise by moving it. The first `old.size()` bytes are kept.
    ///
    /// # Safety
    ///
    /// `block` is live and was handed out by this allocator, `old` fits it, and `new.size()` is at least `old.size()`.
    /// On success the block passed in is dead.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); the block is as it was.
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow`, which includes those of `grow_in_place` and `relocate`.
        unsafe { self.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new)) }
    }

    /// Grows a block as [`grow`](Self::grow) does, and zeroes every byte past `old.size()`, excess bytes included.
    ///
    /// # Safety
    ///
    /// As [`grow`](Self::grow).
    ///
    /// # Errors
    ///
    /// As [`grow`](Self::grow).
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `grow_zeroed`, which is that of `grow`.
        let grown = unsafe { self.grow(block, old, new)? };
        // SAFETY: the new block is live and at least `old.size()` bytes long; the bytes past that are zeroed.
        unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, grown.len() - old.size()) };
        Ok(grown)
    }

    /// Shrinks a block: in place if possible, otherwise by moving it. The first `new.size()` bytes are kept.
    ///
    /// # Safety
    ///
    /// `block` is live and was handed out by this allocator, `old` fits it, and `new.size()` is at most `old.size()`.
    /// On success the block passed in is dead.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); the block is as it was.
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller upholds the contract of `shrink`, which includes those of `shrink_in_place` and
        // `relocate`.
        unsafe { self.shrink_in_place(block, old, new).or_else(|_| relocate(self, block, old, new)) }
    }

    /// Grows a block without moving it.
    ///
    /// # Safety
    ///
    /// As [`grow`](Self::grow). On success `new` fits the block.
    ///
    /// # Errors
    ///
    /// [`AllocError::InPlace`] if the block would have to move, or another error if something else prevents it, such as
    /// a limit. The block stays as it was.
    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let _ = (block, old, new);
        Err(AllocError::InPlace)
    }

    /// Shrinks a block without moving it.
    ///
    /// # Safety
    ///
    /// As [`shrink`](Self::shrink). On success `new` fits the block.
    ///
    /// # Errors
    ///
    /// As [`grow_in_place`](Self::grow_in_place).
    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let _ = (block, old, new);
        Err(AllocError::InPlace)
    }

    /// Allocates a block of at least `least` and, if possible, about `preferred` bytes. Shells request chunks with this
    /// method. The default tries `preferred` and then halves it; sources of bounded size return what they have. The
    /// block counts as requested with `preferred` bytes or, if it is shorter, with its length: it may be freed with any
    /// size from there to the returned length.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate) for `least`.
    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        allocate_by_halving(self, least, preferred)
    }

    /// Fills every place with a block for `layout`, or none of them. The default allocates one block after the other.
    /// [`Local`](crate::Local) and [`Locked`](crate::Locked) take all free blocks that are at hand with one borrow or
    /// one lock, [`LockFree`](crate::LockFree) with one exchange.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); no block is taken in that case.
    fn allocate_many(
        &self,
        layout: Layout,
        places: &mut [MaybeUninit<NonNull<u8>>],
    ) -> Result<(), AllocError> {
        // SAFETY: no place is taken yet.
        unsafe { allocate_each(self, layout, places, 0) }
    }

    /// Frees many blocks of one layout. The default frees one after the other. [`Local`](crate::Local) and
    /// [`Locked`](crate::Locked) do it with one borrow or one lock, unless they have to call their parent, and
    /// [`LockFree`](crate::LockFree) with one exchange.
    ///
    /// # Safety
    ///
    /// As for [`deallocate`](Self::deallocate), for each block; no block occurs twice.
    unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
        for &block in blocks {
            // SAFETY: the caller upholds the contract of `deallocate` for each block.
            unsafe { self.deallocate(block, layout) };
        }
    }

    /// Returns whether small blocks are served here without waste, as by a heap. If so, pools begin with small chunks:
    /// see [`ChunkRequest::enough`](crate::raw::ChunkRequest::enough). The default is false, which is right for sources
    /// of whole pages and of bounded size.
    fn is_fine_grained(&self) -> bool {
        false
    }
}

/// Fills the places from `taken` on, one after the other. On failure, frees the blocks in all places.
///
/// # Safety
///
/// The first `taken` places hold blocks of this layout that `allocator` has handed out and that are not in use.
pub(crate) unsafe fn allocate_each<A: Allocator + ?Sized>(
    allocator: &A,
    layout: Layout,
    places: &mut [MaybeUninit<NonNull<u8>>],
    taken: usize,
) -> Result<(), AllocError> {
    for place in taken..places.len() {
        match allocator.allocate(layout) {
            Ok(block) => places[place].write(block.cast()),
            Err(error) => {
                // SAFETY: the places before this one hold blocks that are live, of this layout, and not in use.
                unsafe { allocator.deallocate_many(assume_init_ref(&places[..place]), layout) };
                return Err(error);
            }
        };
    }
    Ok(())
}

/// Tries to allocate `preferred` bytes, then half as many, and at last `least`: the default of
/// [`Allocator::allocate_between`].
pub(crate) fn allocate_by_halving<A: Allocator + ?Sized>(
    allocator: &A,
    least: Layout,
    preferred: usize,
) -> Allocation {
    let mut size = preferred;
    while size > least.size() {
        if let Ok(layout) = Layout::from_size_align(size, least.align())
            && let Ok(block) = allocator.allocate(layout)
        {
            return Ok(block);
        }
        size /= 2;
    }
    allocator.allocate(least)
}

/// Moves a block: allocates a new one, copies the bytes that both layouts have, and frees the old one.
///
/// # Safety
///
/// `block` is live and was handed out by `allocator`, and `old` fits it.
#[track_caller]
pub(crate) unsafe fn relocate<A: Allocator + ?Sized>(
    allocator: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Allocation {
    let moved = allocator.allocate(new)?;
    // SAFETY: both blocks are live and therefore distinct, and each is at least as long as the smaller size.
    unsafe { block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size())) };
    // SAFETY: the caller guarantees that the block is live and that `old` fits it.
    unsafe { allocator.deallocate(block, old) };
    Ok(moved)
}
