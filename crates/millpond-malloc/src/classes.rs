//! Size classes: multiples of 16 bytes, four to each doubling, up to 32 KiB.
//!
//! Blocks of 16 bytes and more must be aligned to 16, because compilers assume that of `malloc`.

/// All sizes and addresses of blocks are multiples of this.
pub(crate) const GRAIN: usize = 16;
/// The largest size that has a class; larger blocks consist of whole units.
pub(crate) const LARGEST: usize = 32 << 10;
/// Sizes up to this one are looked up on the hot path.
pub(crate) const LARGEST_HOT: usize = 1024;
/// The class of blocks of 0 bytes. They have 16 bytes; in the hardened modes these cannot be accessed.
pub(crate) const ZERO: usize = 41;
/// Number of classes, including class 0, which means "no class".
pub(crate) const COUNT: usize = 42;

/// Returns the size in bytes of the blocks of a class.
const fn size_of_class(class: usize) -> usize {
    if class == ZERO {
        return GRAIN;
    }
    if class <= 4 {
        return class * GRAIN;
    }
    let doubling = (class - 1) / 4 - 1;
    (64 << doubling) + (GRAIN << doubling) * ((class - 1) % 4 + 1)
}

/// The size in bytes of the blocks of each class.
pub(crate) const SIZES: [u32; COUNT] = {
    let mut sizes = [0; COUNT];
    let mut class = 1;
    while class < COUNT {
        sizes[class] = size_of_class(class) as u32;
        class += 1;
    }
    sizes
};

/// For each class, the factor by which an offset is multiplied, and then shifted right by 32, to divide it by the size.
pub(crate) const RECIPROCALS: [u32; COUNT] = {
    let mut factors = [0; COUNT];
    let mut class = 1;
    while class < COUNT {
        factors[class] = (1u64 << 32).div_ceil(SIZES[class] as u64) as u32;
        class += 1;
    }
    factors
};

/// Maps sizes, in steps of `STEP` bytes and rounded up, to the smallest class that is large enough.
const fn table<const STEP: usize, const LENGTH: usize>() -> [u8; LENGTH] {
    let mut table = [1; LENGTH];
    let (mut index, mut class) = (1, 1);
    while index < LENGTH {
        while (SIZES[class] as usize) < index * STEP {
            class += 1;
        }
        table[index] = class as u8;
        index += 1;
    }
    table
}

const SMALL: usize = LARGEST_HOT / GRAIN + 1;
const MEDIUM_STEP: usize = 256;
const MEDIUM: usize = LARGEST / MEDIUM_STEP + 1;

static SMALL_TABLE: [u8; SMALL] = {
    let mut table = table::<GRAIN, SMALL>();
    table[0] = ZERO as u8;
    table
};
static MEDIUM_TABLE: [u8; MEDIUM] = table::<MEDIUM_STEP, MEDIUM>();

/// Returns the class for a size of at most [`LARGEST_HOT`] bytes.
#[inline(always)]
pub(crate) fn of_small(size: usize) -> usize {
    debug_assert!(size <= LARGEST_HOT);
    // Not `div_ceil`, which takes three more instructions because it serves the largest sizes, too.
    let grains = size.wrapping_add(GRAIN - 1) / GRAIN;
    // SAFETY: the table has an entry for every such size.
    usize::from(unsafe { *SMALL_TABLE.get_unchecked(grains) })
}

/// Returns the smallest class for a size, or `None` if the size has no class.
#[inline]
pub(crate) fn of(size: usize) -> Option<usize> {
    if size <= LARGEST_HOT {
        Some(of_small(size))
    } else if size <= LARGEST {
        Some(usize::from(MEDIUM_TABLE[size.div_ceil(MEDIUM_STEP)]))
    } else {
        None
    }
}

/// Returns the smallest class whose blocks have this size and alignment, or `None` if there is none. A block lies at a
/// multiple of its size from a page boundary, so its size determines its alignment. The size must not be 0.
pub(crate) fn of_aligned(size: usize, align: usize) -> Option<usize> {
    let first = of(size)?;
    (first..ZERO).find(|&class| (SIZES[class] as usize).is_multiple_of(align))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_size_has_the_smallest_class() {
        assert_eq!(of(0), Some(ZERO));
        for size in 1..=LARGEST {
            let class = of(size).expect("a class");
            assert!(SIZES[class] as usize >= size);
            assert!(class == 1 || (SIZES[class - 1] as usize) < size);
        }
        assert_eq!(of(LARGEST + 1), None);
    }

    #[test]
    fn reciprocals_divide() {
        for class in 1..COUNT {
            let size = SIZES[class] as u64;
            for offset in (0..crate::span::bytes(class) as u64).step_by(8) {
                assert_eq!(
                    (offset * u64::from(RECIPROCALS[class])) >> 32,
                    offset / size,
                    "{offset} / {size}"
                );
            }
        }
    }

    #[test]
    fn aligned_sizes_are_multiples() {
        for shift in 4..=14 {
            let class = of_aligned(100, 1 << shift).expect("a class");
            assert_eq!(SIZES[class] as usize % (1 << shift), 0);
        }
        assert_eq!(of_aligned(LARGEST, 1 << 20), None);
    }
}
