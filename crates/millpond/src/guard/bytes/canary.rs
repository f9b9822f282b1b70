//! The guard that finds out who writes past the end of a block, or in front of it.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    hooks::{BlockHooks, Rejected, Site},
    instrumented::Instrumented,
};
use crate::traits::{AtFork, Diagnosis, MisuseKind};

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
/// use millpond::{Allocator, Blocks, Canary, MisuseKind, Fixed, Local, Misuse, Reporter};
///
/// static OFFSET: AtomicUsize = AtomicUsize::new(0);
/// fn hear(misuse: &Misuse) {
///     if let MisuseKind::Overflow { offset } = misuse.kind {
///         OFFSET.store(offset, Relaxed);
///     }
/// }
///
/// let canary = Canary::new(Blocks::<Fixed<64>>::new()).reporting(Reporter::named("lines").with_hook(hear));
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
pub type Canary<X> = Instrumented<Redzones, X>;

/// The duty of [`Canary`].
#[derive(Clone, Copy, Debug)]
pub struct Redzones;

/// Bytes in front of each block and behind it.
const REDZONE: usize = 16;

impl<X> Instrumented<Redzones, X> {
    /// Watches both ends of all blocks that `inner` hands out from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(Redzones, inner, "canary")
    }
}

/// The bytes in front of a block that begins at this address, or behind one that ends there: rubbish, and never zero.
fn bytes(edge: usize) -> [u8; REDZONE] {
    let mixed = (edge as u64 ^ 0xC0DE_CAFE_D15E_A5ED).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; REDZONE];
    bytes[..8].copy_from_slice(&(mixed | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes[8..].copy_from_slice(&(mixed.rotate_left(29) | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes
}

/// Where a block begins and ends, and where the bytes are that belong there.
///
/// # Safety
///
/// The block has so many bytes, and the margins around it are the caller's.
unsafe fn redzones(block: NonNull<u8>, size: usize) -> [(usize, NonNull<[u8; REDZONE]>); 2] {
    // SAFETY: the caller's promise.
    let (front, end) = unsafe { (block.sub(REDZONE), block.add(size)) };
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
        for (edge, redzone) in redzones(block, size) {
            redzone.write_unaligned(bytes(edge).map(|byte| byte ^ mask));
        }
    }
}

/// What turns the bytes around a live block into those around one that was freed.
const FREED: u8 = u8::MAX;

impl AtFork for Redzones {}

// SAFETY: only bytes of the margins are touched.
unsafe impl BlockHooks for Redzones {
    const BACK_MARGIN: usize = REDZONE;
    const FRONT_MARGIN: usize = REDZONE;
    const WRITES_FREED: bool = true;

    unsafe fn on_alloc(
        &self,
        block: NonNull<u8>,
        (layout, _): (Layout, usize),
        _: usize,
        _: Site,
    ) -> Result<(), Rejected> {
        // SAFETY: the caller's promise.
        unsafe { write(block, layout.size(), 0) };
        Ok(())
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        if layout.size() == 0 {
            return Ok(());
        }
        // SAFETY: the block is live and of this layout, and the bytes around it are the guard's.
        let [front, back] = unsafe { redzones(block, layout.size()) }
            // SAFETY: as above.
            .map(|(edge, redzone)| (unsafe { redzone.read_unaligned() }, bytes(edge)));
        // Not those in front: a pool writes to where its free blocks begin.
        if back.0 == back.1.map(|byte| byte ^ FREED) {
            return Err(MisuseKind::DoubleFree.into());
        }
        let changed = |(is, ought): ([u8; REDZONE], [u8; REDZONE])| {
            is.iter().zip(&ought).position(|(is, ought)| is != ought)
        };
        let in_front = changed(front).map(|at| at.wrapping_sub(REDZONE));
        match in_front.or_else(|| changed(back).map(|at| layout.size() + at)) {
            Some(offset) => Err(MisuseKind::Overflow { offset }.into()),
            None => Ok(()),
        }
    }

    unsafe fn on_resize(
        &self,
        block: NonNull<u8>,
        _: Layout,
        (new, _): (Layout, usize),
    ) -> Result<(), Diagnosis> {
        // SAFETY: the caller's promise.
        unsafe { write(block, new.size(), 0) };
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Diagnosis> {
        // SAFETY: the caller's promises are passed on.
        let found = unsafe { self.verify(block, layout) };
        let is_prevented = found.is_err_and(|diagnosis| diagnosis.kind.is_prevented());
        if layout.size() != 0 && !is_prevented {
            // SAFETY: the block is about to be free, and the bytes around it are the guard's.
            unsafe { write(block, layout.size(), FREED) };
        }
        found
    }
}
