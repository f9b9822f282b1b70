//! Recording on Linux, in the order of the steps:
//!
//! * `program`, `inspect` – find the program that will run, and obstacles to recording it;
//! * `scratch`, `library` – the directory that the recorder writes to, and the recorder itself, written to a file where
//!   the dynamic linker finds it;
//! * `launch` – runs the program, its input and output untouched; `keeper`, `sampler` – what processes need
//!   from outside meanwhile, and what is seen of them there;
//! * `mark` – adds marks to a recording that is in progress; `follow` – reads one;
//! * `escapes`, `stopped` – what is missing, and why;
//! * `image`, `merge` – read what each process left (units are decoded in `millpond_trace::raw`), and merge the events
//!   of its threads by time;
//! * `select`, `collect`, `convert`, `stacks`, `clock`, `about` – addresses become slots, ticks become nanoseconds, and a trace
//!   is written for each process, all to one file.

use std::{ffi::OsString, io, os::fd::AsFd, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Error, Result, bail};
use millpond_trace::raw;

pub(crate) use self::follow::Follower;
pub(super) use self::mark::mark;
pub(crate) use self::program::Program;
use self::{
    collect::Collection,
    launch::{Moment, Signals, launch},
    scratch::Scratch,
};
use super::recording::{Options, Recording};
use crate::output::{self, Output};

mod about;
mod clock;
mod collect;
mod convert;
mod escapes;
mod follow;
mod image;
mod inspect;
mod keeper;
mod launch;
mod library;
mod mark;
mod merge;
mod program;
mod sampler;
mod scratch;
mod select;
mod stacks;
mod stopped;

/// Finds a program into which any library can be preloaded: one for glibc. Returns it with its arguments.
pub(crate) fn preloadable(command: &[OsString]) -> Result<(Program, Vec<OsString>)> {
    let [name, arguments @ ..] = command else { bail!("no program was named") };
    let program = Program::find(name)?;
    let file = program.binary.display();
    match inspect::linker(&program.binary) {
        Err(error) => bail!("{file} {error}"),
        Ok(Some(linker)) if linker.to_string_lossy().contains("ld-musl") => bail!(
            "{file} is made for musl, and the allocators of this system are for glibc: --live needs a program for glibc"
        ),
        Ok(None) => {
            bail!("{file} cannot be read, so it cannot be known whether a library can be preloaded into it")
        }
        Ok(Some(_)) => Ok((program, arguments.to_vec())),
    }
}

/// See [`super::run`].
pub(super) fn run(options: &Options) -> Result<Recording> {
    let [name, arguments @ ..] = &options.command[..] else { bail!("no program was named") };
    let program = Program::find(name)?;
    if let Some(error) = inspect::before(&program.binary) {
        bail!("{} {error}", program.binary.display());
    }
    let output = Output::create(&options.output, options.force)?;
    // From here on, a signal leaves no files behind. Not earlier: opening a pipe may wait until a signal ends that.
    let _signals = Signals::pass_on();
    let scratch = Scratch::new(options.max_size, options.stacks, options.addresses)?;
    let library = library::place(scratch.path())?;
    let variables = [
        (raw::DIRECTORY, scratch.path().as_os_str().as_encoded_bytes().to_vec()),
        ("LD_PRELOAD", library::preload(&library, options.stacks.check_every > 0)),
    ];
    let standard_output = if options.aside || output::is_standard_output(&options.output) {
        let standard_error = io::stderr().as_fd().try_clone_to_owned();
        Stdio::from(standard_error.context("cannot use standard error")?)
    } else {
        Stdio::inherit()
    };
    let keeper = scratch.keep(Moment::now())?;
    // Without the number, `recover` would have to guess which process to choose.
    let started = |process| drop(scratch.set_first(process));
    let run = launch(&program, arguments, &variables, standard_output, started)
        .map_err(|error| program::cannot_run(&program.path, &error))?;
    drop(keeper);
    match Collection::new(&scratch, &run)?.recording(output, &program, options) {
        Err(error) if is_about_a_file(&error) => {
            let directory = scratch.leave();
            let directory = directory.display();
            bail!(
                "{error:#}; the recording is kept in {directory}: `millpond recover {directory} -o FILE` writes its trace"
            )
        }
        result => result,
    }
}

/// Returns whether a file could not be written or read, except a pipe whose reader has ended.
fn is_about_a_file(error: &Error) -> bool {
    let mut errors = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    errors.any(|error| error.kind() != io::ErrorKind::BrokenPipe)
}

/// See [`super::recover`].
pub(super) fn recover(directory: &Path, options: &Options) -> Result<Recording> {
    let scratch = Scratch::open(directory)?;
    let clock = || scratch.control_page().map(|control| control.clock.into_inner());
    let before = clock()?;
    std::thread::sleep(Duration::from_millis(100));
    if clock()? != before {
        bail!("{} is being recorded: its trace is written when the program has ended", directory.display());
    }
    let output = Output::create(&options.output, options.force)?;
    let _signals = Signals::pass_on();
    let collection = Collection::recover(&scratch)?;
    let program = collection.program();
    let program = program.with_context(|| format!("nothing was recorded in {}", directory.display()))?;
    let recording = collection.recording(output, &program, options)?;
    if recording.interrupted.is_none() {
        scratch.delete()?;
    }
    Ok(recording)
}
