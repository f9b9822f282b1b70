//! The guard that makes the blocks of a pool visible to valgrind and AddressSanitizer: [`ToolAnnotated`].
//!
//! To these tools a pool's chunk is one block, in which everything may be accessed. The guard tells them which parts
//! are handed out.

#[cfg(feature = "asan")]
mod asan;
#[cfg(feature = "valgrind")]
mod valgrind;

use core::{alloc::Layout, ptr::NonNull};

use super::{
    checked::BlockTable,
    hooks::{BlockHooks, NewBlock, Rejected, ResizedBlock, Site},
    instrumented::Instrumented,
};
use crate::{
    guard::quarantine::{DelayedFree, DelayedFreeHooks},
    traits::{Allocator, AtFork, Diagnosis, InvariantError, RawPool},
};

/// Makes the blocks of a pool visible to valgrind (feature `valgrind`) and AddressSanitizer (feature `asan`).
///
/// The tools then detect what they detect in the blocks of malloc: reads and writes of a freed block, as long as it is
/// one of the last `N` that were freed, of at most a mebibyte in total ([`holding`](Instrumented::holding)), and of the
/// 16 bytes behind a block. Valgrind also detects uses of uninitialized memory, reports where a block was allocated and
/// freed, and lists blocks that are still live at the end of the program among the leaks, if no pointer leads to them
/// (the pool itself points to the start of its chunks). This guard also detects what [`Checked`](crate::guard::Checked)
/// detects, because it keeps the same table: invalid frees, and blocks that are live when the pool is dropped.
///
/// Not detected: reads and writes further behind a block, and accesses to a block after it has left the last `N`,
/// because a pool writes into its free blocks itself. LeakSanitizer has no interface for announcing blocks. If chunks
/// come from malloc, valgrind reports for a freed block only the chunk in which it lies, so [`Pages`](crate::Pages) is
/// the better parent.
///
/// For valgrind it is sufficient to run the program in it, on x86-64 and aarch64; outside of valgrind the program then
/// executes a dozen more instructions per call. AddressSanitizer has to be built into the program
/// (`-Zsanitizer=address`), on Linux on the same processors; without it, and on other platforms, nothing happens, and
/// the features do no harm.
///
/// Costs what `Checked` costs, `N` times three words, and 16 bytes per block: around blocks of 64 bytes it serves
/// requests of up to 48. A block that shrinks always moves. Around a pool ([`new`](Instrumented::new)), or around an
/// allocator ([`around`](Instrumented::around)), outside of all guards except others of this kind.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, Pages, guard::ToolAnnotated};
///
/// let pool = Local::new_in(ToolAnnotated::<_, 64>::new(Blocks::<Fixed<64>>::new()), Pages);
/// let layout = Layout::new::<[u8; 48]>();
/// let block = pool.allocate(layout)?.cast::<u8>();
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block, layout) };
/// // In valgrind: "Invalid read of size 1 […] Address 0x4a5c040 is 0 bytes inside a block of size 48 free'd".
/// // unsafe { block.read_volatile() };
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type ToolAnnotated<X, const N: usize = 64> =
    Instrumented<LiveAnnotations, DelayedFree<HeldAnnotations, X, N>>;

/// A tool that observes blocks. Each start is an address, and each size a number of bytes.
trait Tool {
    /// A block is handed out, whose first `written` bytes are initialized.
    fn on_alloc(&self, start: usize, size: usize, written: usize);

    /// A live block has grown in place.
    fn on_grow(&self, start: usize, old: usize, new: usize);

    /// A live block is freed. The state of its memory has to be set separately.
    fn on_free(&self, start: usize, size: usize);

    /// These bytes must not be accessed.
    fn make_noaccess(&self, start: usize, size: usize);

    /// These bytes may be accessed, and are uninitialized.
    fn make_undefined(&self, start: usize, size: usize);
}

/// The tools that are enabled.
const TOOLS: &[&dyn Tool] = &[
    #[cfg(feature = "valgrind")]
    &valgrind::Valgrind,
    #[cfg(feature = "asan")]
    &asan::AddressSanitizer,
];

/// The hooks of [`ToolAnnotated`]: they announce blocks that are handed out and freed, and hide the margins behind
/// them.
///
/// # Invariants
///
/// * The hidden margins are exactly those of the blocks that are live in the table.
#[derive(Debug)]
pub struct LiveAnnotations {
    block_table: BlockTable<()>,
}

/// The hooks of [`ToolAnnotated`] for blocks that are held back: they hide them.
#[derive(Clone, Copy, Debug)]
pub struct HeldAnnotations;

impl<P: RawPool, const N: usize> Instrumented<LiveAnnotations, DelayedFree<HeldAnnotations, P, N>> {
    /// Creates a guard that announces what is done to a pool from now on. No block of the pool may be live.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::with_hooks(
            LiveAnnotations { block_table: BlockTable::new() },
            DelayedFree::with_hooks(HeldAnnotations, pool, None),
            "visible",
        )
    }
}

impl<A: Allocator, const N: usize> Instrumented<LiveAnnotations, DelayedFree<HeldAnnotations, A, N>> {
    /// Creates a guard that announces what is done to an allocator from now on.
    #[must_use]
    pub const fn around(allocator: A) -> Self {
        let held = DelayedFree::with_hooks(HeldAnnotations, allocator, Some(A::deallocate));
        Self::with_hooks(LiveAnnotations { block_table: BlockTable::new() }, held, "visible")
    }
}

impl<X, const N: usize> Instrumented<LiveAnnotations, DelayedFree<HeldAnnotations, X, N>> {
    /// Sets the maximum number of bytes held back, margins included; a larger block is freed at once. The default is a
    /// mebibyte.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> Self {
        self.inner.most = bytes;
        self
    }
}

impl LiveAnnotations {
    /// Announces that everything live has ended without being freed, and that its memory belongs to the pool.
    fn end_all(&self) {
        self.block_table.each_live(|start, layout| {
            for tool in TOOLS {
                tool.on_free(start, layout.size());
                tool.make_undefined(start, layout.size() + Self::BACK_MARGIN);
            }
        });
    }
}

impl Drop for LiveAnnotations {
    fn drop(&mut self) {
        self.end_all();
    }
}

// SAFETY: nothing is read or written, and only the tools are called.
unsafe impl BlockHooks for LiveAnnotations {
    const BACK_MARGIN: usize = 16;

    /// A block that shrinks in place would return its end to the pool with the margin still hidden.
    const SHRINKS_IN_PLACE: bool = false;

    unsafe fn on_alloc(&self, block: NewBlock) -> Result<(), Rejected> {
        // SAFETY: the caller upholds the contract of `on_alloc`, which is the same.
        unsafe { self.block_table.on_alloc(block) }?;
        let (start, size) = (block.start.addr().get(), block.layout.size());
        for tool in TOOLS {
            tool.on_alloc(start, size, block.kept);
            tool.make_noaccess(start + size, Self::BACK_MARGIN);
        }
        Ok(())
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        // SAFETY: the caller upholds the contract of `verify`, which is the same.
        unsafe { self.block_table.verify(block, layout) }
    }

    fn may_free(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.block_table.may_free(block, layout)
    }

    fn set_layout(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        self.block_table.set_layout(block, old, new);
    }

    unsafe fn on_resize(&self, block: ResizedBlock) -> Result<(), Diagnosis> {
        // SAFETY: the caller upholds the contract of `on_resize`, which is the same.
        unsafe { self.block_table.on_resize(block) }?;
        let (start, old, new) = (block.start.addr().get(), block.old.size(), block.new.size());
        if new > old {
            for tool in TOOLS {
                tool.on_grow(start, old, new);
                tool.make_noaccess(start + new, Self::BACK_MARGIN);
            }
        }
        Ok(())
    }

    unsafe fn on_free(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Diagnosis> {
        // SAFETY: the caller upholds the contract of `on_free`, which is the same.
        unsafe { self.block_table.on_free(block, layout, site) }?;
        for tool in TOOLS {
            tool.on_free(block.addr().get(), layout.size());
        }
        Ok(())
    }

    fn reset(&mut self) {
        self.end_all();
        self.block_table.reset();
    }

    fn find_leak(&self) -> Option<(usize, Layout, Diagnosis)> {
        self.block_table.find_leak()
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.block_table.check()
    }
}

// SAFETY: nothing is read or written, and only the tools are called.
unsafe impl DelayedFreeHooks for HeldAnnotations {
    unsafe fn on_hold(&self, block: NonNull<u8>, layout: Layout) {
        for tool in TOOLS {
            tool.make_noaccess(block.addr().get(), layout.size());
        }
    }

    unsafe fn on_release(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Diagnosis> {
        for tool in TOOLS {
            tool.make_undefined(block.addr().get(), layout.size());
        }
        Ok(())
    }
}

// SAFETY: the part is a field, so it is the same in each call.
unsafe impl AtFork for LiveAnnotations {
    fn parts(&self, visit: &mut dyn FnMut(&dyn AtFork)) {
        visit(&self.block_table);
    }
}
