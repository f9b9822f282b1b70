//! Seeds for random numbers that an attacker should not be able to guess.

/// Returns a new seed of 256 bits, which differs at each call.
///
/// With the feature `std` it is derived, by the keyed hash of the standard library, from random bytes of the operating
/// system: as strong as these, at most 128 bits per thread.
#[cfg(feature = "std")]
pub(crate) fn seed() -> [u32; 8] {
    use std::hash::{BuildHasher as _, RandomState};

    let mut words = [0; 8];
    for (number, pair) in words.chunks_exact_mut(2).enumerate() {
        let bits = RandomState::new().hash_one(number);
        pair.copy_from_slice(&[bits as u32, (bits >> 32) as u32]);
    }
    words
}

/// Returns a new seed of 256 bits, which differs at each call.
///
/// Without the feature `std` there is no source of random bytes. The seed is derived from addresses and from a counter:
/// it is only as hard to guess as the addresses of this process are.
#[cfg(not(feature = "std"))]
pub(crate) fn seed() -> [u32; 8] {
    use super::atomic::{Ordering, unmodelled::AtomicUsize};

    static CALLS: AtomicUsize = AtomicUsize::new(0);
    let local = 0u8;
    let places =
        [(&raw const local).addr(), (&raw const CALLS).addr(), CALLS.fetch_add(1, Ordering::Relaxed)];
    let mut mixed = places.iter().fold(0u64, |mixed, &place| mix(mixed ^ place as u64));
    core::array::from_fn(|_| {
        mixed = mix(mixed);
        (mixed >> 32) as u32
    })
}

/// Mixes the bits of a number.
///
/// Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
#[cfg(not(feature = "std"))]
fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
