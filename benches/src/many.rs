//! Many small pools: the size in bytes of a pool with one value, and the cost of creating and dropping it, compared
//! with slab and bumpalo.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

use millpond::{
    Allocator, Arena, ArenaAlloc, Blocks, Cached, Classes, Fixed, Linear, Local, Locked, Magazine, Owned,
    Pool, SharedSlots, Slots, Stack, Tlsf,
};

use crate::{
    contenders::LAYOUT,
    harness::{Runner, compare},
    report::{Case, Measure, Mix, measures},
};

/// The system's heap, which counts the bytes that it has handed out.
struct Scales;

static HANDED_OUT: AtomicUsize = AtomicUsize::new(0);
static IS_ON: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

// SAFETY: every block comes from `System`, whose contract is the same.
unsafe impl GlobalAlloc for Scales {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_ON.load(Ordering::Relaxed) {
            HANDED_OUT.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: the caller upholds the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `dealloc`, which is the same.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static HEAP: Scales = Scales;

pub const MIXES: &[Mix] = &[
    Mix {
        name: "many-bytes",
        what: "bytes of a pool with one value of 64 bytes: its own, and those from the heap",
        run: bytes,
    },
    Mix { name: "many", what: "make a pool, allocate 64 bytes, drop it", run: || compare(runners) },
    Mix {
        name: "many-counts",
        what: "instructions of a pool that is made, allocates once, and is dropped (needs valgrind)",
        run: counts,
    },
];

/// Creates a pool with one value; returns its size without what it has allocated.
struct Row {
    name: &'static str,
    make: fn() -> usize,
}

fn with_one<A: Allocator>(pool: A) -> usize {
    let block = black_box(&pool).allocate(LAYOUT).expect("the heap has room");
    black_box(block);
    size_of::<A>()
}

fn slab() -> usize {
    let mut slab = slab::Slab::new();
    slab.insert([1u64; 8]);
    black_box(&slab);
    size_of_val(&slab)
}

fn bumpalo() -> usize {
    let bump = bumpalo::Bump::new();
    black_box(bump.alloc([1u64; 8]));
    size_of_val(&bump)
}

fn typed_arena() -> usize {
    let arena = typed_arena::Arena::with_capacity(4);
    black_box(arena.alloc([1u64; 8]));
    size_of_val(&arena)
}

fn pool() -> usize {
    let pool = Pool::<[u64; 8]>::new();
    black_box(&pool.alloc([1; 8]));
    size_of_val(&pool)
}

fn arena() -> usize {
    let arena = Arena::new();
    black_box(arena.alloc([1u64; 8]));
    size_of_val(&arena)
}

fn slots() -> usize {
    let mut slots = Slots::new();
    black_box(slots.insert([1u64; 8]));
    size_of_val(&slots)
}

fn shared_slots() -> usize {
    let slots = SharedSlots::<[u64; 8]>::new();
    black_box(slots.insert([1; 8]));
    size_of_val(&slots)
}

fn owned() -> usize {
    let mut pool = Owned::new(Blocks::<Fixed<64>>::new());
    black_box(pool.allocate(LAYOUT).expect("the heap has room"));
    size_of_val(&pool)
}

const ROWS: &[Row] = &[
    Row { name: "slab", make: slab },
    Row { name: "bumpalo", make: bumpalo },
    Row { name: "typed-arena, with_capacity(4)", make: typed_arena },
    Row { name: "Owned<Blocks>", make: owned },
    Row { name: "Pool", make: pool },
    Row { name: "Arena", make: arena },
    Row { name: "Slots", make: slots },
    Row { name: "SharedSlots", make: shared_slots },
    Row {
        name: "Local<Blocks>, Magazine",
        make: || with_one(Local::new(Blocks::<(Fixed<64>, Magazine)>::new())),
    },
    Row { name: "Local<Linear>", make: || with_one(Local::new(Linear::new())) },
    Row { name: "Local<Stack>", make: || with_one(Local::new(Stack::new())) },
    Row { name: "Locked<Blocks>", make: || with_one(Locked::<_>::new(Blocks::<Fixed<64>>::new())) },
    Row { name: "Local<Classes>", make: || with_one(Local::new(Classes::new())) },
    Row { name: "Cached<Blocks>", make: || with_one(Cached::new(Blocks::<Fixed<64>>::new())) },
    Row { name: "Cached<Classes>", make: || with_one(Cached::new(Classes::new())) },
    Row { name: "Local<Tlsf>", make: || with_one(Local::new(Tlsf::new())) },
];

fn runners() -> Vec<Runner> {
    let runner = |row: &'static Row| Runner {
        name: row.name,
        run: Box::new(|times| {
            (0..times).for_each(|_| {
                black_box((row.make)());
            });
            times
        }),
    };
    ROWS.iter().map(runner).collect()
}

/// Returns the bytes of each row: the pool itself, and everything that it has requested from the heap.
fn bytes() -> Vec<Case> {
    const MEASURES: &[Measure] = &measures("bytes", ["all", "own", "from the heap"]);
    let mut case = Case::new("", MEASURES);
    for row in ROWS {
        // The first pool may make this thread allocate memory that it keeps until it ends.
        (row.make)();
        HANDED_OUT.store(0, Ordering::Relaxed);
        IS_ON.store(true, Ordering::Relaxed);
        let own = (row.make)();
        IS_ON.store(false, Ordering::Relaxed);
        let asked = HANDED_OUT.load(Ordering::Relaxed);
        case.add_row(row.name, [own + asked, own, asked].map(|bytes| bytes as f64));
    }
    vec![case]
}

/// The argument that makes a process create a row a given number of times and do nothing else.
pub const COUNT: &str = "count-many";

/// Creates a row this many times.
pub fn count(row: &str, times: &str) -> Option<()> {
    let (row, times) = (ROWS.iter().find(|known| known.name == row)?, times.parse::<usize>().ok()?);
    (0..times).for_each(|_| {
        black_box((row.make)());
    });
    Some(())
}

/// Returns the instructions of creating and dropping, including the heap's: the difference between 1,001 times and
/// once.
fn counts() -> Vec<Case> {
    const MEASURES: &[Measure] = &measures("instructions", ["instructions"]);
    let mut case = Case::new("", MEASURES);
    for row in ROWS {
        let Some((many, one)) = instructions(row.name, "1001").zip(instructions(row.name, "1")) else {
            eprintln!("skipped: valgrind is not installed");
            return Vec::new();
        };
        case.add_row(row.name, [((many - one) / 1000) as f64]);
    }
    vec![case]
}

/// Returns the number that callgrind counts for a whole process.
fn instructions(row: &str, times: &str) -> Option<u64> {
    let this = std::env::current_exe().ok()?;
    let valgrind = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output = Command::new("valgrind").args(valgrind).arg(this).args([COUNT, row, times]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}
