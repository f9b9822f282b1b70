//! Fallbacks for features that POSIX lacks, on a Unix other than Linux: hints do nothing, requirements are refused.

use core::ptr::NonNull;

use super::Extent;
pub(in crate::source) use super::touch as populate;
use crate::{base::AllocError, source::Numa};

/// Returns an error: guards are addresses without memory here.
pub(crate) fn map_guarded(_: &Extent) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

pub(crate) fn map_huge(_: &Extent) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

/// Returns an error: POSIX cannot grow a mapping.
///
/// # Safety
///
/// No requirements: the function does nothing.
pub(crate) unsafe fn remap(_: NonNull<u8>, _: usize, _: usize, _: bool) -> Result<NonNull<u8>, AllocError> {
    Err(AllocError::Unsupported)
}

/// Does nothing.
///
/// # Safety
///
/// No requirements: the function does nothing.
pub(crate) unsafe fn prefer_huge(_: NonNull<u8>, _: usize) {}

/// Does nothing.
///
/// # Safety
///
/// No requirements: the function does nothing.
pub(crate) unsafe fn bind(_: NonNull<u8>, _: usize, _: Numa) -> Result<(), AllocError> {
    Ok(())
}
