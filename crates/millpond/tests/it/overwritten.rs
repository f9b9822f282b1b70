//! Pools whose own words, between and behind their blocks, were overwritten: a guard that detects misuse checks them
//! before each call, so the program does not crash, and no live block is handed out.

use std::{
    alloc::{Layout, alloc, dealloc},
    cell::RefCell,
    ptr::NonNull,
};

use fastrand::Rng;
use millpond::{
    AllocError, Allocator, Blocks, Buddy, Cached, Classes, Fixed, Inspect, Local, Magazine, Reclaim,
    SignPost, Tlsf, guard::Checked, observe::MisuseKind, raw::RawPool, shell::RemoteFree,
};

use crate::misuse::{HERE, free, heard, kind, layout, take};

/// A parent that knows its chunks and keeps all of them until it is dropped, because a pool may lose one.
#[derive(Default)]
struct Chunks(RefCell<Vec<(NonNull<u8>, Layout)>>);

// SAFETY: every block is the heap's, and lives as long as this parent.
unsafe impl Allocator for Chunks {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        // SAFETY: no pool requests a chunk of zero bytes.
        let start = NonNull::new(unsafe { alloc(layout) }).ok_or(AllocError::Exhausted)?;
        // SAFETY: the chunk was just allocated. A damaged pool may read words that it has not written.
        unsafe { start.write_bytes(0, layout.size()) };
        self.0.borrow_mut().push((start, layout));
        Ok(NonNull::slice_from_raw_parts(start, layout.size()))
    }

    unsafe fn deallocate(&self, _: NonNull<u8>, _: Layout) {}
}

impl Drop for Chunks {
    fn drop(&mut self) {
        for (start, layout) in self.0.take() {
            // SAFETY: the chunk was allocated above, and the pool was dropped before.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

impl Chunks {
    /// Overwrites a word of a chunk: one near a block, or a random one.
    fn overwrite(&self, blocks: &[(NonNull<u8>, usize)], rng: &mut Rng) {
        let chunks = self.0.borrow();
        let near = rng.choice(blocks).map(|&(block, size)| {
            let words = (size / size_of::<usize>()) as isize;
            block.addr().get().wrapping_add_signed(rng.choice([-2, -1, 0, 1, words, words + 1]).unwrap() * 8)
        });
        let any = |rng: &mut Rng| {
            let (start, layout) = chunks[rng.usize(0..chunks.len())];
            let from_end = rng.bool();
            let at = if rng.bool() { rng.usize(0..layout.size() / 8) } else { rng.usize(0..12) } * 8;
            start.addr().get() + if from_end { layout.size() - 8 - at } else { at }
        };
        let at = near.filter(|_| rng.u8(0..4) != 0).unwrap_or_else(|| any(rng)) & !7;
        let inside = |&&(start, layout): &&(NonNull<u8>, Layout)| {
            at >= start.addr().get() && at + 8 <= start.addr().get() + layout.size()
        };
        let Some(&(start, _)) = chunks.iter().find(inside) else { return };
        // SAFETY: wrong on purpose. The word lies in the chunk.
        unsafe {
            let word = start.add(at - start.addr().get()).cast::<u64>();
            word.write(forged(word.read(), blocks, rng));
        }
    }
}

/// Overwrites this word, as a faulty program would.
fn forged(word: u64, blocks: &[(NonNull<u8>, usize)], rng: &mut Rng) -> u64 {
    let block = rng.choice(blocks).map_or(0, |(block, _)| block.addr().get() as u64);
    match rng.u8(0..9) {
        0 => 0,
        1 => rng.u64(..),
        2 => word ^ 1 << rng.u8(0..64),
        3 => word ^ rng.u64(1..4),
        4 => word.wrapping_add(16),
        5 => 16 * rng.u64(0..300) + rng.u64(0..4),
        6 => block,
        7 => 0x1111_1111_1111_1111,
        _ => word.wrapping_sub(16 * rng.u64(0..4)),
    }
}

/// The state of a program that uses an allocator.
struct Program<'a, A> {
    pool: &'a A,
    live: Vec<(NonNull<u8>, usize)>,
    freed: Vec<(NonNull<u8>, usize)>,
}

impl<A: Allocator + Inspect> Program<'_, A> {
    fn take(&mut self, size: usize) {
        let Ok(block) = self.pool.allocate(layout(size)) else { return };
        let start = block.addr().get();
        let apart = |&(other, length): &(NonNull<u8>, usize)| {
            start + size <= other.addr().get() || other.addr().get() + length <= start
        };
        assert!(self.live.iter().all(apart), "what is live is handed out");
        // SAFETY: the block is live and has this length.
        unsafe { block.cast::<u8>().write_bytes(0x11, size) };
        self.live.push((block.cast(), size));
    }

    fn give(&mut self, rng: &mut Rng) {
        if self.live.is_empty() {
            return;
        }
        let at = rng.usize(0..self.live.len());
        let (block, size) = self.live[at];
        let before = heard().len();
        assert_eq!(before, 0);
        free(self.pool, block, size);
        if heard().is_empty() {
            self.freed.push(self.live.swap_remove(at));
        }
    }

    fn resize(&mut self, rng: &mut Rng, new: usize) {
        if self.live.is_empty() {
            return;
        }
        let at = rng.usize(0..self.live.len());
        let (block, old) = self.live.swap_remove(at);
        // SAFETY: the block is live, and has this size.
        let resized = unsafe {
            match (new >= old, rng.bool()) {
                (true, true) => self.pool.grow(block, layout(old), layout(new)),
                (true, false) => self.pool.grow_in_place(block, layout(old), layout(new)),
                (false, true) => self.pool.shrink(block, layout(old), layout(new)),
                (false, false) => self.pool.shrink_in_place(block, layout(old), layout(new)),
            }
        };
        self.live.push(resized.map_or((block, old), |block| (block.cast(), new)));
    }

    fn go_on(&mut self, sizes: &[usize], rng: &mut Rng) {
        let size = sizes[rng.usize(0..sizes.len())];
        match rng.u8(0..8) {
            0..3 => self.take(size),
            3..6 => self.give(rng),
            _ => self.resize(rng, size),
        }
    }
}

const ROUNDS: u64 = if cfg!(miri) { 4 } else { 300 };

/// Uses a pool, overwrites some words of its chunks, and continues; returns whether anything was found.
fn play<A: Allocator + Inspect + Reclaim>(
    mut pool: A,
    chunks: &Chunks,
    sizes: &[usize],
    rng: &mut Rng,
) -> bool {
    let mut program = Program { pool: &pool, live: Vec::new(), freed: Vec::new() };
    for _ in 0..120 {
        program.go_on(sizes, rng);
    }
    assert!(heard().is_empty());
    let mut causes = Vec::new();
    for _ in 0..rng.u8(1..4) {
        let all: Vec<_> = program.live.iter().chain(&program.freed).copied().collect();
        (0..rng.u8(1..4)).for_each(|_| chunks.overwrite(&all, rng));
        for _ in 0..60 {
            program.go_on(sizes, rng);
            causes.extend(heard().into_iter().map(|misuse| misuse.kind));
        }
    }
    let is_about_words =
        |kind: &MisuseKind| matches!(kind, MisuseKind::Damaged { .. } | MisuseKind::Overlap { .. });
    assert!(causes.iter().all(is_about_words), "{causes:?}");
    let _ = (pool.check(), pool.stats(), pool.largest_free(), pool.holes());
    pool.trim();
    pool.reset();
    heard();
    causes.iter().any(is_about_words)
}

/// Runs all rounds of one pool, with the guard inside of a shell and around one.
fn rounds<P: RawPool + Inspect>(sizes: &[usize], make: impl Fn() -> P) {
    let first = if cfg!(miri) { 0 } else { fastrand::u64(..u64::MAX - ROUNDS) };
    let mut found = 0;
    for seed in first..first + ROUNDS {
        println!("seed {seed}");
        let (chunks, mut rng) = (Chunks::default(), Rng::with_seed(seed));
        let inside = Local::new_in(Checked::new(make()).reporting(HERE), &chunks);
        found += u64::from(play(inside, &chunks, sizes, &mut rng));
        let around = Checked::new(Local::new_in(make(), &chunks)).reporting(HERE);
        found += u64::from(play(around, &chunks, sizes, &mut rng));
        heard();
    }
    assert!(found > ROUNDS / 10, "only {found} of {ROUNDS} rounds found anything");
}

#[test]
fn boundary_tags() {
    let sizes = [8, 24, 40, 100, 104, 200, 320, 1200];
    rounds(&sizes, Tlsf::without_quick_list);
    rounds(&sizes, Tlsf::new);
    rounds(&sizes, SignPost::first_fit);
    rounds(&sizes, SignPost::best_fit);
    rounds(&sizes, || SignPost::first_fit().wiping());
}

/// Footers, bits and links.
#[test]
fn buddies() {
    rounds(&[16, 24, 40, 100, 200, 1200], Buddy::new);
}

/// The first words of free blocks link to others.
#[test]
fn links_in_free_blocks() {
    rounds(&[64], Blocks::<Fixed<64>>::new);
    rounds(&[64], Blocks::<(Fixed<64>, Magazine<8>)>::new);
}

/// An overflow of one word into the tag in front of the next block.
#[test]
fn report_names_the_place() {
    let pool = Local::new(Checked::new(SignPost::first_fit()).reporting(HERE));
    let blocks = [0; 3].map(|_| take(&pool, 200));
    let post = blocks[1].addr().get() - size_of::<usize>();
    for forged in [0, 32, 400, 208 | 1, usize::MAX, 0x1111_1111] {
        // SAFETY: wrong on purpose. The word is the pool's own.
        let word = unsafe {
            let word = blocks[1].cast::<usize>().sub(1);
            (word, word.replace(forged))
        };
        free(&pool, blocks[1], 200);
        assert_eq!(kind(), MisuseKind::Damaged { at: post });
        // SAFETY: as above.
        unsafe { word.0.write(word.1) };
    }
    blocks.iter().for_each(|&block| free(&pool, block, 200));
    assert!(heard().is_empty());
}

/// A cache passes large requests through to its parent, which is asked as well.
#[test]
fn damage_of_a_parent_is_found_through_a_cache() {
    fn play(pool: &impl Allocator) {
        let blocks = [0; 3].map(|_| take(pool, 200_000));
        let word = blocks[1].cast::<usize>();
        // SAFETY: wrong on purpose. The word is the parent's own.
        let before = unsafe { word.sub(1).replace(0) };
        free(pool, blocks[1], 200_000);
        assert_eq!(kind(), MisuseKind::Damaged { at: word.addr().get() - size_of::<usize>() });
        // SAFETY: as above.
        unsafe { word.sub(1).write(before) };
        blocks.iter().for_each(|&block| free(pool, block, 200_000));
        assert!(heard().is_empty());
    }

    let pool = Cached::new_in(Classes::new(), Local::new(SignPost::first_fit()));
    play(&Checked::new(&pool).reporting(HERE));
    play(&Checked::new(pool.handle()).reporting(HERE));
}

/// A write after free to the block that would be handed out next.
#[test]
fn damage_is_found_through_an_owner() {
    let pool = RemoteFree::new(Blocks::<Fixed<64>>::new());
    let owner = Checked::new(pool.try_own().expect("it has no owner")).reporting(HERE);
    let blocks = [0; 2].map(|_| take(&owner, 64));
    blocks.iter().for_each(|&block| free(&owner, block, 64));
    // SAFETY: wrong on purpose. The block is free, and its first word is the address of the next one.
    unsafe { blocks[1].cast::<usize>().write(0x1111_1111) };
    take(&owner, 64);
    assert!(owner.allocate(layout(64)).is_err());
    assert!(matches!(kind(), MisuseKind::Damaged { .. }));
}

/// Without a guard, a free block that was overwritten is neither merged with the freed one in front of it nor divided.
#[test]
fn forged_tags_and_links_lead_to_no_other_memory() {
    fn attack<P: RawPool>(make: impl Fn() -> P) {
        let mut memory = [0usize; 64];
        let admin = (&raw mut memory).expose_provenance();
        for (word, value) in [(0, admin), (1, admin), (-1, 513), (-1, 65), (5, 4096)] {
            let pool = Local::new(make());
            let mut blocks: Vec<NonNull<u8>> = (0..8).map(|_| take(&pool, 40)).collect();
            blocks.sort_unstable();
            [1, 5, 3].into_iter().for_each(|at| free(&pool, blocks[at], 40));
            // SAFETY: wrong on purpose; the word is one of a free block, or its header.
            unsafe { blocks[3].cast::<usize>().offset(word).write(value) };
            free(&pool, blocks[2], 40);
            let sizes = [40, 100, 500, 40, 40, 100, 2000];
            let mut spans: Vec<(usize, usize)> =
                sizes.iter().map(|&size| (take(&pool, size).addr().get(), size)).collect();
            spans.extend([0, 4, 6, 7].map(|at| (blocks[at].addr().get(), 40)));
            spans.sort_unstable();
            let overlaps = |pair: &[(usize, usize)]| pair[0].0 + pair[0].1 > pair[1].0;
            assert!(!spans.windows(2).any(overlaps), "word {word} of {value:#x}: {spans:x?}");
            let is_admin =
                |&(start, _): &(usize, usize)| (admin..admin + size_of_val(&memory)).contains(&start);
            assert!(!spans.iter().any(is_admin), "word {word} of {value:#x}");
        }
    }
    attack(Tlsf::without_quick_list);
    attack(SignPost::first_fit);
}
