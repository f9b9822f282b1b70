//! The guard that finds out who writes past the end of a block, or in front of it.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    Keeper,
    duty::{Duty, Site, Withheld},
};
use crate::contract::{AtFork, Cause, Finding};

/// Puts known bytes in front of each block and behind it, and looks at them when it is freed or resized.
///
/// Finds every write to the 16 bytes in front of a block, and to the 16 bytes behind it, that changes one of them, once it is
/// freed; not what is never freed, and not what is written further away. The bytes depend on the block's address, so a copy
/// from one block over another is found too. The block is freed all the same, because the harm is done. When it is freed, the
/// bytes are inverted: a block that is freed twice, and whose end nobody has written to in between, is told and not freed
/// again. An address that a guard further in refuses is not touched.
///
/// Costs 32 bytes per block, and writing and reading them. The bytes in front are as many as the alignment, if that is more than
/// 16, so that the block is aligned. What was requested and all of these is asked for, so around blocks of 64 bytes this guard
/// serves requests of up to 32. Around a pool, or around an allocator.
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

/// Bytes in front of each block and behind it.
const RAIL: usize = 16;

impl<X> Keeper<Rail, X> {
    /// Watches both ends of all blocks that `inner` hands out from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_duty(Rail, inner, "canary")
    }
}

/// The bytes in front of a block that begins at this address, or behind one that ends there: rubbish, and never zero.
fn bytes(edge: usize) -> [u8; RAIL] {
    let mixed = (edge as u64 ^ 0xC0DE_CAFE_D15E_A5ED).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; RAIL];
    bytes[..8].copy_from_slice(&(mixed | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes[8..].copy_from_slice(&(mixed.rotate_left(29) | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes
}

/// Where a block begins and ends, and where the bytes are that belong there.
///
/// # Safety
///
/// The block has so many bytes, and the margins around it are the caller's.
unsafe fn rails(block: NonNull<u8>, size: usize) -> [(usize, NonNull<[u8; RAIL]>); 2] {
    // SAFETY: the caller's promise.
    let (front, end) = unsafe { (block.sub(RAIL), block.add(size)) };
    [(block.addr().get(), front.cast()), (end.addr().get(), end.cast())]
}

/// Writes the bytes in front of a block and behind it, or inverts them, so that they are not taken for those of a live one.
///
/// # Safety
///
/// They are the caller's, and the block has so many bytes.
unsafe fn write(block: NonNull<u8>, size: usize, mask: u8) {
    // SAFETY: the caller's promise.
    unsafe {
        for (edge, rail) in rails(block, size) {
            rail.write_unaligned(bytes(edge).map(|byte| byte ^ mask));
        }
    }
}

/// What turns the bytes around a live block into those around one that was freed.
const FREED: u8 = u8::MAX;

impl AtFork for Rail {}

// SAFETY: only bytes of the margins are touched.
unsafe impl Duty for Rail {
    const MARGIN: usize = RAIL;
    const FRONT: usize = RAIL;
    const TOUCHES_FREED: bool = true;

    unsafe fn hand_out(
        &self,
        block: NonNull<u8>,
        (layout, _): (Layout, usize),
        _: usize,
        _: Site,
    ) -> Result<(), Withheld> {
        // SAFETY: the caller's promise.
        unsafe { write(block, layout.size(), 0) };
        Ok(())
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        if layout.size() == 0 {
            return Ok(());
        }
        // SAFETY: the block is live and of this layout, and the bytes around it are the guard's.
        let [front, back] = unsafe { rails(block, layout.size()) }
            // SAFETY: as above.
            .map(|(edge, rail)| (unsafe { rail.read_unaligned() }, bytes(edge)));
        // Not those in front: a pool writes to where its free blocks begin.
        if back.0 == back.1.map(|byte| byte ^ FREED) {
            return Err(Cause::DoubleFree.into());
        }
        let changed =
            |(is, ought): ([u8; RAIL], [u8; RAIL])| is.iter().zip(&ought).position(|(is, ought)| is != ought);
        let in_front = changed(front).map(|at| at.wrapping_sub(RAIL));
        match in_front.or_else(|| changed(back).map(|at| layout.size() + at)) {
            Some(offset) => Err(Cause::Overflow { offset }.into()),
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
        unsafe { write(block, new.size(), 0) };
        Ok(())
    }

    unsafe fn take_back(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Finding> {
        // SAFETY: the caller's promises are passed on.
        let found = unsafe { self.verify(block, layout) };
        let is_prevented = found.is_err_and(|finding| finding.cause.is_prevented());
        if layout.size() != 0 && !is_prevented {
            // SAFETY: the block is about to be free, and the bytes around it are the guard's.
            unsafe { write(block, layout.size(), FREED) };
        }
        found
    }
}
