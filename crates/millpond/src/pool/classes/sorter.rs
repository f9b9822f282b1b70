//! From a layout to its class.

use core::alloc::Layout;

use super::table::{LARGEST, MOST, SMALL, Table};
use crate::{
    contract::Flaw,
    pool::{MOST_KINDS, Sorter},
};

/// Blocks are aligned to the largest power of two that divides their size, up to a cache line.
const LARGEST_ALIGN: usize = 64;

/// What tells the class of a layout: the [`Sorter`] of [`Classes`](super::Classes).
///
/// # Invariants
///
/// * The first `count` layouts are those of the classes, with ascending sizes; the table maps each size to the first class
///   that holds it.
/// * Every class with blocks of up to `hot.size` bytes aligns them to `hot.align`.
#[derive(Clone, Copy)]
pub struct ClassSorter {
    hot: Hot,
    table: Table,
    count: usize,
    layouts: [Layout; MOST + 1],
}

/// The layouts of the hot path: their class is one look-up away.
#[derive(Clone, Copy)]
struct Hot {
    size: usize,
    align: usize,
}

/// The layout of a class's blocks.
const fn layout_for(size: usize) -> Layout {
    let divisor = 1 << size.trailing_zeros();
    let align = if divisor < LARGEST_ALIGN { divisor } else { LARGEST_ALIGN };
    match Layout::from_size_align(size, align) {
        Ok(layout) => layout,
        // Every size is a multiple of its alignment and far below the largest object.
        Err(_) => Layout::new::<usize>(),
    }
}

impl ClassSorter {
    /// The sorter for classes of these sizes, which are rounded, different and ascending.
    pub(super) const fn new(sizes: &[usize]) -> Self {
        let mut layouts = [layout_for(LARGEST); MOST + 1];
        let (mut class, mut largest, mut align) = (0, 0, LARGEST_ALIGN);
        while class < sizes.len() {
            layouts[class] = layout_for(sizes[class]);
            largest = sizes[class];
            if layouts[class].align() < align {
                align = layouts[class].align();
            }
            class += 1;
        }
        let size = if largest < SMALL { largest } else { SMALL };
        Self { hot: Hot { size, align }, table: Table::new(sizes), count: sizes.len(), layouts }
    }

    /// How many classes there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Size and alignment of the blocks of a class.
    pub(super) const fn layout_of(&self, class: usize) -> Layout {
        self.layouts[class]
    }

    /// The class of a layout of the hot path, at most [`MOST`]; `None` for other layouts. For a size of zero it is
    /// [`MOST`].
    #[inline(always)]
    pub(super) fn hot_class(&self, layout: Layout) -> Option<usize> {
        let hot = layout.size() <= self.hot.size && layout.align() <= self.hot.align;
        if hot { Some(self.table.small(layout.size())) } else { None }
    }

    /// The class that serves a layout; `None` if that is the parent's business.
    #[inline]
    pub(super) fn class(&self, layout: Layout) -> Option<usize> {
        let class = self.table.class(layout.size())?;
        (class..self.count).find(|&class| self.layouts[class].align() >= layout.align())
    }

    pub(super) fn check(&self) -> Result<(), Flaw> {
        let classes = || self.layouts[..self.count].iter();
        if classes().any(|layout| layout.size() <= self.hot.size && layout.align() < self.hot.align) {
            return Err(Flaw("a class of the hot path is aligned less than it says"));
        }
        if classes().enumerate().any(|(class, layout)| self.table.class(layout.size()) != Some(class)) {
            return Err(Flaw("the table sends a class's own size to another class"));
        }
        Ok(())
    }
}

// SAFETY: no class is above `MOST`.
unsafe impl Sorter for ClassSorter {
    const KINDS: usize = {
        assert!(MOST < MOST_KINDS, "there are more classes than kinds");
        MOST + 1
    };

    #[inline(always)]
    fn kind_hot(&self, layout: Layout) -> Option<usize> {
        self.hot_class(layout)
    }

    fn kind(&self, layout: Layout) -> Option<usize> {
        self.class(layout)
    }

    #[inline(always)]
    fn layout(&self, kind: usize) -> Layout {
        // SAFETY: kinds are at most `MOST`.
        unsafe { *self.layouts.get_unchecked(kind) }
    }
}

crate::base::opaque_debug! {
    ClassSorter [] ClassSorter;
}
