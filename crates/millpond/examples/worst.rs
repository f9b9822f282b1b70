//! The worst case of `Tlsf` in instructions: `cargo run --release --example worst`.
//!
//! Runs itself under callgrind (valgrind), which counts each single call of an operation, over thousands of calls that
//! are designed to be bad cases: few blocks of very different sizes are live in a few megabytes, so nearly every list
//! that is touched was empty or becomes empty, blocks have free neighbours on both sides, and searches go through every
//! level. In addition, the quick list, if there is one, is repeatedly filled and must be emptied for one request.

use std::{
    alloc::Layout,
    env,
    error::Error,
    fs,
    hint::black_box,
    process::{Command, ExitCode, Stdio},
    ptr::NonNull,
};

use fastrand::Rng;
use millpond::{
    Tlsf,
    pool::{NoQuickList, QuickList, WithQuickList},
    raw::{Chunk, RawPool},
};

/// The operations that are counted; each is a function of this name.
const OPERATIONS: [&str; 8] = [
    "direct_allocate",
    "direct_allocate_aligned",
    "direct_free",
    "direct_resize",
    "pockets_allocate",
    "pockets_allocate_aligned",
    "pockets_free",
    "pockets_resize",
];
const STEPS: usize = 6000;
const REGION: usize = 4 << 20;

type Block = Option<NonNull<[u8]>>;

/// The operations of one kind of pool.
struct Operations<F: QuickList> {
    allocate: fn(&mut Tlsf<F>, Layout) -> Block,
    allocate_aligned: fn(&mut Tlsf<F>, Layout) -> Block,
    free: unsafe fn(&mut Tlsf<F>, NonNull<u8>, Layout),
    resize: unsafe fn(&mut Tlsf<F>, NonNull<u8>, Layout, Layout) -> Block,
}

/// Defines the operations of one kind of pool: functions that callgrind finds by their names, each in a section of its
/// own so that it is not merged with an equal one.
macro_rules! operations {
    ($front:ty: $allocate:ident, $aligned:ident, $free:ident, $resize:ident) => {{
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!(".text.", stringify!($allocate)))]
        #[inline(never)]
        fn $allocate(pool: &mut Tlsf<$front>, layout: Layout) -> Block {
            pool.allocate(layout)
        }

        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!(".text.", stringify!($aligned)))]
        #[inline(never)]
        fn $aligned(pool: &mut Tlsf<$front>, layout: Layout) -> Block {
            pool.allocate(layout)
        }

        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!(".text.", stringify!($free)))]
        #[inline(never)]
        unsafe fn $free(pool: &mut Tlsf<$front>, block: NonNull<u8>, layout: Layout) {
            // SAFETY: all callers pass live blocks with their layouts.
            unsafe { pool.deallocate(block, layout) }
        }

        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!(".text.", stringify!($resize)))]
        #[inline(never)]
        unsafe fn $resize(pool: &mut Tlsf<$front>, block: NonNull<u8>, old: Layout, new: Layout) -> Block {
            // SAFETY: all callers pass live blocks with their layouts.
            unsafe { pool.resize_in_place(block, old, new) }
        }

        Operations { allocate: $allocate, allocate_aligned: $aligned, free: $free, resize: $resize }
    }};
}

/// A pool that has one region.
fn with_region<F: QuickList>(mut pool: Tlsf<F>) -> Option<Tlsf<F>> {
    let memory = Vec::leak(vec![0u128; REGION / 16]);
    let memory = NonNull::slice_from_raw_parts(NonNull::from(memory).cast(), REGION);
    // SAFETY: the memory is leaked and used only by this pool.
    unsafe { pool.add_chunk(Chunk::new(memory, 16)?, Layout::new::<u8>()).ok()? };
    Some(pool)
}

/// The calls that are counted.
fn play<F: QuickList>(pool: Tlsf<F>, operations: &Operations<F>) -> Option<()> {
    let mut pool = with_region(pool)?;
    let mut rng = Rng::with_seed(1);
    let mut live: Vec<(NonNull<u8>, Layout)> = Vec::new();
    for _ in 0..STEPS {
        let size = 1 + (rng.usize(..REGION / 2) >> rng.u32(0..21));
        let aligned = rng.u8(0..4) == 0;
        let layout = Layout::from_size_align(size, if aligned { 1 << rng.u32(5..13) } else { 8 }).ok()?;
        let crowd = rng.usize(2..24);
        if live.len() < crowd {
            let allocate = if aligned { operations.allocate_aligned } else { operations.allocate };
            let block = black_box(allocate)(&mut pool, layout);
            live.extend(block.map(|block| (block.cast(), layout)));
        } else {
            let (block, old) = live.swap_remove(rng.usize(..live.len()));
            let new = Layout::from_size_align(size, 8).ok()?;
            // SAFETY: the block is live and was allocated with this layout.
            let resized =
                rng.bool().then(|| unsafe { black_box(operations.resize)(&mut pool, block, old, new) });
            match resized.flatten() {
                Some(block) => live.push((block.cast(), new)),
                // SAFETY: the block is live and was allocated with this layout.
                None => unsafe { black_box(operations.free)(&mut pool, block, old) },
            }
        }
    }
    pool.reset();
    (0..20).try_for_each(|_| crowd_pockets(&mut pool, operations, &mut rng))
}

/// Frees eight blocks of every small size, in any order, and requests more than is available without them.
fn crowd_pockets<F: QuickList>(pool: &mut Tlsf<F>, operations: &Operations<F>, rng: &mut Rng) -> Option<()> {
    let mut layouts: Vec<Layout> = (0..8 * 66)
        .map(|number| Layout::from_size_align(8 + number / 8 * 16, 8))
        .collect::<Result<_, _>>()
        .ok()?;
    rng.shuffle(&mut layouts);
    let mut live = layouts
        .into_iter()
        .map(|layout| Some(((operations.allocate)(pool, layout)?.cast(), layout)))
        .collect::<Option<Vec<_>>>()?;
    rng.shuffle(&mut live);
    for (block, layout) in live {
        // SAFETY: the block is live and was allocated with this layout.
        unsafe { black_box(operations.free)(pool, block, layout) };
    }
    let all = Layout::from_size_align(REGION - 4096, 8).ok()?;
    let block = black_box(operations.allocate)(pool, all)?;
    // SAFETY: the block is live and was allocated with this layout.
    unsafe { black_box(operations.free)(pool, block.cast(), all) };
    Some(())
}

fn play_all() -> Option<()> {
    let direct =
        operations!(NoQuickList: direct_allocate, direct_allocate_aligned, direct_free, direct_resize);
    let quick_list =
        operations!(WithQuickList: pockets_allocate, pockets_allocate_aligned, pockets_free, pockets_resize);
    play(Tlsf::without_quick_list(), &direct)?;
    play(Tlsf::new(), &quick_list)
}

/// Returns the instructions of each call of an operation, from a separate run.
fn counts(operation: &str) -> Result<Vec<u64>, Box<dyn Error>> {
    let folder = env::temp_dir().join(format!("millpond-{operation}-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", folder.join("calls").display()));
    valgrind.args([format!("--toggle-collect={operation}"), format!("--dump-after={operation}")]);
    let status = valgrind.arg(env::current_exe()?).arg("play").stderr(Stdio::null()).status();
    let done = status.map_err(|error| format!("valgrind, which counts, does not start: {error}"))?;
    if !done.success() {
        return Err(format!("valgrind ended with {done}").into());
    }
    let mut counts = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let text = fs::read_to_string(entry?.path())?;
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.parse().ok());
        counts.extend(total.filter(|&total: &u64| total != 0));
    }
    fs::remove_dir_all(&folder)?;
    Ok(counts)
}

fn count() -> Result<(), Box<dyn Error>> {
    println!("{:<24}{:>8}{:>8}{:>8}   instructions", "", "calls", "mean", "worst");
    for operation in OPERATIONS {
        let counts = counts(operation)?;
        let (worst, sum) = (counts.iter().max().copied().unwrap_or(0), counts.iter().sum::<u64>());
        println!("{operation:<24}{:>8}{:>8}{worst:>8}", counts.len(), sum / (counts.len() as u64).max(1));
    }
    Ok(())
}

fn main() -> ExitCode {
    let done = match env::args().nth(1).as_deref() {
        Some("play") => play_all().ok_or_else(|| "the pool did not serve what it has memory for".into()),
        _ => count(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("worst: {message}");
            ExitCode::from(2)
        }
    }
}
