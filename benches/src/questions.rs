//! Queries to a pool with a million free blocks of 64 bytes, freed in random order: the time of statistics, of
//! reserving memory, and of releasing chunks.
//!
//! Each row is measured three times with all of a million blocks free, and again with one block in 1,000 live. The
//! first row is a walk along a list, which is a bound for pools that keep a list.

use std::{hint::black_box, time::Instant};

use millpond::{
    Allocator, Blocks, Cached, Classes, Fixed, Inspect, Local, LockFree, Locked, Magazine, Reclaim, SignPost,
    Tlsf, pool::AddressOrdered,
};

use crate::{
    contenders::LAYOUT,
    memory::MILLION,
    random::Random,
    report::{Case, Measure, Mix, measures},
};

const MAKINGS: usize = 3;

/// Microseconds.
fn timed<R>(work: impl FnOnce() -> R) -> f64 {
    let start = Instant::now();
    black_box(work());
    start.elapsed().as_nanos() as f64 / 1000.0
}

/// A million numbers in random order.
fn shuffled() -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..MILLION).collect();
    Random::new(1).shuffle(&mut numbers);
    numbers
}

/// A walk along a hand-written list.
fn walk(_: bool) -> [f64; 4] {
    let mut blocks = vec![[0usize; 8]; MILLION];
    let order = shuffled();
    for pair in order.windows(2) {
        blocks[pair[0]][0] = pair[1];
    }
    let walk = || (1..MILLION).fold(order[0], |at, _| blocks[at][0]);
    [timed(walk), timed(walk), f64::NAN, f64::NAN]
}

/// First and second statistics, reserving 1,000 more blocks, and a trim.
fn ask<A: Allocator + Inspect + Reclaim>(mut pool: A, reserve: fn(&A), some_live: bool) -> [f64; 4] {
    let blocks: Vec<_> = (0..MILLION).map(|_| pool.allocate(LAYOUT).expect("the heap has room")).collect();
    for number in shuffled() {
        if !(some_live && number % 1000 == 0) {
            // SAFETY: the block is live and was allocated with this layout.
            unsafe { pool.deallocate(blocks[number].cast(), LAYOUT) };
        }
    }
    let first = timed(|| pool.stats());
    let second = timed(|| pool.stats());
    let room = timed(|| reserve(&pool));
    let trim = timed(|| pool.trim());
    [first, second, room, trim]
}

type Row = (&'static str, fn(bool) -> [f64; 4]);

const WALK: Row = ("a walk along a list", walk);

const OURS: &[Row] = &[
    ("Local<Blocks<…, Lifo>>", |some_live| {
        ask(Local::new(Blocks::<Fixed<64>>::new()), |pool| _ = pool.reserve(LAYOUT, 1000), some_live)
    }),
    ("Locked<Blocks<…, Lifo>>", |some_live| {
        ask(Locked::<_>::new(Blocks::<Fixed<64>>::new()), |pool| _ = pool.reserve(LAYOUT, 1000), some_live)
    }),
    ("Local<Blocks<…, Magazine>>", |some_live| {
        ask(
            Local::new(Blocks::<(Fixed<64>, Magazine)>::new()),
            |pool| _ = pool.reserve(LAYOUT, 1000),
            some_live,
        )
    }),
    ("Local<Blocks<…, AddressOrdered>>", |some_live| {
        ask(
            Local::new(Blocks::<(Fixed<64>, AddressOrdered)>::new()),
            |pool| _ = pool.reserve(LAYOUT, 1000),
            some_live,
        )
    }),
    ("Local<Classes>", |some_live| {
        ask(Local::new(Classes::new()), |pool| _ = pool.reserve(LAYOUT, 1000), some_live)
    }),
    ("Cached<Blocks<Fixed<64>>>", |some_live| {
        ask(Cached::new(Blocks::<Fixed<64>>::new()), |pool| _ = pool.reserve(LAYOUT, 1000), some_live)
    }),
    ("Cached<Classes>", |some_live| {
        ask(Cached::new(Classes::new()), |pool| _ = pool.reserve(LAYOUT, 1000), some_live)
    }),
    ("LockFree", |some_live| ask(LockFree::of(LAYOUT), |pool| _ = pool.reserve(1000), some_live)),
    ("Local<Tlsf>", |some_live| ask(Local::new(Tlsf::new()), |_| (), some_live)),
    ("Local<SignPost>", |some_live| ask(Local::new(SignPost::best_fit()), |_| (), some_live)),
];

const MEASURES: &[Measure] = &measures("µs", ["stats", "stats again", "reserve", "trim"]);

pub const MIXES: &[Mix] = &[Mix {
    name: "questions",
    what: "statistics, reserve and trim with a million free blocks of 64 bytes, freed in any order",
    run: || vec![table("all free", false), table("one of 1,000 live", true)],
}];

fn table(title: &str, some_live: bool) -> Case {
    let rows: Vec<Row> = [WALK].iter().chain(OURS).copied().collect();
    let mut case = Case::new(title, MEASURES);
    case.name_rows(rows.iter().map(|(name, _)| *name));
    case.take_turns(MAKINGS, |row| (rows[row].1)(some_live));
    case
}
