//! The guards that overwrite what must not be read: [`Poison`] to find bugs, [`Zeroed`] for secrets.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    hooks::{BlockHooks, Rejected, Site},
    instrumented::Instrumented,
};
use crate::{
    base::atomic::{Ordering, fence},
    traits::{AtFork, Diagnosis},
};

/// Fills blocks with one pattern when they are handed out, and with another when they are freed.
///
/// So reading uninitialized memory yields `0xA5…`, and reading freed memory yields `0xDF…`: not a valid pointer, not a
/// small number, not text, and the same in every run. Memory that was requested zeroed is zero, and a block that grows
/// keeps its contents; all other bytes of the block are overwritten, including the addresses that a pool keeps in its
/// free blocks. *Writes* to a freed block are detected by [`Quarantine`](crate::guard::Quarantine), which holds freed blocks
/// back for a while: a pool writes into its free blocks itself.
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
pub type Poison<X> = Instrumented<PoisonFill, X>;

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
pub type Zeroed<X> = Instrumented<ZeroFill, X>;

/// The byte with which new blocks are filled.
const NEW: u8 = 0xA5;
/// The byte with which freed blocks are filled.
pub(in crate::guard) const FREED: u8 = 0xDF;

/// The hooks of [`Poison`].
#[derive(Clone, Copy, Debug)]
pub struct PoisonFill;

impl<X> Instrumented<PoisonFill, X> {
    /// Creates a guard that fills the blocks that `inner` hands out and frees from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(PoisonFill, inner, "poisoned")
    }
}

impl AtFork for PoisonFill {}

// SAFETY: only bytes of the block are accessed.
unsafe impl BlockHooks for PoisonFill {
    const WRITES_FREED: bool = true;

    unsafe fn on_alloc(
        &self,
        block: NonNull<u8>,
        (_, room): (Layout, usize),
        kept: usize,
        _: Site,
    ) -> Result<(), Rejected> {
        // SAFETY: the caller guarantees that the block has `room` bytes, and `kept` is at most `room`.
        unsafe { block.add(kept).write_bytes(NEW, room - kept) };
        Ok(())
    }

    unsafe fn on_resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        (new, room): (Layout, usize),
    ) -> Result<(), Diagnosis> {
        if new.size() > old.size() {
            // SAFETY: the caller guarantees that the block has `room` bytes, which are at least `old.size()`.
            unsafe { block.add(old.size()).write_bytes(NEW, room - old.size()) };
        }
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Diagnosis> {
        // SAFETY: the block is live and of this layout.
        unsafe { block.write_bytes(FREED, layout.size()) };
        Ok(())
    }
}

/// The hooks of [`Zeroed`].
#[derive(Clone, Copy, Debug)]
pub struct ZeroFill;

impl<X> Instrumented<ZeroFill, X> {
    /// Creates a guard that erases the blocks that `inner` frees from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(ZeroFill, inner, "erased")
    }
}

impl AtFork for ZeroFill {}

// SAFETY: only bytes of the block are accessed.
unsafe impl BlockHooks for ZeroFill {
    const WRITES_FREED: bool = true;

    const SHRINKS_IN_PLACE: bool = false;

    unsafe fn on_alloc(
        &self,
        block: NonNull<u8>,
        (_, room): (Layout, usize),
        kept: usize,
        _: Site,
    ) -> Result<(), Rejected> {
        // SAFETY: the caller guarantees that the block has `room` bytes, and `kept` is at most `room`.
        unsafe { block.add(kept).write_bytes(0, room - kept) };
        Ok(())
    }

    unsafe fn on_resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        (_, room): (Layout, usize),
    ) -> Result<(), Diagnosis> {
        // SAFETY: the caller guarantees that the block has `room` bytes; those behind the old size were never handed
        // out.
        unsafe { block.add(old.size()).write_bytes(0, room - old.size()) };
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Diagnosis> {
        // SAFETY: the block is live and of this layout.
        unsafe { erase(block, layout.size()) };
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
