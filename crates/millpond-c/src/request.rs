//! Sizes and alignments, as C passes them.

use std::alloc::Layout;

use crate::{abi::MP_DEFAULT_ALIGN, fault::Fault};

/// The layout of a block that C asks for: no bytes count as one, and an alignment of 0 is the default.
#[inline(always)]
pub(crate) fn layout(size: usize, align: usize, default: usize) -> Result<Layout, Fault> {
    let align = if align != 0 {
        align
    } else if default != 0 {
        default
    } else {
        MP_DEFAULT_ALIGN
    };
    match Layout::from_size_align(size.max(1), align) {
        Ok(layout) => Ok(layout),
        Err(_) if !align.is_power_of_two() => Err(Fault::invalid("an alignment is a power of two")),
        Err(_) => Err(Fault::unsupported("no object can be so large")),
    }
}

/// The alignment that a block of this size needs, unless something else is said: an object's size is a multiple of its
/// alignment, and none has more than `max_align_t`.
pub(crate) fn natural_align(size: usize) -> usize {
    (size & size.wrapping_neg()).clamp(align_of::<usize>(), MP_DEFAULT_ALIGN)
}
