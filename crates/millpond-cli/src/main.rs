//! The program `millpond`: records a program's allocations, replays them through pools, and says which would help.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

mod advise;
mod cli;
mod command;
mod findings;
mod record;
mod replay;
mod report;
mod trace;
mod trial;
mod units;

fn main() -> ExitCode {
    if replay::worker::is_wanted() {
        return replay::worker::main();
    }
    match run(cli::Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("millpond: {error:#}");
            ExitCode::from(2)
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
