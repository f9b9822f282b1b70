//! Typed pools and collections with keys, compared with the peers: values of 64 bytes that are written and owned.
//!
//! Each contender is used as its documentation recommends: a value is inserted, and only the returned handle or key is
//! kept. The first is the lower bound: raw blocks and unchecked pointers. `hand-written keys` is the lower bound of
//! checked keys.

mod hand_written;
mod holders;
mod kinds;
pub mod memory;
mod shared;
mod trees;
mod visits;

use std::{hint::black_box, marker::PhantomData, mem};

pub use shared::MIXES as SHARED;

use self::holders::{
    Arena, Blocks, HandKeys, Holder, Infinity, Objects, Plural, PluralBound, Pooled, Referring, Slabs,
    SlotMaps, Slots, Thin, TypedArena,
};
use crate::{
    harness::{Runner, compare},
    mixes::{BATCH, LIVE},
    random::Random,
    report::Mix,
};

/// The value that is put into the contenders.
pub type Value = [u64; 8];

pub const MIXES: &[Mix] = &[
    Mix { name: "typed-pair", what: "put one value in, drop it, again", run: || compare(everyone::<Pair>) },
    Mix {
        name: "typed-lifo",
        what: "put 10,000 values in, drop them last first",
        run: || compare(everyone::<Batch<LastFirst>>),
    },
    Mix {
        name: "typed-fifo",
        what: "put 10,000 values in, drop them first first",
        run: || compare(everyone::<Batch<FirstFirst>>),
    },
    Mix {
        name: "typed-churn",
        what: "replace a random one of 100,000 live values",
        run: || compare(everyone::<Churn>),
    },
    Mix { name: "typed-fill", what: "put 10,000 values in, drop all at once", run: || compare(with_arenas) },
    Mix {
        name: "typed-tree",
        what: "build a tree of 32,767 nodes from its leaves and drop it",
        run: || compare(trees::build_and_drop),
    },
    Mix {
        name: "typed-iterate",
        what: "look at 100,000 values in a collection",
        run: || compare(visits::runners::<visits::Iterate, 1>),
    },
    Mix {
        name: "typed-sparse",
        what: "look at 100,000 slots of which one in ten has a value",
        run: || compare(visits::runners::<visits::Iterate, 10>),
    },
    Mix {
        name: "typed-retain",
        what: "keep all but one in ten of 100,000 values, put others in",
        run: || compare(visits::runners::<visits::Retain, 1>),
    },
    Mix {
        name: "typed-drain",
        what: "take 100,000 values out of a collection, put others in",
        run: || compare(visits::runners::<visits::Drain, 1>),
    },
    Mix { name: "typed-walk", what: "walk a tree of 32,767 nodes", run: || compare(trees::walk) },
];

/// The contenders that drop values one by one.
fn everyone<W: Workload>() -> Vec<Runner> {
    vec![
        runner::<W, _>("raw Local<Blocks>", Blocks::new()),
        runner::<W, _>("Slots", Slots::new()),
        runner::<W, _>("hand-written keys", HandKeys::new()),
        runner::<W, _>("raw, each with its pool", Referring::new()),
        runner::<W, _>("Pool, PoolBox", Pooled::new()),
        runner::<W, _>("ThinPool, ThinBox", Thin::new()),
        runner::<W, _>("slab", Slabs::new()),
        runner::<W, _>("slotmap", SlotMaps::new()),
        runner::<W, _>("plurality, Alloc", PluralBound::new()),
        runner::<W, _>("plurality, Box", Plural::new()),
        runner::<W, _>("opool, LocalPool", Objects::new(LIVE + 1)),
        runner::<W, _>("infinity_pool, RawPinnedPool", Infinity::new()),
    ]
}

/// The same, and arenas, which drop all values at once.
fn with_arenas() -> Vec<Runner> {
    let mut runners = everyone::<Batch<AtOnce>>();
    runners.push(runner::<Batch<AtOnce>, _>("Arena", Arena::new()));
    runners.push(runner::<Batch<AtOnce>, _>("typed-arena", TypedArena::new()));
    runners
}

/// A workload with its state between runs.
trait Workload: 'static {
    type State<H: Holder>: 'static;
    fn start<H: Holder>(holder: &mut H) -> Self::State<H>;
    /// Inserts and drops about this many values; returns the exact number.
    fn run<H: Holder>(holder: &mut H, state: &mut Self::State<H>, count: usize) -> usize;
}

fn runner<W: Workload, H: Holder + 'static>(name: &'static str, mut holder: H) -> Runner {
    let mut state = W::start(&mut holder);
    Runner { name, run: Box::new(move |count| W::run(&mut holder, &mut state, count)) }
}

struct Pair;

impl Workload for Pair {
    type State<H: Holder> = ();

    fn start<H: Holder>(_: &mut H) {}

    #[inline(never)]
    fn run<H: Holder>(holder: &mut H, (): &mut (), count: usize) -> usize {
        for number in 0..count as u64 {
            let handle = black_box(holder.put([number; 8]));
            holder.drop(handle);
        }
        count
    }
}

/// Inserts a batch, which then ends in the given way.
struct Batch<E>(PhantomData<E>);

/// How a batch ends.
trait End: 'static {
    /// Drops all values.
    fn end<H: Holder>(holder: &mut H, handles: &mut Vec<H::Handle>);
}

struct LastFirst;
struct FirstFirst;
struct AtOnce;

impl End for LastFirst {
    #[inline(always)]
    fn end<H: Holder>(holder: &mut H, handles: &mut Vec<H::Handle>) {
        while let Some(handle) = handles.pop() {
            holder.drop(handle);
        }
    }
}

impl End for FirstFirst {
    #[inline(always)]
    fn end<H: Holder>(holder: &mut H, handles: &mut Vec<H::Handle>) {
        handles.drain(..).for_each(|handle| holder.drop(handle));
    }
}

impl End for AtOnce {
    #[inline(always)]
    fn end<H: Holder>(holder: &mut H, handles: &mut Vec<H::Handle>) {
        holder.clear(handles);
    }
}

impl<E: End> Workload for Batch<E> {
    type State<H: Holder> = Vec<H::Handle>;

    fn start<H: Holder>(_: &mut H) -> Vec<H::Handle> {
        Vec::with_capacity(BATCH)
    }

    #[inline(never)]
    fn run<H: Holder>(holder: &mut H, handles: &mut Vec<H::Handle>, count: usize) -> usize {
        let batches = count.div_ceil(BATCH);
        for _ in 0..batches {
            fill(holder, handles);
            E::end(holder, handles);
        }
        batches * BATCH
    }
}

#[inline(always)]
fn fill<H: Holder>(holder: &mut H, handles: &mut Vec<H::Handle>) {
    let room = &mut handles.spare_capacity_mut()[..BATCH];
    for (place, number) in room.iter_mut().zip(0..) {
        place.write(holder.put([number; 8]));
    }
    // SAFETY: the first `BATCH` places were just initialised.
    unsafe { handles.set_len(BATCH) };
}

struct Churn;

impl Workload for Churn {
    type State<H: Holder> = (Vec<H::Handle>, Random);

    fn start<H: Holder>(holder: &mut H) -> Self::State<H> {
        ((0..LIVE as u64).map(|number| holder.put([number; 8])).collect(), Random::new(1))
    }

    #[inline(never)]
    fn run<H: Holder>(holder: &mut H, (handles, random): &mut Self::State<H>, count: usize) -> usize {
        for number in 0..count as u64 {
            let fresh = holder.put([number; 8]);
            let old = mem::replace(&mut handles[random.below(LIVE)], fresh);
            holder.drop(old);
        }
        count
    }
}
