//! Measures how long it takes to read all live blocks: if they are denser, each cache line and each page has more of
//! them, and the program waits less for memory.

use std::hint::black_box;

use super::{Slot, process};

/// Number of times that all blocks are read.
const TIMES: usize = 5;
/// Max number of blocks that are read each time.
const MOST: usize = 1 << 20;
/// Bytes of a cache line, and max bytes of each block that are read.
const LINE: usize = 64;
const REACH: usize = 256;

/// Returns the nanoseconds that reading a block takes, for each time that all `written` blocks are read, in random
/// order.
pub(super) fn walk<'a>(slots: impl Iterator<Item = &'a Slot>, written: impl Fn(usize) -> bool) -> Vec<f64> {
    let is_read =
        |slot: &&Slot| !slot.block.is_null() && slot.request.size() > 0 && written(slot.request.size());
    let mut blocks: Vec<(*const u8, usize)> =
        slots.filter(is_read).map(|slot| (slot.block.cast_const(), slot.request.size())).collect();
    if blocks.is_empty() {
        return Vec::new();
    }
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    (0..=TIMES)
        .map(|_| {
            shuffle(&mut blocks, &mut random);
            let chosen = &blocks[..blocks.len().min(MOST)];
            let start = process::cpu_time();
            for &(block, size) in chosen {
                // SAFETY: the block is live, at least `size` bytes long, and was written when it was allocated.
                unsafe { read(block, size) };
            }
            (process::cpu_time() - start) as f64 / chosen.len() as f64
        })
        .skip(1)
        .collect()
}

/// Reads one byte of each cache line of a block, up to the reach.
///
/// # Safety
///
/// The block is valid for reads up to `size`, which is not 0.
#[inline(always)]
unsafe fn read(block: *const u8, size: usize) {
    let mut at = 0;
    while at < size.min(REACH) {
        // SAFETY: the caller guarantees that the block is valid for reads up to `size`. The byte may be uninitialised:
        // only the load matters, not its value.
        black_box(unsafe { block.add(at).cast::<std::mem::MaybeUninit<u8>>().read_volatile() });
        at += LINE;
    }
    // SAFETY: as above.
    black_box(unsafe { block.add(size.min(REACH) - 1).cast::<std::mem::MaybeUninit<u8>>().read_volatile() });
}

/// Shuffles by Fisher and Yates, with the generator of Marsaglia (xorshift).
pub(crate) fn shuffle<T>(items: &mut [T], random: &mut u64) {
    for last in (1..items.len()).rev() {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        items.swap(last, (*random % (last as u64 + 1)) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Request;

    #[test]
    fn shuffle_is_a_permutation() {
        let mut items: Vec<_> = (0..1000).collect();
        shuffle(&mut items, &mut 1);
        assert!(!items.is_sorted());
        items.sort_unstable();
        assert!(items.into_iter().eq(0..1000));
    }

    #[test]
    fn only_live_written_blocks_are_read() {
        let mut bytes = [0_u8; 100];
        let slot = |block, size| Slot { block, request: Request::of_size(size) };
        let block = bytes.as_mut_ptr();
        let slots = [slot(block, 100), slot(block, 0), slot(std::ptr::null_mut(), 8)];
        assert_eq!(walk(slots.iter(), |_| true).len(), TIMES);
        assert!(walk(slots.iter(), |size| size < 100).is_empty());
    }
}
