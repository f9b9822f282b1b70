//! The slots that wait to be filled, last vacated first: a stack beside the slots, of the keys that their next values will
//! have.
//!
//! It has room for all of them, so that vacating a slot needs no memory, and the slots themselves are not touched. At the
//! bottom lies a word that is no key, so that one look says whether there is any.

use core::{alloc::Layout, num::NonZero, ops::Range, ptr::NonNull};

use crate::{base::AllocError, traits::Allocator};

/// The bits of a key, or none.
type Bits = Option<NonZero<u64>>;

/// # Invariants
///
/// * `base` is the start of a block of the collection's parent for `room` words and one, or of [`EMPTY`] if that is zero.
/// * The word at `base` is none, those behind it up to `top` are keys.
pub(super) struct VacatedKeys {
    top: NonNull<Bits>,
    base: NonNull<Bits>,
    room: usize,
}

/// The bottom of a stack that has no memory.
static EMPTY: Bits = None;

// SAFETY: a static has an address.
const BOTTOM: NonNull<Bits> = unsafe { NonNull::new_unchecked(core::ptr::from_ref(&EMPTY).cast_mut()) };

fn layout(room: usize) -> Option<Layout> {
    Layout::array::<Bits>(room.checked_add(1)?).ok()
}

impl VacatedKeys {
    pub(super) const fn new() -> Self {
        let base = BOTTOM;
        Self { top: base, base, room: 0 }
    }

    /// The one that was vacated last.
    #[inline(always)]
    pub(super) fn last(&self) -> Bits {
        // SAFETY: it points at a key, or at the bottom.
        unsafe { self.top.read() }
    }

    /// How many there are.
    #[inline]
    pub(super) fn count(&self) -> usize {
        // SAFETY: both point into one block, or are the same.
        unsafe { self.top.offset_from_unsigned(self.base) }
    }

    /// Removes the last one.
    ///
    /// # Safety
    ///
    /// There is one.
    #[inline(always)]
    pub(super) unsafe fn pop(&mut self) {
        // SAFETY: the last one is above the bottom.
        self.top = unsafe { self.top.sub(1) };
    }

    /// Adds one.
    ///
    /// # Safety
    ///
    /// There is room.
    #[inline(always)]
    pub(super) unsafe fn push(&mut self, key: NonZero<u64>) {
        // SAFETY: the caller says that there is room.
        unsafe {
            self.top = self.top.add(1);
            self.top.write(Some(key));
        }
    }

    /// How many there is room for.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn clear(&mut self) {
        self.top = self.base;
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = NonZero<u64>> {
        // SAFETY: these words are the bottom and keys; they are borrowed with the stack.
        let words = unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.count() + 1) };
        words.iter().copied().flatten()
    }

    /// Makes room for so many in all, from the parent that has come each time.
    pub(super) fn grow(&mut self, parent: &impl Allocator, room: usize) -> Result<(), AllocError> {
        if room <= self.room {
            return Ok(());
        }
        let layout = layout(room).ok_or(AllocError::Unsupported)?;
        let (base, count) = (parent.allocate(layout)?.cast::<Bits>(), self.count());
        // SAFETY: the new block has more room than the old one, of which so many words and one are in use.
        unsafe {
            self.base.copy_to_nonoverlapping(base, count + 1);
            self.free(parent);
            self.top = base.add(count);
        }
        (self.base, self.room) = (base, room);
        Ok(())
    }

    /// Where its memory is, if it has any: addresses.
    pub(super) fn memory(&self) -> Option<Range<usize>> {
        let start = self.base.addr().get();
        let layout = layout(self.room).filter(|_| self.room != 0)?;
        Some(start..start + layout.size())
    }

    /// Returns the memory.
    ///
    /// # Safety
    ///
    /// The parent is the one that it came from, and nothing is pushed or popped any more.
    pub(super) unsafe fn free(&mut self, parent: &impl Allocator) {
        if let Some(layout) = layout(self.room)
            && self.room != 0
        {
            // SAFETY: the block was handed out for this layout.
            unsafe { parent.deallocate(self.base.cast(), layout) };
        }
    }
}
