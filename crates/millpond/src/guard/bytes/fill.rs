//! The guards that overwrite what nobody should read: [`Poison`] for bugs, [`Zeroed`] for secrets.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    hooks::{BlockHooks, Rejected, Site},
    instrumented::Instrumented,
};
use crate::{
    base::atomic::{Ordering, fence},
    traits::{AtFork, Diagnosis},
};

/// Fills blocks with rubbish when they are handed out, and with other rubbish when they are freed.
///
/// So whoever reads what was never written gets `0xA5…`, and whoever reads what was freed gets `0xDF…`: no valid pointer,
/// no small number, no text, and the same on every run. What was requested zeroed is zero, and what a block had when it
/// grew stays; all other bytes of the block are overwritten, the addresses among them that a pool keeps in its free blocks.
/// What is *written* to a freed block is found by [`Quarantine`](crate::Quarantine), which holds freed blocks
/// back for a while: a pool writes into its free blocks itself.
///
/// Costs a write of every byte, twice. Around a pool, or around an allocator.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, Poison};
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

/// Erases what blocks hold when they are freed, in a way that the compiler cannot remove.
///
/// For keys, passwords and other secrets. A block that moves to grow leaves nothing behind, and for the same reason a
/// block that shrinks always moves. Not erased is what is live when a pool is reset or goes, because it was never freed,
/// and what a holder copied elsewhere.
///
/// What is handed out is zero, to the last byte of the block: a pool keeps addresses in its free blocks, which are nobody's to
/// see either.
///
/// Costs a write of every byte, twice. Around a pool, or around an allocator.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Heap, Linear, Local, Zeroed};
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

/// The byte of which a new block is full.
const NEW: u8 = 0xA5;
/// The byte of which a freed block is full.
pub(in crate::guard) const FREED: u8 = 0xDF;

/// The duty of [`Poison`].
#[derive(Clone, Copy, Debug)]
pub struct PoisonFill;

impl<X> Instrumented<PoisonFill, X> {
    /// Fills what `inner` hands out and takes back from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(PoisonFill, inner, "poisoned")
    }
}

impl AtFork for PoisonFill {}

// SAFETY: only bytes of the block are touched.
unsafe impl BlockHooks for PoisonFill {
    const WRITES_FREED: bool = true;

    unsafe fn on_alloc(
        &self,
        block: NonNull<u8>,
        (_, room): (Layout, usize),
        kept: usize,
        _: Site,
    ) -> Result<(), Rejected> {
        // SAFETY: the caller's promise; no more is kept than there is.
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
            // SAFETY: the caller's promise.
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

/// The duty of [`Zeroed`].
#[derive(Clone, Copy, Debug)]
pub struct ZeroFill;

impl<X> Instrumented<ZeroFill, X> {
    /// Erases what is given back to `inner` from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(ZeroFill, inner, "erased")
    }
}

impl AtFork for ZeroFill {}

// SAFETY: only bytes of the block are touched.
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
        // SAFETY: the caller's promise; no more is kept than there is.
        unsafe { block.add(kept).write_bytes(0, room - kept) };
        Ok(())
    }

    unsafe fn on_resize(
        &self,
        block: NonNull<u8>,
        old: Layout,
        (_, room): (Layout, usize),
    ) -> Result<(), Diagnosis> {
        // SAFETY: the caller's promise; whatever is behind the old bytes was never the holder's.
        unsafe { block.add(old.size()).write_bytes(0, room - old.size()) };
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Diagnosis> {
        // SAFETY: the block is live and of this layout.
        unsafe { erase(block, layout.size()) };
        Ok(())
    }
}

/// Writes zeroes that stay, whatever the compiler thinks of them.
///
/// # Safety
///
/// The bytes are the caller's alone.
unsafe fn erase(start: NonNull<u8>, size: usize) {
    let (mut at, end) = (0, size);
    while at < end {
        // SAFETY: within the bytes, and a word is written only where it is aligned and ends within them.
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
