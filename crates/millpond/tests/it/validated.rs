//! Blocks whose free list records which blocks are live: what it detects, and that misuse has no effect.

use std::{alloc::Layout, ptr::NonNull};

use millpond::{
    Blocks, Cached, Fixed, Inspect, Local, Locked, Magazine, Owned,
    guard::Stats,
    observe::MisuseKind,
    pool::{AddressOrdered, DynSize, FreeList, Lifo, Validated},
    testing::TrackingParent,
};

use crate::misuse::{HERE, free, heard, kind, layout, misuse_in_every_chunk, take};

/// Blocks of 64 bytes that report to the tests.
fn blocks<S: FreeList>() -> Blocks<(Fixed<64>, Validated<S>)> {
    Blocks::<(Fixed<64>, Validated<S>)>::new().reporting(HERE)
}

#[test]
fn blocks_in_thread_caches_are_no_leak() {
    let pool = Cached::new_in(blocks::<Lifo>(), TrackingParent::default());
    let all: Vec<NonNull<u8>> = (0..1000).map(|_| take(&pool, 64)).collect();
    all[1..].iter().for_each(|&block| free(&pool, block, 64));
    assert_eq!(heard(), []);
    drop(pool);
    assert_eq!(kind(), MisuseKind::Leak { blocks: 1, bytes: 64 });
}

#[test]
fn each_kind_is_reported_and_prevented_in_every_chunk() {
    misuse_in_every_chunk(blocks::<Lifo>);
    misuse_in_every_chunk(blocks::<Magazine>);
    misuse_in_every_chunk(blocks::<Magazine<4>>);
    misuse_in_every_chunk(blocks::<AddressOrdered<16, 8192>>);
}

#[test]
fn uncarved_memory_is_not_owned() {
    let pool = Local::new(blocks::<Lifo>());
    let first = take(&pool, 64);
    // SAFETY: the address lies in the first page, behind all carved blocks; the call is then prevented by the free
    // list.
    free(&pool, unsafe { first.add(62 * 64) }, 64);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&pool, first, 64);
}

#[test]
fn reset_and_trim() {
    let mut pool = Local::new_in(blocks::<Lifo>(), TrackingParent::default());
    let before: Vec<NonNull<u8>> = (0..500).map(|_| take(&pool, 64)).collect();
    pool.reset();
    for block in before {
        free(&pool, block, 64);
        assert!(matches!(kind(), MisuseKind::Foreign | MisuseKind::DoubleFree));
    }
    let again: Vec<NonNull<u8>> = (0..500).map(|_| take(&pool, 64)).collect();
    again.iter().for_each(|&block| free(&pool, block, 64));
    assert_ne!(pool.trim(), 0);
    free(&pool, again[499], 64);
    assert_eq!(kind(), MisuseKind::Foreign, "its chunk is gone, and not looked at");
    pool.check().expect("sound");
}

#[test]
fn leaks_are_reported_when_the_pool_is_dropped() {
    let pool = Locked::<_>::new(blocks::<Magazine>());
    let (first, second) = (take(&pool, 64), take(&pool, 64));
    free(&pool, first, 64);
    drop(pool);
    let told = heard();
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind, told[0].address),
        (MisuseKind::Leak { blocks: 1, bytes: 64 }, second.addr().get())
    );
}

#[test]
fn shells_and_guards_forward_the_report() {
    let block_layout = Layout::from_size_align(40, 8).expect("a layout");
    let mut pool = Owned::new(Stats::new(
        Blocks::<(DynSize, Validated<Lifo>)>::with_layout(block_layout).reporting(HERE),
    ));
    let block = pool.allocate(layout(40)).expect("the heap has room").cast();
    // SAFETY: all calls except the first are prevented by the free list.
    unsafe {
        pool.deallocate(block, layout(40));
        pool.deallocate(block, layout(40));
        pool.deallocate_many(&[block, block], layout(40));
        assert!(pool.resize_in_place(block, layout(40), layout(8)).is_err());
    }
    let causes: Vec<MisuseKind> = heard().iter().map(|misuse| misuse.kind).collect();
    assert_eq!(causes, [MisuseKind::DoubleFree; 4]);
}
