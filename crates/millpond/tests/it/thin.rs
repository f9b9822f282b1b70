//! Handles of one word: they find their pool, also after it was moved, and free their blocks once.

use std::{cell::Cell, fmt::Display};

use fastrand::Rng;
use millpond::{AllocError, Inspect, ThinPool, source::NullAllocator, typed::ThinBox, unsize};

use crate::{
    tracking_parent::TrackingParent,
    values::{Tracked, unwinds},
};

#[test]
fn handle_is_one_word() {
    let word = size_of::<usize>();
    assert_eq!((size_of::<ThinBox<u64>>(), size_of::<Option<ThinBox<u64>>>()), (word, word));
    assert_eq!((size_of::<ThinBox<dyn Display>>(), size_of::<ThinBox<[u8]>>()), (2 * word, 2 * word));
}

#[test]
fn value_is_dropped_once() {
    let drops = Cell::new(0);
    let mut pool = ThinPool::new();
    let value = pool.alloc(Tracked::new(&drops));
    let place: *const Tracked = &*value;
    drop(value);
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
    let next = pool.alloc(Tracked::new(&drops));
    assert!(std::ptr::eq(&*next, place), "the block is used again");
    drop(ThinBox::into_inner(next));
    assert_eq!((drops.get(), pool.stats().live), (2, 0));
    let leaked = ThinBox::leak(pool.alloc(Tracked::new(&drops)));
    leaked.panics = true;
    assert_ne!(pool.stats().live, 0);
    pool.reset();
    assert_eq!((drops.get(), pool.stats().live), (2, 0));
}

/// A pool may be moved while its handles are leaked: the chunks refer to its new place.
#[test]
fn moved_pool_is_found() {
    let parent = TrackingParent::default();
    let pool = ThinPool::<u64, _>::new_in(&parent);
    std::mem::forget(pool.alloc(1));
    let mut pools = [pool, ThinPool::new_in(&parent)];
    let values: Vec<_> = (0..1000).map(|number| pools[number % 2].alloc(number as u64)).collect();
    assert!(values.iter().zip(0..).all(|(value, number)| **value == number));
    drop(values);
    assert_eq!(pools.iter().map(|pool| pool.stats().live).collect::<Vec<_>>(), [8, 0]);
    pools.reverse();
    drop(pools[1].alloc(2));
    assert_eq!(pools.iter().map(|pool| pool.stats().live).collect::<Vec<_>>(), [0, 8]);
    pools.iter().for_each(|pool| pool.check().expect("sound"));
}

#[test]
fn random_use_over_several_chunks() {
    type Value = [u64; 512];
    let parent = TrackingParent::default();
    let mut pool = ThinPool::<Value, _>::new_in(&parent);
    let mut rng = Rng::with_seed(1);
    let mut live: Vec<(u64, ThinBox<'_, Value, _>)> = Vec::new();
    for number in 0..4000 {
        if rng.u8(0..5) < 3 || live.is_empty() {
            live.push((number, pool.alloc_with(|| [number; 512])));
        } else {
            let (number, value) = live.swap_remove(rng.usize(0..live.len()));
            assert!(value.iter().all(|&word| word == number));
        }
    }
    assert!(parent.out() >= 3, "there are several chunks");
    assert_eq!(pool.stats().live, live.len() * size_of::<Value>());
    pool.check().expect("sound");
    assert!(live.iter().all(|(number, value)| value[511] == *number));
    live.clear();
    drop(live);
    assert_eq!(pool.stats().live, 0);
    pool.trim();
    assert_eq!(parent.out(), 0, "every chunk went back");
}

#[test]
fn unsized_handles_free_the_whole_block() {
    let drops = Cell::new(0);
    let pool = ThinPool::new();
    let shown = unsize!(pool.alloc(7u32) => dyn Display);
    assert_eq!(shown.to_string(), "7");
    drop(shown);
    assert_eq!(pool.stats().live, 0);

    let pairs = ThinPool::new();
    let pair = || [(); 2].map(|()| Tracked::new(&drops));
    let slice: ThinBox<[Tracked]> = pairs.alloc(pair()).into();
    assert_eq!(slice.len(), 2);
    drop(slice);
    drop(unsize!(pairs.alloc(pair()) => [Tracked]));
    assert_eq!((drops.get(), pairs.stats().live), (4, 0));
}

#[test]
fn pointer_becomes_a_handle_again() {
    let drops = Cell::new(0);
    let pool = ThinPool::new();
    let raw = ThinBox::into_raw(pool.alloc(Tracked::new(&drops)));
    assert_ne!(pool.stats().live, 0);
    // SAFETY: the pointer came from a handle of this pool, which was not moved, and becomes a handle again once.
    drop(unsafe { ThinBox::from_raw(raw) } as ThinBox<Tracked>);
    assert_eq!((drops.get(), pool.stats().live), (1, 0));

    let shown = ThinPool::new();
    let raw = ThinBox::into_raw(unsize!(shown.alloc(7u32) => dyn Display));
    // SAFETY: as above.
    let text: ThinBox<dyn Display> = unsafe { ThinBox::from_raw(raw) };
    assert_eq!(
        (text.to_string(), shown.stats().live),
        ("7".into(), size_of::<usize>()),
        "a word is the least"
    );
    drop(text);
    assert_eq!(shown.stats().live, 0);

    let nothings = ThinPool::new();
    let raw = ThinBox::into_raw(nothings.alloc(()));
    // SAFETY: as above.
    drop(unsafe { ThinBox::from_raw(raw) } as ThinBox<()>);
}

/// A handle is compared, printed and hashed as its value.
#[test]
fn handles_forward_the_traits_of_their_values() {
    let pool = ThinPool::new();
    let mut values: Vec<ThinBox<u32>> = [3, 1, 2].map(|value| pool.alloc(value)).into();
    values.sort();
    *values[0].as_mut() += 9;
    assert_eq!(format!("{values:?} {}", values[0]), "[10, 2, 3] 10");
    let names = ThinPool::new();
    let ages = std::collections::HashMap::from([(names.alloc("Ada"), 36)]);
    assert_eq!(ages.get(&"Ada"), Some(&36));
}

#[test]
fn values_of_every_size_and_alignment() {
    #[repr(align(1024))]
    struct Aligned(u8);
    #[repr(align(2048))]
    struct TooAligned;

    let nothings = ThinPool::new();
    let (one, other) = (nothings.alloc(()), nothings.alloc(()));
    drop((one, ThinBox::into_inner(other)));
    assert_eq!(nothings.stats().held, 0, "zero bytes take no block");

    let aligned = ThinPool::new();
    let values: Vec<_> = (0..9).map(|number| aligned.alloc(Aligned(number))).collect();
    for (value, number) in values.iter().zip(0..) {
        assert!((&raw const **value).addr().is_multiple_of(1024) && value.0 == number);
    }
    drop(values);

    let bytes = ThinPool::<TooAligned>::new();
    assert!(bytes.try_alloc(TooAligned).is_ok(), "zero bytes take no block");
    let poor = ThinPool::<u8, _>::new_in(NullAllocator);
    assert_eq!(
        poor.try_alloc(1).expect_err("a buffer without bytes").into_parts(),
        (AllocError::Exhausted, 1)
    );
}

/// On a stack of its own: unoptimised builds hold several copies of such values on the stack.
#[test]
fn values_nearly_as_large_as_a_chunk() {
    let body = || {
        let large = ThinPool::<[u8; (1 << 20) - 1024]>::new();
        let value = large.alloc_with(|| [7; (1 << 20) - 1024]);
        assert_eq!(value[(1 << 20) - 1025], 7);
        drop(value);
        let larger = ThinPool::<[u8; 1 << 20]>::new();
        assert_eq!(larger.try_alloc_with(|| unreachable!("no room")).err(), Some(AllocError::Unsupported));
    };
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(body);
    thread.expect("the system has room for a thread").join().expect("nothing panics");
}

#[test]
fn panics_free_the_block() {
    let drops = Cell::new(0);
    let pool = ThinPool::new();
    assert!(unwinds(|| pool.alloc_with(|| panic!("no value"))));
    assert_eq!(pool.stats().live, 0);
    assert!(unwinds(|| drop(pool.alloc(Tracked { drops: &drops, panics: true }))));
    assert_eq!((drops.get(), pool.stats().live), (1, 0));
}
