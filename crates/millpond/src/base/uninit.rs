//! Methods of `[MaybeUninit<T>]` that the standard library has since Rust 1.93, for the older compilers that this crate
//! supports.

use core::{mem::MaybeUninit, ptr};

/// Returns `places` as the initialized values they are.
///
/// # Safety
///
/// Every place holds a value.
#[inline(always)]
pub(crate) const unsafe fn assume_init_ref<T>(places: &[MaybeUninit<T>]) -> &[T] {
    // SAFETY: `MaybeUninit<T>` has the layout of `T`, and the caller guarantees that every place is initialized.
    unsafe { &*(ptr::from_ref(places) as *const [T]) }
}

/// Drops the values in `places`, in order.
///
/// # Safety
///
/// Every place holds a value, which is not used afterwards.
pub(crate) unsafe fn assume_init_drop<T>(places: &mut [MaybeUninit<T>]) {
    // SAFETY: as above; the caller guarantees that the values are not used or dropped again.
    unsafe { ptr::drop_in_place(ptr::from_mut(places) as *mut [T]) };
}

/// Copies `values` into `places`, which has the same length.
pub(crate) fn copy_from_slice<T: Copy>(places: &mut [MaybeUninit<T>], values: &[T]) {
    // SAFETY: a value of `T` is a value of `MaybeUninit<T>`, which has the same layout.
    let values = unsafe { &*(ptr::from_ref(values) as *const [MaybeUninit<T>]) };
    places.copy_from_slice(values);
}
