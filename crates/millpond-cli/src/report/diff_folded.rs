//! A comparison as folded stacks with two numbers, as `difffolded.pl` writes and `flamegraph.pl` reads them.

use std::fmt::Write as _;

use crate::{compare::Comparison, profile::Usage};

/// Returns a line for each call stack: its functions, the outermost first, and a number before and after. With several runs,
/// the numbers are the means.
pub(crate) fn folded(comparison: &Comparison, measure: impl Fn(&Usage) -> u64) -> String {
    let mut text = String::new();
    for (stack, before, after) in comparison.stacks(measure) {
        // A semicolon separates functions.
        let functions = comparison.tree.functions(stack).rev();
        let names: Vec<_> = functions.map(|function| function.name.replace(';', ":")).collect();
        let line = if names.is_empty() { "(unknown caller)".into() } else { names.join(";") };
        let _ = writeln!(text, "{line} {before} {after}");
    }
    text
}
