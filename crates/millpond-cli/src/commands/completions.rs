//! `millpond completions` and `millpond man`: what shells and `man` read about the commands.

use std::{fs, io::Write, path::Path, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;

use crate::{cli, output::Output, terminal};

/// Prints the completions for a shell.
pub(crate) fn completions(arguments: &cli::Completions) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut cli::Arguments::command(), "millpond", &mut script);
    terminal::print(&String::from_utf8(script).context("a name of an option is not UTF-8")?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a page for the program, and one for each command.
pub(crate) fn man(arguments: &cli::ManPages) -> Result<ExitCode> {
    let folder = &arguments.directory;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut program = cli::Arguments::command();
    // Names of commands get that of the program before them.
    program.build();
    let commands: Vec<Command> =
        program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    for command in [program].into_iter().chain(commands) {
        if command.get_name() != "help" {
            page(command, folder, arguments.force)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn page(command: Command, folder: &Path, force: bool) -> Result<()> {
    let page = Man::new(command);
    let mut file = Output::text(&folder.join(page.get_filename()), force)?;
    page.render(&mut file)?;
    file.flush()?;
    file.finish()?;
    Ok(())
}
