//! `millpond export`: a trace in the format of another program.

use std::{
    io::{self, BufWriter},
    process::ExitCode,
};

use anyhow::{Context, Error, Result, ensure};

use crate::{
    cli,
    compressed::{Compressed, Compression},
    export::{Format, export, parquet},
    output::{Output, is_standard_output},
    query, terminal, trace,
};

/// Runs the command.
pub(crate) fn run(arguments: cli::Export) -> Result<ExitCode> {
    arguments.places.check()?;
    ensure!(
        arguments.to == Format::Parquet || arguments.labels == cli::Labels::default(),
        "--host, --service, --service-version and --run are for --to parquet"
    );
    if arguments.to == Format::Parquet && !is_standard_output(&arguments.output) {
        say(&parquet(&arguments)?);
        return Ok(ExitCode::SUCCESS);
    }
    let cli::Export { trace: path, selected, to, output: name, force, measure, places, filter, .. } =
        arguments;
    let mut reader = trace::open(&path, selected.process.as_deref())?;
    query::narrow_to_some(&mut reader, &filter, &places).with_context(|| path.display().to_string())?;
    let compression = Compression::of(&name, to.is_compressed());
    let is_text = compression == Compression::None;
    let output = if is_text { Output::text(&name, force) } else { Output::create(&name, force) }?;
    let mut compressed = Compressed::new(output, compression).with_context(|| what(&name))?;
    let mut buffered = BufWriter::with_capacity(1 << 16, &mut compressed);
    let written = export(&mut reader, to, measure, &places, &mut buffered);
    let written = written.and_then(|notes| {
        io::Write::flush(&mut buffered)?;
        Ok(notes)
    });
    drop(buffered);
    let finished = written.and_then(|notes| {
        compressed.finish()?.finish()?;
        Ok(notes)
    });
    match finished {
        Ok(notes) => say(&notes),
        // The reader of a pipe wants no more.
        Err(error) if is_standard_output(&name) && is_broken_pipe(&error) => {}
        Err(error) => return Err(error.context(path.display().to_string())),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says why names are missing.
fn say(notes: &[String]) {
    notes.iter().for_each(|note| terminal::eprint(&format!("some names are missing: {note}")));
}

fn what(name: &std::path::Path) -> String {
    format!("cannot write {}", name.display())
}

fn is_broken_pipe(error: &Error) -> bool {
    let kind = |cause: &(dyn std::error::Error + 'static)| {
        let of_json = || cause.downcast_ref::<serde_json::Error>()?.io_error_kind();
        let of_csv = || match cause.downcast_ref::<csv::Error>()?.kind() {
            csv::ErrorKind::Io(error) => Some(error.kind()),
            _ => None,
        };
        cause.downcast_ref::<io::Error>().map(io::Error::kind).or_else(of_json).or_else(of_csv)
    };
    error.chain().any(|cause| kind(cause) == Some(io::ErrorKind::BrokenPipe))
}
