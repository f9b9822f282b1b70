//! The guard that finds out who writes past the end of a block.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    Keeper,
    duty::{Duty, Site, Withheld},
};
use crate::contract::{AtFork, Cause, Finding};

/// Puts known bytes behind each block and looks at them when it is freed or resized.
///
/// Finds every write to the 16 bytes behind a block that changes one of them, once it is freed; not what is never freed,
/// and not what is written further away. The bytes depend on the block's address, so a copy from one block over another
/// is found too. The block is freed all the same, because the harm is done. When it is freed, the bytes are inverted: a block
/// that is freed twice, and whose end nobody has written to in between, is told and not freed again. What was requested plus 16 bytes is asked for,
/// so around blocks of 64 bytes it serves requests of up to 48.
///
/// Costs 16 bytes per block, and writing and reading them. Around a pool, or around an allocator.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{Allocator, Blocks, Canary, Cause, Fixed, Local, Misuse, Reporter};
///
/// static OFFSET: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     if let Cause::Overflow { offset } = misuse.cause {
///         OFFSET.store(offset, Relaxed);
///     }
/// }
///
/// let canary = Canary::new(Blocks::<Fixed<64>>::new()).reporting(Reporter::named("lines").calling(hear));
/// let pool = Local::new(canary);
/// let layout = Layout::new::<[u8; 30]>();
/// let block = pool.allocate(layout)?.cast::<u8>();
/// // SAFETY: what is wrong here is the point; the bytes behind the block are the guard's.
/// unsafe {
///     block.add(31).write(0);
///     pool.deallocate(block, layout);
/// }
/// assert_eq!(OFFSET.load(Relaxed), 31);
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Canary<X> = Keeper<Rail, X>;

/// The duty of [`Canary`].
#[derive(Clone, Copy, Debug)]
pub struct Rail;

/// Bytes behind each block.
const RAIL: usize = 16;

impl<X> Keeper<Rail, X> {
    /// Watches the ends of all blocks that `inner` hands out from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_duty(Rail, inner, "canary")
    }
}

/// The bytes behind the block that ends at this address: rubbish, and never zero.
fn bytes(end: usize) -> [u8; RAIL] {
    let mixed = (end as u64 ^ 0xC0DE_CAFE_D15E_A5ED).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; RAIL];
    bytes[..8].copy_from_slice(&(mixed | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes[8..].copy_from_slice(&(mixed.rotate_left(29) | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes
}

/// Writes the bytes behind a block.
///
/// # Safety
///
/// They are the caller's.
unsafe fn raise(block: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let end = block.add(size);
        end.cast::<[u8; RAIL]>().write_unaligned(bytes(end.addr().get()));
    }
}

impl AtFork for Rail {}

/// Inverts the bytes behind a block, so that they are not taken for those of a live one.
///
/// # Safety
///
/// They are the caller's.
unsafe fn scramble(block: NonNull<u8>, size: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let end = block.add(size);
        end.cast::<[u8; RAIL]>().write_unaligned(bytes(end.addr().get()).map(|byte| !byte));
    }
}

// SAFETY: only bytes of the margin are touched.
unsafe impl Duty for Rail {
    const MARGIN: usize = RAIL;

    unsafe fn hand_out(
        &self,
        block: NonNull<u8>,
        (layout, _): (Layout, usize),
        _: usize,
        _: Site,
    ) -> Result<(), Withheld> {
        // SAFETY: the caller's promise.
        unsafe { raise(block, layout.size()) };
        Ok(())
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        if layout.size() == 0 {
            return Ok(());
        }
        // SAFETY: the block is live and of this layout, and the bytes behind it are the guard's.
        let (is, ought) = unsafe {
            let end = block.add(layout.size());
            (end.cast::<[u8; RAIL]>().read_unaligned(), bytes(end.addr().get()))
        };
        if is == ought.map(|byte| !byte) {
            return Err(Cause::DoubleFree.into());
        }
        match is.iter().zip(&ought).position(|(is, ought)| is != ought) {
            Some(at) => Err(Cause::Overflow { offset: layout.size() + at }.into()),
            None => Ok(()),
        }
    }

    unsafe fn resized(
        &self,
        block: NonNull<u8>,
        _: Layout,
        (new, _): (Layout, usize),
    ) -> Result<(), Finding> {
        // SAFETY: the caller's promise.
        unsafe { raise(block, new.size()) };
        Ok(())
    }

    unsafe fn take_back(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Finding> {
        // SAFETY: the caller's promises are passed on.
        let found = unsafe { self.verify(block, layout) };
        let is_prevented = found.is_err_and(|finding| finding.cause.is_prevented());
        if layout.size() != 0 && !is_prevented {
            // SAFETY: the block is about to be free, and the bytes behind it are the guard's.
            unsafe { scramble(block, layout.size()) };
        }
        found
    }
}
