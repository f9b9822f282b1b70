//! The cost of growing numbers of live blocks: time and instructions of one operation with a thousand, a hundred
//! thousand and ten million live blocks.
//!
//! Times grow for all contenders, because caches and page tables do not grow; the baseline is a pool that does nothing.
//! Instructions show the cost of the algorithm. They are counted by callgrind (valgrind), in which this program runs
//! itself.

use std::{
    alloc::Layout,
    env, fs,
    ops::RangeInclusive,
    process::{Command, Stdio},
    time::Instant,
};

use millpond::{
    Blocks, Buddy, Classes, Fixed, Linear, Magazine, Owned, Pages, SignPost, Stack, Tlsf,
    pool::{AddressOrdered, Lifo, NoQuickList},
    raw::RawPool,
};

use crate::{
    harness::Runner,
    report::{Case, Measure, Mix, measures},
    variable::{GLIBC, Variable, pairs, replace, replace_among_holes},
};

/// Numbers of live blocks.
const NUMBERS: [usize; 3] = [1_000, 100_000, 10_000_000];
/// Number of pairs timed at once, number of timings, and number of pairs counted.
const TIMED: usize = 200_000;
const TIMES: usize = 9;
const COUNTED: usize = 20_000;
/// The argument that makes this program count.
pub const COUNT: &str = "grows-count";

/// A pool that can be created with any number of live blocks.
struct Row {
    name: &'static str,
    /// Max number of blocks with which an operation takes acceptable time.
    most: usize,
    make: fn(usize) -> Runner,
}

const ONE: RangeInclusive<usize> = 64..=64;
const SMALL: RangeInclusive<usize> = 8..=64;
/// Sizes that vary enough that finding a free block is a search.
const DIFFERENT: RangeInclusive<usize> = 8..=1024;

/// Replaces random ones of this many blocks of a new pool.
fn replacing<P: RawPool + 'static>(pool: P, live: usize, sizes: RangeInclusive<usize>) -> Runner {
    replace::<false>("", Owned::new_in(pool, Pages), live, sizes)
}

/// Replaces random ones of this many blocks with as many holes between them.
fn among_holes<P: RawPool + 'static>(pool: P, live: usize) -> Runner {
    replace_among_holes("", Owned::new_in(pool, Pages), live, DIFFERENT)
}

/// Allocates and frees one block while this many others are live.
fn on_top<P: RawPool + 'static>(pool: P, live: usize) -> Runner {
    let mut pool = Owned::new_in(pool, Pages);
    let layout = Layout::new::<[u64; 8]>();
    (0..live).for_each(|_| assert!(!pool.take(layout).is_null(), "there is memory for the mix"));
    pairs("", pool, ONE)
}

/// A contender that only remembers blocks: the minimum cost of the loop.
struct NullAllocator;

impl Variable for NullAllocator {
    #[inline(always)]
    fn take(&mut self, layout: Layout) -> *mut u8 {
        std::ptr::without_provenance_mut(layout.size())
    }

    #[inline(always)]
    unsafe fn give(&mut self, _: *mut u8, _: Layout) {}
}

const ALL: usize = usize::MAX;

const ROWS: &[Row] = &[
    Row { name: "the loop alone", most: ALL, make: |n| replace::<false>("", NullAllocator, n, ONE) },
    Row { name: "Blocks, Lifo", most: ALL, make: |n| replacing(Blocks::<(Fixed<64>, Lifo)>::new(), n, ONE) },
    Row {
        name: "Blocks, Magazine",
        most: ALL,
        make: |n| replacing(Blocks::<(Fixed<64>, Magazine)>::new(), n, ONE),
    },
    Row {
        name: "Blocks, AddressOrdered",
        most: ALL,
        make: |n| replacing(Blocks::<(Fixed<64>, AddressOrdered)>::new(), n, ONE),
    },
    Row { name: "Classes", most: ALL, make: |n| replacing(Classes::new(), n, SMALL) },
    Row { name: "Tlsf", most: ALL, make: |n| replacing(Tlsf::new(), n, SMALL) },
    Row {
        name: "Tlsf<NoQuickList>",
        most: ALL,
        make: |n| replacing(Tlsf::<NoQuickList>::without_quick_list(), n, SMALL),
    },
    Row { name: "Buddy", most: ALL, make: |n| replacing(Buddy::new(), n, SMALL) },
    Row {
        name: "SignPost, first fit, 8–1024",
        most: 100_000,
        make: |n| among_holes(SignPost::first_fit(), n),
    },
    Row {
        name: "SignPost, best fit, 8–1024", most: 100_000, make: |n| among_holes(SignPost::best_fit(), n)
    },
    Row { name: "Linear, the last block", most: ALL, make: |n| on_top(Linear::new(), n) },
    Row { name: "Stack, the last block", most: ALL, make: |n| on_top(Stack::new(), n) },
    Row { name: "glibc", most: ALL, make: |n| replace::<false>("", GLIBC, n, SMALL) },
];

/// The one function that callgrind collects in.
#[unsafe(no_mangle)]
#[inline(never)]
fn grows_counted(runner: &mut Runner, count: usize) -> usize {
    (runner.run)(count)
}

/// Number of pairs per measurement of a pool: fewer for a pool that searches among many blocks.
fn share(row: &Row, count: usize) -> usize {
    if row.most == ALL { count } else { count / 200 }
}

/// Returns the nanoseconds of a pair, several times.
fn times(row: usize, live: usize) -> Result<Vec<f64>, String> {
    let row = &ROWS[row];
    let mut runner = (row.make)(live);
    let count = share(row, TIMED);
    (runner.run)(count);
    let mut once = || {
        let start = Instant::now();
        (runner.run)(count);
        start.elapsed().as_nanos() as f64 / count as f64
    };
    Ok((0..TIMES).map(|_| once()).collect())
}

/// Runs in callgrind: sets a pool up and calls the function that is counted.
pub fn count(row: &str, live: &str) -> Option<()> {
    let (row, live) = (ROWS.get(row.parse::<usize>().ok()?)?, live.parse().ok()?);
    let mut runner = (row.make)(live);
    (runner.run)(share(row, COUNTED));
    grows_counted(&mut runner, share(row, COUNTED));
    Some(())
}

/// Returns the instructions of a pair, including those of the loop, or the reason why there are none.
fn instructions(number: usize, live: usize) -> Result<f64, String> {
    let file = env::temp_dir().join(format!("millpond-grows-{}", std::process::id()));
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--toggle-collect=grows_counted"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(program);
    let done = valgrind.args([COUNT, &number.to_string(), &live.to_string()]).stderr(Stdio::null()).status();
    let done = done.map_err(|error| format!("valgrind, which counts, does not start: {error}"))?;
    let text = fs::read_to_string(&file);
    // Best effort: the file may not exist.
    let _ = fs::remove_file(&file);
    let totals = text.ok().and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse::<f64>().ok())
    });
    let total = totals.ok_or_else(|| format!("valgrind ended with {done}"))?;
    Ok(total / share(&ROWS[number], COUNTED) as f64)
}

const LIVE: [&str; 3] = ["n = 1e3", "n = 1e5", "n = 1e7"];

pub const MIXES: &[Mix] = &[
    Mix {
        name: "grows",
        what: "one replacement (free a random block, allocate another) with n live blocks",
        run: || {
            const MEASURES: &[Measure] = &measures("ns", LIVE);
            table(MEASURES, times)
        },
    },
    Mix {
        name: "grows-counts",
        what: "the same: instructions, those of the loop included (needs valgrind)",
        run: || {
            const MEASURES: &[Measure] = &measures("instructions", LIVE);
            table(MEASURES, |row, live| Ok(vec![instructions(row, live)?]))
        },
    },
];

fn table(
    measures: &'static [Measure],
    samples: impl Fn(usize, usize) -> Result<Vec<f64>, String>,
) -> Vec<Case> {
    let mut case = Case::new("", measures);
    case.name_rows(ROWS.iter().map(|row| row.name));
    for (number, row) in ROWS.iter().enumerate() {
        for (measure, live) in NUMBERS.into_iter().enumerate().filter(|&(_, live)| live <= row.most) {
            match samples(number, live) {
                Ok(samples) => samples.into_iter().for_each(|sample| case.add(number, measure, sample)),
                Err(why) => {
                    eprintln!("skipped: {why}");
                    return Vec::new();
                }
            }
        }
    }
    vec![case]
}
