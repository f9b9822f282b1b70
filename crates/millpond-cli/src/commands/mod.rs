//! The commands of the program, one module each, whose `run` takes the command's arguments and returns the exit code.

mod advise;
mod anonymize;
mod bench;
mod check;
mod completions;
mod diff;
mod example;
mod export;
mod import;
mod mark;
mod record;
mod recover;
mod replay;
mod report;
mod show;
mod top;
#[cfg(recorder)]
mod r#try;

use std::process::ExitCode;

use anyhow::Result;
use millpond_trace::Reader;

use crate::{
    analysis::{Analysis, Study},
    cli::{Arguments, Command, Settings},
};

/// Runs the command that the arguments name.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode> {
    match arguments.command {
        Some(Command::Record(arguments)) => record::run(arguments),
        Some(Command::Mark(arguments)) => mark::run(arguments),
        Some(Command::Recover(arguments)) => recover::run(arguments),
        Some(Command::Replay(arguments)) => replay::run(arguments),
        Some(Command::Show(arguments)) => show::run(arguments),
        Some(Command::Top(arguments)) => top::run(&arguments),
        Some(Command::Advise(arguments)) => advise::run(arguments),
        Some(Command::Export(arguments)) => export::run(arguments),
        Some(Command::Import(arguments)) => import::run(arguments),
        Some(Command::Report(arguments)) => report::run(arguments),
        Some(Command::Diff(arguments)) => diff::run(arguments),
        Some(Command::Check(arguments)) => check::run(&arguments),
        Some(Command::Anonymize(arguments)) => anonymize::run(arguments),
        #[cfg(recorder)]
        Some(Command::Try(arguments)) => r#try::run(arguments),
        #[cfg(not(recorder))]
        Some(Command::Try(arguments)) => Err(crate::record::refusal(&arguments.command)),
        Some(Command::Bench(arguments)) => bench::run(&arguments),
        Some(Command::Completions(arguments)) => completions::completions(&arguments),
        Some(Command::Man(arguments)) => completions::man(&arguments),
        None => example::run(),
    }
}

/// Analyses and replays a trace.
fn analyze(reader: &mut Reader, settings: Settings) -> Result<Analysis> {
    Study::new(reader, &settings)?.replay(reader, settings)
}
