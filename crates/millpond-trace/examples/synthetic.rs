//! Writes a synthetic trace of any length, analyses it, and compares the results with its own count; fails if that takes
//! more than 1 GiB of memory: `cargo run --release -p millpond-trace --example synthetic -- FILE EVENTS [LIVE | keep]`.
//!
//! Most blocks die young, and about 50,000 are live. With LIVE, as many blocks are live, and all are freed in random
//! order. With `keep`, the file is not deleted. Linux only.

use std::{
    env,
    error::Error,
    fs::{self, File},
    io::BufWriter,
};

use millpond_trace::{At, FrameKind, Outcome, Reader, Start, Summary, Writer, analysis::Analysis};

/// Max resident bytes.
const MEMORY: u64 = 1 << 30;
/// Number of stacks and threads.
const STACKS: u32 = 2_000;
const THREADS: u64 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, events, rest @ ..] = arguments.as_slice() else {
        return Err("usage: synthetic FILE EVENTS [LIVE | keep]".into());
    };
    let is_kept = rest.first().is_some_and(|word| word == "keep");
    let live: Option<usize> = rest.first().filter(|_| !is_kept).map(|live| live.parse()).transpose()?;
    let start = cpu_time()?;
    let summary = write(path, events.parse()?, live)?;
    let written = cpu_time()?;
    let mut reader = Reader::open(path)?;
    let found = Analysis::read(&mut reader)?;
    let analysed = cpu_time()?;
    let speed = |seconds: f64| summary.events as f64 / seconds / 1e6;
    let memory = resident()?;
    println!(
        "{} events, {} slots, {:.2} bytes each; million per second of CPU time: generated and written {:.1}, analysed {:.1}; max {} MiB",
        summary.events,
        summary.slots,
        fs::metadata(path)?.len() as f64 / summary.events as f64,
        speed(written - start),
        speed(analysed - written),
        memory >> 20
    );
    if !is_kept {
        fs::remove_file(path)?;
    }
    check(&summary, &found)?;
    if memory > MEMORY { Err("this took more than 1 GiB of memory".into()) } else { Ok(()) }
}

/// Compares sums of the analysis with the counts of the writer.
fn check(summary: &Summary, found: &Analysis) -> Result<(), Box<dyn Error>> {
    let allocations: u64 = found.sites.iter().map(|site| site.allocations + site.resizes).sum();
    let live: u64 = found.sites.iter().map(|site| u64::from(site.live_blocks)).sum();
    let peak: u64 = found.sites.iter().map(|site| site.peak_bytes).sum();
    let flows: u64 = found.flows.iter().map(|flow| flow.blocks).sum();
    let bins: u64 = found.timeline.bins.iter().map(|bin| bin.allocations + bin.frees).sum();
    let highest = found.timeline.bins.iter().map(|bin| bin.max).max();
    let found = (allocations, live, peak, flows, bins, highest);
    let expected = (
        summary.allocations,
        summary.live_at_end,
        summary.peak_bytes,
        summary.frees,
        summary.events,
        Some(summary.peak_bytes),
    );
    if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}").into()) }
}

/// Writes the trace.
fn write(path: &str, events: u64, live: Option<usize>) -> Result<Summary, Box<dyn Error>> {
    let mut writer = Writer::new(BufWriter::new(File::create(path)?), &Start::default())?;
    let mut random = 1;
    for stack in 0..STACKS {
        let parent = stack / 2;
        writer.node(parent, 0x40_0000 + next(&mut random) % 100_000, FrameKind::Return)?;
    }
    let target = live.unwrap_or(50_000);
    let (mut slots, mut at) = (Vec::new(), At::default());
    for _ in 0..events {
        let dice = next(&mut random);
        at.time += 10 * (1 + dice % 16);
        if dice >> 58 == 0 {
            at.thread = (dice >> 8 & (THREADS - 1)) as u32;
        }
        // A few stacks make most of the calls.
        let skewed = (dice >> 16 & 0xff) * (dice >> 24 & 0xff) * (dice >> 32 & 0xff);
        at.stack = 1 + (skewed * u64::from(STACKS - 1) / (1 << 24)) as u32;
        let balance = (dice >> 44 & 0x3ff) as usize;
        let wants = if slots.len() < target { 640 } else { 384 };
        if slots.is_empty() || balance < wants {
            let size = 16 + 16 * u64::from(at.stack % 30) + (at.stack as u64 / 100) * 1_000;
            slots.push(writer.allocate(at, size, 0, false)?);
            continue;
        }
        let reach =
            if live.is_some() || balance.is_multiple_of(32) { slots.len() } else { slots.len().min(8) };
        let place = slots.len() - 1 - next(&mut random) as usize % reach;
        if balance == 1_023 {
            writer.resize(at, slots[place], 1_000)?;
        } else {
            writer.free(at, slots.swap_remove(place))?;
        }
    }
    Ok(writer.finish(Outcome { wall_ns: at.time, ..Outcome::default() })?)
}

/// Returns the next random number (xorshift).
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    random.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

/// Returns the CPU time of this thread in seconds; that of the thread which compresses is not in it.
fn cpu_time() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(text.split_whitespace().next().ok_or("no time")?.parse::<f64>()? / 1e9)
}

/// Returns the max resident bytes of this process so far.
fn resident() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}
