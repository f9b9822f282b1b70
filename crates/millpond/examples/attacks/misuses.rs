//! The misuses.

use std::{ptr::NonNull, thread};

use millpond::Allocator;

use crate::victim::{Outcome, SIZE, Victim, flip_bytes, free_as, layout, read, take, write};
use Outcome::{Corrupted, Impossible, Prevented, Undetected};

type Misuse = fn(&mut Victim) -> Outcome;

/// The name of each misuse, and the function that commits it.
pub(crate) const ALL: &[(&str, Misuse)] = &[
    ("double free", |victim| double_free(victim, 0)),
    ("double free after 1 other", |victim| double_free(victim, 1)),
    ("double free after 64 others", |victim| double_free(victim, 64)),
    ("double free after 500 others", |victim| double_free(victim, 500)),
    ("double free, interleaved", double_free_interleaved),
    ("double free by another thread", double_free_by_another_thread),
    ("double free after pairs", double_free_after_pairs),
    ("double free after reuse", double_free_after_reuse),
    ("free inside a block", |victim| free_at(victim, 8)),
    ("free at an odd address", |victim| free_at(victim, 1)),
    ("free of an address on the stack", free_of_the_stack),
    ("free of a static", free_of_a_static),
    ("free of a wild address", free_of_a_wild_address),
    ("free of a block never handed out", free_of_a_block_never_handed_out),
    ("free of another pool's block", free_of_another_pools_block),
    ("free with a smaller size", |victim| free_with(victim, 8, 8)),
    ("free with a larger size", |victim| free_with(victim, 400, 8)),
    ("free with an impossible size", |victim| free_with(victim, (isize::MAX / 2).cast_unsigned(), 8)),
    ("free with another alignment", |victim| free_with(victim, SIZE, 64)),
    ("resize of a freed block", resize_of_a_freed_block),
    ("overflow by 1", |victim| overflow(victim, SIZE.cast_signed(), 1)),
    ("overflow by 8", |victim| overflow(victim, SIZE.cast_signed(), 8)),
    ("overflow by 200", |victim| overflow(victim, SIZE.cast_signed(), 200)),
    ("overflow that jumps a redzone", |victim| overflow(victim, SIZE.cast_signed() + 42, 1)),
    ("underflow by 1", |victim| overflow(victim, -1, 1)),
    ("underflow by 8", |victim| overflow(victim, -8, 8)),
    ("write after free, first word", |victim| write_after_free(victim, 0..1)),
    ("write after free, middle word", |victim| write_after_free(victim, 3..4)),
    ("write after free, last word", |victim| write_after_free(victim, 5..6)),
    ("read after free", read_after_free),
    ("stale data in a new block", stale_data_in_a_new_block),
    ("uninitialised read", uninitialised_read),
    ("forged links in one freed block", |victim| forged_links(victim, 1)),
    ("forged links in forty freed blocks", |victim| forged_links(victim, 40)),
    ("links to a live block", links_to_a_live_block),
    ("forged tag behind a block", |victim| forged_tag(victim, 6)),
    ("forged tag in front of a block", |victim| forged_tag(victim, -1)),
    ("free after a reset", free_after_a_reset),
    ("request for more than exists", request_for_more_than_exists),
    ("predictable reuse", predictable_reuse),
    ("predictable order", predictable_order),
];

fn double_free(victim: &mut Victim, others: usize) -> Outcome {
    let (block, blocks) = (victim.take(), victim.take_many(others));
    victim.free(block);
    blocks.into_iter().for_each(|other| victim.free(other));
    victim.free(block);
    victim.judge(&[], Prevented)
}

fn double_free_interleaved(victim: &mut Victim) -> Outcome {
    let (block, other) = (victim.take(), victim.take());
    victim.free(block);
    victim.free(other);
    victim.free(block);
    victim.judge(&[], Prevented)
}

/// A block, for another thread.
struct Sent(NonNull<u8>);

// SAFETY: it is only an address; what is done with it is wrong on purpose.
unsafe impl Send for Sent {}

fn double_free_by_another_thread(victim: &mut Victim) -> Outcome {
    let Some(pool) = victim.target.shared() else { return Impossible };
    let block = Sent(take(pool));
    victim.free(block.0);
    thread::scope(|scope| {
        scope.spawn(move || {
            let sent = block;
            free_as(pool, sent.0, layout(SIZE, 8));
        });
    });
    victim.judge(&[], Prevented)
}

fn double_free_after_pairs(victim: &mut Victim) -> Outcome {
    let block = victim.take();
    victim.free(block);
    for _ in 0..64 {
        let others = [victim.take(), victim.take()];
        if others.contains(&block) {
            // The block is live again: a second free is that of another owner's block.
            return Undetected;
        }
        others.into_iter().for_each(|other| victim.free(other));
    }
    victim.free(block);
    victim.judge(&[], Prevented)
}

fn double_free_after_reuse(victim: &mut Victim) -> Outcome {
    let block = victim.take();
    victim.free(block);
    for _ in 0..20_000 {
        let other = victim.take();
        if other == block {
            victim.free(block);
            return Undetected;
        }
        victim.free(other);
    }
    victim.free(block);
    victim.judge(&[], Prevented)
}

fn free_at(victim: &mut Victim, offset: usize) -> Outcome {
    let block = victim.take();
    // SAFETY: the address lies in the block.
    victim.free(unsafe { block.add(offset) });
    victim.judge(&[block], Prevented)
}

/// Frees an address that is not one of the pool's, and says whether it is handed out.
fn free_of(victim: &Victim, foreign: NonNull<u8>) -> Outcome {
    victim.take();
    victim.free(foreign);
    let (blocks, overlap) = victim.probe(&[]);
    if overlap || blocks.contains(&foreign) { Corrupted } else { Prevented }
}

fn free_of_the_stack(victim: &mut Victim) -> Outcome {
    let mut local = [0u64; 32];
    free_of(victim, NonNull::from(&mut local).cast())
}

/// Memory of the program.
type Words = [u128; 32];

static mut STATIC: Words = [0; 32];

/// Returns the address of memory that is no pool's.
fn static_memory() -> NonNull<u8> {
    NonNull::new((&raw mut STATIC).cast()).expect("a static has an address")
}

fn free_of_a_static(victim: &mut Victim) -> Outcome {
    free_of(victim, static_memory())
}

fn free_of_a_wild_address(victim: &mut Victim) -> Outcome {
    let wild = std::ptr::without_provenance_mut(0x1234_5678_9AB0);
    free_of(victim, NonNull::new(wild).expect("it is not zero"))
}

fn free_of_a_block_never_handed_out(victim: &mut Victim) -> Outcome {
    let mut blocks: Vec<usize> = victim.take_many(3).iter().map(|block| block.addr().get()).collect();
    blocks.sort_unstable();
    let distance = (blocks[1] - blocks[0]).min(blocks[2] - blocks[1]);
    let never = std::ptr::with_exposed_provenance_mut(blocks[2] + 20 * distance);
    victim.free(NonNull::new(never).expect("it is not zero"));
    victim.judge(&[], Prevented)
}

fn free_of_another_pools_block(victim: &mut Victim) -> Outcome {
    let foreign = take(victim.other.pool());
    free_of(victim, foreign)
}

fn free_with(victim: &mut Victim, size: usize, align: usize) -> Outcome {
    let (block, live) = (victim.take(), victim.take_many(8));
    free_as(victim.pool(), block, layout(size, align));
    let sizes = [SIZE, size.min(4096)].map(|size| layout(size, 8));
    let mut spans: Vec<(usize, usize)> = live.iter().map(|block| (block.addr().get(), SIZE)).collect();
    for layout in sizes {
        let blocks = (0..40).map_while(|_| victim.pool().allocate(layout).ok());
        spans.extend(blocks.map(|block| (block.addr().get(), layout.size())));
    }
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[0].0 + pair[0].1 > pair[1].0) { Corrupted } else { Undetected }
}

fn resize_of_a_freed_block(victim: &mut Victim) -> Outcome {
    let block = victim.take();
    victim.free(block);
    // SAFETY: none: this is the misuse.
    let resized = unsafe { victim.pool().shrink(block, layout(SIZE, 8), layout(SIZE - 8, 8)) };
    match resized {
        Ok(resized) => victim.judge(&[resized.cast()], Undetected),
        Err(_) => Prevented,
    }
}

fn overflow(victim: &mut Victim, from: isize, count: usize) -> Outcome {
    let mut blocks = victim.take_many(40);
    blocks.sort_unstable();
    // Between two blocks that are live, as far as there are such.
    let distance = |at: &usize| blocks[at + 1].addr().get() - blocks[at - 1].addr().get();
    let middle = (1..39).min_by_key(distance).unwrap_or(20);
    flip_bytes(blocks[middle], from, count);
    let live: Vec<NonNull<u8>> = blocks.iter().copied().step_by(4).filter(|&b| b != blocks[middle]).collect();
    blocks.iter().filter(|block| !live.contains(block)).for_each(|&block| victim.free(block));
    victim.churn();
    victim.judge(&live, Undetected)
}

fn write_after_free(victim: &mut Victim, words: std::ops::Range<isize>) -> Outcome {
    let live = victim.take_many(8);
    let block = victim.take();
    victim.free(block);
    words.for_each(|number| write(block, number, 0x4141_4141_4141_4140));
    victim.churn();
    victim.judge(&live, Undetected)
}

const SECRET: usize = 0x5EC2_E75E_C2E7_5EC2_u64 as usize;

/// Writes the secret into every word of a block.
fn fill(block: NonNull<u8>) {
    (0..6).for_each(|number| write(block, number, SECRET));
}

fn read_after_free(victim: &mut Victim) -> Outcome {
    let block = victim.take();
    fill(block);
    victim.free(block);
    if (0..6).any(|number| read(block, number) == SECRET) { Undetected } else { Prevented }
}

fn stale_data_in_a_new_block(victim: &mut Victim) -> Outcome {
    let block = victim.take();
    fill(block);
    victim.free(block);
    for _ in 0..20_000 {
        let other = victim.take();
        if (0..6).any(|number| read(other, number) == SECRET) {
            return Corrupted;
        }
        victim.free(other);
    }
    Prevented
}

fn uninitialised_read(victim: &mut Victim) -> Outcome {
    let blocks = victim.take_many(100);
    blocks.iter().for_each(|&block| flip_bytes(block, 0, SIZE));
    blocks.into_iter().for_each(|block| victim.free(block));
    let dirty = |block: NonNull<u8>| (0..6).any(|number| read(block, number) != 0);
    if victim.take_many(1000).into_iter().any(dirty) { Undetected } else { Prevented }
}

fn forged_links(victim: &mut Victim, count: usize) -> Outcome {
    let (live, blocks) = (victim.take_many(8), victim.take_many(count));
    blocks.iter().for_each(|&block| victim.free(block));
    let forged = static_memory();
    for &block in &blocks {
        (0..6).for_each(|number| write(block, number, forged.addr().get()));
    }
    let (handed_out, overlap) = victim.probe(&live);
    let range = forged.addr().get()..forged.addr().get() + size_of::<Words>();
    let is_forged = handed_out.iter().any(|block| range.contains(&block.addr().get()));
    if overlap || is_forged { Corrupted } else { Prevented }
}

fn links_to_a_live_block(victim: &mut Victim) -> Outcome {
    let (live, blocks) = (victim.take_many(8), victim.take_many(40));
    blocks.iter().for_each(|&block| victim.free(block));
    for &block in &blocks {
        (0..6).for_each(|number| write(block, number, live[0].addr().get()));
    }
    victim.judge(&live, Prevented)
}

fn forged_tag(victim: &mut Victim, number: isize) -> Outcome {
    let mut blocks = victim.take_many(40);
    blocks.sort_unstable();
    // The size of four blocks, with each combination of flags that a tag may have.
    for (at, flags) in [(8, 0), (16, 1), (24, 2), (32, 3)] {
        write(blocks[at], number, (4 * 64) | flags);
    }
    let mut live = Vec::new();
    for (at, block) in blocks.into_iter().enumerate() {
        if [8, 9, 16, 17, 24, 25, 32, 33].contains(&at) {
            victim.free(block);
        } else {
            live.push(block);
        }
    }
    let large = layout(3 * SIZE, 8);
    let mut spans: Vec<(usize, usize)> = live.iter().map(|block| (block.addr().get(), SIZE)).collect();
    let found = (0..40).map_while(|_| victim.pool().allocate(large).ok());
    spans.extend(found.map(|block| (block.addr().get(), large.size())));
    spans.extend(victim.probe(&[]).0.iter().map(|block| (block.addr().get(), SIZE)));
    spans.sort_unstable();
    if spans.windows(2).any(|pair| pair[0].0 + pair[0].1 > pair[1].0) { Corrupted } else { Undetected }
}

fn free_after_a_reset(victim: &mut Victim) -> Outcome {
    let blocks = victim.take_many(8);
    victim.target.reset();
    victim.free(blocks[0]);
    victim.judge(&[], Prevented)
}

fn request_for_more_than_exists(victim: &mut Victim) -> Outcome {
    let most = isize::MAX.cast_unsigned() - 63;
    let layouts = [most, most / 2, most - 4096].map(|size| layout(size, 8));
    if layouts.iter().any(|&layout| victim.pool().allocate(layout).is_ok()) { Corrupted } else { Prevented }
}

fn predictable_reuse(victim: &mut Victim) -> Outcome {
    let _live = victim.take_many(4);
    let block = victim.take();
    victim.free(block);
    if victim.take() == block { Undetected } else { Prevented }
}

fn predictable_order(victim: &mut Victim) -> Outcome {
    let order = |pool: &dyn Allocator| -> Vec<usize> {
        let blocks: Vec<usize> = (0..32).map(|_| take(pool).addr().get()).collect();
        let mut sorted = blocks.clone();
        sorted.sort_unstable();
        blocks.iter().map(|block| sorted.binary_search(block).unwrap_or(0)).collect()
    };
    let orders = [order(victim.pool()), order(victim.other.pool())];
    if orders[0] == orders[1] { Undetected } else { Prevented }
}
