//! The guards that overwrite what must not be read: [`Poison`] to find bugs, [`Zeroed`] for secrets.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    hooks::{BlockHooks, NewBlock, Rejected, ResizedBlock, Site},
    instrumented::Instrumented,
};
use crate::{
    base::atomic::{Ordering, fence},
    guard::FREED,
    traits::{AtFork, Diagnosis},
};

/// Fills blocks with one pattern when they are handed out, and with another when they are freed.
///
/// So reading uninitialized memory yields `0xA5…`, and reading freed memory yields `0xDF…`: not a valid pointer, not a
/// small number, not text, and the same in every run. Memory that was requested zeroed is zero, and a block that grows
/// keeps its contents; all other bytes of the block are overwritten, including the addresses that a pool keeps in its
/// free blocks. *Writes* to a freed block are detected by [`Quarantine`](crate::guard::Quarantine), which holds freed
/// blocks back for a while: a pool writes into its free blocks itself.
///
/// Costs two writes of every byte. Around a pool, or around an allocator.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, guard::Poison};
///
/// let pool = Local::new(Poison::new(Blocks::<Fixed<64>>::new()));
/// let layout = Layout::new::<u32>();
/// let block = pool.allocate(layout)?;
/// // SAFETY: the block is live, four bytes long, and the guard has written them.
/// assert_eq!(unsafe { block.cast::<u32>().read() }, 0xA5A5_A5A5);
/// # unsafe { pool.deallocate(block.cast(), layout) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Poison<X> = Instrumented<Fill<false>, X>;

/// Erases the contents of blocks when they are freed, in a way that the compiler cannot remove.
///
/// For keys, passwords and other secrets. A block that moves to grow leaves nothing behind, and for the same reason a
/// block that shrinks always moves. Not erased are blocks that are live when a pool is reset or dropped, because they
/// were never freed, and copies elsewhere.
///
/// New blocks are zero to the last byte, because a pool keeps addresses in its free blocks, which must not be visible
/// either.
///
/// Costs two writes of every byte. Around a pool, or around an allocator.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap, Linear, Local, guard::Zeroed};
///
/// let secrets = Zeroed::new(Local::new(Linear::new()));
/// let layout = Layout::new::<[u8; 32]>();
/// let key = secrets.allocate(layout)?.cast::<[u8; 32]>();
/// // SAFETY: the block is live and its layout is that of a key; the arena's memory stays readable when it is freed.
/// unsafe {
///     key.write([7; 32]);
///     secrets.deallocate(key.cast(), layout);
///     assert_eq!(key.read_volatile(), [0; 32]);
/// }
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Zeroed<X> = Instrumented<Fill<true>, X>;

/// The hooks of [`Zeroed`], which `ERASES` what was in freed blocks, and of [`Poison`], which does not have to.
#[derive(Clone, Copy, Debug)]
pub struct Fill<const ERASES: bool>;

impl<const ERASES: bool> Fill<ERASES> {
    /// The byte with which new blocks are filled.
    const NEW: u8 = if ERASES { 0 } else { 0xA5 };
}

impl<const ERASES: bool, X> Instrumented<Fill<ERASES>, X> {
    /// Creates a guard that fills or erases the blocks that `inner` hands out and frees from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(Fill, inner, if ERASES { "erased" } else { "poisoned" })
    }
}

// SAFETY: there are no parts, and no method is overridden.
unsafe impl<const ERASES: bool> AtFork for Fill<ERASES> {}

// SAFETY: only bytes of the block are accessed.
unsafe impl<const ERASES: bool> BlockHooks for Fill<ERASES> {
    const WRITES_FREED: bool = true;

    /// What a block leaves behind when it shrinks must be erased, too.
    const SHRINKS_IN_PLACE: bool = !ERASES;

    unsafe fn on_alloc(&self, block: NewBlock) -> Result<(), Rejected> {
        let NewBlock { start, room, kept, .. } = block;
        // SAFETY: the caller guarantees that the block has `room` bytes, and `kept` is at most `room`.
        unsafe { start.add(kept).write_bytes(Self::NEW, room - kept) };
        Ok(())
    }

    unsafe fn on_resize(&self, block: ResizedBlock) -> Result<(), Diagnosis> {
        let ResizedBlock { start, old, new, room } = block;
        if new.size() > old.size() {
            // SAFETY: the caller guarantees that the block has `room` bytes, which are at least `old.size()`.
            unsafe { start.add(old.size()).write_bytes(Self::NEW, room - old.size()) };
        }
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Diagnosis> {
        // SAFETY: the block is live and of this layout.
        unsafe { if ERASES { erase(block, layout.size()) } else { block.write_bytes(FREED, layout.size()) } };
        Ok(())
    }
}

/// Writes zeroes that the compiler cannot remove.
///
/// # Safety
///
/// The caller has exclusive access to the bytes.
unsafe fn erase(start: NonNull<u8>, size: usize) {
    let (mut at, end) = (0, size);
    while at < end {
        // SAFETY: every write is within the bytes, and a word is written only if it is aligned and ends within them.
        unsafe {
            let place = start.add(at);
            if place.cast::<usize>().is_aligned() && end - at >= size_of::<usize>() {
                place.cast::<usize>().write_volatile(0);
                at += size_of::<usize>();
            } else {
                place.write_volatile(0);
                at += 1;
            }
        }
    }
    fence(Ordering::SeqCst);
}
