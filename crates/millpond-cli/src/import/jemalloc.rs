//! Heap profiles of jemalloc: for each call stack the live blocks that were sampled, and perhaps all that ever were.
//!
//! jemalloc samples an allocation with a probability that grows with its size: 1 - e^(-size/period). Counts are divided
//! by it, as jeprof does, with the average size of the stack's blocks; so all figures are estimates.

use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use millpond_trace::{Module, Origin};

use super::{
    builder::Builder,
    entry::Blocks,
    lines::{Fields, Lines, hex},
};

pub(super) fn read(lines: &mut Lines, builder: &mut Builder<'_>) -> Result<()> {
    let first = lines.next()?.unwrap_or_default();
    let period = first.trim().strip_prefix("heap_v2/").and_then(|period| period.parse::<u64>().ok());
    let period = period.filter(|&period| period > 0).context("the first line is not heap_v2/PERIOD")?;
    let (samples, modules) = parse(lines)?;
    let own = modules.iter().filter(|module| module.path.contains("/libjemalloc.so"));
    let ranges: Vec<_> = own.map(|module| module.start..module.end).collect();
    for module in modules {
        builder.module(module)?;
    }
    let has_freed = samples.iter().any(|sample| sample.all.count > 0);
    builder.origin = if has_freed { Origin::Jemalloc } else { Origin::JemallocLive };
    for sample in samples {
        let mut stack = 0;
        for &address in sample.callers(&ranges).iter().rev() {
            stack = builder.stack(stack, address, true)?;
        }
        let (live, all) = (estimate(sample.live, period), estimate(sample.all, period));
        let freed = Blocks {
            count: all.count.saturating_sub(live.count),
            bytes: all.bytes.saturating_sub(live.bytes),
        };
        freed.pass(stack, builder)?;
        live.allocate(stack, builder)?;
    }
    Ok(())
}

/// What was sampled of one call stack.
struct Sampled {
    /// Innermost first.
    stack: Vec<u64>,
    live: Blocks,
    /// All that were ever allocated; 0 unless the program was run with prof_accum.
    all: Blocks,
}

impl Sampled {
    /// Returns the stack without the innermost frames in jemalloc itself, whose library has these ranges.
    fn callers(&self, ranges: &[Range<u64>]) -> &[u64] {
        let is_own = |address: &u64| ranges.iter().any(|range| range.contains(address));
        &self.stack[self.stack.iter().take_while(|address| is_own(address)).count()..]
    }
}

/// Reads the stacks, and the modules that the program had mapped.
fn parse(lines: &mut Lines) -> Result<(Vec<Sampled>, Vec<Module>)> {
    let mut samples: Vec<Sampled> = Vec::new();
    let mut stack = None;
    while let Some(line) = lines.next()? {
        let text = line.trim();
        if text == "MAPPED_LIBRARIES:" {
            return Ok((samples, modules(lines)?));
        }
        if let Some(addresses) = text.strip_prefix('@') {
            stack = Some(addresses.split_whitespace().map(hex).collect::<Result<Vec<_>>>()?);
        } else if let Some(counts) = text.strip_prefix("t*:")
            && let Some(stack) = stack.take()
        {
            let (live, all) = counted(counts)?;
            samples.push(Sampled { stack, live, all });
        }
    }
    Ok((samples, Vec::new()))
}

/// Reads `OBJECTS: BYTES [ALL OBJECTS: ALL BYTES]`.
fn counted(text: &str) -> Result<(Blocks, Blocks)> {
    let numbers: Vec<u64> = text
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let &[count, bytes, ref all @ ..] = numbers.as_slice() else {
        bail!("two counts were expected after t*:")
    };
    ensure!(all.len() == 2 || all.is_empty(), "two or four counts were expected after t*:");
    let all = Blocks { count: all.first().copied().unwrap_or(0), bytes: all.get(1).copied().unwrap_or(0) };
    Ok((Blocks { count, bytes }, all))
}

/// Returns the blocks that these samples stand for.
fn estimate(sampled: Blocks, period: u64) -> Blocks {
    if sampled.count == 0 {
        return Blocks::default();
    }
    let average = sampled.bytes as f64 / sampled.count as f64;
    let chance = -f64::exp_m1(-average / period as f64);
    if chance <= 0.0 {
        return sampled;
    }
    let scaled = |number: u64| (number as f64 / chance).round() as u64;
    Blocks { count: scaled(sampled.count), bytes: scaled(sampled.bytes) }
}

/// Reads the lines of `/proc/PID/maps`, and returns those with code.
fn modules(lines: &mut Lines) -> Result<Vec<Module>> {
    let mut modules = Vec::new();
    while let Some(line) = lines.next()? {
        let mut fields = Fields(&line);
        let (Some(range), Some(rights)) = (fields.word(), fields.word()) else { continue };
        let Some((start, end)) = range.split_once('-') else { continue };
        if !rights.contains('x') {
            continue;
        }
        let (start, end, offset) = (hex(start)?, hex(end)?, fields.hex()?);
        let path = fields.0.trim_start().splitn(3, ' ').nth(2).unwrap_or_default().trim().to_owned();
        modules.push(Module { start, end, offset, path, ..Module::default() });
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_for_more_blocks_the_smaller_they_are() {
        let sampled = |count, bytes| estimate(Blocks { count, bytes }, 1 << 19);
        // 512 KiB / 256 bytes: nearly one of 2,048 is sampled.
        let small = sampled(10, 2560);
        assert!((20_480..20_500).contains(&small.count), "{small:?}");
        assert_eq!(small.bytes / small.count, 256);
        assert_eq!(sampled(3, 3 << 30), Blocks { count: 3, bytes: 3 << 30 });
        assert_eq!(sampled(0, 0), Blocks::default());
    }

    #[test]
    fn counts_are_read() {
        let blocks = |count, bytes| Blocks { count, bytes };
        assert_eq!(counted(" 1: 2 [3: 4]").unwrap(), (blocks(1, 2), blocks(3, 4)));
        assert_eq!(counted(" 1: 2 [0: 0]").unwrap(), (blocks(1, 2), blocks(0, 0)));
        assert!(counted(" 1").is_err() && counted(" 1: 2 [3").is_err());
    }
}
