//! Common extensions of a textbook pool of fixed blocks: the heap behind it, a list without a lock, a cache per thread,
//! tracking, alignment, blocks of several sizes, memory close to the processor, and collections that allocate from it.
//! Each of them is a type, used instead of another or around it.

use std::{alloc::Layout, collections::BTreeSet, error::Error, thread};

use hashbrown::{DefaultHashBuilder, HashMap};
use millpond::{
    Allocator, Blocks, Cached, Classes, Fixed, Heap, Inspect, Local, LockFree, Reclaim, StaticBuffer,
    guard::{Fallback, Tracked},
    interop::api2_02::Exported,
    observe::{Misuse, Reporter},
    source::{Numa, TunedPages},
};

const BLOCK: Layout = Layout::new::<[u64; 8]>();
type Pool = Blocks<Fixed<64>>;

fn main() -> Result<(), Box<dyn Error>> {
    growable()?;
    without_a_lock();
    with_a_cache_per_thread();
    tracked()?;
    aligned()?;
    several_sizes()?;
    near_the_processor()?;
    in_a_collection();
    Ok(())
}

/// A pool in static memory, and the heap when that is used up.
fn growable() -> Result<(), Box<dyn Error>> {
    static MEMORY: StaticBuffer<512> = StaticBuffer::new();
    let pool = Fallback::new(Local::new_in(Pool::new(), &MEMORY), Heap);
    let blocks = (0..12).map(|_| pool.allocate(BLOCK)).collect::<Result<Vec<_>, _>>()?;
    let own = blocks.iter().filter(|block| MEMORY.owns(block.as_ptr().cast())).count();
    println!("growable    : {own} blocks from the static, {} from the heap", blocks.len() - own);
    for block in blocks {
        // SAFETY: the block is live and was allocated with this layout.
        unsafe { pool.deallocate(block.cast(), BLOCK) };
    }
    Ok(())
}

/// Allocates and frees blocks, from several threads.
fn in_four_threads(pool: &(impl Allocator + Sync)) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let block = pool.allocate(BLOCK).expect("the heap has 64 bytes").cast();
                    // SAFETY: the block is live and was allocated with this layout.
                    unsafe { pool.deallocate(block, BLOCK) };
                }
            });
        }
    });
}

fn without_a_lock() {
    let pool = LockFree::<Fixed<64>>::new();
    in_four_threads(&pool);
    println!("lock-free   : {} bytes live after 40000 blocks", pool.stats().live);
}

fn with_a_cache_per_thread() {
    let mut pool = Cached::<Pool>::new(Pool::new());
    in_four_threads(&pool);
    let live = pool.stats().live;
    // The threads may still be ending. With exclusive access to the pool, what they have cached counts as free.
    Reclaim::trim(&mut pool);
    println!("thread-local: {live} bytes live after 40000 blocks, {} held after a trim", pool.stats().held);
}

/// A pool that tracks the call sites of live blocks, and whose reporter receives double frees.
fn tracked() -> Result<(), Box<dyn Error>> {
    fn tell(misuse: &Misuse) {
        println!("tracked     : {}", misuse.to_string().replace('\n', "\n             "));
    }
    let pool = Tracked::new(Local::new(Pool::new())).reporting(Reporter::named("extensions").with_hook(tell));
    let block = pool.allocate(BLOCK)?.cast();
    // SAFETY: the block is live at the first call. The second call is the mistake that the guard detects.
    unsafe {
        pool.deallocate(block, BLOCK);
        pool.deallocate(block, BLOCK);
    }
    Ok(())
}

/// Blocks of 64 bytes, each on a cache line of its own.
fn aligned() -> Result<(), Box<dyn Error>> {
    let pool = Local::new(Blocks::of(Layout::from_size_align(40, 64)?));
    let rests: BTreeSet<_> = (0..100)
        .map(|_| pool.allocate(Layout::new::<[u64; 5]>()).map(|block| block.as_ptr().addr() % 64))
        .collect::<Result<_, _>>()?;
    println!("alignment   : addresses modulo 64: {rests:?}");
    Ok(())
}

/// Blocks of three sizes in one pool; larger requests go to the parent.
fn several_sizes() -> Result<(), Box<dyn Error>> {
    let pool = Local::new(Classes::with_sizes(&[32, 96, 256])?);
    let mut sizes = Vec::new();
    for size in [10, 33, 200, 1000] {
        sizes.push(pool.allocate(Layout::from_size_align(size, 8)?)?.len());
    }
    println!("sizes       : 10, 33, 200 and 1000 bytes are served by {sizes:?}");
    Ok(())
}

/// Pages on the node of the processor that touches them first, and huge pages if the system has any available.
fn near_the_processor() -> Result<(), Box<dyn Error>> {
    let pages = TunedPages::new().numa(Numa::Local).transparent_huge_pages();
    let pool = Local::new_in(Pool::new().with_capacity(65_536), pages);
    pool.allocate(BLOCK)?;
    println!(
        "NUMA        : {} MiB of this node, in huge pages where the system has any to spare",
        pool.stats().held >> 20
    );
    Ok(())
}

/// Collections of other crates. (For those of C++, see `millpond.hpp`, whose pools are memory resources of `std::pmr`.)
fn in_a_collection() {
    let pool = Local::new(Classes::new());
    let mut squares = HashMap::with_hasher_in(DefaultHashBuilder::default(), Exported(&pool));
    squares.extend((0..100).map(|number| (number, number * number)));
    println!(
        "collections : 12 squared is {}, and the table has {} bytes of the pool",
        squares[&12],
        pool.stats().live
    );
}
