//! Collections of other crates on pools, and pools on allocators of other crates, each with the real crate.

use std::{alloc::Layout, collections::HashMap as Expected, rc::Rc};

use allocator_api2_02::alloc::Global as Global02;
use allocator_api2_04::{alloc::Global as Global04, boxed::Box as Box04, vec::Vec as Vec04};
use fastrand::Rng;
use hashbrown::{DefaultHashBuilder, HashMap};
use millpond::{
    AllocError, Allocator, Classes, Inspect, Linear, Local, Locked, Pool, Tlsf,
    interop::{Global, api2_02, api2_04},
    source::NullAllocator,
    testing::Conformance,
};

use crate::tracking_parent::TrackingParent;

#[test]
fn hashbrown_on_a_pool_agrees_with_the_standard_map() {
    let parent = TrackingParent::default();
    let pool = Local::new_in(Tlsf::new(), &parent);
    let mut map = HashMap::with_hasher_in(DefaultHashBuilder::default(), api2_02::Exported(&pool));
    let (mut expected, mut rng) = (Expected::new(), Rng::with_seed(1));
    for step in 0..20_000u64 {
        let key = rng.u64(0..3000);
        if rng.u8(0..3) == 0 {
            assert_eq!(map.remove(&key), expected.remove(&key));
        } else {
            assert_eq!(map.insert(key, step), expected.insert(key, step));
        }
    }
    assert_eq!(map.len(), expected.len());
    assert!(map.iter().all(|(key, value)| expected[key] == *value));
    let copy = map.clone();
    assert_eq!(copy, map);
    pool.check().expect("sound");
    drop((map, copy));
    assert_eq!(pool.stats().live, 0);
}

#[test]
fn allocator_api2_collections_on_pools() {
    let pool = Rc::new(Local::new_in(Classes::new(), TrackingParent::default()));
    let mut numbers = Vec04::new_in(api2_04::Exported(pool.clone()));
    numbers.extend(0..10_000);
    numbers.truncate(10);
    numbers.shrink_to_fit();
    assert_eq!(numbers.clone(), (0..10).collect::<Vec<_>>()[..]);
    let nested: Box04<[Vec04<u8, _>], _> = {
        let mut vectors = Vec04::new_in(api2_04::Exported(&*pool));
        vectors.extend((0..5).map(|length| {
            let mut bytes = Vec04::new_in(api2_04::Exported(&*pool));
            bytes.resize(length * 1000, 7u8);
            bytes
        }));
        vectors.into_boxed_slice()
    };
    assert_eq!(nested.iter().map(|bytes| bytes.len()).sum::<usize>(), 10_000);
    drop((nested, numbers));
    assert_eq!(pool.stats().live, 0);
    assert!(Box04::try_new_in([0u64; 4], api2_04::Exported(NullAllocator)).is_err());
    // A request of zero bytes cannot be refused.
    assert!(Box04::try_new_in((), api2_04::Exported(NullAllocator)).is_ok());
}

/// An allocator of another crate is as good a parent as ours, and passes the conformance kit.
#[test]
fn foreign_allocators_are_parents() {
    let layout = Layout::from_size_align(3000, 64).expect("a layout");
    Conformance::of(|| api2_02::Imported(Global02)).reaching(layout).run();
    Conformance::of(|| api2_04::Imported(Global04)).reaching(layout).run();
    Conformance::of(|| Local::new_in(Classes::new(), api2_02::Imported(Global02))).reaching(layout).run();

    let pool = Pool::builder().parent(api2_04::Imported(Global04)).build();
    assert_eq!(*pool.alloc([1u8; 100]), [1; 100]);
}

/// A pool that is exported and imported again behaves as the pool itself.
#[test]
fn round_trip_is_the_same_pool() {
    let layout = Layout::from_size_align(3000, 64).expect("a layout");
    let round =
        || api2_04::Imported(api2_04::Exported(Local::new_in(Linear::new(), TrackingParent::default())));
    Conformance::of(round).reaching(layout).run();
    let nothing = api2_02::Imported(api2_02::Exported(NullAllocator));
    assert_eq!(nothing.allocate(layout), Err(AllocError::Exhausted));
    let bytes = nothing.allocate(Layout::from_size_align(0, 64).expect("a layout")).expect("no bytes");
    assert_eq!((bytes.cast::<u8>().addr().get(), bytes.len()), (64, 0));
}

/// Calls the global allocator as the standard library would.
#[test]
fn global_allocator_resizes_and_refuses() {
    use std::alloc::GlobalAlloc;
    static GLOBAL: Global<Locked<Classes>> = Global(Locked::new(Classes::new()));
    let layout = Layout::from_size_align(100, 8).expect("a layout");
    // SAFETY: every block is live when it is used, with the layout that it has then.
    unsafe {
        let block = GLOBAL.alloc(layout);
        block.write_bytes(7, 100);
        let block = GLOBAL.realloc(block, layout, 100_000);
        assert_eq!((*block, *block.add(99)), (7, 7));
        let large = Layout::from_size_align(100_000, 8).expect("a layout");
        let block = GLOBAL.realloc(block, large, 10);
        assert_eq!(*block.add(9), 7);
        let small = Layout::from_size_align(10, 8).expect("a layout");
        assert!(GLOBAL.realloc(block, small, usize::MAX).is_null(), "no layout is that large");
        GLOBAL.dealloc(block, small);
        let zeroed = GLOBAL.alloc_zeroed(layout);
        assert!((0..100).all(|index| *zeroed.add(index) == 0));
        GLOBAL.dealloc(zeroed, layout);
    }
    let nothing = Global(NullAllocator);
    // SAFETY: the layout has a size above zero.
    assert!(unsafe { nothing.alloc(layout) }.is_null());
}

/// The collections of the standard library.
#[cfg(feature = "nightly")]
#[test]
fn standard_collections_on_pools() {
    use std::{alloc::Global as Std, collections::VecDeque};

    use millpond::interop::nightly::{Exported, Imported};

    let pool = Local::new_in(Classes::new(), Imported(Std));
    let mut numbers = Vec::new_in(Exported(&pool));
    numbers.extend(0..10_000);
    let mut boxes = VecDeque::new_in(Exported(&pool));
    boxes.extend(numbers.iter().map(|number| Box::new_in(*number, Exported(&pool))));
    boxes.retain(|number| **number % 3 == 0);
    boxes.shrink_to_fit();
    assert_eq!(boxes.iter().map(|number| **number).sum::<u32>(), (0..10_000).step_by(3).sum());
    drop((numbers, boxes));
    assert_eq!(pool.stats().live, 0);
    let layout = Layout::from_size_align(3000, 64).expect("a layout");
    Conformance::of(|| Imported(Std)).reaching(layout).run();
}
