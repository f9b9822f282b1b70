//! The worst case of `Tlsf` in instructions: `cargo run --release --example worst`.
//!
//! Runs itself under callgrind (valgrind), which counts each single call of an operation, over thousands of calls that
//! are made to be bad ones: few blocks of very different sizes live in a megabyte, so nearly every list that is touched
//! was empty or becomes empty, blocks have free neighbours on both sides, and searches go through every level.

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
use millpond::{Chunk, Pool, Tlsf};

/// What is counted; each is a function of this name.
const OPERATIONS: [&str; 4] = ["worst_allocate", "worst_allocate_aligned", "worst_free", "worst_resize"];
const STEPS: usize = 6000;
const REGION: usize = 1 << 20;

/// Defines a function that callgrind finds by its name, in a section of its own so that it stays apart from equal ones.
macro_rules! operation {
    ($name:ident($pool:ident, $block:ident, $layout:ident, $new:ident) -> $result:ty = $call:expr) => {
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!(".text.", stringify!($name)))]
        #[inline(never)]
        fn $name($pool: &mut Tlsf, $block: NonNull<u8>, $layout: Layout, $new: Layout) -> $result {
            let _ = ($block, $layout, $new);
            $call
        }
    };
}

operation!(worst_allocate(pool, block, layout, new) -> Option<NonNull<[u8]>> = pool.allocate(layout));
operation!(worst_allocate_aligned(pool, block, layout, new) -> Option<NonNull<[u8]>> = pool.allocate(layout));
operation!(worst_free(pool, block, layout, new) -> () =
    // SAFETY: `play` passes live blocks with their layouts.
    unsafe { pool.deallocate(block, layout) });
operation!(worst_resize(pool, block, layout, new) -> Option<NonNull<[u8]>> =
    // SAFETY: as above.
    unsafe { pool.resize_in_place(block, layout, new) });

/// The calls that are counted.
fn play() -> Option<()> {
    let mut pool = Tlsf::new();
    let memory = Vec::leak(vec![0u128; REGION / 16]);
    let memory = NonNull::slice_from_raw_parts(NonNull::from(memory).cast(), REGION);
    // SAFETY: the memory is nobody else's, for ever.
    unsafe { pool.adopt(Chunk::new(memory, 16)?, Layout::new::<u8>()).ok()? };
    let mut rng = Rng::with_seed(1);
    let mut live: Vec<(NonNull<u8>, Layout)> = Vec::new();
    let dangling = NonNull::dangling();
    for _ in 0..STEPS {
        let size = 1 + (rng.usize(..REGION / 2) >> rng.u32(0..19));
        let aligned = rng.u8(0..4) == 0;
        let layout = Layout::from_size_align(size, if aligned { 1 << rng.u32(5..13) } else { 8 }).ok()?;
        let crowd = rng.usize(2..24);
        if live.len() < crowd {
            let allocate = if aligned { worst_allocate_aligned } else { worst_allocate };
            let block = black_box(allocate)(&mut pool, dangling, layout, layout);
            live.extend(block.map(|block| (block.cast(), layout)));
        } else {
            let (block, old) = live.swap_remove(rng.usize(..live.len()));
            let new = Layout::from_size_align(size, 8).ok()?;
            let resized = if rng.bool() { black_box(worst_resize)(&mut pool, block, old, new) } else { None };
            match resized {
                Some(block) => live.push((block.cast(), Layout::from_size_align(size, 8).ok()?)),
                None => black_box(worst_free)(&mut pool, block, old, old),
            }
        }
    }
    Some(())
}

/// The instructions of each call of an operation, from a run of its own.
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
        Some("play") => play().ok_or_else(|| "the region was not adopted".into()),
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
