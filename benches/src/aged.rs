//! Walking nodes from an aged pool: a list of 100,000 nodes, allocated one after the other from a pool in which as many
//! blocks had been freed in random order, is walked from end to end, again and again.

use std::{alloc::Layout, hint::black_box};

use millpond::{
    Blocks, Fixed, Magazine, Owned,
    pool::{AddressOrdered, Lifo},
};

use slab::Slab;
use slotmap::SlotMap;

use crate::{
    contenders::LAYOUT,
    cpp,
    harness::{Runner, compare},
    random::Random,
    report::Mix,
    variable::{GLIBC, MIMALLOC, Variable},
};

const NODES: usize = 100_000;

pub const MIXES: &[Mix] =
    &[Mix { name: "aged", what: "walk a list of 100,000 nodes from an aged pool", run: || compare(runners) }];

fn runners() -> Vec<Runner> {
    let mut runners = vec![
        walk("hand-written, in order", InOrder(Vec::leak(vec![[0u64; 8]; 2 * NODES]), 0)),
        walk("Blocks<(Fixed<64>, Lifo)>", Owned::new(Blocks::<(Fixed<64>, Lifo)>::new())),
        walk("Blocks<(Fixed<64>, Magazine)>", Owned::new(Blocks::<(Fixed<64>, Magazine)>::new())),
        walk("Blocks<(Fixed<64>, AddressOrdered)>", Owned::new(Blocks::<(Fixed<64>, AddressOrdered)>::new())),
        walk("slab", Slab::with_capacity(2 * NODES)),
        walk("slotmap", SlotMap::with_capacity(2 * NODES)),
        walk("glibc", GLIBC),
        walk("mimalloc", MIMALLOC),
    ];
    runners.extend(cpp::Peer::all().map(|(name, peer)| walk(name, peer)));
    runners
}

/// The lower bound: the nodes are next to each other in list order.
struct InOrder(&'static mut [[u64; 8]], usize);

impl Variable for InOrder {
    fn take(&mut self, _: Layout) -> *mut u8 {
        self.1 += 1;
        (&raw mut self.0[self.1 - 1]).cast()
    }

    unsafe fn give(&mut self, _: *mut u8, _: Layout) {}
}

fn walk(name: &'static str, mut pool: impl Variable + 'static) -> Runner {
    // Ages the pool: allocates as many blocks as nodes and frees them in random order.
    let mut blocks: Vec<*mut u8> = (0..NODES).map(|_| pool.take(LAYOUT)).collect();
    Random::new(1).shuffle(&mut blocks);
    for block in blocks {
        // SAFETY: the block was just allocated, and is freed once.
        unsafe { pool.give(block, LAYOUT) };
    }
    let nodes: Vec<*mut u8> = (0..NODES).map(|_| pool.take(LAYOUT)).collect();
    for (index, &node) in nodes.iter().enumerate() {
        // SAFETY: the node is live and 64 bytes long. The last one links to the first.
        unsafe { node.cast::<*mut u8>().write(nodes[(index + 1) % NODES]) };
    }
    let mut at = nodes[0];
    let run = move |steps| {
        // The pool, and with it the nodes, lives as long as the runner.
        let _ = &pool;
        for _ in 0..steps {
            // SAFETY: every node starts with the address of the next.
            at = unsafe { at.cast::<*mut u8>().read() };
        }
        black_box(at);
        steps
    };
    Runner { name, run: Box::new(run) }
}
