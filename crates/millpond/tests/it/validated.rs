//! Blocks whose strategy marks what is live: what it finds, and that nothing comes of it.

use std::{alloc::Layout, ptr::NonNull};

use millpond::{
    Blocks, Cached, Fixed, Inspect, Local, Locked, Magazine, Owned,
    guard::Stats,
    observe::MisuseKind,
    pool::{AddressOrdered, DynSize, FreeList, Lifo, Validated},
    testing::TrackingParent,
};

use crate::misuse::{HERE, free, heard, kind, layout, take};

/// Blocks of 64 bytes that report to the tests.
fn blocks<S: FreeList>() -> Blocks<(Fixed<64>, Validated<S>)> {
    Blocks::<(Fixed<64>, Validated<S>)>::new().reporting(HERE)
}

/// Misuse in every chunk of a pool with several.
fn storm<S: FreeList>() {
    let pool = Local::new_in(blocks::<S>(), TrackingParent::default());
    let all: Vec<NonNull<u8>> = (0..1000).map(|_| take(&pool, 64)).collect();
    for (number, &block) in all.iter().enumerate() {
        // SAFETY: within the block; then prevented by the strategy.
        free(&pool, unsafe { block.add(8) }, 64);
        assert_eq!(kind(), MisuseKind::Interior { start: block.addr().get() });
        free(&pool, block, 65);
        assert_eq!(kind(), MisuseKind::WrongLayout { expected: layout(64) });
        if number % 3 == 0 {
            free(&pool, block, 64);
            assert_eq!(heard(), []);
            free(&pool, block, 64);
            assert_eq!(kind(), MisuseKind::DoubleFree);
        }
    }
    pool.check().expect("sound");
    assert_eq!(pool.stats().live, (1000 - 334) * 64);
    let mut local = [0u64; 8];
    free(&pool, NonNull::from(&mut local).cast(), 64);
    assert_eq!(kind(), MisuseKind::Foreign);
    let other = Local::new(blocks::<S>());
    let foreign = take(&other, 64);
    free(&pool, foreign, 64);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&other, foreign, 64);
    for (number, &block) in all.iter().enumerate() {
        free(&pool, block, 64);
        assert_eq!(heard().len(), usize::from(number % 3 == 0), "block {number}");
    }
    assert_eq!(pool.stats().live, 0);
    pool.check().expect("sound");
}

#[test]
fn what_threads_hold_back_is_no_leak() {
    let pool = Cached::new_in(blocks::<Lifo>(), TrackingParent::default());
    let all: Vec<NonNull<u8>> = (0..1000).map(|_| take(&pool, 64)).collect();
    all[1..].iter().for_each(|&block| free(&pool, block, 64));
    assert_eq!(heard(), []);
    drop(pool);
    assert_eq!(kind(), MisuseKind::Leak { blocks: 1, bytes: 64 });
}

#[test]
fn each_kind_of_misuse_is_told_and_prevented_in_every_chunk() {
    storm::<Lifo>();
    storm::<Magazine>();
    storm::<Magazine<4>>();
    storm::<AddressOrdered<16, 8192>>();
}

#[test]
fn what_has_not_been_handed_out_yet_is_nobodys() {
    let pool = Local::new(blocks::<Lifo>());
    let first = take(&pool, 64);
    // SAFETY: the address lies in the first page, behind everything that was cut; then prevented by the strategy.
    free(&pool, unsafe { first.add(62 * 64) }, 64);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&pool, first, 64);
}

#[test]
fn a_reset_kills_and_a_trim_gives_back() {
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
fn leaks_are_told_when_the_pool_goes() {
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
fn shells_of_every_kind_and_guards_pass_the_report_on() {
    let block_layout = Layout::from_size_align(40, 8).expect("a layout");
    let mut pool = Owned::new(Stats::new(
        Blocks::<(DynSize, Validated<Lifo>)>::with_layout(block_layout).reporting(HERE),
    ));
    let block = pool.allocate(layout(40)).expect("the heap has room").cast();
    // SAFETY: all but the first call is prevented by the strategy.
    unsafe {
        pool.deallocate(block, layout(40));
        pool.deallocate(block, layout(40));
        pool.deallocate_many(&[block, block], layout(40));
        assert!(pool.resize_in_place(block, layout(40), layout(8)).is_err());
    }
    let causes: Vec<MisuseKind> = heard().iter().map(|misuse| misuse.kind).collect();
    assert_eq!(causes, [MisuseKind::DoubleFree; 4]);
}
