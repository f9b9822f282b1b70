//! Checking for zeros, and writing them, a vector at a time: blocks are aligned to 16.

use core::arch::x86_64::{
    __m128i, _mm_cmpeq_epi8, _mm_load_si128, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
    _mm_store_si128,
};

use crate::classes::GRAIN;

/// Larger ranges are erased by the C library, which is faster for them.
const MOST_BY_VECTORS: usize = 256;

/// Returns whether all bytes of a range are 0.
///
/// # Safety
///
/// The range must be mapped, aligned to 16, and a multiple of 16 long.
#[inline]
pub(crate) unsafe fn all_zero(start: *const u8, bytes: usize) -> bool {
    debug_assert!(start.addr().is_multiple_of(GRAIN) && bytes.is_multiple_of(GRAIN));
    let (start, count) = (start.cast::<__m128i>(), bytes / GRAIN);
    // SAFETY: the caller guarantees that the range is mapped and aligned; every x86-64 processor has SSE2.
    unsafe {
        let mut all = _mm_setzero_si128();
        for index in 0..count {
            all = _mm_or_si128(all, _mm_load_si128(start.add(index)));
        }
        _mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_setzero_si128())) == 0xFFFF
    }
}

/// Writes zeros to a range.
///
/// # Safety
///
/// As for [`all_zero`]; the range must belong to the caller.
#[inline]
pub(crate) unsafe fn erase(start: *mut u8, bytes: usize) {
    debug_assert!(start.addr().is_multiple_of(GRAIN) && bytes.is_multiple_of(GRAIN));
    if bytes > MOST_BY_VECTORS {
        // SAFETY: the caller owns the range.
        return unsafe { start.write_bytes(0, bytes) };
    }
    let start = start.cast::<__m128i>();
    for index in 0..bytes / GRAIN {
        // SAFETY: the caller owns the range, which is aligned; every x86-64 processor has SSE2.
        unsafe { _mm_store_si128(start.add(index), _mm_setzero_si128()) };
    }
}

/// Returns whether all bytes of a range of any alignment are 0.
///
/// # Safety
///
/// The range must be mapped.
pub(crate) unsafe fn all_bytes_zero(start: *const u8, bytes: usize) -> bool {
    // SAFETY: the caller guarantees that the range is mapped.
    unsafe { core::slice::from_raw_parts(start, bytes) }.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(16))]
    struct Aligned([u8; 320]);

    #[test]
    fn zeros_are_told_from_others() {
        let mut bytes = Aligned([0; 320]);
        for index in 0..320 {
            bytes.0[index] = 1;
            let start = bytes.0.as_ptr();
            // SAFETY: the ranges lie in the array.
            unsafe {
                assert_eq!(all_zero(start.add(16), 240), !(16..256).contains(&index));
                assert_eq!(all_bytes_zero(start.add(3), 90), !(3..93).contains(&index));
            }
            bytes.0[index] = 0;
        }
    }

    #[test]
    fn what_is_erased_is_zero_and_no_more() {
        for length in [16, 64, 256, 272] {
            let mut bytes = Aligned([7; 320]);
            // SAFETY: the range lies in the array.
            unsafe { erase(bytes.0.as_mut_ptr().add(16), length) };
            assert!(
                bytes
                    .0
                    .iter()
                    .enumerate()
                    .all(|(index, &byte)| (byte == 0) == (16..16 + length).contains(&index))
            );
        }
    }
}
