//! What hands out memory to holders.

use core::{alloc::Layout, ptr::NonNull};

use crate::base::AllocError;

/// The result of a request for memory: the block, whose length is all that may be used, or why there is none.
pub type Allocation = Result<NonNull<[u8]>, AllocError>;

/// What hands out memory to holders through a shared reference: the contract of `core::alloc::Allocator`, spelled out.
///
/// # Contract
///
/// * A block belongs to its holder until it is passed back; moving the allocator does not touch it. Only methods that
///   take `&mut self` may declare live blocks dead.
/// * A *layout fits* a live block if its size lies between the size that was requested and the size that was returned
///   (both included) and its alignment is the one requested.
/// * A request of zero bytes succeeds without touching anything: the block's address is `layout.align()`, its length
///   zero, and freeing it does nothing.
/// * [`grow`](Self::grow) and [`shrink`](Self::shrink) may be asked for another alignment, a larger one included; the
///   block they return has it.
/// * When a method fails, the block that was passed in is as live as before.
///
/// The trait is Millpond's own because the ecosystem's is in motion; see the crate page.
///
/// # Safety
///
/// Blocks handed out are valid for reads and writes, aligned as asked, at least as large as asked, and overlap no other
/// live block. No method unwinds. If the type implements [`Inspect`](crate::Inspect) too, `owns` gives the same answer
/// for the start of a live block as long as that lives. If it implements [`Reclaim`](crate::Reclaim) too, `trim` makes no
/// live block dead.
pub unsafe trait Allocator {
    /// Hands out a block of at least `layout.size()` bytes; the length of the slice is all that may be used.
    ///
    /// # Errors
    ///
    /// [`AllocError`] says why there is none.
    fn allocate(&self, layout: Layout) -> Allocation;

    /// Takes a block back.
    ///
    /// # Safety
    ///
    /// `block` is live, was handed out by this allocator, and `layout` fits it.
    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout);

    /// Whether a call of [`deallocate`](Self::deallocate) would be performed: false if it would be reported as misuse and
    /// prevented. The block is not touched, whatever its address. Guards that write to freed blocks ask first. The default
    /// is true, which is right for allocators that do not find misuse.
    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        let _ = (block, layout);
        true
    }

    /// The address of a word of the allocator's own, in memory that its users can reach, that was overwritten and that a call
    /// would follow: a call that frees or resizes `block`, or that allocates if there is none. `None` if all of these words are
    /// as the allocator wrote them. Guards that find misuse ask first. The default is `None`.
    fn damage(&self, block: Option<NonNull<u8>>, layout: Layout) -> Option<usize> {
        let _ = (block, layout);
        None
    }

    /// As [`allocate`](Self::allocate), and every byte returned is zero.
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

    /// Makes a block larger: where it is if there is room, else by moving it. Exactly `old.size()` bytes are kept.
    ///
    /// # Safety
    ///
    /// `block` is live, was handed out by this allocator, `old` fits it, and `new.size()` is at least `old.size()`.
    /// On success the block passed in is dead.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); the block is as it was.
    unsafe fn grow(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are those that the two callees ask for.
        unsafe { self.grow_in_place(block, old, new).or_else(|_| relocate(self, block, old, new)) }
    }

    /// As [`grow`](Self::grow), and every byte past `old.size()`, the excess included, is zero.
    ///
    /// # Safety
    ///
    /// As [`grow`](Self::grow).
    ///
    /// # Errors
    ///
    /// As [`grow`](Self::grow).
    unsafe fn grow_zeroed(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are passed on.
        let grown = unsafe { self.grow(block, old, new)? };
        // SAFETY: the new block is live and at least `old.size()` bytes long; the bytes past that are zeroed.
        unsafe { grown.cast::<u8>().add(old.size()).write_bytes(0, grown.len() - old.size()) };
        Ok(grown)
    }

    /// Makes a block smaller: where it is if that works, else by moving it. Exactly `new.size()` bytes are kept.
    ///
    /// # Safety
    ///
    /// `block` is live, was handed out by this allocator, `old` fits it, and `new.size()` is at most `old.size()`.
    /// On success the block passed in is dead.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate); the block is as it was.
    unsafe fn shrink(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        // SAFETY: the caller's promises are those that the two callees ask for.
        unsafe { self.shrink_in_place(block, old, new).or_else(|_| relocate(self, block, old, new)) }
    }

    /// Makes a block larger where it is.
    ///
    /// # Safety
    ///
    /// As [`grow`](Self::grow). On success `new` fits the block from now on.
    ///
    /// # Errors
    ///
    /// [`AllocError::InPlace`] if it cannot be done without moving the block, or what else is in the way, such as a limit; the
    /// block is as it was.
    unsafe fn grow_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let _ = (block, old, new);
        Err(AllocError::InPlace)
    }

    /// Makes a block smaller where it is.
    ///
    /// # Safety
    ///
    /// As [`shrink`](Self::shrink). On success `new` fits the block from now on.
    ///
    /// # Errors
    ///
    /// As [`grow_in_place`](Self::grow_in_place).
    unsafe fn shrink_in_place(&self, block: NonNull<u8>, old: Layout, new: Layout) -> Allocation {
        let _ = (block, old, new);
        Err(AllocError::InPlace)
    }

    /// Hands out a block of at least `least` and, if it can, about `preferred` bytes: how shells ask for chunks. Tries
    /// `preferred` and halves; sources of bounded size give what they have. It is as if `preferred` bytes had been
    /// requested, or, if the block is shorter, its length: it is freed with a size from there to the returned length.
    ///
    /// # Errors
    ///
    /// As [`allocate`](Self::allocate) for `least`.
    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        let mut size = preferred;
        while size > least.size() {
            if let Ok(layout) = Layout::from_size_align(size, least.align())
                && let Ok(block) = self.allocate(layout)
            {
                return Ok(block);
            }
            size /= 2;
        }
        self.allocate(least)
    }

    /// Whether small blocks are served here without waste, as by a heap. Where they are, pools begin with small chunks: see
    /// [`ChunkRequest::enough`](crate::ChunkRequest::enough). The default is no, which is right for sources of whole pages
    /// and of bounded size.
    fn is_fine_grained(&self) -> bool {
        false
    }
}

/// Moves a block to a new place: allocates, copies what both layouts have, frees.
///
/// # Safety
///
/// `block` is live, was handed out by `allocator`, and `old` fits it.
#[track_caller]
pub(crate) unsafe fn relocate<A: Allocator + ?Sized>(
    allocator: &A,
    block: NonNull<u8>,
    old: Layout,
    new: Layout,
) -> Allocation {
    let moved = allocator.allocate(new)?;
    // SAFETY: both blocks are live, hence distinct, and each is at least as long as the smaller size.
    unsafe { block.copy_to_nonoverlapping(moved.cast(), old.size().min(new.size())) };
    // SAFETY: the caller promises that the block is live and that `old` fits it.
    unsafe { allocator.deallocate(block, old) };
    Ok(moved)
}
