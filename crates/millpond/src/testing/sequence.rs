//! Random sequences of operations, and how a failing one is shortened.
//!
//! A sequence is fixed before it runs, and a block is identified by a number modulo the number of live blocks, so every
//! part of a sequence is a sequence. Parts are removed from a failing sequence, halves first, as long as it still
//! fails.
//!
//! Source: Zeller, Hildebrandt, "Simplifying and Isolating Failure-Inducing Input" (2002).

use core::alloc::Layout;
use std::{
    format,
    panic::{AssertUnwindSafe, catch_unwind},
    string::{String, ToString},
    vec::Vec,
};

use super::{
    conformance::Conformance,
    oracle::{Oracle, Violation},
    random::Random,
};
use crate::traits::Allocator;

/// Upper bound on the number of live blocks.
const MAX_LIVE: usize = 60;
/// Upper bound on the runs to shorten a failing sequence.
const MAX_RUNS: usize = 1000;

/// An operation on an allocator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Allocate { layout: Layout, zeroed: bool },
    AllocateBetween { least: Layout, preferred: usize },
    Resize { block: usize, layout: Layout, zeroed: bool },
    ResizeInPlace { block: usize, layout: Layout },
    Free { block: usize, slack: usize },
    Trim,
    Reset,
}

/// Returns the sequence of this seed, with blocks of up to `largest`.
pub(super) fn of_seed(seed: u64, steps: usize, largest: Layout) -> Vec<Step> {
    let mut random = Random::Seed(seed);
    (0..steps).map(|_| step(&mut random, largest)).collect()
}

/// Returns the sequence that these bytes encode, with blocks of up to `largest`.
pub(super) fn of_bytes(bytes: &[u8], largest: Layout) -> Vec<Step> {
    let mut random = Random::Bytes(bytes);
    core::iter::from_fn(|| random.goes_on().then(|| step(&mut random, largest))).collect()
}

fn step(random: &mut Random<'_>, largest: Layout) -> Step {
    let (block, layout, coin) = (random.below(1 << 16), layout(random, largest), random.coin());
    match random.below(200) {
        0..90 => Step::Allocate { layout, zeroed: coin },
        90..100 => Step::AllocateBetween { least: layout, preferred: random.below(2 * largest.size() + 1) },
        100..130 => Step::Resize { block, layout, zeroed: coin },
        130..140 => Step::ResizeInPlace { block, layout },
        140..198 => Step::Free { block, slack: random.below(1 << 16) },
        198 => Step::Trim,
        _ => Step::Reset,
    }
}

/// Returns a layout up to `largest`: small sizes are as likely as large ones.
fn layout(random: &mut Random<'_>, largest: Layout) -> Layout {
    let bits = (usize::BITS - largest.size().leading_zeros()) as usize;
    let size = random.below(largest.size() + 1) >> random.below(bits + 1);
    let align = 1 << random.below(largest.align().trailing_zeros() as usize + 1);
    Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>())
}

/// Runs the sequence; returns at which step it failed and how.
pub(super) fn run<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    steps: &[Step],
) -> Result<(), (usize, String)> {
    let mut at = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut oracle = Oracle::new(conformance.make());
        for (index, &step) in steps.iter().enumerate() {
            at = index;
            if let Err(violation) =
                perform(conformance, &mut oracle, step).and_then(|()| check(conformance, &oracle))
            {
                // The allocator can no longer be trusted with its blocks, so they are not freed; what it reports when
                // it is dropped is ignored.
                oracle.forget();
                let _ = catch_unwind(AssertUnwindSafe(|| drop(oracle)));
                return Err(violation.to_string());
            }
        }
        at = steps.len();
        Ok(())
    }));
    match outcome {
        Ok(outcome) => outcome.map_err(|what| (at, what)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err((at, text.unwrap_or_else(|| "a panic".into())))
        }
    }
}

fn perform<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    oracle: &mut Oracle<A>,
    step: Step,
) -> Result<(), Violation> {
    let count = oracle.count();
    // Whether a request is served is up to the allocator here; the oracle checks what is handed out.
    match step {
        Step::Allocate { layout, zeroed } if count < MAX_LIVE => {
            let _ = oracle.try_allocate(layout, zeroed)?;
        }
        Step::AllocateBetween { least, preferred } if count < MAX_LIVE => {
            let _ = oracle.try_allocate_between(least, preferred)?;
        }
        Step::Resize { block, layout, zeroed } if count != 0 => {
            let _ = oracle.try_resize(block % count, layout, zeroed)?;
        }
        Step::ResizeInPlace { block, layout } if count != 0 => {
            let _ = oracle.try_resize_in_place(block % count, layout)?;
        }
        Step::Free { block, slack } if count != 0 => oracle.try_deallocate(block % count, slack)?,
        Step::Trim => conformance.trim(&mut oracle.allocator),
        Step::Reset if conformance.resets() => reset(conformance, oracle)?,
        _ => {}
    }
    Ok(())
}

/// Resets the allocator. Blocks that it does not own passed through to its parent, and must be freed before.
fn reset<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    oracle: &mut Oracle<A>,
) -> Result<(), Violation> {
    let foreign: Vec<usize> = oracle
        .addresses()
        .enumerate()
        .filter(|&(_, address)| !conformance.owns(&oracle.allocator, address))
        .map(|(index, _)| index)
        .collect();
    for index in foreign.into_iter().rev() {
        oracle.try_deallocate(index, 0)?;
    }
    oracle.forget();
    conformance.reset(&mut oracle.allocator);
    Ok(())
}

fn check<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    oracle: &Oracle<A>,
) -> Result<(), Violation> {
    conformance.check(&oracle.allocator).map_err(|flaw| Violation(flaw.to_string()))
}

/// Returns the shortest failing sequence found.
pub(super) fn shorten<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    mut steps: Vec<Step>,
) -> Vec<Step> {
    let mut runs = 0;
    let mut part = steps.len() / 2;
    while part != 0 {
        let mut at = 0;
        let mut shorter = false;
        while at < steps.len() && runs < MAX_RUNS {
            let mut without = steps.clone();
            without.drain(at..(at + part).min(steps.len()));
            runs += 1;
            if run(conformance, &without).is_err() {
                steps = without;
                shorter = true;
            } else {
                at += part;
            }
        }
        if part > 1 || !shorter {
            part /= 2;
        }
    }
    steps
}

/// Runs a sequence, whose `origin` is part of the message if it fails.
///
/// # Panics
///
/// Panics if it fails, with the shortest failing sequence.
pub(super) fn play<A: Allocator, F: Fn() -> A>(
    conformance: &Conformance<A, F>,
    origin: &str,
    steps: &[Step],
) {
    let Err((at, what)) = run(conformance, steps) else { return };
    let shortest = shorten(conformance, steps[..(at + 1).min(steps.len())].to_vec());
    let why = run(conformance, &shortest).err().map_or(what, |(_, what)| what);
    let listed: Vec<String> = shortest.iter().map(|step| format!("    {step:?}")).collect();
    panic!("{origin}: {why}\nafter these {} steps:\n{}", shortest.len(), listed.join("\n"));
}
