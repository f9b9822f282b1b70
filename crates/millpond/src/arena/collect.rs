//! Slices of what iterators yield, however many that is, and strings that are formatted.
//!
//! The block begins as long as the iterator says that it is at least, doubles when it is full, and gives back its rest in the
//! end where that takes no copy. In a bump arena from which nobody else allocates meanwhile it is the last block, which
//! grows where it is.

use core::{
    alloc::Layout,
    fmt,
    marker::PhantomData,
    mem::forget,
    ptr::{self, NonNull},
};

use crate::{base::AllocError, traits::Allocator, typed::dealloc_on_drop::DeallocOnDrop};

/// A block with an `H`, which is aligned as a `T` is, and values behind it.
///
/// # Invariants
///
/// * `block` is a live block of `memory`, of the layout of an `H` and `room` values, which nobody else has.
/// * The first `count` values are valid; `count <= room`.
struct GrowingSlice<'m, H, T, M: Allocator + ?Sized> {
    block: NonNull<u8>,
    room: usize,
    count: usize,
    memory: &'m M,
    of: PhantomData<(H, T)>,
}

impl<'m, H, T, M: Allocator + ?Sized> GrowingSlice<'m, H, T, M> {
    /// The layout of a block with room for so many values.
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
        // SAFETY: the values lie behind the head, in the block.
        unsafe { self.block.add(size_of::<H>()).cast() }
    }

    fn push(&mut self, value: T) -> Result<(), AllocError> {
        if self.count == self.room {
            self.resize(self.room.saturating_mul(2).max(4))?;
        }
        // SAFETY: there is room for one more.
        unsafe { self.values().add(self.count).write(value) };
        self.count += 1;
        Ok(())
    }

    /// Copies values in.
    fn extend(&mut self, values: &[T]) -> Result<(), AllocError>
    where
        T: Copy,
    {
        let needed = self.count.checked_add(values.len()).ok_or(AllocError::Unsupported)?;
        if needed > self.room {
            self.resize(self.room.saturating_mul(2).max(needed))?;
        }
        // SAFETY: there is room for all of them.
        unsafe {
            self.values().add(self.count).copy_from_nonoverlapping(NonNull::from(values).cast(), values.len())
        };
        self.count = needed;
        Ok(())
    }

    /// Makes room for more.
    fn resize(&mut self, room: usize) -> Result<(), AllocError> {
        let (old, new) = (Self::layout(self.room)?, Self::layout(room)?);
        // SAFETY: this is the block's layout, and the new one is larger.
        self.block = unsafe { self.memory.grow(self.block, old, new)? }.cast();
        self.room = room;
        Ok(())
    }

    /// Gives back what is not needed, where that takes no copy, and lends the values. Without any, all goes back.
    fn finish(self, begin: impl FnOnce(NonNull<H>, usize)) -> Result<&'m mut [T], AllocError> {
        if self.count == 0 {
            return Ok(&mut []);
        }
        if self.count < self.room {
            let (old, new) = (Self::layout(self.room)?, Self::layout(self.count)?);
            // SAFETY: this is the block's layout, and the new one is smaller and has all values. A block that stays as long
            // as it was is lent with its end unused, for nobody frees it.
            let _ = unsafe { self.memory.shrink_in_place(self.block, old, new) };
        }
        begin(self.block.cast(), self.count);
        let mut values = NonNull::slice_from_raw_parts(self.values(), self.count);
        forget(self);
        // SAFETY: the values are valid, in a block that nobody else has and nobody frees while the allocator is borrowed.
        Ok(unsafe { values.as_mut() })
    }
}

/// What could not be finished: its values are dropped, and its block goes back.
impl<H, T, M: Allocator + ?Sized> Drop for GrowingSlice<'_, H, T, M> {
    fn drop(&mut self) {
        let values = ptr::slice_from_raw_parts_mut(self.values().as_ptr(), self.count);
        if let Ok(layout) = Self::layout(self.room) {
            // SAFETY: the block is ours and of this layout, and goes back after the values, also if one of them unwinds.
            unsafe {
                let _block = DeallocOnDrop::new(self.block, layout, self.memory);
                values.drop_in_place();
            }
        }
    }
}

/// Lends a slice of what an iterator yields, behind a head that `begin` writes, given its place and the number of values.
/// Nobody frees the block; without values there is none.
///
/// # Errors
///
/// As [`Allocator::grow`], or [`AllocError::Unsupported`] for a slice beyond all memory; what was yielded is dropped.
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

/// Lends a string that is formatted in its place.
///
/// # Errors
///
/// As [`Allocator::grow`], or [`AllocError::Unsupported`] for a string beyond all memory.
///
/// # Panics
///
/// If an implementation of a formatting trait returns an error.
#[expect(clippy::mut_from_ref, reason = "every call lends another block")]
pub(crate) fn format<'m, M: Allocator + ?Sized>(
    text: fmt::Arguments<'_>,
    memory: &'m M,
) -> Result<&'m mut str, AllocError> {
    /// A string that grows, and why it did not.
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
    // SAFETY: the bytes are those of strings, one behind the other.
    Ok(unsafe { core::str::from_utf8_unchecked_mut(bytes) })
}
