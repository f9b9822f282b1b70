//! Pools whose blocks come in kinds: what a cache per thread can stand in front of.

use core::alloc::Layout;

use super::{Blocks, Config, KnownShape, Shape};
use crate::contract::RawPool;

/// The most kinds of blocks that a pool has.
pub(crate) const MOST_KINDS: usize = 65;

/// A pool whose blocks come in kinds, each block of a kind as good as the next: what [`Cached`](crate::Cached) can keep
/// ready for every thread.
///
/// # Safety
///
/// The [`Sorter`] says the same kind for every layout that fits a block. A block that was allocated for the kind's own
/// layout may be handed out for any other of that kind, and is freed with the kind's own.
pub unsafe trait Kinds: RawPool {
    /// What tells the kind of a layout.
    type Sorter: Sorter;

    /// Whether the pool knows which blocks are live, so that it looks for leaks when it goes, and may object to a block that is
    /// freed: then a cache gives back what it holds before, and asks.
    const SEEKS_LEAKS: bool = false;

    /// A copy of it: it is looked at while others use the pool.
    fn sorter(&self) -> Self::Sorter;
}

/// A pool of [`Kinds`] whose sorter is known at compile time, so that a [`Cached`](crate::Cached) of it can be a `static`.
///
/// # Safety
///
/// [`SORTER`](Self::SORTER) tells the kinds, their number and their layouts as [`sorter`](Kinds::sorter) of every value of
/// the type does.
pub unsafe trait KnownKinds: Kinds {
    /// The same as [`sorter`](Kinds::sorter).
    const SORTER: Self::Sorter;
}

/// What tells the kind of a layout.
///
/// # Safety
///
/// [`ByKinds`](Self::ByKinds) is what it says. Kinds are less than [`kinds`](Self::kinds), which is at most [`KINDS`](Self::KINDS), and that at most 65.
pub unsafe trait Sorter {
    /// How many kinds there are at most.
    const KINDS: usize;

    /// `One` if [`KINDS`](Self::KINDS) is 1, else `Several`.
    type ByKinds<One, Several>;

    /// How many kinds there are; as long as the sorter lives, and for its copies.
    fn kinds(&self) -> usize {
        Self::KINDS
    }

    /// The kind of a layout, if that is told quickly; `None` means that [`kind`](Self::kind) must be asked.
    fn kind_hot(&self, layout: Layout) -> Option<usize>;

    /// The kind of a layout; `None` for a size of zero, and for what the pool does not serve.
    fn kind(&self, layout: Layout) -> Option<usize>;

    /// The size and alignment of the blocks of a kind, which is below [`KINDS`](Self::KINDS).
    fn layout(&self, kind: usize) -> Layout;
}

/// The sorter of blocks that are all of one kind.
#[derive(Clone, Copy, Debug)]
pub struct OneKind<S>(pub(super) S);

// SAFETY: there is one kind, zero.
unsafe impl<S: Shape> Sorter for OneKind<S> {
    const KINDS: usize = 1;

    type ByKinds<One, Several> = One;

    #[inline(always)]
    fn kind_hot(&self, layout: Layout) -> Option<usize> {
        self.kind(layout)
    }

    #[inline(always)]
    fn kind(&self, layout: Layout) -> Option<usize> {
        self.0.fits(layout).then_some(0)
    }

    #[inline(always)]
    fn layout(&self, _: usize) -> Layout {
        self.0.layout()
    }
}

// SAFETY: all blocks are of one shape, which every layout that the pool serves fits into.
unsafe impl<C: Config> Kinds for Blocks<C> {
    type Sorter = OneKind<C::Shape>;
    const SEEKS_LEAKS: bool = Self::MARKS;

    fn sorter(&self) -> Self::Sorter {
        self.only_kind()
    }
}

impl<C: Config> Blocks<C> {
    /// The same as [`sorter`](Kinds::sorter), at compile time too.
    pub(crate) const fn only_kind(&self) -> OneKind<C::Shape> {
        OneKind(self.shape())
    }
}

// SAFETY: the shape is known, so all pools of the type have it: `KnownShape` is sealed.
unsafe impl<C: Config<Shape: KnownShape>> KnownKinds for Blocks<C> {
    const SORTER: Self::Sorter = OneKind(C::Shape::SHAPE);
}
