//! Pools whose blocks come in size classes, which a cache per thread can serve.

use core::alloc::Layout;

use super::{BlockLayout, Blocks, Config, ConstBlockLayout};
use crate::traits::RawPool;

/// The maximum number of size classes of a pool.
pub(crate) const MAX_CLASSES: usize = 65;

/// A pool whose blocks come in size classes; all blocks of a class are interchangeable. [`Cached`](crate::Cached) keeps
/// such blocks ready for every thread.
///
/// # Safety
///
/// The [`ClassMap`] returns the same class for every layout that fits a block. A block that was allocated for the
/// layout of its class may be handed out for any other layout of that class, and is freed with the layout of the class.
pub unsafe trait SizeClasses: RawPool {
    /// Maps a layout to its class.
    type ClassMap: ClassMap;

    /// Whether the pool knows which blocks are live, so that it reports leaks when it is dropped and may refuse a block
    /// that is freed. If so, a cache asks the pool about a block that is freed, and returns all blocks that it holds
    /// before the pool is dropped.
    const REPORTS_LEAKS: bool = false;

    /// Whether freed blocks may wait in a cache, unknown to the pool. If not, every call goes to the pool, so that it
    /// detects every invalid free.
    const IS_CACHEABLE: bool = true;

    /// Returns a copy of the class map, which is read while other threads use the pool.
    fn class_map(&self) -> Self::ClassMap;
}

/// A pool of [`SizeClasses`] whose class map is known at compile time, so that a [`Cached`](crate::Cached) of it can be
/// a `static`.
///
/// # Safety
///
/// [`CLASS_MAP`](Self::CLASS_MAP) returns the same classes, number of classes and layouts as
/// [`class_map`](SizeClasses::class_map) of every value of the type.
pub unsafe trait ConstSizeClasses: SizeClasses {
    /// The same as [`class_map`](SizeClasses::class_map).
    const CLASS_MAP: Self::ClassMap;
}

/// Maps a layout to its class.
///
/// # Safety
///
/// [`ByClassCount`](Self::ByClassCount) is as documented. Classes are less than [`classes`](Self::classes), which is at
/// most [`CLASSES`](Self::CLASSES), which is at most 65.
pub unsafe trait ClassMap {
    /// The maximum number of classes.
    const CLASSES: usize;

    /// `One` if [`CLASSES`](Self::CLASSES) is 1, otherwise `Several`.
    type ByClassCount<One, Several>;

    /// Returns the number of classes. It is constant for the lifetime of the class map, and the same for its copies.
    fn classes(&self) -> usize {
        Self::CLASSES
    }

    /// Returns the class of a layout if it can be found quickly; `None` means that [`class`](Self::class) must be
    /// called.
    fn class_hot(&self, layout: Layout) -> Option<usize>;

    /// Returns the class of a layout; `None` for a size of zero, and for a layout that the pool does not serve.
    fn class(&self, layout: Layout) -> Option<usize>;

    /// Returns the size and alignment of the blocks of a class, which is less than [`CLASSES`](Self::CLASSES).
    fn layout(&self, class: usize) -> Layout;
}

/// The class map of a pool whose blocks are all of one class.
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

// SAFETY: all blocks have the same layout, which every layout that the pool serves fits.
unsafe impl<C: Config> SizeClasses for Blocks<C> {
    type ClassMap = SingleClass<C::BlockLayout>;
    const REPORTS_LEAKS: bool = Self::REPORTS_LEAKS;
    const IS_CACHEABLE: bool = Self::IS_CACHEABLE;

    fn class_map(&self) -> Self::ClassMap {
        self.single_class()
    }
}

impl<C: Config> Blocks<C> {
    /// Returns the same as [`class_map`](SizeClasses::class_map), at compile time too.
    pub(crate) const fn single_class(&self) -> SingleClass<C::BlockLayout> {
        SingleClass(self.typed_layout())
    }
}

// SAFETY: the block layout is a constant of the type, so all pools of the type have it: `ConstBlockLayout` is sealed.
unsafe impl<C: Config<BlockLayout: ConstBlockLayout>> ConstSizeClasses for Blocks<C> {
    const CLASS_MAP: Self::ClassMap = SingleClass(C::BlockLayout::INSTANCE);
}
