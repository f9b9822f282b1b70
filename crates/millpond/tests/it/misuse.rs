//! What the checking guards detect, what they accept, and that misuse has no effect.

use std::{
    alloc::Layout,
    cell::RefCell,
    mem::MaybeUninit,
    ptr::NonNull,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use millpond::{
    AllocError, Allocator, Blocks, Buddy, Buffer, Classes, Fixed, Heap, Inspect, Linear, Local, Locked,
    Owned, Tlsf,
    guard::{Canary, Checked, Limit, Observe, Poison, Quarantine, Segregator, Stats, Tracked, Zeroed},
    observe::{Misuse, MisuseKind, Reporter},
    pool::{FreeList, Lifo, Validated},
    raw::RawPool,
    testing::TrackingParent,
};

use crate::again;

thread_local! {
    static HEARD: RefCell<Vec<Misuse>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn hear(misuse: &Misuse) {
    HEARD.with_borrow_mut(|heard| heard.push(*misuse));
}

pub(crate) const HERE: Reporter = Reporter::named("tested").with_hook(hear);

/// Returns what was reported on this thread since the last call.
pub(crate) fn heard() -> Vec<Misuse> {
    HEARD.with_borrow_mut(std::mem::take)
}

/// Returns the only misuse that was reported since the last call.
#[track_caller]
pub(crate) fn kind() -> MisuseKind {
    let heard = heard();
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard[0].kind
}

pub(crate) fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).expect("the tests' layouts exist")
}

pub(crate) fn take(allocator: &impl Allocator, size: usize) -> NonNull<u8> {
    allocator.allocate(layout(size)).expect("the parent has room").cast()
}

/// Frees a block, rightly or wrongly.
pub(crate) fn free(allocator: &impl Allocator, block: NonNull<u8>, size: usize) {
    // SAFETY: a guard that prevents misuse is around every allocator that is misused here.
    unsafe { allocator.deallocate(block, layout(size)) };
}

/// Commits every kind of misuse of a block of 40 bytes, and checks that each is reported and has no effect.
fn misuse_is_told_apart_and_prevented(pool: &(impl Allocator + Inspect)) {
    let (block, other) = (take(pool, 40), take(pool, 24));
    let before = pool.stats();
    // SAFETY: the block is live and has 40 bytes.
    unsafe { block.write_bytes(7, 40) };

    free(pool, block, 32);
    assert_eq!(kind(), MisuseKind::WrongLayout { expected: layout(40) });
    // SAFETY: prevented by the guard.
    unsafe { pool.deallocate(block, Layout::from_size_align(40, 4).expect("a layout")) };
    assert_eq!(kind(), MisuseKind::WrongLayout { expected: layout(40) });
    // SAFETY: the address lies within the block; the call is then prevented by the guard.
    free(pool, unsafe { block.add(8) }, 32);
    assert_eq!(kind(), MisuseKind::Interior { start: block.addr().get() });
    // SAFETY: the end of a block may be computed; the call is then prevented by the guard.
    let behind = unsafe { block.add(40).max(other.add(24)) };
    free(pool, behind, 8);
    assert_eq!(kind(), MisuseKind::Foreign);
    let mut local = [0u64; 8];
    free(pool, NonNull::from(&mut local).cast(), 40);
    assert_eq!(kind(), MisuseKind::Foreign);
    let elsewhere = TrackingParent::default();
    let foreign = take(&elsewhere, 40);
    free(pool, foreign, 40);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&elsewhere, foreign, 40);
    assert_eq!(pool.stats(), before, "something came of it");

    free(pool, other, 24);
    free(pool, other, 24);
    assert_eq!(kind(), MisuseKind::DoubleFree);
    // Live blocks are unchanged.
    // SAFETY: the block is live and has 40 bytes.
    assert!(unsafe { NonNull::slice_from_raw_parts(block, 40).as_ref() }.iter().all(|&byte| byte == 7));
    free(pool, block, 40);
    assert_eq!(heard(), []);
    pool.check().expect("sound");
}

/// Commits misuse in every chunk of a pool of blocks of 64 bytes whose free list reports and prevents it.
pub(crate) fn misuse_in_every_chunk<S: FreeList>(blocks: fn() -> Blocks<(Fixed<64>, S)>) {
    let pool = Local::new_in(blocks(), TrackingParent::default());
    let all: Vec<NonNull<u8>> = (0..1000).map(|_| take(&pool, 64)).collect();
    for (number, &block) in all.iter().enumerate() {
        // SAFETY: the address lies within the block; the call is then prevented by the free list.
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
    let other = Local::new(blocks());
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
fn each_kind_is_distinguished_and_prevented() {
    misuse_is_told_apart_and_prevented(&Local::new(Checked::new(Blocks::<Fixed<64>>::new()).reporting(HERE)));
    misuse_is_told_apart_and_prevented(&Local::new(Checked::new(Tlsf::new()).reporting(HERE)));
    misuse_is_told_apart_and_prevented(&Checked::new(Local::new(Classes::new())).reporting(HERE));
    misuse_is_told_apart_and_prevented(&Tracked::new(Local::new(Linear::new())).reporting(HERE));
    misuse_is_told_apart_and_prevented(&Locked::<_>::new(
        Checked::new(Stats::new(Canary::new(Classes::new()))).reporting(HERE),
    ));
}

#[test]
fn owned_pool_reports() {
    let mut pool = Owned::new(Checked::new(Blocks::<Fixed<64>>::new()).reporting(HERE));
    let block = pool.allocate(layout(64)).expect("the heap has room").cast();
    // SAFETY: the second call is prevented by the guard.
    unsafe {
        pool.deallocate(block, layout(64));
        pool.deallocate(block, layout(64));
        pool.deallocate_many(&[block, block], layout(64));
    }
    let causes: Vec<MisuseKind> = heard().iter().map(|misuse| misuse.kind).collect();
    assert_eq!(causes, [MisuseKind::DoubleFree; 3]);
}

#[test]
fn resizing_a_dead_block_is_prevented() {
    let heap = Checked::new(Heap).reporting(HERE);
    let block = take(&heap, 40);
    // SAFETY: the misuse is prevented by the guard.
    unsafe {
        assert_eq!(heap.grow(block, layout(32), layout(64)), Err(AllocError::Unsupported));
        assert_eq!(kind(), MisuseKind::WrongLayout { expected: layout(40) });
        let grown: NonNull<u8> =
            heap.grow(block, layout(40), layout(4000)).expect("the heap has room").cast();
        free(&heap, grown, 4000);
        assert_eq!(heap.shrink(grown, layout(4000), layout(8)), Err(AllocError::Unsupported));
        assert_eq!(kind(), MisuseKind::DoubleFree);
        assert_eq!(heap.grow_in_place(grown, layout(4000), layout(5000)), Err(AllocError::Unsupported));
        assert_eq!(kind(), MisuseKind::DoubleFree);
        assert_eq!(heap.grow_zeroed(grown, layout(4000), layout(5000)), Err(AllocError::Unsupported));
    }
    assert_eq!(kind(), MisuseKind::DoubleFree);
}

#[test]
fn block_of_another_pool_is_refused() {
    let pools = [(); 2].map(|()| Local::new(Checked::new(Blocks::<Fixed<64>>::new()).reporting(HERE)));
    let blocks = [take(&pools[0], 64), take(&pools[1], 64)];
    free(&pools[0], blocks[1], 64);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&pools[1], blocks[0], 64);
    assert_eq!(kind(), MisuseKind::Foreign);
    free(&pools[0], blocks[0], 64);
    free(&pools[1], blocks[1], 64);
    assert_eq!(heard(), []);
}

#[test]
fn zero_sized_blocks_and_misuse_as_zero_sized() {
    let pool = Checked::new(Local::new(Classes::new())).reporting(HERE);
    let nothing = pool.allocate(layout(0)).expect("zero bytes are always served");
    free(&pool, nothing.cast(), 0);
    assert_eq!(heard(), []);
    let block = take(&pool, 16);
    free(&pool, block, 0);
    assert_eq!(kind(), MisuseKind::WrongLayout { expected: layout(16) });
    free(&pool, block, 16);
}

#[test]
fn leaks_are_reported_when_the_pool_is_dropped() {
    let leak = MisuseKind::Leak { blocks: 2, bytes: 56 };
    let mut pool = Local::new(Checked::new(Classes::new()).reporting(HERE));
    take(&pool, 100);
    pool.reset();
    let freed = take(&pool, 8);
    let first = take(&pool, 40);
    take(&pool, 16);
    free(&pool, freed, 8);
    drop(pool);
    let told = heard();
    assert_eq!((told.len(), told[0].kind), (1, leak));
    assert!([first.addr().get()].contains(&told[0].address) || told[0].layout == layout(16));

    let pool = Checked::new(Local::new(Linear::new())).reporting(HERE);
    take(&pool, 40);
    take(&pool, 16);
    drop(pool);
    assert_eq!(kind(), leak);

    let pool = Local::new(Quarantine::<_, 8>::new(Checked::new(Classes::new()).reporting(HERE)));
    let held = take(&pool, 40);
    free(&pool, held, 40);
    drop(pool);
    assert_eq!(heard(), [], "what was held back has been freed");
}

#[test]
fn write_past_the_end_is_found() {
    for size in [1, 7, 8, 30, 48] {
        for offset in size..size + 16 {
            let pool = Local::new(Canary::new(Blocks::<Fixed<80>>::new()).reporting(HERE));
            let block = take(&pool, size);
            // SAFETY: the bytes behind the block are the guard's, and there are sixteen.
            unsafe { block.add(offset).write(block.add(offset).read() ^ 1) };
            free(&pool, block, size);
            assert_eq!(kind(), MisuseKind::Overflow { offset });
            assert_eq!(pool.stats().live, 0, "it is freed all the same");
        }
    }
    let heap = Canary::new(Heap).reporting(HERE);
    let block = take(&heap, 20);
    // SAFETY: as above.
    unsafe {
        block.add(20).write_bytes(0, 4);
        let grown = heap.grow(block, layout(20), layout(50)).expect("the heap has room").cast();
        assert!(heard().iter().all(|misuse| misuse.kind == MisuseKind::Overflow { offset: 20 }));
        free(&heap, grown, 50);
    }
    assert_eq!(heard(), [], "the new place is intact");
}

#[test]
fn write_in_front_of_a_block_is_found() {
    fn play(pool: &(impl Allocator + Inspect), aligns: &[usize]) {
        for (&align, size) in aligns.iter().flat_map(|align| [1, 7, 8, 30, 48].map(|size| (align, size))) {
            let layout = Layout::from_size_align(size, align).expect("a layout");
            for before in 1..=16 {
                let block = pool.allocate(layout).expect("the heap has room").cast::<u8>();
                assert!(block.addr().get().is_multiple_of(align));
                // SAFETY: the bytes in front of the block are the guard's, and there are sixteen.
                unsafe {
                    let byte = block.sub(before);
                    byte.write(byte.read() ^ 1);
                    pool.deallocate(block, layout);
                }
                assert_eq!(kind(), MisuseKind::Overflow { offset: 0_usize.wrapping_sub(before) });
                // SAFETY: the calls are correct.
                unsafe {
                    let block = pool.allocate(layout).expect("the heap has room").cast::<u8>();
                    block.write_bytes(1, size);
                    pool.deallocate(block, layout);
                }
                assert_eq!((heard(), pool.stats().live), (vec![], 0), "it is freed all the same");
            }
        }
    }
    const ALIGNS: [usize; 8] = [1, 2, 4, 8, 16, 32, 64, 512];
    play(&Local::new(Canary::new(Blocks::<Fixed<80>>::new()).reporting(HERE)), &ALIGNS[..4]);
    play(&Local::new(Canary::new(Tlsf::new()).reporting(HERE)), &ALIGNS);
    play(&Canary::new(Local::new(Classes::new())).reporting(HERE), &ALIGNS);
    play(&Canary::new(Local::new(Buddy::new())).reporting(HERE), &ALIGNS);
    let heap = Canary::new(Heap).reporting(HERE);
    let (low, high) = (layout(20), Layout::from_size_align(50, 64).expect("a layout"));
    let block = take(&heap, 20);
    // SAFETY: the byte in front of the block is the guard's; everything else is correct.
    unsafe {
        block.write_bytes(3, 20);
        block.sub(1).write(block.sub(1).read() ^ 1);
        let grown = heap.grow(block, low, high).expect("the heap has room").cast::<u8>();
        let told = heard();
        assert!(
            told.iter().all(|misuse| misuse.kind == MisuseKind::Overflow { offset: usize::MAX }),
            "{told:?}"
        );
        assert!(!told.is_empty() && grown.addr().get().is_multiple_of(64));
        let back = heap.shrink(grown, high, low).expect("the heap has room").cast::<u8>();
        assert!(NonNull::slice_from_raw_parts(back, 20).as_ref().iter().all(|&byte| byte == 3));
        heap.deallocate(back, low);
    }
    assert_eq!(heard(), [], "the new places are intact");
}

/// Frees addresses that are not blocks, through a guard that writes to freed blocks, outside of and inside of one that
/// knows the blocks.
#[test]
fn foreign_address_is_not_written_in_any_order_of_guards() {
    fn play(pool: &impl Allocator, knows_layouts: bool) {
        let untouched = |bytes: &[u8]| assert!(bytes.iter().all(|&byte| byte == 9), "{bytes:x?}");
        // SAFETY: the block is live, and has this length.
        let live =
            |block: NonNull<u8>| untouched(unsafe { NonNull::slice_from_raw_parts(block, 40).as_ref() });
        let mut foreign = vec![9_u8; 400];
        let middle = NonNull::new(foreign[200..].as_mut_ptr()).expect("an address");
        let block = take(pool, 40);
        // SAFETY: the block is live, and has this length.
        unsafe { block.write_bytes(9, 40) };
        free(pool, middle, 40);
        assert_eq!(kind(), MisuseKind::Foreign);
        // SAFETY: the address lies within the block.
        free(pool, unsafe { block.add(8) }, 40);
        assert!(matches!(kind(), MisuseKind::Interior { .. }));
        live(block);
        if knows_layouts {
            free(pool, block, 32);
            assert!(matches!(kind(), MisuseKind::WrongLayout { .. }));
            live(block);
        }
        untouched(&foreign);
        free(pool, block, 40);
        assert_eq!(heard(), []);
        free(pool, block, 40);
        assert_eq!(kind(), MisuseKind::DoubleFree);
    }
    fn around<P: RawPool + Inspect>(pool: impl Fn() -> P, knows_layouts: bool) {
        play(&Local::new(Quarantine::<_, 4>::new(pool()).reporting(HERE)), knows_layouts);
        play(&Quarantine::<_, 4>::around(Local::new(pool())).reporting(HERE), knows_layouts);
        play(
            &Quarantine::<_, 4>::around(Stats::new(&Locked::<_>::new(pool()))).reporting(HERE),
            knows_layouts,
        );
        play(&Local::new(Poison::new(Stats::new(pool()))), knows_layouts);
        play(&Poison::new(Observe::new(Local::new(pool()), |_| ())), knows_layouts);
        play(&Local::new(Zeroed::new(Limit::blocks(pool(), 100))), knows_layouts);
        play(&Zeroed::new(Box::new(Local::new(pool()))), knows_layouts);
        play(
            &Local::new(Poison::new(Quarantine::<_, 4>::new(Zeroed::new(pool())).reporting(HERE))),
            knows_layouts,
        );
    }
    around(|| Checked::new(Tlsf::new()).reporting(HERE), true);
    around(|| Checked::new(Blocks::<Fixed<64>>::new()).reporting(HERE), true);
    around(|| Checked::new(Quarantine::<_, 4>::new(Poison::new(Classes::new()))).reporting(HERE), true);
    around(|| Blocks::<(Fixed<64>, Validated<Lifo>)>::new().reporting(HERE), false);
    around(|| Segregator::new(16, Linear::new(), Checked::new(Tlsf::new()).reporting(HERE)), true);
    play(&Local::new(Canary::new(Checked::new(Tlsf::new()).reporting(HERE)).reporting(HERE)), true);
    play(&Canary::new(Checked::new(Local::new(Classes::new())).reporting(HERE)).reporting(HERE), true);
    play(&Checked::new(Quarantine::<_, 4>::around(Canary::new(Heap))).reporting(HERE), true);
    play(&Quarantine::<_, 4>::around(Canary::new(Tracked::new(Heap).reporting(HERE))).reporting(HERE), true);
}

#[test]
fn held_or_foreign_block_is_not_resized() {
    let heap = Poison::new(Quarantine::<_, 4>::around(Checked::new(Heap).reporting(HERE)).reporting(HERE));
    let block = take(&heap, 40);
    free(&heap, block, 40);
    // SAFETY: the misuse is prevented by the guards.
    unsafe {
        assert_eq!(heap.grow(block, layout(40), layout(64)), Err(AllocError::Unsupported));
        assert_eq!(kind(), MisuseKind::DoubleFree);
        assert_eq!(heap.shrink_in_place(block, layout(40), layout(8)), Err(AllocError::Unsupported));
        assert_eq!(kind(), MisuseKind::DoubleFree);
        let mut foreign = [9_u8; 64];
        let foreign = NonNull::from(&mut foreign).cast();
        assert_eq!(heap.grow(foreign, layout(40), layout(64)), Err(AllocError::Unsupported));
        assert_eq!(kind(), MisuseKind::Foreign);
    }
    let pool = Local::new(Quarantine::<_, 4>::new(Tlsf::new()).reporting(HERE));
    let block = take(&pool, 400);
    free(&pool, block, 400);
    // SAFETY: the guard holds the block, and its memory is still allocated.
    unsafe { assert!(pool.grow_in_place(block, layout(400), layout(500)).is_err()) };
    assert!(heard().is_empty());
}

#[test]
fn write_after_free_is_found_on_release() {
    for offset in [0, 1, 31, 63] {
        let pool = Local::new(Quarantine::<_, 4>::new(Blocks::<Fixed<64>>::new()).reporting(HERE));
        let blocks = [(); 5].map(|()| take(&pool, 64));
        free(&pool, blocks[0], 64);
        // SAFETY: the guard holds the block, and its memory is still allocated.
        unsafe { blocks[0].add(offset).write(1) };
        for block in &blocks[1..4] {
            free(&pool, *block, 64);
        }
        assert_eq!(heard(), [], "it has not left yet");
        free(&pool, blocks[4], 64);
        let told = heard();
        assert_eq!(
            (told[0].kind, told[0].address),
            (MisuseKind::WrittenAfterFree { offset }, blocks[0].addr().get())
        );
    }
    let heap = Quarantine::<_, 4>::around(Heap).reporting(HERE);
    let block = take(&heap, 64);
    free(&heap, block, 64);
    // SAFETY: as above.
    unsafe { block.add(5).write(1) };
    drop(heap);
    assert_eq!(kind(), MisuseKind::WrittenAfterFree { offset: 5 });
}

#[test]
fn held_block_is_not_reused() {
    let pool = Local::new(Quarantine::<_, 16>::new(Blocks::<Fixed<64>>::new()));
    let mut last: Vec<usize> = Vec::new();
    for _ in 0..1000 {
        let block = take(&pool, 64);
        assert!(!last[last.len().saturating_sub(16)..].contains(&block.addr().get()));
        last.push(block.addr().get());
        free(&pool, block, 64);
    }
    let few = Quarantine::<_, 16>::around(Stats::new(Heap)).holding(100);
    for _ in 0..3 {
        let block = take(&few, 40);
        free(&few, block, 40);
    }
    assert_eq!(few.inner().counts().live.bytes, 80, "at most a hundred bytes are held");
    let large = take(&few, 101);
    free(&few, large, 101);
    assert_eq!(few.inner().counts().live.bytes, 80, "what is larger is freed at once");
}

#[test]
fn held_blocks_are_released_when_needed() {
    let mut memory = [MaybeUninit::uninit(); 1000];
    let pool = Local::new_in(Quarantine::<_, 16>::new(Blocks::<Fixed<64>>::new()), Buffer::new(&mut memory));
    for _ in 0..3 {
        let blocks: Vec<_> = std::iter::from_fn(|| pool.allocate(layout(64)).ok()).collect();
        assert_eq!(blocks.len(), 15);
        blocks.into_iter().for_each(|block| free(&pool, block.cast(), 64));
    }
    assert_ne!(pool.trim(), 0, "what was held back is free");

    let mut memory = [MaybeUninit::uninit(); 1000];
    let around = Local::new_in(Blocks::<Fixed<64>>::new(), Buffer::new(&mut memory));
    let around = Quarantine::<_, 16>::around(around);
    for _ in 0..3 {
        let blocks: Vec<_> = std::iter::from_fn(|| around.allocate(layout(64)).ok()).collect();
        assert_eq!(blocks.len(), 15);
        blocks.into_iter().for_each(|block| free(&around, block.cast(), 64));
    }
}

#[test]
fn contents_are_poisoned_before_and_after() {
    fn bytes<'a>(block: NonNull<u8>, size: usize) -> &'a [u8] {
        // SAFETY: the pools here keep their memory, and a guard has written it.
        unsafe { NonNull::slice_from_raw_parts(block, size).as_ref() }
    }
    let heap = Poison::new(Local::new(Linear::new()));
    let block = take(&heap, 20);
    assert!(bytes(block, 20).iter().all(|&byte| byte == 0xA5));
    // SAFETY: the block is live, and has these layouts in turn.
    unsafe {
        block.write_bytes(1, 20);
        let grown = heap.grow(block, layout(20), layout(40)).expect("the heap has room").cast();
        assert!(bytes(grown, 20).iter().all(|&byte| byte == 1), "contents stay");
        assert!(bytes(grown, 40)[20..].iter().all(|&byte| byte == 0xA5));
        free(&heap, grown, 40);
        assert!(bytes(grown, 40).iter().all(|&byte| byte == 0xDF));
    }
}

#[test]
fn freed_memory_is_erased_everywhere() {
    let pool = Zeroed::new(Local::new(Linear::new()));
    for size in [1, 7, 8, 9, 31, 64, 100] {
        for shift in 0..8 {
            let whole = take(&pool, size + 8);
            // SAFETY: the blocks are live with the layouts that they have in turn, and the arena keeps its memory.
            unsafe {
                whole.write_bytes(0xff, size + 8);
                let secret = Layout::from_size_align(size, 1).expect("a layout");
                let block: NonNull<u8> = pool.allocate(secret).expect("the heap has room").cast();
                block.write_bytes(0xff, size);
                let spacer = pool.allocate(Layout::from_size_align(shift + 1, 1).expect("a layout"));
                let moved: NonNull<u8> =
                    pool.grow(block, secret, layout(size + 50)).expect("the heap has room").cast();
                let all_zero =
                    |block: NonNull<u8>, size| (0..size).all(|at| block.add(at).read_volatile() == 0);
                assert!(moved == block || all_zero(block, size), "left behind when it grew");
                let shrunk: NonNull<u8> =
                    pool.shrink(moved, layout(size + 50), layout(1)).expect("the heap has room").cast();
                assert!(all_zero(moved.add(1), size - 1), "left behind when it shrank");
                free(&pool, shrunk, 1);
                assert!(all_zero(shrunk, 1));
                assert!(spacer.is_ok());
            }
        }
    }
}

#[test]
fn hook_may_use_the_misused_pool() {
    type Tested = Local<Checked<Blocks<Fixed<64>>>>;
    thread_local! {
        static POOL: Tested = Local::new(Checked::new(Blocks::new()).reporting(Reporter::named("own").with_hook(reenter)));
        static CALLS: RefCell<usize> = const { RefCell::new(0) };
    }
    fn reenter(misuse: &Misuse) {
        assert_eq!((misuse.pool, misuse.kind), ("own", MisuseKind::DoubleFree));
        CALLS.with_borrow_mut(|calls| *calls += 1);
        POOL.with(|pool| {
            let block = take(pool, 64);
            free(pool, block, 64);
        });
    }
    POOL.with(|pool| {
        let block = take(pool, 64);
        free(pool, block, 64);
        free(pool, block, 64);
        pool.check().expect("sound");
    });
    assert_eq!(CALLS.with_borrow(|calls| *calls), 1);
}

#[test]
fn racing_double_free_is_reported_once() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    fn count(misuse: &Misuse) {
        assert!(matches!(misuse.kind, MisuseKind::DoubleFree | MisuseKind::Foreign), "{misuse}");
        TOLD.fetch_add(1, Relaxed);
    }
    let heap = Quarantine::<_, 64>::around(Heap);
    let heap = Checked::new(heap).reporting(Reporter::named("both").with_hook(count));
    const ROUNDS: usize = 500;
    let blocks: Vec<usize> = (0..ROUNDS).map(|_| take(&heap, 64).as_ptr().expose_provenance()).collect();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for &address in &blocks {
                    let block = NonNull::new(std::ptr::with_exposed_provenance_mut(address));
                    free(&heap, block.expect("a block"), 64);
                }
            });
        }
    });
    assert_eq!(TOLD.load(Relaxed), ROUNDS);
}

#[test]
fn correct_threads_are_not_reported() {
    let told = &Mutex::new(());
    let pool = Checked::new(Locked::<_>::new(Tlsf::new()));
    thread::scope(|scope| {
        for seed in 0..3 {
            let pool = &pool;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut mine: Vec<(NonNull<u8>, usize)> = Vec::new();
                for _ in 0..4000 {
                    let size = rng.usize(1..300);
                    match rng.u8(0..3) {
                        0 if !mine.is_empty() => {
                            let (block, old) = mine.swap_remove(rng.usize(..mine.len()));
                            // SAFETY: the block is live with this layout.
                            let resized = unsafe {
                                if size >= old {
                                    pool.grow(block, layout(old), layout(size))
                                } else {
                                    pool.shrink(block, layout(old), layout(size))
                                }
                            };
                            mine.push((resized.expect("the heap has room").cast(), size));
                        }
                        1 if !mine.is_empty() => {
                            let (block, size) = mine.swap_remove(rng.usize(..mine.len()));
                            free(pool, block, size);
                        }
                        _ => mine.push((take(pool, size), size)),
                    }
                }
                mine.into_iter().for_each(|(block, size)| free(pool, block, size));
                drop(told.lock());
            });
        }
    });
    pool.check().expect("sound");
}

#[test]
fn misuse_ends_the_program_without_a_hook() {
    const ME: &str = "misuse::misuse_ends_the_program_without_a_hook";
    if std::env::var_os("MILLPOND_MISUSE").is_some() {
        let pool = Local::new(Checked::new(Blocks::<Fixed<64>>::new()).reporting(Reporter::named("doomed")));
        let block = take(&pool, 64);
        free(&pool, block, 64);
        free(&pool, block, 64);
        std::process::exit(0);
    }
    let Some(mut again) = again::this_program("that misuse ends a program") else { return };
    let run = again.args([ME, "--exact", "--nocapture"]).env("MILLPOND_MISUSE", "1").output();
    let run = run.expect("as it did before");
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(!run.status.success(), "it went on");
    assert!(said.contains("pool \"doomed\": block 0x") && said.contains("was freed twice"), "{said}");
}

/// Guards that only inspect do not unwind, and each pool is sound after random misuse.
#[test]
fn random_misuse_leaves_the_pool_sound() {
    fn storm<P: RawPool + Inspect>(pool: P, largest: usize) {
        let pool = Local::new(Checked::new(pool).reporting(HERE));
        let mut rng = fastrand::Rng::with_seed(1);
        let (mut live, mut dead) = (Vec::<(NonNull<u8>, usize)>::new(), Vec::<NonNull<u8>>::new());
        for _ in 0..3000 {
            match rng.u8(0..5) {
                0 | 1 if live.len() < 50 => {
                    let size = rng.usize(1..=largest);
                    let block = take(&pool, size);
                    dead.retain(|&old| old != block);
                    live.push((block, size));
                }
                2 if !live.is_empty() => {
                    let (block, size) = live.swap_remove(rng.usize(..live.len()));
                    free(&pool, block, size);
                    dead.push(block);
                    assert_eq!(heard(), []);
                }
                3 if !dead.is_empty() => {
                    free(&pool, dead[rng.usize(..dead.len())], rng.usize(1..=largest));
                    assert!(kind().is_prevented());
                }
                _ if !live.is_empty() => {
                    let (block, size) = live[rng.usize(..live.len())];
                    let wrong = size + 1;
                    free(&pool, block, wrong);
                    assert_eq!(kind(), MisuseKind::WrongLayout { expected: layout(size) });
                }
                _ => {}
            }
            pool.check().expect("sound after each step");
        }
        live.into_iter().for_each(|(block, size)| free(&pool, block, size));
        assert_eq!((pool.stats().live, heard()), (0, vec![]));
    }
    storm(Blocks::<Fixed<64>>::new(), 64);
    storm(Classes::new(), 1000);
    storm(Tlsf::new(), 1000);
}
