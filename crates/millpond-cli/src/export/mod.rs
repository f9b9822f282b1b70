//! Traces in the formats of other programs.
//!
//! Most formats have one entry for each call stack ([`Recording`], which one pass over the trace computes); the others
//! have one for each event ([`events`]), in a second pass. Neither keeps events in memory. Parquet alone is a folder of files.

mod csv;
mod dhat;
mod events;
mod folded;
mod format;
mod heaptrack;
mod json_lines;
mod massif;
#[cfg(feature = "parquet")]
mod parquet;
mod pprof;
mod protobuf;
mod recording;
mod speedscope;

use std::io::Write;

use anyhow::{Result, bail};
use millpond_trace::Reader;

pub(crate) use self::format::{Format, Measure};
#[cfg(feature = "parquet")]
pub(crate) use self::parquet::export as parquet;
use self::recording::Recording;
use crate::{cli, lacking};

/// Writes a trace to `out` in a format of another program. Returns what stood in the way of more names, in words.
pub(crate) fn export(
    reader: &mut Reader,
    format: Format,
    measure: Measure,
    places: &cli::Places,
    out: &mut dyn Write,
) -> Result<Vec<String>> {
    lacking::require(reader, "this format", format.needs())?;
    if format == Format::Folded {
        lacking::require(reader, "this measure", measure.needs())?;
    }
    let recording = Recording::read(reader, places)?;
    match format {
        Format::Folded => folded::write(reader, &recording, measure, out)?,
        Format::Speedscope => speedscope::write(reader, &recording, out)?,
        Format::Pprof => pprof::write(reader, &recording, out)?,
        Format::Dhat => dhat::write(reader, &recording, out)?,
        Format::Massif => massif::write(reader, &recording, out)?,
        Format::Heaptrack => heaptrack::write(reader, &recording, out)?,
        Format::Csv => csv::stacks(reader, &recording, out)?,
        Format::CsvEvents => csv::events(reader, out)?,
        Format::JsonLines => json_lines::write(reader, &recording, out)?,
        Format::Parquet => bail!("Parquet is a folder of files, not one: name it with -o DIR"),
    }
    Ok(recording.names.notes)
}

/// Says that Parquet was left out when this program was built.
#[cfg(not(feature = "parquet"))]
pub(crate) fn parquet(_: &cli::Export) -> Result<Vec<String>> {
    bail!(
        "Parquet is not built in: run `cargo install --path crates/millpond-cli --features parquet` in the sources of \
         millpond"
    )
}
