//! Sizes and alignments as C passes them.

use std::alloc::Layout;

use crate::{
    abi::{MP_DEFAULT_ALIGN, MP_NATURAL_ALIGN},
    error::MpError,
};

/// Returns the layout that C requests: a size of 0 counts as 1, and an alignment of 0 is the default.
#[inline(always)]
pub(crate) fn layout(size: usize, align: usize, default: usize) -> Result<Layout, MpError> {
    let align = if align != 0 { align } else { usual_align(size, default) };
    match Layout::from_size_align(size.max(1), align) {
        Ok(layout) => Ok(layout),
        Err(_) if !align.is_power_of_two() => Err(MpError::invalid("align must be 0 or a power of two")),
        Err(_) => Err(MpError::unsupported("the size is too large: no object may exceed PTRDIFF_MAX bytes")),
    }
}

/// Returns the alignment that 0 stands for in an allocator with this default.
#[inline(always)]
pub(crate) fn usual_align(size: usize, default: usize) -> usize {
    match default {
        0 => MP_DEFAULT_ALIGN,
        MP_NATURAL_ALIGN if size <= LARGEST_NATURAL => natural_align(size),
        MP_NATURAL_ALIGN => MP_DEFAULT_ALIGN,
        default => default,
    }
}

/// The largest size whose natural alignment depends on it; for larger ones, it would save little.
const LARGEST_NATURAL: usize = 128;

/// Returns the natural alignment of a block of this size: an object's size is a multiple of its alignment, which is at
/// most that of `max_align_t`.
#[inline(always)]
pub(crate) fn natural_align(size: usize) -> usize {
    (size & size.wrapping_neg()).clamp(align_of::<usize>(), MP_DEFAULT_ALIGN)
}
