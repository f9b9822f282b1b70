//! The program `millpond`: records a program's allocations, replays them through pools, and says which would help.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

mod advise;
mod analysis;
mod cli;
mod command;
mod errors;
mod estimate;
mod record;
mod replay;
mod report;
mod terminal;
mod trace;
mod trial;
mod units;

fn main() -> ExitCode {
    if replay::worker::is_wanted() {
        return replay::worker::main();
    }
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return errors::usage(&error),
    };
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            terminal::eprint(&format!("{error:#}"));
            errors::exit_code(&error)
        }
    }
}

fn run(arguments: cli::Arguments) -> Result<ExitCode> {
    match arguments.command {
        Some(cli::Command::Record(options)) => record::main(options),
        Some(cli::Command::Replay(options)) => command::replay(options),
        Some(cli::Command::Try(options)) => trial::main(options),
        None => command::bundled(),
    }
}
