//! Recording on Linux, in the order of the steps:
//!
//! * `program`, `inspect` – find the program that will run, and obstacles to recording it;
//! * `scratch`, `library` – the directory that the recorder writes to, and the recorder itself, written to a file where
//!   the dynamic linker finds it;
//! * `launch` – runs the program, its input and output untouched; `keeper` – what processes need from outside meanwhile;
//! * `escapes`, `stopped` – what is missing, and why;
//! * `image`, `merge` – read what each process left (units are decoded in `millpond_trace::raw`), and merge the events
//!   of its threads by time;
//! * `collect`, `convert`, `output` – addresses become slots, ticks become nanoseconds, and a trace is written for each
//!   process.

use std::{io, os::fd::AsFd, process::Stdio};

use anyhow::{Context, Result, bail};
use millpond_trace::raw;

use self::{
    collect::Collection,
    launch::{Moment, Signals, launch},
    output::Output,
    program::Program,
    scratch::Scratch,
};
use super::recording::{Options, Recording};

mod collect;
mod convert;
mod escapes;
mod image;
mod inspect;
mod keeper;
mod launch;
mod library;
mod merge;
mod output;
mod program;
mod scratch;
mod stopped;

/// See [`super::run`].
pub(super) fn run(options: &Options) -> Result<Recording> {
    let [name, arguments @ ..] = &options.command[..] else { bail!("no program was named") };
    let program = Program::find(name)?;
    if let Some(error) = inspect::before(&program.binary) {
        bail!("{} {error}", program.binary.display());
    }
    if options.all && output::is_standard_output(&options.output) {
        bail!("the traces of all processes cannot go to standard output: use -o FILE with --all");
    }
    let output = Output::create(&options.output, options.force)?;
    let scratch = Scratch::new(options.max_size)?;
    let library = library::place(scratch.path())?;
    let variables = [
        (raw::DIRECTORY, scratch.path().as_os_str().as_encoded_bytes().to_vec()),
        ("LD_PRELOAD", library::preload(&library)),
    ];
    let _signals = Signals::pass_on();
    let standard_output = if output::is_standard_output(&options.output) {
        let standard_error = io::stderr().as_fd().try_clone_to_owned();
        Stdio::from(standard_error.context("cannot use standard error")?)
    } else {
        Stdio::inherit()
    };
    let keeper = scratch.keep(Moment::now())?;
    let run = launch(&program, arguments, &variables, standard_output)
        .map_err(|error| program::cannot_run(&program.path, &error))?;
    drop(keeper);
    Collection::new(&scratch, &run)?.recording(output, &program, options)
}
