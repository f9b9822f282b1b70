//! Collections and pools of values use nearly all of a parent of bounded size.

use std::{alloc::Layout, cell::Cell, ptr::NonNull};

use millpond::{
    AllocError, Allocator, Heap, Inspect, SharedSlots, Slots, ThinPool, guard::Limit, raw::Allocation,
};

use crate::{cached::alone, tracking_parent::TrackingParent};

const CAPS: [usize; 8] = [4000, 10_000, 33_000, 66_000, 100_000, 520_000, 1_000_000, 1_040_000];

/// The last segment of a collection is as long as the memory that is left, and no key leads beyond its end.
#[test]
fn collections_use_nearly_all_of_their_parent() {
    let _turn = alone();
    for cap in CAPS {
        let mut slots = Slots::<[u64; 8], _>::new_in(Limit::bytes(TrackingParent::default(), cap));
        let mut keys: Vec<_> = std::iter::from_fn(|| slots.try_insert([7; 8]).ok()).collect();
        let percent = keys.len() * (64 + 12) * 100 / cap;
        assert!(percent >= 85, "Slots: {percent} % of {cap}");
        assert_eq!((slots.len(), slots.capacity(), slots.stats().free), (keys.len(), keys.len(), 0));
        // Keys of a longer collection.
        let mut others = Slots::<[u64; 8]>::new();
        let foreign: Vec<_> = (0..3 * keys.len()).map(|_| others.insert([1; 8])).collect();
        assert_eq!(foreign.iter().filter(|&&key| slots.get(key).is_some()).count(), keys.len());
        assert!(slots.iter().map(|(_, value)| value[0]).eq(keys.iter().map(|_| 7)));
        slots.check().expect("sound");
        for round in 0..2 {
            let half = keys.split_off(keys.len() / 2);
            assert!(half.into_iter().all(|key| slots.remove(key).is_some()));
            keys.extend(std::iter::from_fn(|| slots.try_insert([round; 8]).ok()));
            assert_eq!(keys.len(), slots.capacity());
        }
        slots.clear();
        let again = std::iter::from_fn(|| slots.try_insert([8; 8]).ok()).count();
        assert_eq!(again, slots.capacity());
        slots.check().expect("sound");

        let shared = SharedSlots::<[u64; 8], _>::new_in(Limit::bytes(TrackingParent::default(), cap));
        let keys: Vec<_> = std::iter::from_fn(|| shared.try_insert([7; 8]).ok()).collect();
        let percent = keys.len() * SharedSlots::<[u64; 8]>::SLOT_SIZE * 100 / cap;
        assert!(percent >= 85, "SharedSlots: {percent} % of {cap}");
        assert_eq!((shared.len(), shared.stats().free), (keys.len(), 0));
        let others = SharedSlots::<[u64; 8]>::new();
        let foreign: Vec<_> = (0..3 * keys.len()).map(|_| others.insert([1; 8])).collect();
        assert_eq!(foreign.iter().filter(|&&key| shared.get(key).is_some()).count(), keys.len());
        assert_eq!(shared.iter().count(), keys.len());
        assert!(keys.into_iter().all(|key| shared.remove(key)));
        shared.check().expect("sound");
    }
}

/// A parent that hands out as much as a cell says.
struct Valve(Cell<usize>);

// SAFETY: every block is one of the heap's.
unsafe impl Allocator for Valve {
    fn allocate(&self, layout: Layout) -> Allocation {
        let left = self.0.get().checked_sub(layout.size()).ok_or(AllocError::Limit)?;
        let block = Heap.allocate(layout)?;
        self.0.set(left);
        Ok(NonNull::slice_from_raw_parts(block.cast(), layout.size()))
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        self.0.set(self.0.get() + layout.size());
        // SAFETY: the contract is the same as the caller's.
        unsafe { Heap.deallocate(block, layout) };
    }

    fn allocate_between(&self, least: Layout, preferred: usize) -> Allocation {
        let size = preferred.min(self.0.get()).max(least.size());
        self.allocate(Layout::from_size_align(size, least.align()).map_err(|_| AllocError::Unsupported)?)
    }
}

/// After a segment that was shortened, others follow when there is memory again; indices without slots find nothing.
#[test]
fn collection_grows_after_a_short_segment() {
    let mut slots = Slots::<[u64; 8], _>::new_in(Valve(Cell::new(0)));
    let mut rng = fastrand::Rng::with_seed(7);
    let mut live = Vec::new();
    for _ in 0..12 {
        let before = slots.parent().0.get();
        slots.parent().0.set(before + rng.usize(1000..20_000));
        while let Ok(key) = slots.try_insert([live.len() as u64; 8]) {
            live.push(key);
        }
        slots.check().expect("sound");
        assert_eq!((slots.len(), slots.stats().free), (live.len(), 0));
        let numbers: Vec<_> = slots.iter().map(|(key, value)| (key, value[0])).collect();
        assert_eq!(numbers.len(), live.len());
        assert!(
            numbers.iter().rev().eq(slots
                .iter()
                .rev()
                .map(|(key, value)| (key, value[0]))
                .collect::<Vec<_>>()
                .iter())
        );
        assert!(live.iter().enumerate().all(|(number, &key)| slots.get(key) == Some(&[number as u64; 8])));
        let held = slots.stats().held;
        assert!(slots.reserve(1_000_000).is_err() && slots.reserve(usize::MAX).is_err());
        assert_eq!((slots.stats().held, slots.len()), (held, live.len()), "nothing is kept");
    }
    assert!(live.len() > 500);
    slots.parent().0.set(1 << 30);
    slots.reserve(5000).expect("there is memory");
    let requests = slots.stats().held;
    for number in live.len()..live.len() + 5000 {
        live.push(slots.try_insert([number as u64; 8]).expect("it was reserved"));
    }
    assert_eq!(slots.stats().held, requests);
    assert!(live.iter().enumerate().all(|(number, &key)| slots.get(key) == Some(&[number as u64; 8])));
    assert_eq!(slots.drain().count(), live.len());
    slots.check().expect("sound");
    let refilled = (0..live.len()).map_while(|number| slots.try_insert([number as u64; 8]).ok()).count();
    assert_eq!((refilled, slots.stats().held), (live.len(), requests));
    slots.check().expect("sound");
    drop(slots);
}

/// A pool with over-aligned chunks gets as much of a small parent as other pools do.
#[test]
fn thin_pools_use_nearly_all_of_their_parent() {
    fn share<T: Copy>(value: T, cap: usize) -> usize {
        let pool = ThinPool::<T, _>::new_in(Limit::bytes(TrackingParent::default(), cap));
        let values: Vec<_> = std::iter::from_fn(|| pool.try_alloc(value).ok()).collect();
        pool.check().expect("sound");
        values.len() * size_of::<T>() * 100 / cap
    }
    for (cap, least) in [(10_000, 70), (100_000, 90), (1_000_000, 95), (3_000_000, 95)] {
        let shares = [share(1u64, cap), share([1u64; 8], cap), share([1u8; 100], cap)];
        assert!(shares.iter().all(|&percent| percent >= least), "{shares:?} % of {cap}");
    }
    // Over a heap, one value takes a chunk of a few KiB.
    let pool = ThinPool::<[u64; 8], _>::new_in(Limit::bytes(Heap, 1 << 30));
    let value = pool.alloc([1; 8]);
    let taken = (1 << 30) - pool.parent().left();
    assert!(taken <= 6000, "{taken} bytes");
    drop(value);
    // A buffer that contains such a boundary serves small values.
    let mut bytes = vec![std::mem::MaybeUninit::uninit(); 200_000];
    let pool = ThinPool::<u64, _>::new_in(millpond::Buffer::new(&mut bytes));
    let values: Vec<_> = std::iter::from_fn(|| pool.try_alloc(7).ok()).collect();
    assert!(values.len() > 64 * 1024 / 8, "{} values", values.len());
    assert!(values.iter().all(|value| **value == 7));
}
