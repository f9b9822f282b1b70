//! Pools for programs under attack: every defence that the library has, in the right order.
//!
//! ```
//! use core::alloc::Layout;
//! use millpond::{Allocator, secure};
//!
//! let pool = secure::classes();
//! let layout = Layout::new::<[u8; 100]>();
//! let block = pool.allocate(layout)?;
//! // SAFETY: the block is live, and this pool handed it out for this layout.
//! unsafe { pool.deallocate(block.cast(), layout) };
//! # Ok::<(), millpond::AllocError>(())
//! ```
//!
//! From the inside out:
//!
//! | layer | defence |
//! |---|---|
//! | [`TunedPages::guarded`] | every chunk, every large block and all memory with the pool's own data lies between two guard pages |
//! | [`Checked`] around these | invalid frees of large blocks are detected, before a system call is made for them |
//! | [`Hardened<Full>`](Hardened) | invalid frees are detected; no address is read from a block; blocks are erased, checked, held back, and handed out in random order |
//! | [`Canary`] | writes up to 16 bytes past the end of a block, or in front of it, are detected when it is freed |
//! | [`Locked`] | threads take turns, so each call sees what the ones before it did |
//!
//! Misuse ends the program with a message; blocks that are live when the pool is dropped are not reported. For another reaction,
//! another lock, or fewer defences, combine the parts as the types here do. `SECURITY.md` has a table of attacks, and
//! says what each part costs.

use core::alloc::Layout;

use super::Locked;
use crate::{
    guard::{Canary, Checked},
    pool::{Blocks, DynSize, Full, Hardened, HardenedClasses},
    source::TunedPages,
    traits::{Misuse, MisuseKind, Reporter, panic_with_report},
};

/// Pages between guard pages, with a table of those that are handed out.
pub type SecurePages = Checked<TunedPages>;

/// A secure pool of blocks of one size: see [`blocks`].
pub type SecureBlocks = Locked<Canary<Blocks<(DynSize, Hardened<Full>)>>, SecurePages>;

/// A secure pool of blocks of all sizes: see [`classes`].
pub type SecureClasses = Locked<Canary<HardenedClasses<Full>>, SecurePages>;

const REPORTER: Reporter = Reporter::named("secure").with_hook(end_the_program);

fn end_the_program(misuse: &Misuse) {
    if !matches!(misuse.kind, MisuseKind::Leak { .. }) {
        panic_with_report(misuse);
    }
}

/// The bytes that [`Canary`] adds behind a block.
const MARGIN: usize = 16;

/// Creates a secure pool of blocks that can hold `layout`.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, secure};
///
/// let pool = secure::blocks(Layout::new::<[u64; 8]>());
/// let block = pool.allocate(Layout::new::<[u64; 8]>())?;
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block.cast(), Layout::new::<[u64; 8]>()) };
/// # Ok::<(), millpond::AllocError>(())
/// ```
#[must_use]
pub fn blocks(layout: Layout) -> SecureBlocks {
    let size = layout.size().saturating_add(MARGIN + layout.align().max(MARGIN));
    // A size that no object can have is served by no block, whatever its layout is.
    let whole = Layout::from_size_align(size, layout.align()).unwrap_or(layout);
    let blocks = Blocks::<(DynSize, Hardened<Full>)>::with_layout(whole).reporting(REPORTER);
    Locked::new_in(Canary::new(blocks).reporting(REPORTER), pages())
}

/// Creates a secure pool of blocks of all sizes. Blocks of more than 32 KiB are pages of their own.
#[must_use]
pub fn classes() -> SecureClasses {
    let classes = HardenedClasses::new().reporting(REPORTER);
    Locked::new_in(Canary::new(classes).reporting(REPORTER), pages())
}

fn pages() -> SecurePages {
    Checked::new(TunedPages::new().guarded()).reporting(REPORTER)
}
