//! What lies behind the bytes of a block that the program asked for, in [`Mode::Full`](crate::settings::Mode::Full).
//!
//! ```text
//! | requested bytes | zeros | canary, 8 bytes |
//! ```
//!
//! A canary depends on its address and on a secret of the process. It also holds the number of zeros in front of it. Its
//! first byte is 0: a string without an end ends there, and does not give the rest away.

use core::sync::atomic::{AtomicU64, Ordering::*};

use crate::random::{self, mix};

/// Bytes of a canary.
pub(crate) const BYTES: usize = 8;
const SLACK_SHIFT: u32 = 48;

static SECRET: AtomicU64 = AtomicU64::new(0);

/// Chooses the secret of this process.
pub(crate) fn initialize() {
    let mut secret = [0];
    random::fill(&mut secret);
    SECRET.store(secret[0], Relaxed);
}

/// Returns the place of the canary of a block of a class whose blocks have `size` bytes.
#[inline]
fn place(block: *mut u8, size: usize) -> *mut u64 {
    block.wrapping_add(size - BYTES).cast()
}

/// Returns the canary for a place without zeros in front of it.
#[inline]
fn key(place: *mut u64) -> u64 {
    mix(place as u64 ^ SECRET.load(Relaxed)) & !0xFF
}

/// Writes the canary of a block.
///
/// # Safety
///
/// The block must belong to the caller and have `size` bytes; `requested` bytes and a canary must fit in.
#[inline]
pub(crate) unsafe fn write(block: *mut u8, size: usize, requested: usize) {
    let place = place(block, size);
    let slack = (size - BYTES - requested) as u64;
    // SAFETY: the caller owns the block, which is aligned to 16.
    unsafe { AtomicU64::from_ptr(place) }.store(key(place) ^ slack << SLACK_SHIFT, Relaxed);
}

/// Returns the requested bytes of a block, or `None` if its canary was overwritten.
///
/// # Safety
///
/// The block must have `size` bytes, which are mapped. Other threads may own it.
#[inline]
pub(crate) unsafe fn requested(block: *mut u8, size: usize) -> Option<usize> {
    let place = place(block, size);
    // SAFETY: the caller guarantees that the block is mapped; it is aligned to 16.
    let word = unsafe { AtomicU64::from_ptr(place) }.load(Relaxed) ^ key(place);
    let slack = (word >> SLACK_SHIFT) as usize;
    (word << (u64::BITS - SLACK_SHIFT) == 0).then_some(())?;
    (size - BYTES).checked_sub(slack)
}

/// Returns whether the bytes between those that were requested and the canary are zeros.
///
/// # Safety
///
/// The block must have `size` bytes and a canary, and belong to the caller.
#[inline]
pub(crate) unsafe fn slack_is_zero(block: *mut u8, size: usize, requested: usize) -> bool {
    let slack = size - BYTES - requested;
    let mut place = place(block, size);
    // SAFETY: the slack lies in the block, in front of the canary, and so does the word in which it begins.
    unsafe {
        for _ in 0..slack / 8 {
            place = place.sub(1);
            if place.read() != 0 {
                return false;
            }
        }
        // Of the last word, only the upper bytes are slack.
        let rest = slack % 8;
        rest == 0 || place.sub(1).read() >> (64 - 8 * rest) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canary_keeps_the_request_and_notices_each_bit() {
        let mut block = [0u128; 8];
        let start = block.as_mut_ptr().cast::<u8>();
        for request in [0, 1, 100, 119, 120] {
            // SAFETY: the block has 128 bytes.
            unsafe {
                write(start, 128, request);
                assert_eq!(requested(start, 128), Some(request));
                for bit in 0..48 {
                    let byte = start.add(120 + bit / 8);
                    *byte ^= 1 << (bit % 8);
                    assert_eq!(requested(start, 128), None);
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
    }

    #[test]
    fn slack_is_checked_to_the_byte() {
        for requested in 0..=120 {
            let mut block = [0u128; 8];
            let start = block.as_mut_ptr().cast::<u8>();
            for index in 0..120 {
                // SAFETY: the block has 128 bytes.
                unsafe {
                    *start.add(index) = 1;
                    assert_eq!(
                        slack_is_zero(start, 128, requested),
                        index < requested,
                        "{index} of {requested}"
                    );
                    *start.add(index) = 0;
                }
            }
        }
    }
}
