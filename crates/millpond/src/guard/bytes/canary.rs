//! The guard that detects writes past the end of a block, or in front of it.

use core::{alloc::Layout, ptr::NonNull};

use super::{
    hooks::{BlockHooks, NewBlock, Rejected, ResizedBlock, Site},
    instrumented::Instrumented,
};
use crate::traits::{AtFork, Diagnosis, MisuseKind};

/// Writes known bytes in front of and behind each block, and checks them when the block is freed or resized.
///
/// Detects, when a block is freed, every write to the 16 bytes in front of it or behind it that changed one of them.
/// Does not detect writes that are further away, or around blocks that are never freed. The bytes depend on the block's
/// address, so copying one block over another is detected too. The block is freed nevertheless, because the harm is
/// done. When a block is freed, the bytes are inverted: a block that is freed twice, and whose end was not written to
/// in between, is reported and not freed again. An address that a guard further in refuses is not accessed.
///
/// Costs 32 bytes per block, and the time to write and check them. If the alignment is more than 16, there are as many
/// bytes in front of the block, so that it stays aligned. The guard requests these bytes together with the block, so
/// around blocks of 64 bytes it serves requests of up to 32. Around a pool, or around an allocator.
///
/// ```
/// use core::{alloc::Layout, sync::atomic::{AtomicUsize, Ordering::Relaxed}};
/// use millpond::{
///     Allocator, Blocks, Fixed, Local, guard::Canary, observe::{Misuse, MisuseKind, Reporter},
/// };
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
/// // SAFETY: the write past the end is deliberate; the bytes behind the block belong to the guard.
/// unsafe {
///     block.add(31).write(0);
///     pool.deallocate(block, layout);
/// }
/// assert_eq!(OFFSET.load(Relaxed), 31);
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Canary<X> = Instrumented<Redzones, X>;

/// The hooks of [`Canary`].
#[derive(Clone, Copy, Debug)]
pub struct Redzones;

/// Bytes in front of each block and behind it.
const REDZONE: usize = 16;

impl<X> Instrumented<Redzones, X> {
    /// Creates a guard that checks both ends of all blocks that `inner` hands out from now on.
    #[must_use]
    pub const fn new(inner: X) -> Self {
        Self::with_hooks(Redzones, inner, "canary")
    }
}

/// Returns the bytes in front of a block that begins at this address, or behind one that ends there: a pattern that is
/// never zero.
fn bytes(edge: usize) -> [u8; REDZONE] {
    let mixed = (edge as u64 ^ 0xC0DE_CAFE_D15E_A5ED).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = [0; REDZONE];
    bytes[..8].copy_from_slice(&(mixed | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes[8..].copy_from_slice(&(mixed.rotate_left(29) | 0x0101_0101_0101_0101).to_ne_bytes());
    bytes
}

/// Returns the start and end of a block, each with a pointer to the bytes next to it.
///
/// # Safety
///
/// The block has `size` bytes, and the caller may access the margins around it.
unsafe fn redzones(block: NonNull<u8>, size: usize) -> [(usize, NonNull<[u8; REDZONE]>); 2] {
    // SAFETY: the caller guarantees that the block has `size` bytes and margins around it.
    let (front, end) = unsafe { (block.sub(REDZONE), block.add(size)) };
    [(block.addr().get(), front.cast()), (end.addr().get(), end.cast())]
}

/// Writes the bytes in front of a block and behind it, or inverts them, so that they differ from those of a live block.
///
/// # Safety
///
/// The block has `size` bytes, and the caller may write to the margins around it.
unsafe fn write(block: NonNull<u8>, size: usize, mask: u8) {
    // SAFETY: the caller guarantees that the block has `size` bytes and that the margins may be written to.
    unsafe {
        for (edge, redzone) in redzones(block, size) {
            redzone.write_unaligned(bytes(edge).map(|byte| byte ^ mask));
        }
    }
}

/// Turns the bytes around a live block into those around a freed one.
const FREED: u8 = u8::MAX;

// SAFETY: there are no parts, and no method is overridden.
unsafe impl AtFork for Redzones {}

// SAFETY: only bytes of the margins are accessed.
unsafe impl BlockHooks for Redzones {
    const BACK_MARGIN: usize = REDZONE;
    const FRONT_MARGIN: usize = REDZONE;
    const WRITES_FREED: bool = true;

    unsafe fn on_alloc(&self, block: NewBlock) -> Result<(), Rejected> {
        // SAFETY: the caller guarantees that the block has at least the size of `layout` and margins around it.
        unsafe { write(block.start, block.layout.size(), 0) };
        Ok(())
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        if layout.size() == 0 {
            return Ok(());
        }
        // SAFETY: the block is live and of this layout, and the bytes around it belong to the guard.
        let [front, back] = unsafe { redzones(block, layout.size()) }
            // SAFETY: as above.
            .map(|(edge, redzone)| (unsafe { redzone.read_unaligned() }, bytes(edge)));
        // Only the bytes behind: a pool writes to the start of its free blocks, which are those in front.
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

    unsafe fn on_resize(&self, block: ResizedBlock) -> Result<(), Diagnosis> {
        // SAFETY: the caller guarantees that the block has at least the size of `new` and margins around it.
        unsafe { write(block.start, block.new.size(), 0) };
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, _: Site) -> Result<(), Diagnosis> {
        // SAFETY: the caller upholds the contract of `on_free`, which is that of `verify`.
        let found = unsafe { self.verify(block, layout) };
        let is_prevented = found.is_err_and(|diagnosis| diagnosis.kind.is_prevented());
        if layout.size() != 0 && !is_prevented {
            // SAFETY: the block is about to be freed, and the bytes around it belong to the guard.
            unsafe { write(block, layout.size(), FREED) };
        }
        found
    }
}
