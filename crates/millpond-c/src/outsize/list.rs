//! The list of blocks that are too large for the classes of a pool, linked through the records in front of them.

use std::alloc::Layout;

use millpond::{AllocError, observe::InvariantError};

/// The record in front of a block from the parent.
pub(super) struct Record {
    newer: *mut Record,
    older: *mut Record,
    /// The layout requested from the parent, including this record.
    pub(super) wide: Layout,
}

impl Record {
    /// Returns the record of a block that is in no list.
    pub(super) const fn new(wide: Layout) -> Self {
        Self { newer: std::ptr::null_mut(), older: std::ptr::null_mut(), wide }
    }
}

/// The blocks from the parent.
///
/// # Invariants
///
/// * From `newest` on, `older` links all records, and `newer` links them in the opposite direction. There are `count`
///   records with `held` bytes, of which `live` are in blocks.
pub(super) struct List {
    pub(super) newest: *mut Record,
    pub(super) count: usize,
    pub(super) held: usize,
    pub(super) live: usize,
}

// SAFETY: the records belong to the pool and are accessed only through the list.
unsafe impl Send for List {}

impl List {
    pub(super) const EMPTY: Self = Self { newest: std::ptr::null_mut(), count: 0, held: 0, live: 0 };

    /// # Safety
    ///
    /// `record` must point to a record that is in no list.
    pub(super) unsafe fn add(&mut self, record: *mut Record) {
        // SAFETY: the caller guarantees a valid record; by the invariant, `newest` is valid or null.
        unsafe {
            (*record).newer = std::ptr::null_mut();
            (*record).older = self.newest;
            if !self.newest.is_null() {
                (*self.newest).newer = record;
            }
            self.newest = record;
            self.count += 1;
            self.held += (*record).wide.size();
            self.live += (*record).wide.size() - front((*record).wide);
        }
    }

    /// # Safety
    ///
    /// The record must be in this list.
    pub(super) unsafe fn remove(&mut self, record: *mut Record) {
        // SAFETY: the caller guarantees that the record is in this list; by the invariant, its neighbours are valid or
        // null.
        unsafe {
            let Record { newer, older, wide } = *record;
            if newer.is_null() {
                self.newest = older
            } else {
                (*newer).older = older
            }
            if !older.is_null() {
                (*older).newer = newer;
            }
            self.count -= 1;
            self.held -= wide.size();
            self.live -= wide.size() - front(wide);
        }
    }

    /// Iterates over the records; yields at most `count`.
    pub(super) fn records(&self) -> impl Iterator<Item = *mut Record> {
        let mut next = self.newest;
        (0..self.count).map_while(move |_| {
            let record = (!next.is_null()).then_some(next)?;
            // SAFETY: by the invariant, every linked record is valid.
            next = unsafe { (*record).older };
            Some(record)
        })
    }

    pub(super) fn check(&self) -> Result<(), InvariantError> {
        let mut newer = std::ptr::null_mut();
        for record in self.records() {
            // SAFETY: by the invariant, every linked record is valid.
            if unsafe { (*record).newer } != newer {
                return Err(InvariantError(
                    "the record in front of a block above the largest class was overwritten",
                ));
            }
            newer = record;
        }
        // SAFETY: as above.
        let is_last = newer.is_null() || unsafe { (*newer).older.is_null() };
        let count = self.records().count();
        if is_last && count == self.count {
            Ok(())
        } else {
            Err(InvariantError("the list of blocks above the largest class was overwritten"))
        }
    }
}

/// Returns the number of bytes in front of a block: padding and the record, which ends where the block begins.
pub(super) const fn front(wide: Layout) -> usize {
    if wide.align() > size_of::<Record>() { wide.align() } else { size_of::<Record>() }
}

/// Returns the layout to request from the parent, with room for the record. Fails on overflow.
pub(super) fn widened(layout: Layout) -> Result<Layout, AllocError> {
    let align = layout.align().max(align_of::<Record>());
    let wide = Layout::from_size_align(layout.size(), align).map_err(|_| AllocError::Unsupported)?;
    let size = layout.size().checked_add(front(wide)).ok_or(AllocError::Unsupported)?;
    Layout::from_size_align(size, align).map_err(|_| AllocError::Unsupported)
}
