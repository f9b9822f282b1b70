//! The type-level configuration of [`Blocks`](super::Blocks).

use core::{alloc::Layout, hint::assert_unchecked, marker::PhantomData, num::NonZero};

use super::{FreeList, Lifo};
use crate::base::address::{WORD, align_up};

/// The configuration of a [`Blocks`](super::Blocks), in one type.
///
/// [`DynSize`] (the default), [`Fixed`] and [`For`] are sufficient for most uses; a pair of a [`BlockLayout`] and a
/// [`FreeList`] chooses the free list too.
///
/// ```
/// use millpond::{Blocks, Fixed, pool::Lifo};
///
/// let pool = Blocks::<(Fixed<64, 16>, Lifo)>::new();
/// ```
pub trait Config {
    /// The size and alignment of the blocks.
    type BlockLayout: BlockLayout;
    /// How freed blocks are kept.
    type FreeList: FreeList;
}

impl<S: BlockLayout, T: FreeList> Config for (S, T) {
    type BlockLayout = S;
    type FreeList = T;
}

/// The size and alignment of blocks, known at compile time ([`Fixed`], [`For`]) or at run time ([`DynSize`]).
///
/// A free block holds a link, so sizes are rounded up to a multiple of the alignment, which is at least that of a word.
pub trait BlockLayout: Copy + private::Sealed {
    /// Returns the number of bytes per block: a multiple of the alignment, at least a word.
    fn size(&self) -> usize;
    /// Returns the alignment of every block, at least that of a word.
    fn align(&self) -> usize;

    /// Returns whether a block can hold `layout`, and whether its size is not zero.
    #[inline(always)]
    fn fits(&self, layout: Layout) -> bool {
        // One comparison rejects both zero and sizes that are too large.
        layout.size().wrapping_sub(1) < self.size() && layout.align() <= self.align()
    }

    /// Returns the size and alignment as a [`Layout`].
    #[inline(always)]
    fn layout(&self) -> Layout {
        // SAFETY: a block layout is made from a `Layout`, and rounding it up to a word yields a valid one: sizes that
        // would overflow are rejected when the block layout is made.
        unsafe { Layout::from_size_align_unchecked(self.size(), self.align()) }
    }
}

/// A [`BlockLayout`] that is known at compile time.
pub trait ConstBlockLayout: BlockLayout {
    /// The block layout. Its validity is checked here, at compile time.
    const INSTANCE: Self;
    /// Bytes per block.
    const SIZE: usize;
    /// The alignment of every block.
    const ALIGN: usize;
}

mod private {
    pub trait Sealed {}
}

/// Blocks whose size and alignment are set at run time: the default [`Config`].
///
/// # Invariants
///
/// Size and alignment are at least those of a word. The compiler knows this, so no comparison is needed for a layout
/// that is known at compile time to need at most a word, or at most the alignment of a word.
#[derive(Clone, Copy, Debug)]
pub struct DynSize {
    size: NonZero<usize>,
    align: NonZero<usize>,
}

impl DynSize {
    /// Creates the layout of blocks that can hold `layout`.
    pub(crate) const fn new(layout: Layout) -> Self {
        let align = max(layout.align(), WORD);
        let size = max(layout.size(), WORD);
        // No object is so large that rounding up would overflow, but a layout may be: no pool serves it.
        let largest = isize::MAX.cast_unsigned() & !(align - 1);
        let size = if size > largest { largest } else { align_up(size, align) };
        Self { size: at_least_one(size), align: at_least_one(align) }
    }

    #[inline(always)]
    pub(crate) const fn bytes(self) -> usize {
        // SAFETY: this is the invariant of the type.
        unsafe { assert_unchecked(self.size.get() >= WORD) };
        self.size.get()
    }

    #[inline(always)]
    pub(super) const fn alignment(self) -> usize {
        // SAFETY: this is the invariant of the type.
        unsafe { assert_unchecked(self.align.get() >= WORD) };
        self.align.get()
    }
}

const fn at_least_one(number: usize) -> NonZero<usize> {
    match NonZero::new(number) {
        Some(number) => number,
        None => NonZero::<usize>::MIN,
    }
}

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

impl private::Sealed for DynSize {}

impl BlockLayout for DynSize {
    #[inline(always)]
    fn size(&self) -> usize {
        self.bytes()
    }

    #[inline(always)]
    fn align(&self) -> usize {
        self.alignment()
    }
}

impl Config for DynSize {
    type BlockLayout = Self;
    type FreeList = Lifo;
}

/// Blocks of `SIZE` bytes, aligned to `ALIGN`, known at compile time. The default alignment is 8 on every machine.
#[derive(Clone, Copy, Debug)]
pub struct Fixed<const SIZE: usize, const ALIGN: usize = 8>;

impl<const SIZE: usize, const ALIGN: usize> Fixed<SIZE, ALIGN> {
    const LAYOUT: DynSize = {
        assert!(SIZE > 0, "a block has at least one byte: choose a SIZE above 0");
        assert!(ALIGN.is_power_of_two(), "an alignment is a power of two: choose another ALIGN");
        match Layout::from_size_align(SIZE, ALIGN) {
            Ok(layout) => DynSize::new(layout),
            Err(_) => panic!("SIZE, rounded up to a multiple of ALIGN, is larger than an object can be"),
        }
    };
}

impl<const SIZE: usize, const ALIGN: usize> private::Sealed for Fixed<SIZE, ALIGN> {}

impl<const SIZE: usize, const ALIGN: usize> BlockLayout for Fixed<SIZE, ALIGN> {
    #[inline(always)]
    fn size(&self) -> usize {
        const { Self::LAYOUT.bytes() }
    }

    #[inline(always)]
    fn align(&self) -> usize {
        const { Self::LAYOUT.alignment() }
    }
}

impl<const SIZE: usize, const ALIGN: usize> ConstBlockLayout for Fixed<SIZE, ALIGN> {
    const INSTANCE: Self = Self;
    const SIZE: usize = Self::LAYOUT.bytes();
    const ALIGN: usize = Self::LAYOUT.alignment();
}

impl<const SIZE: usize, const ALIGN: usize> Config for Fixed<SIZE, ALIGN> {
    type BlockLayout = Self;
    type FreeList = Lifo;
}

/// Blocks for one value of type `T` each, known at compile time.
pub struct For<T>(PhantomData<fn() -> T>);

impl<T> Clone for For<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for For<T> {}

impl<T> For<T> {
    const LAYOUT: DynSize = {
        assert!(size_of::<T>() > 0, "a value without bytes needs no pool");
        DynSize::new(Layout::new::<T>())
    };
}

impl<T> private::Sealed for For<T> {}

impl<T> BlockLayout for For<T> {
    #[inline(always)]
    fn size(&self) -> usize {
        const { Self::LAYOUT.bytes() }
    }

    #[inline(always)]
    fn align(&self) -> usize {
        const { Self::LAYOUT.alignment() }
    }
}

impl<T> ConstBlockLayout for For<T> {
    const INSTANCE: Self = Self(PhantomData);
    const SIZE: usize = Self::LAYOUT.bytes();
    const ALIGN: usize = Self::LAYOUT.alignment();
}

impl<T> Config for For<T> {
    type BlockLayout = Self;
    type FreeList = Lifo;
}
