//! Pools whose blocks come in classes: what a cache per thread can stand in front of.

use core::alloc::Layout;

use super::{BlockLayout, Blocks, Config, ConstBlockLayout};
use crate::traits::RawPool;

/// The most classes of blocks that a pool has.
pub(crate) const MAX_CLASSES: usize = 65;

/// A pool whose blocks come in classes, each block of a class as good as the next: what [`Cached`](crate::Cached) can keep
/// ready for every thread.
///
/// # Safety
///
/// The [`ClassMap`] says the same class for every layout that fits a block. A block that was allocated for the class's own
/// layout may be handed out for any other of that class, and is freed with the class's own.
pub unsafe trait SizeClasses: RawPool {
    /// What tells the class of a layout.
    type ClassMap: ClassMap;

    /// Whether the pool knows which blocks are live, so that it looks for leaks when it goes, and may object to a block that is
    /// freed: then a cache gives back what it holds before, and asks.
    const REPORTS_LEAKS: bool = false;

    /// A copy of it: it is looked at while others use the pool.
    fn class_map(&self) -> Self::ClassMap;
}

/// A pool of [`SizeClasses`] whose class_map is known at compile time, so that a [`Cached`](crate::Cached) of it can be a `static`.
///
/// # Safety
///
/// [`CLASS_MAP`](Self::CLASS_MAP) tells the classes, their number and their layouts as [`class_map`](SizeClasses::class_map) of every value of
/// the type does.
pub unsafe trait ConstSizeClasses: SizeClasses {
    /// The same as [`class_map`](SizeClasses::class_map).
    const CLASS_MAP: Self::ClassMap;
}

/// What tells the class of a layout.
///
/// # Safety
///
/// [`ByClassCount`](Self::ByClassCount) is what it says. Kinds are less than [`classes`](Self::classes), which is at most [`CLASSES`](Self::CLASSES), and that at most 65.
pub unsafe trait ClassMap {
    /// How many classes there are at most.
    const CLASSES: usize;

    /// `One` if [`CLASSES`](Self::CLASSES) is 1, else `Several`.
    type ByClassCount<One, Several>;

    /// How many classes there are; as long as the class map lives, and for its copies.
    fn classes(&self) -> usize {
        Self::CLASSES
    }

    /// The class of a layout, if that is told quickly; `None` means that [`class`](Self::class) must be asked.
    fn class_hot(&self, layout: Layout) -> Option<usize>;

    /// The class of a layout; `None` for a size of zero, and for what the pool does not serve.
    fn class(&self, layout: Layout) -> Option<usize>;

    /// The size and alignment of the blocks of a class, which is below [`CLASSES`](Self::CLASSES).
    fn layout(&self, class: usize) -> Layout;
}

/// The class map of blocks that are all of one class.
#[derive(Clone, Copy, Debug)]
pub struct SingleClass<S>(pub(super) S);

// SAFETY: there is one class, zero.
unsafe impl<S: BlockLayout> ClassMap for SingleClass<S> {
    const CLASSES: usize = 1;

    type ByClassCount<One, Several> = One;

    #[inline(always)]
    fn class_hot(&self, layout: Layout) -> Option<usize> {
        self.class(layout)
    }

    #[inline(always)]
    fn class(&self, layout: Layout) -> Option<usize> {
        self.0.fits(layout).then_some(0)
    }

    #[inline(always)]
    fn layout(&self, _: usize) -> Layout {
        self.0.layout()
    }
}

// SAFETY: all blocks are of one shape, which every layout that the pool serves fits into.
unsafe impl<C: Config> SizeClasses for Blocks<C> {
    type ClassMap = SingleClass<C::BlockLayout>;
    const REPORTS_LEAKS: bool = Self::VALIDATES;

    fn class_map(&self) -> Self::ClassMap {
        self.single_class()
    }
}

impl<C: Config> Blocks<C> {
    /// The same as [`class_map`](SizeClasses::class_map), at compile time too.
    pub(crate) const fn single_class(&self) -> SingleClass<C::BlockLayout> {
        SingleClass(self.typed_layout())
    }
}

// SAFETY: the shape is known, so all pools of the type have it: `ConstBlockLayout` is sealed.
unsafe impl<C: Config<BlockLayout: ConstBlockLayout>> ConstSizeClasses for Blocks<C> {
    const CLASS_MAP: Self::ClassMap = SingleClass(C::BlockLayout::INSTANCE);
}
