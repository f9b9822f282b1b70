//! The buddy system: sizes and addresses of blocks, merging, resizing, and chunks of odd sizes.

use std::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};

use millpond::{
    AllocError, Allocator, Blocks, Buddy, Buffer, Fixed, Inspect, Linear, Local, Locked, Owned, Pages,
    pool::BuddyError,
};

use crate::{
    composition::fail_each,
    oracle::Oracle,
    random::{LARGE, MIXED, SMALL, trial},
    tracking_parent::TrackingParent,
};

fn layout(size: usize, align: usize) -> Layout {
    Layout::from_size_align(size, align).expect("the tests' layouts exist")
}

/// Bytes in a word, of which a footer takes eight.
const WORD: usize = size_of::<usize>();

fn buddy(least: usize, largest: usize) -> Buddy {
    Buddy::with_blocks(least, largest).expect("powers of two")
}

#[test]
fn random_operations() {
    trial(SMALL, || Local::new_in(Buddy::new(), TrackingParent::default()));
    trial(MIXED, || Local::new_in(Buddy::new(), TrackingParent::default()));
    trial(LARGE, || Local::new_in(Buddy::new(), Pages));
    trial(MIXED, || Local::new_in(buddy(64, 4096), TrackingParent::default()));
    trial(MIXED, || Local::new_in(buddy(1024, 1 << 20), TrackingParent::default()));
    trial(MIXED, || Locked::<_, _>::new_in(Buddy::new().first_chunk(1 << 20), Pages));
}

#[test]
fn random_operations_on_other_pools() {
    trial(MIXED, || Local::new_in(Buddy::new(), Local::new(Buddy::new())));
    trial(MIXED, || Local::new_in(Buddy::new(), Local::new_in(Linear::new(), Pages)));
    trial(SMALL, || {
        Local::new_in(Blocks::<Fixed<64>>::new(), Local::new_in(Buddy::new(), TrackingParent::default()))
    });
    // A parent of small blocks, for hundreds of chunks.
    trial(SMALL, || Local::new_in(Buddy::new(), Local::new(buddy(64, 256))));
}

#[test]
fn parent_failures_lose_nothing() {
    fail_each(Buddy::new);
    fail_each(|| buddy(16, 64));
}

#[test]
fn only_powers_of_two_are_block_sizes() {
    let refused = |least, largest| Buddy::with_blocks(least, largest).err();
    assert_eq!(refused(24, 1024), Some(BuddyError::Least(24)));
    assert_eq!(refused(0, 1024), Some(BuddyError::Least(0)));
    assert_eq!(refused(4, 1024), Some(BuddyError::Least(4)));
    assert_eq!(refused(64, 32), Some(BuddyError::Largest(32)));
    assert_eq!(refused(64, 100), Some(BuddyError::Largest(100)));
    let largest = 1 << (usize::BITS - 2);
    assert_eq!(refused(largest, largest), None, "the largest there can be");
    assert_eq!(refused(16, 2 * largest), Some(BuddyError::Largest(2 * largest)));
    #[cfg(target_pointer_width = "64")]
    {
        assert_eq!(
            refused(16, 1 << 36),
            Some(BuddyError::Largest(1 << 36)),
            "more than 2^31 times the least"
        );
        assert_eq!(refused(16, 1 << 35), None);
    }
    assert_eq!((buddy(32, 4096).least(), buddy(32, 4096).largest()), (32, 4096));
}

#[test]
fn requests_above_the_largest_block_are_refused() {
    let pool = Local::new(buddy(32, 4096));
    assert_eq!(pool.allocate(layout(4097, 1)), Err(AllocError::Unsupported));
    assert_eq!(pool.allocate(layout(1, 8192)), Err(AllocError::Unsupported));
    assert_eq!(pool.allocate(layout(4096, 4096)).map(|block| block.len()), Ok(4096));
}

#[test]
fn blocks_are_aligned_to_their_size() {
    let pool = Local::new(Buddy::new());
    for size in [1, 15, 16, 17, 100, 128, 129, 5000, 1 << 16] {
        let block = pool.allocate(layout(size, 1)).expect("the heap has room");
        assert_eq!(block.len(), size.next_power_of_two().max(2 * WORD));
        assert_eq!(block.addr().get() % block.len(), 0);
    }
}

#[test]
fn alignment_needs_no_larger_block() {
    let mut pool = Owned::new(Buddy::new().first_chunk(1 << 16));
    let block = pool.allocate(layout(10, 4096)).expect("the heap has room");
    assert_eq!((block.len(), block.addr().get() % 4096, pool.stats().live), (16, 0, 16));
    // SAFETY: the block is live, and the layout is its own.
    unsafe { pool.deallocate(block.cast(), layout(10, 4096)) };
    pool.check().expect("all joined again");
    assert_eq!(pool.trim(), 1 << 16);
}

/// Returns how much of `bytes` bytes that begin `skew` bytes past a multiple of 4096 is handed out in blocks of 16.
fn blocks_in(bytes: usize, skew: usize) -> usize {
    let mut memory = vec![MaybeUninit::<u8>::uninit(); bytes + 2 * 4096];
    let padding = memory.as_ptr().addr().wrapping_neg() % 4096 + skew;
    // The first chunk is as large as the buffer, so that there is only one.
    let buffer = Buffer::new(&mut memory[padding..padding + bytes]);
    let pool = Local::new_in(buddy(16, 1 << 20).first_chunk(bytes), buffer);
    let mut oracle = Oracle::new(&pool);
    while oracle.allocate(layout(16, 16), false).is_ok() {}
    let count = oracle.count();
    pool.check().expect("sound when full");
    assert_eq!((pool.stats().live, pool.stats().free), (16 * count, 0));
    while oracle.count() != 0 {
        oracle.deallocate(oracle.count() / 2, 0);
        pool.check().expect("sound after each step");
    }
    count
}

#[test]
fn odd_chunks_are_used_to_the_last_block() {
    let state = |blocks: usize| 8 * WORD + blocks.div_ceil(8 * WORD) * WORD;
    for (bytes, skew) in [
        (16 + state(1), 0),
        (1000, 0),
        (1000, 48),
        (1024, 1),
        (4096, 0),
        (5000, 4000),
        (9999, 2032),
        (10_003, 5),
    ] {
        let count = blocks_in(bytes, skew);
        let padding = skew.wrapping_neg() % 16;
        // There is no room for one block more beside the state and the padding for alignment.
        assert!(padding + 16 * count + state(count) <= bytes, "{bytes} at {skew}");
        assert!(
            padding + 16 * (count + 1) + state(count + 1) + WORD > bytes,
            "{bytes} at {skew}: {count} blocks"
        );
    }
    assert_eq!(blocks_in(16 + state(1) - 1, 0), 0);
}

#[test]
fn freed_buddies_merge_at_once() {
    let mut memory = vec![MaybeUninit::<u8>::uninit(); 3 << 16];
    let padding = memory.as_ptr().addr().wrapping_neg() % (1 << 16);
    let buffer = Buffer::new(&mut memory[padding..padding + (1 << 16) + 8 * WORD + 512]);
    let mut pool = Owned::new_in(buddy(16, 1 << 20).first_chunk(1 << 17), buffer);
    assert_eq!(pool.pool().largest_free(), 0);
    let mut blocks: Vec<NonNull<u8>> =
        (0..4096).map(|_| pool.allocate(layout(16, 16)).expect("a buffer for exactly that").cast()).collect();
    assert_eq!(pool.allocate(layout(1, 1)), Err(AllocError::Exhausted));
    fastrand::Rng::with_seed(3).shuffle(&mut blocks);
    let mut largest = Vec::new();
    for block in blocks {
        assert!(pool.pool().largest_free() < 1 << 16);
        // SAFETY: the block is live, and this pool handed it out for this layout.
        unsafe { pool.deallocate(block, layout(16, 16)) };
        largest.push(pool.pool().largest_free());
    }
    assert!(largest.is_sorted(), "freeing never breaks a block up");
    assert_eq!(largest.last(), Some(&(1 << 16)));
    let all = pool.allocate(layout(1 << 16, 1 << 16)).expect("all is one block again");
    assert_eq!((all.len(), pool.pool().largest_free()), (1 << 16, 0));
}

#[test]
fn largest_free_block_is_served() {
    let mut pool = Owned::new(buddy(16, 256).first_chunk(1 << 16));
    pool.allocate(layout(16, 16)).expect("the heap has room");
    assert_eq!(pool.pool().largest_free(), 256);
}

#[test]
fn blocks_grow_into_free_buddies_and_shrink_by_halves() {
    let mut pool = Owned::new(Buddy::new().first_chunk(1 << 14));
    // With this alignment, the block is the first part of a large free one.
    let sizes = |size| layout(size, 4096);
    let block = pool.allocate(sizes(16)).expect("the heap has room").cast::<u8>();
    let live = |pool: &Owned<Buddy>| {
        pool.check().expect("sound after resizing");
        pool.stats().live
    };
    // SAFETY: each block is live, and has these layouts in turn.
    unsafe {
        block.write_bytes(7, 16);
        assert!(
            pool.resize_in_place(block, sizes(16), layout(16, 1 << 30)).is_err(),
            "it is not aligned to its size"
        );
        let grown = pool.resize_in_place(block, sizes(16), sizes(1000)).expect("all buddies are free");
        assert_eq!((grown.cast(), grown.len(), live(&pool)), (block, 1024, 1024));
        assert_eq!(grown.as_ref()[..16], [7; 16]);
        let other = pool.allocate(layout(1024, 8)).expect("room for two").cast::<u8>();
        assert_eq!(other.addr().get(), block.addr().get() + 1024, "it is the buddy");
        assert!(pool.resize_in_place(block, sizes(1000), sizes(1025)).is_err(), "the buddy is live");
        assert!(pool.resize_in_place(other, layout(1024, 8), layout(1025, 8)).is_err(), "it is a right half");
        assert_eq!(live(&pool), 2048);
        let shrunk = pool.resize_in_place(block, sizes(1024), sizes(100)).expect("halves go");
        assert_eq!((shrunk.cast(), shrunk.len(), live(&pool)), (block, 128, 1152));
        let same = pool.resize_in_place(block, sizes(128), sizes(65)).expect("the same block");
        assert_eq!((same.len(), live(&pool)), (128, 1152));
        pool.deallocate(block, sizes(65));
        pool.deallocate(other, layout(1024, 8));
    }
    assert_eq!(live(&pool), 0);
    assert_eq!(pool.trim(), 1 << 14);
}

#[test]
fn empty_chunks_are_released() {
    let parent = TrackingParent::default();
    let mut pool = Local::new_in(Buddy::new(), &parent);
    let mut blocks: Vec<NonNull<[u8]>> =
        (0..5000).map(|size| pool.allocate(layout(1 + size % 300, 8)).expect("the heap has room")).collect();
    assert_eq!(pool.trim(), 0, "every chunk has live blocks");
    assert_eq!((pool.stats().chunks, pool.stats().held), (parent.out(), parent.bytes()));
    let survivor = blocks.swap_remove(2500);
    fastrand::Rng::with_seed(9).shuffle(&mut blocks);
    for block in blocks {
        // SAFETY: the block is live, and its length is what was returned; the requested alignment was 8.
        unsafe { pool.deallocate(block.cast(), layout(block.len(), 8)) };
    }
    pool.trim();
    assert_eq!((parent.out(), pool.stats().live), (1, survivor.len()));
    assert!(pool.owns(survivor.as_ptr().cast()));
    pool.check().expect("sound after a trim");
    pool.reset();
    pool.check().expect("sound after a reset");
    assert!(pool.trim() > 0);
    assert_eq!(parent.out(), 0);
}

#[test]
fn block_survives_the_release_of_another_chunk() {
    use millpond::raw::{Chunk, RawPool, Release};
    let mut pool = buddy(16, 1024);
    // Aligned, so that each chunk has one free block of the size that is requested, whatever its address.
    #[repr(align(1024))]
    struct Memory([u8; 1024]);
    let mut memory = [const { Memory([0; 1024]) }; 3];
    let request = layout(256, 16);
    let mut blocks = Vec::new();
    for chunk in &mut memory {
        let bytes = NonNull::slice_from_raw_parts(NonNull::from(&mut chunk.0).cast(), 1024);
        // SAFETY: the memory belongs to the pool until the end of the test, and its parts are aligned as stated.
        let added = unsafe { pool.add_chunk(Chunk::new(bytes, 16).expect("an alignment"), layout(16, 16)) };
        assert!(added.is_ok());
        blocks.push(pool.allocate(request).expect("a new chunk has room"));
    }
    let gone = pool.release_chunk(Release::Any).expect("there are three");
    assert_eq!(pool.allocate(layout(16, 16)), None, "what was free is forgotten");
    pool.check().expect("sound after a chunk went");
    let within =
        |block: &NonNull<[u8]>| block.addr().get().wrapping_sub(gone.start().addr().get()) < gone.size();
    for block in blocks.iter().filter(|block| !within(block)) {
        assert!(pool.owns(block.as_ptr().cast()));
        // SAFETY: the block is live, in a chunk that stayed.
        unsafe { pool.deallocate(block.cast(), request) };
        pool.check().expect("sound after a block was freed");
    }
    pool.reset();
    pool.check().expect("sound after a reset");
    assert_eq!((pool.stats().chunks, pool.stats().live), (2, 0));
    assert!(pool.release_chunk(Release::Empty).is_some() && pool.release_chunk(Release::Empty).is_some());
    assert!(pool.release_chunk(Release::Any).is_none());
}

#[test]
fn small_or_misaligned_chunk_is_refused() {
    use millpond::raw::{Chunk, RawPool};
    let mut pool = Buddy::new();
    let mut memory = vec![0u128; 64];
    let mut chunk = |bytes, align| {
        let memory = NonNull::slice_from_raw_parts(NonNull::from(&mut memory[0]).cast(), bytes);
        // SAFETY: the pool refuses the chunk, or is dropped with this function and before the memory.
        unsafe { pool.add_chunk(Chunk::new(memory, align).expect("an alignment"), layout(64, 16)) }
    };
    assert!(chunk(64 + 9 * WORD - 1, 64).is_err());
    assert!(chunk(1024, 16).is_err());
    assert!(chunk(0, 64).is_err());
}

/// Adversarial sequences: combs that leave every other block, waves of sizes, ends freed before beginnings.
#[test]
fn adversarial_sequences() {
    for (least, seed) in [(16, 1), (64, 2), (256, 3)] {
        let pool = Local::new(buddy(least, 1 << 16));
        let mut oracle = Oracle::new(&pool);
        let mut rng = fastrand::Rng::with_seed(seed);
        for size in [16, 1 << 14, 48, 1 << 12, 700] {
            for _ in 0..64 {
                oracle.allocate(layout(size, 8), false).expect("the heap has room");
            }
            // A comb: every other block is freed, then the rest from the end.
            let mut index = 0;
            while index + 1 < oracle.count() {
                oracle.deallocate(index, rng.usize(..));
                index += 1;
            }
            pool.check().expect("sound after a comb");
            for _ in 0..oracle.count() / 3 {
                oracle.deallocate(oracle.count() - 1, rng.usize(..));
            }
            pool.check().expect("sound after the end went");
            for _ in 0..20 {
                let _ =
                    oracle.resize(rng.usize(..oracle.count()), layout(rng.usize(1..3 * size), 8), rng.bool());
                pool.check().expect("sound after a resize");
            }
        }
        drop(oracle);
        assert_eq!(pool.stats().live, 0);
    }
}
