//! Workloads for comparing allocators, each on one thread with blocks of 64 bytes.

use std::{hint::black_box, mem};

use millpond::{Blocks, Classes, Fixed, Local, Magazine, Owned, pool::AddressOrdered};

use crate::{
    contenders::{
        Behind, Contender, List, LocalAddressOrdered, LocalAny, LocalClasses, LocalFixed, LocalMagazine,
        SIZE, Slabs, Slots,
    },
    cpp,
    harness::{Runner, compare},
    random::Random,
    report::Mix,
    variable::{GLIBC, MIMALLOC},
};

pub const BATCH: usize = 10_000;
pub const LIVE: usize = 100_000;

pub const ALL: &[Mix] = &[
    Mix {
        name: "pair",
        what: "allocate one block, free it, again",
        run: || compare(|| all::<Pair>(1, cpp::PAIR)),
    },
    Mix {
        name: "lifo",
        what: "allocate 10,000 blocks, free them last first",
        run: || compare(|| all::<Batches<false>>(BATCH, cpp::LIFO)),
    },
    Mix {
        name: "fifo",
        what: "allocate 10,000 blocks, free them first first",
        run: || compare(|| all::<Batches<true>>(BATCH, cpp::FIFO)),
    },
    Mix {
        name: "churn",
        what: "replace a random one of 100,000 live blocks",
        run: || compare(|| all::<Churn>(LIVE + 1, cpp::CHURN)),
    },
];

/// Runs all contenders at one workload that needs `most` blocks at once; the C++ contenders have their own loops.
fn all<W: Workload>(most: usize, theirs: cpp::Loop) -> Vec<Runner> {
    let mut runners = vec![
        runner::<W, _>("hand-written list, in registers", List::new(most)),
        runner::<W, _>("hand-written list, behind a reference", Behind::new(most)),
        runner::<W, _>("Owned<Blocks<Fixed<64>>>", Owned::new(Blocks::<Fixed<SIZE>>::new())),
        runner::<W, _>("Local<Blocks<Fixed<64>>>", LocalFixed::new(Local::new(Blocks::new()))),
        runner::<W, _>("Owned<Blocks<…, Magazine>>", Owned::new(Blocks::<(Fixed<SIZE>, Magazine)>::new())),
        runner::<W, _>("Local<Blocks<…, Magazine>>", LocalMagazine::new(Local::new(Blocks::new()))),
        runner::<W, _>(
            "Owned<Blocks<…, AddressOrdered>>",
            Owned::new(Blocks::<(Fixed<SIZE>, AddressOrdered)>::new()),
        ),
        runner::<W, _>(
            "Local<Blocks<…, AddressOrdered>>",
            LocalAddressOrdered::new(Local::new(Blocks::new())),
        ),
        runner::<W, _>("Local<Blocks>, run-time layout", LocalAny::at_run_time()),
        runner::<W, _>("Local<Classes>, run-time layout", LocalClasses::new(Local::new(Classes::new()))),
        runner::<W, _>("slab", Slabs::new()),
        runner::<W, _>("slotmap", Slots::new()),
        runner::<W, _>("glibc", GLIBC),
        runner::<W, _>("mimalloc", MIMALLOC),
    ];
    runners.extend(cpp::runners(theirs));
    runners
}

/// A workload with its state between runs. `run` takes the contender by value and returns it, so that a contender on
/// the stack can be kept in registers.
trait Workload {
    type State<B: Copy + 'static>: 'static;
    fn start<C: Contender<Block: 'static>>(contender: &mut C) -> Self::State<C::Block>;
    fn run<C: Contender<Block: 'static>>(
        contender: C,
        state: &mut Self::State<C::Block>,
        pairs: usize,
    ) -> (C, usize);
}

fn runner<W: Workload, C: Contender<Block: 'static> + 'static>(
    name: &'static str,
    mut contender: C,
) -> Runner {
    let mut state = W::start(&mut contender);
    let mut place = Some(contender);
    let run = move |pairs| {
        let contender = place.take().expect("the contender is put back after each run");
        let (contender, done) = W::run(contender, &mut state, pairs);
        place = Some(contender);
        done
    };
    Runner { name, run: Box::new(run) }
}

struct Pair;

impl Workload for Pair {
    type State<B: Copy + 'static> = ();

    fn start<C: Contender<Block: 'static>>(_: &mut C) {}

    #[inline(never)]
    fn run<C: Contender<Block: 'static>>(contender: C, (): &mut (), pairs: usize) -> (C, usize) {
        // A local variable, because the argument may be in the caller's memory.
        let mut contender = contender;
        for _ in 0..pairs {
            let block = black_box(contender.take());
            // SAFETY: the block was just allocated.
            unsafe { contender.give(block) };
        }
        (contender, pairs)
    }
}

/// Batches of blocks that are freed in the order of allocation or in the reverse order.
struct Batches<const OLDEST_FIRST: bool>;

impl<const OLDEST_FIRST: bool> Workload for Batches<OLDEST_FIRST> {
    type State<B: Copy + 'static> = Vec<B>;

    fn start<C: Contender<Block: 'static>>(_: &mut C) -> Vec<C::Block> {
        Vec::with_capacity(BATCH)
    }

    #[inline(never)]
    fn run<C: Contender<Block: 'static>>(
        mut contender: C,
        blocks: &mut Vec<C::Block>,
        pairs: usize,
    ) -> (C, usize) {
        let batches = pairs.div_ceil(BATCH);
        for _ in 0..batches {
            fill(&mut contender, blocks);
            // Separate loops, because a closure would keep the contender in memory.
            if OLDEST_FIRST {
                for block in blocks.drain(..) {
                    // SAFETY: the block was allocated above and is freed once.
                    unsafe { contender.give(block) };
                }
            } else {
                while let Some(block) = blocks.pop() {
                    // SAFETY: the block was allocated above and is freed once.
                    unsafe { contender.give(block) };
                }
            }
        }
        (contender, batches * BATCH)
    }
}

#[inline(always)]
fn fill<C: Contender>(contender: &mut C, blocks: &mut Vec<C::Block>) {
    let room = &mut blocks.spare_capacity_mut()[..BATCH];
    for place in room {
        place.write(contender.take());
    }
    // SAFETY: the first `BATCH` places were just initialised.
    unsafe { blocks.set_len(BATCH) };
}

struct Churn;

impl Workload for Churn {
    type State<B: Copy + 'static> = (Vec<B>, Random);

    fn start<C: Contender<Block: 'static>>(contender: &mut C) -> Self::State<C::Block> {
        ((0..LIVE).map(|_| contender.take()).collect(), Random::new(1))
    }

    #[inline(never)]
    fn run<C: Contender<Block: 'static>>(
        mut contender: C,
        (blocks, random): &mut Self::State<C::Block>,
        pairs: usize,
    ) -> (C, usize) {
        for _ in 0..pairs {
            let index = random.below(LIVE);
            let fresh = contender.take();
            let old = mem::replace(&mut blocks[index], fresh);
            // SAFETY: the block was allocated earlier and is freed once.
            unsafe { contender.give(old) };
        }
        (contender, pairs)
    }
}
