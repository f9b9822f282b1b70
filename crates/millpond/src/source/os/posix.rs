//! What POSIX has no words for, on a Unix that is not Linux: wishes do nothing, demands are refused.

use core::ptr::NonNull;

use super::Extent;
pub(in crate::source) use super::touch as populate;
use crate::{base::AllocError, source::Numa};

pub(crate) fn map_huge(_: &Extent) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

/// # Safety
///
/// None here: nothing is done.
pub(crate) unsafe fn remap(_: NonNull<u8>, _: usize, _: usize, _: bool) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

/// # Safety
///
/// None here: nothing is done.
pub(crate) unsafe fn prefer_huge(_: NonNull<u8>, _: usize) {}

/// # Safety
///
/// None here: nothing is done.
pub(crate) unsafe fn bind(_: NonNull<u8>, _: usize, _: Numa) -> Result<(), AllocError> {
    Ok(())
}
