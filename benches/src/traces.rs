//! Allocations of real programs, from traces written by `millpond record`: which free list serves pools of one size
//! best?
//!
//! Each size up to a kilobyte, rounded up to 16 bytes, has a pool of its own; larger blocks come from `malloc`. A run
//! is a whole trace on new pools, which are dropped at its end, as in the recorded program. Every block is written
//! completely when it is allocated, and its first word is read before it is freed, because programs do so.

use std::{alloc::Layout, path::Path, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Heap, Local, Magazine,
    pool::{AddressOrdered, DynSize, FreeList, Lifo},
};
use millpond_trace::{Op, Reader};

use crate::{
    fork::{in_a_copy, resident},
    harness::{Runner, compare},
    report::{Case, Measure, measures},
    variable::{GLIBC, MIMALLOC, Malloc},
};

const GRANULE: usize = 16;
const LARGEST: usize = 1024;

/// One step of a trace.
#[derive(Clone, Copy)]
struct Step {
    slot: u32,
    /// The size; zero means that the step frees.
    size: u32,
}

/// A trace as the steps that the contenders perform. A resize is an allocation and a free, unless the pool is the same.
struct Trace {
    steps: Vec<Step>,
    slots: usize,
    /// Number of steps before the moment when most bytes are live.
    to_peak: usize,
    /// Number of bytes live then.
    peak: usize,
}

fn rounded(size: u64) -> u32 {
    size.max(1).next_multiple_of(GRANULE as u64).try_into().unwrap_or(u32::MAX)
}

impl Trace {
    fn read(path: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let mut reader = Reader::open(path)?;
        let slots = reader.summary().slots as usize;
        let mut sizes = vec![0; slots];
        let mut all = Self { steps: Vec::new(), slots, to_peak: 0, peak: 0 };
        let (mut events, mut live) = (Vec::new(), 0);
        while reader.read(&mut events)? {
            for event in &events {
                let (slot, size) = match event.op {
                    Op::Allocate { slot, size, .. } | Op::Resize { slot, size } => (slot, rounded(size)),
                    Op::Free { slot } => (slot, 0),
                };
                let old = std::mem::replace(&mut sizes[slot as usize], size);
                if old == size {
                    continue;
                }
                if old != 0 {
                    all.steps.push(Step { slot, size: 0 });
                }
                if size != 0 {
                    all.steps.push(Step { slot, size });
                }
                live = live + size as usize - old as usize;
                if live > all.peak {
                    (all.peak, all.to_peak) = (live, all.steps.len());
                }
            }
        }
        let last =
            (0u32..).zip(&sizes).filter(|(_, size)| **size != 0).map(|(slot, _)| Step { slot, size: 0 });
        all.steps.extend(last);
        Ok(all)
    }
}

/// An allocator for a trace. Sizes are multiples of the granule.
trait Server {
    fn new() -> Self;
    fn take(&mut self, size: usize) -> *mut u8;
    /// # Safety
    /// The block was allocated here with this size and is freed once.
    unsafe fn give(&mut self, block: *mut u8, size: usize);
}

/// A pool for each small size.
struct Pools<S: FreeList>([Local<Blocks<(DynSize, S)>>; LARGEST / GRANULE]);

fn layout(size: usize) -> Layout {
    // SAFETY: the alignment is a power of two, and sizes come from traces, so they do not overflow.
    unsafe { Layout::from_size_align_unchecked(size, GRANULE) }
}

impl<S: FreeList> Server for Pools<S> {
    fn new() -> Self {
        Self(std::array::from_fn(|index| {
            Local::new_in(Blocks::with_layout(layout((index + 1) * GRANULE)), Heap)
        }))
    }

    #[inline(always)]
    fn take(&mut self, size: usize) -> *mut u8 {
        match self.0.get(size / GRANULE - 1) {
            Some(pool) => {
                pool.allocate(layout(size)).map_or(std::ptr::null_mut(), |block| block.as_ptr().cast())
            }
            // SAFETY: `malloc` accepts any size.
            None => unsafe { libc::malloc(size).cast() },
        }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, size: usize) {
        // SAFETY: the caller frees a block of this server with its size, and the block is not null.
        unsafe {
            match self.0.get(size / GRANULE - 1) {
                Some(pool) => pool.deallocate(NonNull::new_unchecked(block), layout(size)),
                None => libc::free(block.cast()),
            }
        }
    }
}

/// A malloc as a server.
struct Mallocs<const WHICH: usize>;

impl<const WHICH: usize> Mallocs<WHICH> {
    const IT: Malloc = [GLIBC, MIMALLOC][WHICH];
}

impl<const WHICH: usize> Server for Mallocs<WHICH> {
    fn new() -> Self {
        Self
    }

    #[inline(always)]
    fn take(&mut self, size: usize) -> *mut u8 {
        // SAFETY: `malloc` accepts any size.
        unsafe { (Self::IT.malloc)(size).cast() }
    }

    #[inline(always)]
    unsafe fn give(&mut self, block: *mut u8, _: usize) {
        // SAFETY: the caller frees a block of this server.
        unsafe { (Self::IT.free)(block.cast()) }
    }
}

/// Performs some steps.
fn play<S: Server>(server: &mut S, steps: &[Step], blocks: &mut [(*mut u8, u32)]) {
    for step in steps {
        let place = &mut blocks[step.slot as usize];
        if step.size == 0 {
            // SAFETY: the block is live, was written, and is freed once.
            unsafe {
                std::hint::black_box(place.0.cast::<u64>().read());
                server.give(place.0, place.1 as usize);
            }
        } else {
            let block = server.take(step.size as usize);
            assert!(!block.is_null(), "there is as much memory as the recorded program had");
            // SAFETY: the block has this size.
            unsafe { block.write_bytes(1, step.size as usize) };
            *place = (block, step.size);
        }
    }
}

fn runner<S: Server>(name: &'static str, trace: &'static Trace) -> Runner {
    let mut blocks = vec![(std::ptr::null_mut(), 0); trace.slots];
    let run = move |_| {
        play(&mut S::new(), &trace.steps, &mut blocks);
        trace.steps.len() / 2
    };
    Runner { name, run: Box::new(run) }
}

/// Returns the resident bytes that a server uses when most bytes are live.
fn peak<S: Server>(trace: &Trace) -> [f64; 1] {
    let mut blocks = vec![(std::ptr::without_provenance_mut(1), 0); trace.slots];
    let before = resident().unwrap_or(f64::NAN);
    let mut server = S::new();
    play(&mut server, &trace.steps[..trace.to_peak], &mut blocks);
    let after = resident().unwrap_or(f64::NAN);
    drop(server);
    [after - before]
}

/// The contenders: how they replay a trace, and how much memory they use when most bytes are live.
type Row = (&'static str, fn(&'static str, &'static Trace) -> Runner, fn(&Trace) -> [f64; 1]);

const ROWS: &[Row] = &[
    ("pools, Lifo", runner::<Pools<Lifo>>, peak::<Pools<Lifo>>),
    ("pools, Magazine", runner::<Pools<Magazine>>, peak::<Pools<Magazine>>),
    ("pools, Magazine<32>", runner::<Pools<Magazine<32>>>, peak::<Pools<Magazine<32>>>),
    ("pools, AddressOrdered", runner::<Pools<AddressOrdered>>, peak::<Pools<AddressOrdered>>),
    ("glibc", runner::<Mallocs<0>>, peak::<Mallocs<0>>),
    ("mimalloc", runner::<Mallocs<1>>, peak::<Mallocs<1>>),
];

/// Replays one trace with all contenders: first the memory at the peak, then the time of an allocation and a free.
pub fn replay(path: &str) -> Result<Vec<Case>, Box<dyn std::error::Error>> {
    const MEMORY: &[Measure] = &measures("resident bytes per live byte", ["memory at the peak"]);
    let trace: &'static Trace = Box::leak(Box::new(Trace::read(Path::new(path))?));
    println!("\n{path}: {} steps, {} live bytes at most", trace.steps.len(), trace.peak);
    let mut memory = Case::new("memory", MEMORY);
    for (name, _, peak) in ROWS {
        let bytes = in_a_copy(|| peak(trace)).map_or(f64::NAN, |[bytes]| bytes);
        memory.add_row(*name, [bytes / trace.peak as f64]);
    }
    let mut cases = compare(|| ROWS.iter().map(|(name, runner, _)| runner(name, trace)).collect());
    cases.push(memory);
    Ok(cases)
}
