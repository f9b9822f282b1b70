//! Slices and strings in any allocator.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use super::PoolBox;
use crate::{
    base::{AllocError, uninit},
    traits::Allocator,
};

/// The initialized part of a slice, which is dropped if making the remaining values panics.
struct InitGuard<'a, T> {
    places: &'a mut [MaybeUninit<T>],
    count: usize,
}

impl<T> Drop for InitGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the first `count` values are initialized.
        unsafe { uninit::assume_init_drop(&mut self.places[..self.count]) };
    }
}

impl<'p, T, M: Allocator + ?Sized> PoolBox<'p, [T], M> {
    /// Allocates a slice of `length` values in any allocator and makes each value in place from its index. If `make`
    /// panics, the values made so far are dropped and the block is freed.
    ///
    /// ```
    /// use millpond::{Classes, Local, PoolBox};
    ///
    /// let classes = Local::new(Classes::new());
    /// let squares = PoolBox::slice_in(4, |index| index * index, &classes)?;
    /// assert_eq!(*squares, [0, 1, 4, 9]);
    /// # Ok::<(), millpond::AllocError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`], or [`AllocError::Unsupported`] if the size of the slice overflows. `make` is
    /// not called if there is an error.
    pub fn slice_in(length: usize, make: impl FnMut(usize) -> T, memory: &'p M) -> Result<Self, AllocError> {
        let mut places = places_in(length, memory)?;
        let mut made = InitGuard { places: &mut places, count: 0 };
        for (index, value) in (0..length).map(make).enumerate() {
            made.places[index].write(value);
            made.count += 1;
        }
        core::mem::forget(made);
        // SAFETY: all values are initialized.
        Ok(unsafe { assume_init(places) })
    }

    /// Copies a slice into any allocator.
    ///
    /// # Errors
    ///
    /// Same as [`slice_in`](Self::slice_in).
    pub fn copy_in(values: &[T], memory: &'p M) -> Result<Self, AllocError>
    where
        T: Copy,
    {
        let mut places = places_in(values.len(), memory)?;
        uninit::copy_from_slice(&mut places, values);
        // SAFETY: all values have been copied.
        Ok(unsafe { assume_init(places) })
    }
}

impl<'p, M: Allocator + ?Sized> PoolBox<'p, str, M> {
    /// Copies a string into any allocator.
    ///
    /// # Errors
    ///
    /// Same as [`Allocator::allocate`].
    pub fn str_in(text: &str, memory: &'p M) -> Result<Self, AllocError> {
        let (bytes, memory) = PoolBox::into_parts(PoolBox::copy_in(text.as_bytes(), memory)?);
        // SAFETY: `str` and `[u8]` have the same layout, and the bytes are those of a string.
        unsafe {
            let text = NonNull::new_unchecked(bytes.as_ptr() as *mut str);
            Ok(Self::from_parts(text, memory))
        }
    }
}

/// Allocates an uninitialized slice.
fn places_in<T, M: Allocator + ?Sized>(
    length: usize,
    memory: &M,
) -> Result<PoolBox<'_, [MaybeUninit<T>], M>, AllocError> {
    let layout = Layout::array::<T>(length).map_err(|_| AllocError::Unsupported)?;
    let block = memory.allocate(layout)?;
    let places = NonNull::slice_from_raw_parts(block.cast(), length);
    // SAFETY: the block was just allocated with this layout, and `MaybeUninit` needs no initialization.
    Ok(unsafe { PoolBox::from_parts(places, memory) })
}

/// Converts a slice to one of initialized values.
///
/// # Safety
///
/// Every value must be initialized.
unsafe fn assume_init<'p, T, M: Allocator + ?Sized>(
    places: PoolBox<'p, [MaybeUninit<T>], M>,
) -> PoolBox<'p, [T], M> {
    let (places, memory) = PoolBox::into_parts(places);
    let values = NonNull::slice_from_raw_parts(places.cast::<T>(), places.len());
    // SAFETY: the block and the allocator are those of the consumed handle, and all values are initialized.
    unsafe { PoolBox::from_parts(values, memory) }
}

/// Converts an array to a slice of the same length.
impl<'p, T, M: Allocator + ?Sized, const N: usize> From<PoolBox<'p, [T; N], M>> for PoolBox<'p, [T], M> {
    fn from(array: PoolBox<'p, [T; N], M>) -> Self {
        let (values, memory) = PoolBox::into_parts(array);
        // SAFETY: the block and the allocator are those of the consumed handle, and an array has the layout of a
        // slice of its length.
        unsafe { Self::from_parts(values, memory) }
    }
}
