//! Slices collected from iterators of any length, and strings formatted in place.
//!
//! The block starts with the lower bound of the iterator's size hint and doubles when it is full. At the end the
//! unused part is returned if this requires no copy. In a bump arena from which nothing else is allocated meanwhile,
//! the block is the last one and grows in place.

use core::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::forget,
    ptr::{self, NonNull},
};

use crate::{base::AllocError, traits::Allocator, typed::dealloc_on_drop::DeallocOnDrop};

/// A block with a header of type `H` followed by values of type `T`. `H` is at least as aligned as `T`.
///
/// # Invariants
///
/// * `block` is a live block of `memory` with the layout of an `H` and `room` values, and has no other owner.
/// * The first `count` values are initialized; `count <= room`.
struct GrowingSlice<'m, H, T, M: Allocator + ?Sized> {
    block: NonNull<u8>,
    room: usize,
    count: usize,
    memory: &'m M,
    of: PhantomData<(H, T)>,
}

impl<'m, H, T, M: Allocator + ?Sized> GrowingSlice<'m, H, T, M> {
    /// Returns the layout of a block with a header and `room` values.
    fn layout(room: usize) -> Result<Layout, AllocError> {
        const { assert!(align_of::<H>() >= align_of::<T>(), "values begin where the head ends") };
        let values = Layout::array::<T>(room).map_err(|_| AllocError::Unsupported)?;
        let size = values.size().checked_add(size_of::<H>()).ok_or(AllocError::Unsupported)?;
        Layout::from_size_align(size, align_of::<H>()).map_err(|_| AllocError::Unsupported)
    }

    fn with_room(room: usize, memory: &'m M) -> Result<Self, AllocError> {
        let block = memory.allocate(Self::layout(room)?)?.cast();
        Ok(Self { block, room, count: 0, memory, of: PhantomData })
    }

    fn values(&self) -> NonNull<T> {
        // SAFETY: the values lie behind the header, in the block.
        unsafe { self.block.add(size_of::<H>()).cast() }
    }

    fn push(&mut self, value: T) -> Result<(), AllocError> {
        if self.count == self.room {
            self.resize(self.room.saturating_mul(2).max(4))?;
        }
        // SAFETY: there is room for at least one more value.
        unsafe { self.values().add(self.count).write(value) };
        self.count += 1;
        Ok(())
    }

    /// Appends a copy of `values`.
    fn extend(&mut self, values: &[T]) -> Result<(), AllocError>
    where
        T: Copy,
    {
        let needed = self.count.checked_add(values.len()).ok_or(AllocError::Unsupported)?;
        if needed > self.room {
            self.resize(self.room.saturating_mul(2).max(needed))?;
        }
        // SAFETY: there is room for all of the values.
        unsafe {
            self.values().add(self.count).copy_from_nonoverlapping(NonNull::from(values).cast(), values.len())
        };
        self.count = needed;
        Ok(())
    }

    /// Grows the block to `room` values.
    fn resize(&mut self, room: usize) -> Result<(), AllocError> {
        let (old, new) = (Self::layout(self.room)?, Self::layout(room)?);
        // SAFETY: `old` is the layout of the block, and `new` is larger.
        self.block = unsafe { self.memory.grow(self.block, old, new)? }.cast();
        self.room = room;
        Ok(())
    }

    /// Returns the unused part of the block if this requires no copy, and returns the values. Without values, frees
    /// the block.
    fn finish(self, begin: impl FnOnce(NonNull<H>, usize)) -> Result<&'m mut [T], AllocError> {
        if self.count == 0 {
            return Ok(&mut []);
        }
        if self.count < self.room {
            let (old, new) = (Self::layout(self.room)?, Self::layout(self.count)?);
            // SAFETY: `old` is the layout of the block; `new` is smaller and covers all values. If the block cannot
            // shrink, its end stays unused, which is fine because the block is never freed.
            let _ = unsafe { self.memory.shrink_in_place(self.block, old, new) };
        }
        begin(self.block.cast(), self.count);
        let mut values = NonNull::slice_from_raw_parts(self.values(), self.count);
        forget(self);
        // SAFETY: the values are initialized and lie in a block without another owner, which is not freed while the
        // allocator is borrowed.
        Ok(unsafe { values.as_mut() })
    }
}

/// Drops the values of an unfinished slice and frees its block.
impl<H, T, M: Allocator + ?Sized> Drop for GrowingSlice<'_, H, T, M> {
    fn drop(&mut self) {
        let values = ptr::slice_from_raw_parts_mut(self.values().as_ptr(), self.count);
        if let Ok(layout) = Self::layout(self.room) {
            // SAFETY: this owns the block, which has this layout. It is freed after the values have been dropped,
            // even if a destructor unwinds.
            unsafe {
                let _block = DeallocOnDrop::new(self.block, layout, self.memory);
                values.drop_in_place();
            }
        }
    }
}

/// Collects the values of an iterator into a slice behind a header. `begin` writes the header, given its address and
/// the number of values. The block is never freed individually; without values there is none.
///
/// # Errors
///
/// Same as [`Allocator::grow`], or [`AllocError::Unsupported`] if the size of the slice overflows. The values that
/// the iterator has yielded are dropped if there is an error.
pub(crate) fn collect<H, T, M: Allocator + ?Sized>(
    values: impl Iterator<Item = T>,
    memory: &M,
    begin: impl FnOnce(NonNull<H>, usize),
) -> Result<&mut [T], AllocError> {
    let mut growing = GrowingSlice::<H, T, M>::with_room(values.size_hint().0, memory)?;
    for value in values {
        growing.push(value)?;
    }
    growing.finish(begin)
}

/// Formats a string in place.
///
/// # Errors
///
/// Same as [`Allocator::grow`], or [`AllocError::Unsupported`] if the size of the string overflows.
///
/// # Panics
///
/// Panics if an implementation of a formatting trait returns an error.
#[expect(clippy::mut_from_ref, reason = "every call lends another block")]
pub(crate) fn format<'m, M: Allocator + ?Sized>(
    text: fmt::Arguments<'_>,
    memory: &'m M,
) -> Result<&'m mut str, AllocError> {
    /// A growing string, and the first error.
    struct Text<'m, M: Allocator + ?Sized>(GrowingSlice<'m, [u8; 0], u8, M>, Result<(), AllocError>);

    impl<M: Allocator + ?Sized> fmt::Write for Text<'_, M> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.1 = self.1.and_then(|()| self.0.extend(text.as_bytes()));
            self.1.map_err(|_| fmt::Error)
        }
    }

    let mut growing = Text(GrowingSlice::with_room(text.as_str().map_or(0, str::len), memory)?, Ok(()));
    let formatted = fmt::write(&mut growing, text);
    growing.1?;
    assert!(formatted.is_ok(), "an implementation of a formatting trait returned an error");
    let bytes = growing.0.finish(|_, _| ())?;
    // SAFETY: the bytes are a concatenation of strings.
    Ok(unsafe { core::str::from_utf8_unchecked_mut(bytes) })
}
