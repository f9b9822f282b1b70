//! Folded stacks: for each call stack a line with its functions, the outermost first, and a number.

use std::io::Write;

use anyhow::Result;
use millpond_trace::{Reader, analysis::Totals};

use super::{
    Measure,
    recording::{Recording, UNKNOWN},
};

pub(super) fn write(
    reader: &Reader,
    recording: &Recording,
    measure: Measure,
    out: &mut dyn Write,
) -> Result<()> {
    let stacks = &reader.tables().stacks;
    for site in recording.used() {
        let weight = measure.of(&Totals::from(site));
        if weight == 0 {
            continue;
        }
        let functions = recording.functions(stacks, site.stack);
        // A semicolon separates functions.
        let names: Vec<_> = functions.iter().rev().map(|function| function.name.replace(';', ":")).collect();
        let line = if names.is_empty() { UNKNOWN.into() } else { names.join(";") };
        writeln!(out, "{line} {weight}")?;
    }
    Ok(())
}
