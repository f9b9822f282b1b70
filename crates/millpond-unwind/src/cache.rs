//! Caches that signal handlers and other threads may read and write at any time, without locks.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The multiplier of Fibonacci hashing: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes two words to a hash, whose upper bits are the best.
#[inline(always)]
pub(crate) const fn hash(a: u64, b: u64) -> u64 {
    (a ^ b.wrapping_mul(0xd6e8_feb8_6659_fd93)).wrapping_mul(GOLDEN)
}

/// A direct-mapped cache of `N` values by key; `N` is a power of two. All zeros are an empty cache; key 0 is not used.
///
/// An entry consists of two words that are read and written separately. The first depends on both key and value, so a
/// reader that meets halves of two different entries takes neither for its own.
#[repr(C)]
pub(crate) struct Cache<const N: usize> {
    entries: [Entry; N],
}

#[repr(C)]
struct Entry {
    /// The key, combined with the value.
    check: AtomicU64,
    value: AtomicU64,
}

impl<const N: usize> Cache<N> {
    #[inline(always)]
    fn entry(&self, hash: u64) -> &Entry {
        let place = (hash >> (64 - N.ilog2())) as usize;
        // SAFETY: the upper bits of a hash, as many as make numbers below `N`.
        unsafe { self.entries.get_unchecked(place) }
    }

    /// Returns the value that was stored with this hash and key, unless another took its place.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u64, key: u64) -> Option<u64> {
        let entry = self.entry(hash);
        let value = entry.value.load(Relaxed);
        (entry.check.load(Relaxed) ^ scramble(value) == key).then_some(value)
    }

    /// Stores a value.
    #[inline(always)]
    pub(crate) fn put(&self, hash: u64, key: u64, value: u64) {
        let entry = self.entry(hash);
        entry.check.store(key ^ scramble(value), Relaxed);
        entry.value.store(value, Relaxed);
    }
}

/// Spreads the bits of a value; 0 stays 0.
#[inline(always)]
const fn scramble(value: u64) -> u64 {
    let product = value.wrapping_mul(0xa076_1d64_78bd_642f);
    product ^ product >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> std::boxed::Box<Cache<8>> {
        // SAFETY: all zeros are an empty cache.
        unsafe { std::boxed::Box::new(core::mem::zeroed()) }
    }

    #[test]
    fn values_are_found_until_others_take_their_places() {
        let cache = empty();
        assert_eq!(cache.get(0, 7), None);
        cache.put(hash(7, 0), 7, 70);
        assert_eq!(cache.get(hash(7, 0), 7), Some(70));
        cache.put(hash(7, 0), 8, 80);
        assert_eq!(cache.get(hash(7, 0), 7), None);
        assert_eq!(cache.get(hash(7, 0), 8), Some(80));
    }

    #[test]
    fn halves_of_two_entries_are_no_entry() {
        let cache = empty();
        cache.put(0, 7, 70);
        let entry = cache.entry(0);
        let (check, value) = (entry.check.load(Relaxed), entry.value.load(Relaxed));
        cache.put(0, 8, 80);
        entry.value.store(value, Relaxed);
        assert_eq!((cache.get(0, 7), cache.get(0, 8)), (None, None));
        cache.put(0, 8, 80);
        entry.check.store(check, Relaxed);
        assert_eq!((cache.get(0, 7), cache.get(0, 8)), (None, None));
    }
}
