//! A stack of vacated slots, stored apart from the slots. It contains the keys that the next values of the slots will
//! have.
//!
//! It has room for all slots, so vacating a slot requires no memory and does not touch the slot itself. The bottom
//! word is not a key, so reading the top word is enough to find out whether the stack is empty.

use core::{alloc::Layout, num::NonZero, ops::Range, ptr::NonNull};

use crate::{base::AllocError, traits::Allocator};

/// The bits of a key, or `None`.
type Bits = Option<NonZero<u64>>;

/// A stack of keys.
///
/// # Invariants
///
/// * `base` is the start of a block of the collection's parent for `room + 1` words, or the address of [`EMPTY`] if
///   `room` is zero.
/// * The word at `base` is `None`; the words behind it up to and including `top` are keys.
pub(super) struct VacatedKeys {
    top: NonNull<Bits>,
    base: NonNull<Bits>,
    room: usize,
}

/// The bottom of a stack without memory.
static EMPTY: Bits = None;

// SAFETY: the address of a static is not null.
const BOTTOM: NonNull<Bits> = unsafe { NonNull::new_unchecked(core::ptr::from_ref(&EMPTY).cast_mut()) };

fn layout(room: usize) -> Option<Layout> {
    Layout::array::<Bits>(room.checked_add(1)?).ok()
}

impl VacatedKeys {
    pub(super) const fn new() -> Self {
        let base = BOTTOM;
        Self { top: base, base, room: 0 }
    }

    /// Returns the key of the slot that was vacated last.
    #[inline(always)]
    pub(super) fn last(&self) -> Bits {
        // SAFETY: `top` points to a key or to the bottom.
        unsafe { self.top.read() }
    }

    /// Returns the number of keys.
    #[inline]
    pub(super) fn count(&self) -> usize {
        // SAFETY: both pointers point into the same block or static.
        unsafe { self.top.offset_from_unsigned(self.base) }
    }

    /// Removes the last key.
    ///
    /// # Safety
    ///
    /// The stack must not be empty.
    #[inline(always)]
    pub(super) unsafe fn pop(&mut self) {
        debug_assert_ne!(self.top, self.base, "there is no key");
        // SAFETY: the caller guarantees that there is a key, which is above the bottom.
        self.top = unsafe { self.top.sub(1) };
    }

    /// Adds a key.
    ///
    /// # Safety
    ///
    /// There must be room for another key.
    #[inline(always)]
    pub(super) unsafe fn push(&mut self, key: NonZero<u64>) {
        debug_assert!(self.count() < self.room, "there is no room for another key");
        // SAFETY: the caller guarantees that there is room for another key.
        unsafe {
            self.top = self.top.add(1);
            self.top.write(Some(key));
        }
    }

    /// Returns the capacity of the stack.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn clear(&mut self) {
        self.top = self.base;
    }

    /// Iterates over all keys.
    pub(super) fn all(&self) -> impl Iterator<Item = NonZero<u64>> {
        // SAFETY: these words, the bottom and the keys, are initialized and borrowed with the stack.
        let words = unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.count() + 1) };
        words.iter().copied().flatten()
    }

    /// Grows the stack to a capacity of `room` keys. Every call must pass the same parent.
    pub(super) fn grow(&mut self, parent: &impl Allocator, room: usize) -> Result<(), AllocError> {
        if room <= self.room {
            return Ok(());
        }
        let layout = layout(room).ok_or(AllocError::Unsupported)?;
        let (base, count) = (parent.allocate(layout)?.cast::<Bits>(), self.count());
        // SAFETY: the new block has more room than the old one, in which `count + 1` words are in use.
        unsafe {
            self.base.copy_to_nonoverlapping(base, count + 1);
            self.free(parent);
            self.top = base.add(count);
        }
        (self.base, self.room) = (base, room);
        Ok(())
    }

    /// Returns the range of addresses of the stack's memory, if it has any.
    pub(super) fn memory(&self) -> Option<Range<usize>> {
        let start = self.base.addr().get();
        let layout = layout(self.room).filter(|_| self.room != 0)?;
        Some(start..start + layout.size())
    }

    /// Frees the memory.
    ///
    /// # Safety
    ///
    /// The parent must be the one that the memory came from, and nothing may be pushed or popped afterwards.
    pub(super) unsafe fn free(&mut self, parent: &impl Allocator) {
        if let Some(layout) = layout(self.room)
            && self.room != 0
        {
            // SAFETY: the block was allocated by `parent` with this layout.
            unsafe { parent.deallocate(self.base.cast(), layout) };
        }
    }
}
