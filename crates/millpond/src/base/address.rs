//! Address arithmetic, and conversion from addresses back to pointers.
//!
//! # Provenance
//!
//! A `Box<T>` narrows the provenance of its pointer to `T`, but the block behind it is larger and its next owner may
//! need all of it. So Millpond keeps *addresses* in its links and headers, and every read or write of them goes through
//! [`recover`], which picks up the provenance that [`expose`] exposed when the chunk was added. This is the crate's
//! only exception to strict provenance, and it costs no instruction.

use core::{alloc::Layout, ptr::NonNull};

/// The size of a link between free blocks: one address.
pub(crate) const WORD: usize = size_of::<usize>();

/// Exposes the provenance of `pointer` for [`recover`] and returns its address.
pub(crate) fn expose(pointer: NonNull<u8>) -> usize {
    pointer.as_ptr().expose_provenance()
}

/// Returns a pointer to `address`, which lies in memory that was [`expose`]d.
#[inline(always)]
pub(crate) fn recover<T>(address: usize) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address)
}

/// Returns the block `address..address + size` in the form in which allocators hand it out.
///
/// # Safety
///
/// `address` is not zero and lies in memory that was exposed.
#[inline(always)]
pub(crate) unsafe fn block(address: usize, size: usize) -> NonNull<[u8]> {
    // SAFETY: the caller guarantees that the address is not zero.
    let start = unsafe { NonNull::new_unchecked(recover(address)) };
    NonNull::slice_from_raw_parts(start, size)
}

/// Prefetches the cache line at `address` for writing, on processors that support it; another core may have the line.
/// Nothing is read or written, so any address is allowed.
#[inline(always)]
pub(crate) fn prefetch_for_writing(address: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: the instruction has no effect that a program can observe; old processors ignore it.
        unsafe {
            core::arch::asm!("prefetchw [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// Returns the smallest multiple of `align` that is not below `value`; `align` is a power of two and the sum does not
/// overflow.
#[inline(always)]
pub(crate) const fn align_up(value: usize, align: usize) -> usize {
    (value + (align - 1)) & !(align - 1)
}

/// Returns a block of zero bytes: its address is its alignment, and nothing may be read or written there.
pub(crate) fn zero_sized(layout: Layout) -> NonNull<[u8]> {
    // SAFETY: an alignment is not zero.
    let start = unsafe { NonNull::new_unchecked(core::ptr::without_provenance_mut(layout.align())) };
    NonNull::slice_from_raw_parts(start, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn align_up_rounds_to_the_next_multiple() {
        for align in [1usize, 2, 8, 64, 4096] {
            for value in [0usize, 1, 7, 8, 63, 64, 65, 4095, 4097] {
                let up = align_up(value, align);
                assert!(up >= value && up - value < align && up.is_multiple_of(align), "{value} to {align}");
            }
        }
    }

    #[test]
    fn zero_sized_blocks() {
        let layout = Layout::from_size_align(0, 256).unwrap();
        assert_eq!(zero_sized(layout).cast::<u8>().addr().get(), 256);
        assert_eq!(zero_sized(layout).len(), 0);
    }
}
