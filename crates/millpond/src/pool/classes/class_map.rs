//! Maps a layout to its class.

use core::{alloc::Layout, hint::assert_unchecked};

use super::table::{LARGEST, MOST, SMALL, Table};
use crate::{
    pool::{ClassMap, MAX_CLASSES},
    traits::InvariantError,
};

/// Blocks are aligned to the largest power of two that divides their size, up to a cache line.
const LARGEST_ALIGN: usize = 64;

/// Every size is a multiple of this.
const GRANULE: usize = 8;

/// The [`ClassMap`] of [`Classes`](super::Classes): maps a layout to its class.
///
/// # Invariants
///
/// * The first `count` sizes, in granules, are those of the classes, ascending; the table maps each size to the first
///   class that holds it. No size is zero or above [`LARGEST`].
/// * Every class aligns its blocks to at least `align`.
/// * `small` is the size of the largest class, or [`SMALL`] if that is less.
#[derive(Clone, Copy)]
pub struct SizeClassMap {
    small: usize,
    align: usize,
    table: Table,
    count: usize,
    sizes: [u16; MOST + 1],
}

const _: () = assert!(LARGEST / GRANULE <= u16::MAX as usize && LARGEST.is_multiple_of(GRANULE));

/// Returns the alignment of the blocks of a class.
const fn align_for(size: usize) -> usize {
    let divisor = 1 << size.trailing_zeros();
    if divisor < LARGEST_ALIGN { divisor } else { LARGEST_ALIGN }
}

impl SizeClassMap {
    /// Creates the class map for classes of these sizes, which are rounded, distinct and ascending.
    pub(super) const fn new(sizes: &[usize]) -> Self {
        let mut granules = [(LARGEST / GRANULE) as u16; MOST + 1];
        let (mut class, mut largest, mut align) = (0, 0, LARGEST_ALIGN);
        while class < sizes.len() {
            largest = sizes[class];
            granules[class] = (largest / GRANULE) as u16;
            if align_for(largest) < align {
                align = align_for(largest);
            }
            class += 1;
        }
        let small = if largest < SMALL { largest } else { SMALL };
        Self { small, align, table: Table::new(sizes), count: sizes.len(), sizes: granules }
    }

    /// Returns the number of classes.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Returns the size of the blocks of a class.
    #[inline(always)]
    pub(super) fn size_of(&self, class: usize) -> usize {
        usize::from(self.sizes[class]) * GRANULE
    }

    /// Returns the size and alignment of the blocks of a class.
    #[inline(always)]
    pub(super) fn layout_of(&self, class: usize) -> Layout {
        let size = self.size_of(class);
        // SAFETY: the alignment is a power of two that divides the size, which is far below the maximum object size.
        unsafe { Layout::from_size_align_unchecked(size, align_for(size)) }
    }

    /// Returns the class of a non-empty layout of the hot path; at most [`MOST`]. `None` for other layouts.
    #[inline(always)]
    pub(super) fn lookup_hot(&self, layout: Layout) -> Option<usize> {
        if layout.align() > self.align {
            return None;
        }
        // One comparison rejects both zero and sizes that are not small.
        let class = if layout.size().wrapping_sub(1) < self.small {
            self.table.small(layout.size())
        } else if layout.size() != 0 {
            self.table.large(layout.size())?
        } else {
            return None;
        };
        // SAFETY: this is the invariant of the table.
        unsafe { assert_unchecked(class <= MOST) };
        Some(class)
    }

    /// Returns the class that serves a layout; `None` if the parent must serve it.
    #[inline]
    pub(super) fn lookup(&self, layout: Layout) -> Option<usize> {
        let class = self.table.lookup(layout.size())?;
        (class..self.count).find(|&class| align_for(self.size_of(class)) >= layout.align())
    }

    pub(super) fn check(&self) -> Result<(), InvariantError> {
        if !self.sizes[..self.count].is_sorted_by(|small, large| small < large) {
            return Err(InvariantError("the size classes are not ascending"));
        }
        let sizes = || (0..self.count).map(|class| self.size_of(class));
        if sizes().any(|size| align_for(size) < self.align) {
            return Err(InvariantError("a class has a smaller alignment than all classes promise"));
        }
        if sizes().enumerate().any(|(class, size)| self.table.lookup(size) != Some(class)) {
            return Err(InvariantError("the table maps the size of a class to another class"));
        }
        Ok(())
    }
}

// SAFETY: no class is above `MOST`, nor is the index behind the last class.
unsafe impl ClassMap for SizeClassMap {
    const CLASSES: usize = {
        assert!(MOST < MAX_CLASSES, "there are more classes than kinds");
        MOST + 1
    };

    type ByClassCount<One, Several> = Several;

    fn classes(&self) -> usize {
        self.count + 1
    }

    #[inline(always)]
    fn class_hot(&self, layout: Layout) -> Option<usize> {
        self.lookup_hot(layout)
    }

    fn class(&self, layout: Layout) -> Option<usize> {
        self.lookup(layout)
    }

    #[inline(always)]
    fn layout(&self, class: usize) -> Layout {
        self.layout_of(class)
    }
}

crate::base::opaque_debug! {
    SizeClassMap [] SizeClassMap;
}
