//! The guard that lets valgrind and AddressSanitizer see the blocks of a pool: [`Visible`].
//!
//! To these tools a pool's chunk is one block, in which everything may be touched. The guard tells them what is handed
//! out and what is not.

#[cfg(feature = "asan")]
mod asan;
#[cfg(feature = "valgrind")]
mod valgrind;

use core::{alloc::Layout, ptr::NonNull};

use super::{
    Detain, Keeper,
    books::Books,
    detain::Hold,
    duty::{Duty, Site, Withheld},
};
use crate::contract::{Allocator, Finding, Flaw, RawPool, at_fork};

/// Lets valgrind (feature `valgrind`) and AddressSanitizer (feature `asan`) see the blocks of a pool.
///
/// They find then what they find in the blocks of malloc: reads and writes of a freed block, as long as it is one of the
/// last `N` that were freed, of at most a mebibyte in all ([`holding`](Keeper::holding)); and of the 16 bytes behind a
/// block. Valgrind also finds what is used although it was never written, says where a block was allocated and freed, and
/// lists blocks that are still live at the end of the program among the leaks, if no pointer leads to them (the pool itself points to where its chunks begin). What
/// [`Checked`](crate::Checked) finds, this guard finds too, because it keeps the same books: frees that must not be, and
/// blocks that are live when the pool goes.
///
/// Not found: a read or write further behind a block, and what is done to a block after it has left the last `N`, because
/// a pool writes into its free blocks itself. LeakSanitizer is not told of blocks: there is no way to. Where chunks come
/// from malloc, valgrind says of a freed block only which chunk it lies in; so [`Pages`](crate::Pages) is the better parent.
///
/// With valgrind nothing else is needed than to run the program in it, on x86-64 and aarch64; on its own the program then
/// does a dozen instructions more per call. AddressSanitizer has to be built into the program (`-Zsanitizer=address`), on
/// Linux on the same processors; without it, and elsewhere, nothing happens, and the features do no harm.
///
/// Costs what `Checked` does, `N` times three words, and 16 bytes per block: around blocks of 64 bytes it serves requests
/// of up to 48. A block that shrinks always moves. Around a pool ([`new`](Keeper::new)), or around an allocator
/// ([`around`](Keeper::around)), outermost but for other guards of this kind.
///
/// ```
/// use core::alloc::Layout;
/// use millpond::{Allocator, Blocks, Fixed, Local, Pages, Visible};
///
/// let pool = Local::new_in(Visible::<_, 64>::new(Blocks::<Fixed<64>>::new()), Pages);
/// let layout = Layout::new::<[u8; 48]>();
/// let block = pool.allocate(layout)?.cast::<u8>();
/// // SAFETY: the block is live, and this pool handed it out for this layout.
/// unsafe { pool.deallocate(block, layout) };
/// // In valgrind: "Invalid read of size 1 […] Address 0x4a5c040 is 0 bytes inside a block of size 48 free'd".
/// // unsafe { block.read_volatile() };
/// # Ok::<(), millpond::AllocError>(())
/// ```
pub type Visible<X, const N: usize = 64> = Keeper<Show, Detain<Hide, X, N>>;

/// What the tools are told.
mod tools {
    /// Hands a statement to each tool that there is.
    macro_rules! tell {
        ($($(#[$doc:meta])* $name:ident($($argument:ident),*);)*) => {$(
            $(#[$doc])*
            pub(super) fn $name($($argument: usize),*) {
                #[cfg(feature = "valgrind")]
                super::valgrind::$name($($argument),*);
                #[cfg(feature = "asan")]
                super::asan::$name($($argument),*);
            }
        )*};
    }

    tell! {
        /// A block of `size` bytes is handed out, of which `written` are.
        hand_out(start, size, written);
        /// A live block has grown where it is.
        grow(start, old, new);
        /// A live block is freed. What its memory is from now on is to be said besides.
        take_back(start, size);
        /// Nobody may touch these bytes.
        hide(start, size);
        /// They may be touched, and are not written.
        uncover(start, size);
    }
}

/// The duty of [`Visible`]: it tells of blocks that are handed out and taken back, and hides the margins behind them.
///
/// # Invariants
///
/// * The margins of exactly the blocks that are live in the books are hidden.
#[derive(Debug)]
pub struct Show {
    books: Books<()>,
}

/// What [`Visible`] does to blocks that are held back: it hides them.
#[derive(Clone, Copy, Debug)]
pub struct Hide;

impl<P: RawPool, const N: usize> Keeper<Show, Detain<Hide, P, N>> {
    /// Shows what is done to a pool from now on, while nothing is live.
    #[must_use]
    pub const fn new(pool: P) -> Self {
        Self::with_duty(Show { books: Books::new() }, Detain::with_hold(Hide, pool, None), "visible")
    }
}

impl<A: Allocator, const N: usize> Keeper<Show, Detain<Hide, A, N>> {
    /// Shows what is done to an allocator from now on.
    #[must_use]
    pub const fn around(allocator: A) -> Self {
        let held = Detain::with_hold(Hide, allocator, Some(A::deallocate));
        Self::with_duty(Show { books: Books::new() }, held, "visible")
    }
}

impl<X, const N: usize> Keeper<Show, Detain<Hide, X, N>> {
    /// Holds no more than so many bytes back, margins included; a block that is larger is freed at once. Left alone, it
    /// is a mebibyte.
    #[must_use]
    pub fn holding(mut self, bytes: usize) -> Self {
        self.inner.most = bytes;
        self
    }
}

impl Show {
    /// Whatever is live goes in another way than by being freed, and its memory becomes the pool's.
    fn end_all(&self) {
        self.books.each_live(|start, layout| {
            tools::take_back(start, layout.size());
            tools::uncover(start, layout.size() + Self::MARGIN);
        });
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.end_all();
    }
}

// SAFETY: nothing is read or written; nobody is called but the tools.
unsafe impl Duty for Show {
    const MARGIN: usize = 16;

    /// The end of a block that shrinks would go to the pool with the margin still hidden.
    const SHRINKS_IN_PLACE: bool = false;

    unsafe fn hand_out(
        &self,
        block: NonNull<u8>,
        (layout, room): (Layout, usize),
        kept: usize,
        site: Site,
    ) -> Result<(), Withheld> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.books.hand_out(block, (layout, room), kept, site) }?;
        let start = block.addr().get();
        tools::hand_out(start, layout.size(), kept);
        tools::hide(start + layout.size(), Self::MARGIN);
        Ok(())
    }

    unsafe fn verify(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.books.verify(block, layout) }
    }

    fn may_take_back(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.books.may_take_back(block, layout)
    }

    fn relabel(&self, block: NonNull<u8>, old: Layout, new: Layout) {
        self.books.relabel(block, old, new);
    }

    unsafe fn resized(
        &self,
        block: NonNull<u8>,
        old: Layout,
        (new, room): (Layout, usize),
    ) -> Result<(), Finding> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.books.resized(block, old, (new, room)) }?;
        if new.size() > old.size() {
            let start = block.addr().get();
            tools::grow(start, old.size(), new.size());
            tools::hide(start + new.size(), Self::MARGIN);
        }
        Ok(())
    }

    unsafe fn take_back(&self, block: NonNull<u8>, layout: Layout, site: Site) -> Result<(), Finding> {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.books.take_back(block, layout, site) }?;
        tools::take_back(block.addr().get(), layout.size());
        Ok(())
    }

    fn reset(&mut self) {
        self.end_all();
        self.books.reset();
    }

    fn leak(&self) -> Option<(usize, Layout, Finding)> {
        self.books.leak()
    }

    fn check(&self) -> Result<(), Flaw> {
        self.books.check()
    }
}

// SAFETY: nothing is read or written; nobody is called but the tools.
unsafe impl Hold for Hide {
    unsafe fn enter(&self, block: NonNull<u8>, layout: Layout) {
        tools::hide(block.addr().get(), layout.size());
    }

    unsafe fn leave(&self, block: NonNull<u8>, layout: Layout) -> Result<(), Finding> {
        tools::uncover(block.addr().get(), layout.size());
        Ok(())
    }
}

at_fork!([] Show: books);
