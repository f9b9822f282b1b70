//! The effect of the order of frees: 131,071 blocks are freed, a tree of as many nodes is built, and walked. Also
//! blocks of one word, which have room for only one link: they are freed and allocated again.
//!
//! The steps are timed separately and compared by their sum, because a pool that touches each block when it is freed
//! finds it in the cache when it is allocated.

use std::{alloc::Layout, hint::black_box, mem::MaybeUninit, time::Instant};

use millpond::{Blocks, Cached, Classes, Fixed, Heap, Magazine, pool::AddressOrdered};
use slab::Slab;

use crate::{
    contenders::LAYOUT,
    cpp,
    random::Random,
    report::{Case, Measure, Mix, measures},
    variable::{GLIBC, MIMALLOC, Shared, Variable},
};

const LEVELS: u32 = 17;
const NODES: usize = (1 << LEVELS) - 1;
const MAKINGS: usize = 3;
const ROUNDS: usize = 5;
const WORD: Layout = Layout::new::<u64>();

type Address = *mut u8;

/// Orders of freeing, created from ascending addresses.
type Order = (&'static str, fn(&[Address]) -> Vec<Address>);

const ORDERS: &[Order] = &[
    ("descending", |sorted| sorted.iter().rev().copied().collect()),
    ("ascending", |sorted| sorted.to_vec()),
    ("at a stride of 64", |sorted| {
        (0..64).flat_map(|first| sorted.iter().skip(first).step_by(64)).copied().collect()
    }),
    ("in groups of 7", |sorted| grouped(sorted, 7)),
    ("in groups of 64", |sorted| grouped(sorted, 64)),
    ("in groups of 1,024", |sorted| grouped(sorted, 1024)),
    ("in any order", |sorted| grouped(sorted, 1)),
];

/// Groups of neighbours, in random order.
fn grouped(sorted: &[Address], size: usize) -> Vec<Address> {
    let mut groups: Vec<&[Address]> = sorted.chunks(size).collect();
    Random::new(1).shuffle(&mut groups);
    groups.concat()
}

/// A hand-written list over as many blocks as there are nodes.
struct List(Address);

impl List {
    fn new(layout: Layout) -> Self {
        let memory = Vec::leak(vec![0u64; NODES * layout.size() / 8]);
        let mut list = Self(std::ptr::null_mut());
        for block in memory.chunks_mut(layout.size() / 8).rev() {
            // SAFETY: the block belongs to the list and is at least a word long.
            unsafe { list.give(block.as_mut_ptr().cast(), layout) };
        }
        list
    }
}

impl Variable for List {
    #[inline(always)]
    fn take(&mut self, _: Layout) -> Address {
        let block = self.0;
        assert!(!block.is_null(), "there are as many blocks as nodes");
        // SAFETY: a block on the list starts with the address of the next one.
        self.0 = unsafe { block.cast::<Address>().read() };
        block
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: Address, _: Layout) {
        // SAFETY: the block has been freed, so it belongs to the list.
        unsafe { block.cast::<Address>().write(self.0) };
        self.0 = block;
    }
}

/// A node is a block: the first word may be used by its pool, followed by the children and the value.
fn build(pool: &mut impl Variable, levels: u32) -> Address {
    let mut child = || if levels > 1 { build(pool, levels - 1) } else { std::ptr::null_mut() };
    let children = [child(), child()];
    let node = pool.take(LAYOUT);
    // SAFETY: the node is live and 64 bytes long.
    unsafe {
        node.cast::<[Address; 2]>().byte_add(8).write(children);
        node.cast::<u64>().add(3).write(u64::from(levels));
    }
    node
}

fn visit(node: Address, what: &mut impl FnMut(Address, u64)) {
    if !node.is_null() {
        // SAFETY: the node is live, and was written when it was built.
        let ([left, right], value) =
            unsafe { (node.cast::<[Address; 2]>().byte_add(8).read(), node.cast::<u64>().add(3).read()) };
        what(node, value);
        visit(left, what);
        visit(right, what);
    }
}

/// Nanoseconds for each of all nodes, and what was done.
fn timed<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let done = black_box(work());
    (start.elapsed().as_nanos() as f64 / NODES as f64, done)
}

/// One round with a pool: frees in an order, allocates again; returns the nanoseconds per block of each step.
type Steps<V> = fn(&mut V, &mut Vec<Address>, &Order) -> [f64; 3];

fn free(pool: &mut impl Variable, live: &mut Vec<Address>, (_, order): &Order, layout: Layout) -> f64 {
    live.sort_unstable();
    let blocks = order(live);
    // SAFETY: each block is live. All blocks were read once before the timing starts: see the harness.
    live.drain(..).for_each(|block| _ = unsafe { block.cast::<MaybeUninit<u8>>().read_volatile() });
    // SAFETY: each block is live, and freed once.
    timed(|| blocks.iter().for_each(|&block| unsafe { pool.give(block, layout) })).0
}

fn tree<V: Variable>(pool: &mut V, live: &mut Vec<Address>, order: &Order) -> [f64; 3] {
    let freeing = free(pool, live, order, LAYOUT);
    let (building, root) = timed(|| build(pool, LEVELS));
    let mut sum = 0;
    let (walking, ()) = timed(|| visit(root, &mut |_, value| sum += value));
    black_box(sum);
    visit(root, &mut |node, _| live.push(node));
    [freeing, building, walking]
}

fn words<V: Variable>(pool: &mut V, live: &mut Vec<Address>, order: &Order) -> [f64; 3] {
    let freeing = free(pool, live, order, WORD);
    let (taking, ()) = timed(|| {
        for _ in 0..NODES {
            let block = pool.take(WORD);
            // SAFETY: the block is live and a word long.
            unsafe { block.cast::<u64>().write(1) };
            live.push(block);
        }
    });
    [freeing, taking, 0.0]
}

struct Contender {
    name: &'static str,
    round: Box<dyn FnMut(&Order) -> [f64; 3]>,
}

fn contender<V: Variable + 'static>(
    name: &'static str,
    mut pool: V,
    layout: Layout,
    steps: Steps<V>,
) -> Contender {
    let mut live: Vec<Address> = (0..NODES).map(|_| pool.take(layout)).collect();
    Contender { name, round: Box::new(move |order| steps(&mut pool, &mut live, order)) }
}

fn of_nodes() -> Vec<Contender> {
    let cached = || Shared::of(Cached::new(Blocks::<Fixed<64>>::new()));
    let classes = || Shared::of(Cached::new(Classes::new()));
    let mut all = vec![
        contender("hand-written list", List::new(LAYOUT), LAYOUT, tree),
        contender("Local<Blocks<…, Lifo>>", Shared::new(Blocks::<Fixed<64>>::new(), Heap), LAYOUT, tree),
        contender(
            "Local<Blocks<…, Magazine>>",
            Shared::new(Blocks::<(Fixed<64>, Magazine)>::new(), Heap),
            LAYOUT,
            tree,
        ),
        contender(
            "Local<Blocks<…, AddressOrdered>>",
            Shared::new(Blocks::<(Fixed<64>, AddressOrdered)>::new(), Heap),
            LAYOUT,
            tree,
        ),
        contender("Local<Classes>", Shared::new(Classes::new(), Heap), LAYOUT, tree),
        contender("Cached<Blocks<Fixed<64>>>", cached(), LAYOUT, tree),
        contender("Cached<Classes>", classes(), LAYOUT, tree),
        contender("slab", Slab::with_capacity(NODES), LAYOUT, tree),
        contender("glibc", GLIBC, LAYOUT, tree),
        contender("mimalloc", MIMALLOC, LAYOUT, tree),
    ];
    all.extend(cpp::Peer::all().map(|(name, peer)| contender(name, peer, LAYOUT, tree)));
    all
}

fn of_words() -> Vec<Contender> {
    vec![
        contender("hand-written list", List::new(WORD), WORD, words),
        contender("Local<Blocks<…, Lifo>>", Shared::new(Blocks::<Fixed<8>>::new(), Heap), WORD, words),
        contender(
            "Local<Blocks<…, Magazine>>",
            Shared::new(Blocks::<(Fixed<8>, Magazine)>::new(), Heap),
            WORD,
            words,
        ),
        contender(
            "Local<Blocks<…, AddressOrdered>>",
            Shared::new(Blocks::<(Fixed<8>, AddressOrdered)>::new(), Heap),
            WORD,
            words,
        ),
        contender(
            "Cached<Blocks<Fixed<8>>>",
            Shared::of(Cached::new(Blocks::<Fixed<8>>::new())),
            WORD,
            words,
        ),
        contender("glibc", GLIBC, WORD, words),
        contender("mimalloc", MIMALLOC, WORD, words),
    ]
}

const MEASURES: &[Measure] = &measures("ns per block", ["all steps", "free", "take", "walk"]);

pub const MIXES: &[Mix] = &[
    Mix {
        name: "ordered",
        what: "free 131,071 nodes in some order, build a tree of as many, walk it",
        run: || ORDERS.iter().map(|order| compare(order, of_nodes)).collect(),
    },
    Mix {
        name: "ordered-words",
        what: "free 131,071 blocks of 8 bytes in some order, take them again",
        run: || ORDERS.iter().map(|order| compare(order, of_words)).collect(),
    },
];

/// Measures all contenders with one order.
fn compare(order: &Order, make: fn() -> Vec<Contender>) -> Case {
    let mut case = Case::new(format!("freed {}", order.0), MEASURES);
    for _ in 0..MAKINGS {
        let mut contenders = make();
        case.name_rows(contenders.iter().map(|contender| contender.name));
        // The first round of each contender warms it up.
        contenders.iter_mut().for_each(|contender| _ = (contender.round)(order));
        case.take_turns(ROUNDS, |index| {
            let [free, take, walk] = (contenders[index].round)(order);
            [free + take + walk, free, take, walk]
        });
    }
    case
}
