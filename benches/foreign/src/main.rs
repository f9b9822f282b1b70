//! Pairs of allocate and free in a caller that is compiled as users compile it: in a crate of its own, in the default
//! release profile. The compiler then decides by itself what is inlined, and what of the pool it keeps in registers.
//!
//! `cargo run --release --manifest-path benches/foreign/Cargo.toml`

use std::{
    alloc::Layout,
    hint::black_box,
    ptr::NonNull,
    time::{Duration, Instant},
};

use millpond::{Blocks, Fixed, Magazine, Owned, pool::Config};

const LAYOUT: Layout = Layout::new::<[u64; 8]>();

/// A source of blocks of 64 bytes.
trait Source {
    fn take(&mut self) -> NonNull<u64>;

    /// # Safety
    ///
    /// The block was allocated by this source, and is not used after this.
    unsafe fn give(&mut self, block: NonNull<u64>);
}

/// The bound: a hand-written list, which cannot grow.
struct List {
    head: *mut u64,
}

impl List {
    fn new() -> Self {
        let mut list = Self { head: std::ptr::null_mut() };
        for block in Vec::leak(vec![[0u64; 8]; 1024]).iter_mut().rev() {
            // SAFETY: the block is longer than a pointer, and not in use.
            unsafe { list.give(NonNull::from(block).cast()) };
        }
        list
    }
}

impl Source for List {
    #[inline]
    fn take(&mut self) -> NonNull<u64> {
        let block = NonNull::new(self.head).expect("the list is long enough");
        // SAFETY: a free block begins with the next one's address.
        self.head = unsafe { block.cast().read() };
        block
    }

    #[inline]
    unsafe fn give(&mut self, block: NonNull<u64>) {
        // SAFETY: the block is free now, and longer than a pointer.
        unsafe { block.cast().write(self.head) };
        self.head = block.as_ptr();
    }
}

/// The same list, which allocates more blocks when it is empty.
struct GrowingList {
    list: List,
    chunks: Vec<Vec<[u64; 8]>>,
}

impl GrowingList {
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let mut chunk = vec![[0u64; 8]; 1024];
        for block in chunk.iter_mut().rev() {
            // SAFETY: the block is longer than a pointer, and not in use.
            unsafe { self.list.give(NonNull::from(block).cast()) };
        }
        self.chunks.push(chunk);
    }
}

impl Source for GrowingList {
    #[inline]
    fn take(&mut self) -> NonNull<u64> {
        if self.list.head.is_null() {
            self.grow();
        }
        self.list.take()
    }

    #[inline]
    unsafe fn give(&mut self, block: NonNull<u64>) {
        // SAFETY: the caller upholds the contract of `give`, which is the same.
        unsafe { self.list.give(block) };
    }
}

impl<C: Config> Source for Owned<Blocks<C>> {
    #[inline]
    fn take(&mut self) -> NonNull<u64> {
        self.allocate(LAYOUT).expect("the heap has room").cast()
    }

    #[inline]
    unsafe fn give(&mut self, block: NonNull<u64>) {
        // SAFETY: the caller frees a block of this source, and every block is allocated with this layout.
        unsafe { self.deallocate(block.cast(), LAYOUT) };
    }
}

/// A structure with a pool among its fields.
struct World<S> {
    seed: u64,
    source: S,
    sum: u64,
}

impl<S: Source> World<S> {
    fn new(source: S) -> Self {
        Self { seed: 1, source, sum: 0 }
    }

    /// Allocates a block and frees it, repeatedly.
    #[inline(never)]
    fn pairs(&mut self, times: usize) {
        for _ in 0..times {
            let block = self.source.take();
            black_box(block);
            // SAFETY: the block was just allocated.
            unsafe { self.source.give(block) };
        }
    }

    /// Writes to the block and reads it, with a little work in between.
    #[inline(never)]
    fn work(&mut self, times: usize) {
        for _ in 0..times {
            let block = self.source.take();
            self.seed ^= self.seed << 13;
            self.seed ^= self.seed >> 7;
            self.seed ^= self.seed << 17;
            // SAFETY: the block is longer than a word, and was just allocated.
            unsafe {
                block.write(self.seed);
                self.sum = self.sum.wrapping_add(black_box(block).read());
                self.source.give(block);
            }
        }
    }

    /// Eight blocks at a time, freed in reverse order.
    #[inline(never)]
    fn eights(&mut self, times: usize) {
        for _ in 0..times / 8 {
            let blocks: [_; 8] = std::array::from_fn(|_| self.source.take());
            for block in black_box(blocks).into_iter().rev() {
                // SAFETY: the block was just allocated.
                unsafe { self.source.give(block) };
            }
        }
    }
}

/// The pool is a local variable of the function with the loop.
#[inline(never)]
fn local_pairs<S: Source>(source: S, times: usize) -> S {
    let mut source = source;
    for _ in 0..times {
        let block = source.take();
        black_box(block);
        // SAFETY: the block was just allocated.
        unsafe { source.give(block) };
    }
    source
}

/// The function that runs one contender in a mix.
type Run = Box<dyn FnMut(usize)>;

fn in_world<S: Source + 'static>(source: S, mix: fn(&mut World<S>, usize)) -> Run {
    let mut world = Box::new(World::new(source));
    Box::new(move |times| mix(black_box(&mut world), times))
}

fn in_variable<S: Source + 'static>(source: S) -> Run {
    let mut kept = Some(source);
    Box::new(move |times| kept = kept.take().map(|source| local_pairs(source, times)))
}

const NAMES: [&str; 4] =
    ["list by hand", "list by hand that grows", "Owned<Blocks<Fixed<64>>>", "Owned<Blocks<…, Magazine>>"];

#[derive(Clone, Copy)]
enum Mix {
    InVariable,
    InField,
    WithWork,
    Eights,
}

const MIXES: [(&str, Mix); 4] = [
    ("pairs, the pool in a variable", Mix::InVariable),
    ("pairs, the pool in a field", Mix::InField),
    ("pairs with work between, the pool in a field", Mix::WithWork),
    ("eight at a time, the pool in a field", Mix::Eights),
];

fn run<S: Source + 'static>(source: S, mix: Mix) -> Run {
    match mix {
        Mix::InVariable => in_variable(source),
        Mix::InField => in_world(source, World::pairs),
        Mix::WithWork => in_world(source, World::work),
        Mix::Eights => in_world(source, World::eights),
    }
}

/// Returns the contenders, in the order of [`NAMES`].
fn contenders(mix: Mix) -> [Run; 4] {
    [
        run(List::new(), mix),
        run(GrowingList { list: List { head: std::ptr::null_mut() }, chunks: Vec::new() }, mix),
        run(Owned::new(Blocks::<Fixed<64>>::new()), mix),
        run(Owned::new(Blocks::<(Fixed<64>, Magazine)>::new()), mix),
    ]
}

/// Number of pairs in a slice, and number of slices.
const PAIRS: usize = 1 << 20;
const ROUNDS: usize = 61;

fn time(run: &mut Run) -> f64 {
    let start = Instant::now();
    run(PAIRS);
    start.elapsed().div_duration_f64(Duration::from_nanos(1)) / PAIRS as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    for (name, mix) in MIXES {
        let mut runs = contenders(mix);
        runs.iter_mut().for_each(|run| run(PAIRS));
        let rounds: Vec<[f64; 4]> = (0..ROUNDS).map(|_| runs.each_mut().map(time)).collect();
        println!("\n{name}\n  {:<34}{:>9}{:>9}   median ns per pair; ratio to the first", "", "ns", "x 1st");
        for (number, name) in NAMES.iter().enumerate() {
            let mine = median(rounds.iter().map(|times| times[number]).collect());
            let ratio = median(rounds.iter().map(|times| times[number] / times[0]).collect());
            println!("  {name:<34}{mine:>9.2}{ratio:>9.2}");
        }
    }
}
