//! The program `millpond`: records the allocations of a program, replays them through pools, and reports which would
//! help.

use std::process::ExitCode;

use clap::Parser;

mod advise;
mod analysis;
mod anonymize;
mod budget;
mod cli;
mod commands;
mod compare;
mod compressed;
mod errors;
mod estimate;
mod export;
mod fragmentation;
mod import;
mod lacking;
#[cfg(recorder)]
mod live;
mod output;
mod profile;
mod query;
mod record;
mod replay;
mod report;
mod screen;
mod size;
mod symbols;
mod terminal;
mod top;
mod trace;
mod units;

fn main() -> ExitCode {
    if replay::worker::is_wanted() {
        return replay::worker::main();
    }
    #[cfg(recorder)]
    if live::runner::is_wanted() {
        return live::runner::main();
    }
    let arguments = match cli::Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return errors::usage(&error),
    };
    match commands::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            terminal::eprint(&format!("{error:#}"));
            errors::exit_code(&error)
        }
    }
}
