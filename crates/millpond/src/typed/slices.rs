//! Slices and strings in any allocator.

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use super::PoolBox;
use crate::{
    base::{AllocError, uninit},
    traits::Allocator,
};

/// The part of a slice that is made so far; it is dropped if making the rest panics.
struct InitGuard<'a, T> {
    places: &'a mut [MaybeUninit<T>],
    count: usize,
}

impl<T> Drop for InitGuard<'_, T> {
    fn drop(&mut self) {
        // SAFETY: so many values are made.
        unsafe { uninit::assume_init_drop(&mut self.places[..self.count]) };
    }
}

impl<'p, T, M: Allocator + ?Sized> PoolBox<'p, [T], M> {
    /// A slice of `length` values, each of which is made in place from its index, in any allocator. If `make` panics, what
    /// was made is dropped and the block goes back.
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
    /// As [`Allocator::allocate`], or [`AllocError::Unsupported`] for a slice beyond all memory; `make` is not called then.
    pub fn slice_in(length: usize, make: impl FnMut(usize) -> T, memory: &'p M) -> Result<Self, AllocError> {
        let mut places = places_in(length, memory)?;
        let mut made = InitGuard { places: &mut places, count: 0 };
        for (index, value) in (0..length).map(make).enumerate() {
            made.places[index].write(value);
            made.count += 1;
        }
        core::mem::forget(made);
        // SAFETY: all values are made.
        Ok(unsafe { assume_init(places) })
    }

    /// A copy of a slice in any allocator.
    ///
    /// # Errors
    ///
    /// As [`slice_in`](Self::slice_in).
    pub fn copy_in(values: &[T], memory: &'p M) -> Result<Self, AllocError>
    where
        T: Copy,
    {
        let mut places = places_in(values.len(), memory)?;
        uninit::copy_from_slice(&mut places, values);
        // SAFETY: all values are copied.
        Ok(unsafe { assume_init(places) })
    }
}

impl<'p, M: Allocator + ?Sized> PoolBox<'p, str, M> {
    /// A copy of a string in any allocator.
    ///
    /// # Errors
    ///
    /// As [`Allocator::allocate`].
    pub fn str_in(text: &str, memory: &'p M) -> Result<Self, AllocError> {
        let (bytes, memory) = PoolBox::into_parts(PoolBox::copy_in(text.as_bytes(), memory)?);
        // SAFETY: `str` and `[u8]` have one layout, and these bytes are those of a string.
        unsafe {
            let text = NonNull::new_unchecked(bytes.as_ptr() as *mut str);
            Ok(Self::from_parts(text, memory))
        }
    }
}

/// Room for a slice.
fn places_in<T, M: Allocator + ?Sized>(
    length: usize,
    memory: &M,
) -> Result<PoolBox<'_, [MaybeUninit<T>], M>, AllocError> {
    let layout = Layout::array::<T>(length).map_err(|_| AllocError::Unsupported)?;
    let block = memory.allocate(layout)?;
    let places = NonNull::slice_from_raw_parts(block.cast(), length);
    // SAFETY: the block was just handed out for this layout, and what may be uninitialised is valid.
    Ok(unsafe { PoolBox::from_parts(places, memory) })
}

/// # Safety
///
/// Every value is there.
unsafe fn assume_init<'p, T, M: Allocator + ?Sized>(
    places: PoolBox<'p, [MaybeUninit<T>], M>,
) -> PoolBox<'p, [T], M> {
    let (places, memory) = PoolBox::into_parts(places);
    let values = NonNull::slice_from_raw_parts(places.cast::<T>(), places.len());
    // SAFETY: this is the block of the handle that was taken apart, and the values are there.
    unsafe { PoolBox::from_parts(values, memory) }
}

/// An array is a slice of its length.
impl<'p, T, M: Allocator + ?Sized, const N: usize> From<PoolBox<'p, [T; N], M>> for PoolBox<'p, [T], M> {
    fn from(array: PoolBox<'p, [T; N], M>) -> Self {
        let (values, memory) = PoolBox::into_parts(array);
        // SAFETY: this is the block of the handle that was taken apart; an array and a slice of it have one layout.
        unsafe { Self::from_parts(values, memory) }
    }
}
