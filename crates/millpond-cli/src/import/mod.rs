//! Files of other programs, converted to traces.
//!
//! None of them says everything that a recording does; [`Origin`](millpond_trace::Origin) knows what each lacks, and the
//! trace says where it comes from, so that no report shows a figure that its source does not have.

mod builder;
mod dhat;
mod entry;
mod format;
mod heaptrack;
mod heaptrack_raw;
mod jemalloc;
mod lines;
mod modules;
mod mtrace;

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result, ensure};
use millpond_trace::Summary;

pub(crate) use self::format::Format;
use self::{builder::Builder, lines::Lines};
use crate::output::Output;

/// Converts a file, whose format is detected unless it is given, and writes the trace.
pub(crate) fn import(path: &Path, format: Option<Format>, mut output: Output) -> Result<Summary> {
    let name = path.display();
    ensure!(!path.is_dir(), "{name} is a directory: give a file");
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    let mut lines = Lines::new(BufReader::new(file)).with_context(|| format!("cannot read {name}"))?;
    let found = Format::detect(lines.beginning()?);
    let format = format.or(found).with_context(|| {
        format!("{name} is no file of heaptrack, mtrace, jemalloc or DHAT: name its format with --from")
    })?;
    let mut builder = Builder::new(&mut output);
    let read = match format {
        Format::Heaptrack => heaptrack::read(&mut lines, &mut builder),
        Format::Mtrace => mtrace::read(&mut lines, &mut builder),
        Format::Jemalloc => jemalloc::read(&mut lines, &mut builder),
        Format::Dhat => dhat::read(lines.rest(), &mut builder),
    };
    let at = || match (format, lines.number()) {
        (Format::Dhat, _) | (_, 0) => name.to_string(),
        (_, number) => format!("{name}, line {number}"),
    };
    read.with_context(at)?;
    let summary = builder.finish()?;
    output.finish()?;
    Ok(summary)
}
