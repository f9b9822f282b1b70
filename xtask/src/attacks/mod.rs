//! `cargo xtask attacks`: commits every misuse of every pool, each in a process of its own, and compares what comes of
//! it with the tables in SECURITY.md.
//!
//! An attack is a program that prints one word and ends, or is ended: see [`run`](outcome::run). A *suite* is what makes
//! one or several tables of them: programs, and the columns in which each is run.

mod outcome;
mod suite;
mod table;

use std::{fs, path::Path};

use self::{
    suite::Suite,
    table::{Cell, Table},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Compare,
    Bless,
}

const PAGE: &str = "SECURITY.md";

/// Runs all attacks; returns whether no outcome is worse than the page says. With [`Mode::Bless`] the page is written.
pub(crate) fn run(root: &Path, mode: Mode) -> Result<bool, String> {
    let path = root.join(PAGE);
    let mut page = fs::read_to_string(&path).map_err(|error| format!("cannot read {PAGE}: {error}"))?;
    let mut findings = Vec::new();
    for suite in suite::all(root)? {
        let tables = attack(&suite)?;
        let written = table::section(&page, suite.name)?;
        findings.extend(tables.iter().flat_map(|table| table.compare(written)));
        if mode == Mode::Bless {
            page = table::replace(&page, suite.name, &tables)?;
        }
    }
    if mode == Mode::Bless {
        fs::write(&path, page).map_err(|error| format!("cannot write {PAGE}: {error}"))?;
        println!("{PAGE}: the tables are written");
        return Ok(true);
    }
    findings.iter().for_each(|finding| println!("{finding}"));
    let worse = findings.iter().filter(|finding| finding.is_worse).count();
    println!("\nattacks: {worse} outcomes are worse than in {PAGE}");
    if findings.len() > worse {
        println!("`cargo xtask attacks --bless` stores those that are better");
    }
    Ok(worse == 0)
}

/// Runs the attacks of a suite.
fn attack(suite: &Suite) -> Result<Vec<Table>, String> {
    let total = suite.columns.len() * suite.attacks.len();
    println!("{}: {total} attacks", suite.name);
    let mut tables: Vec<Table> = Vec::new();
    for column in &suite.columns {
        let mut cells = Vec::new();
        for attack in &suite.attacks {
            let outcome = outcome::run(column, attack)
                .map_err(|message| format!("{} {}: {attack}: {message}", column.table, column.title))?;
            cells.push(Cell { attack: attack.clone(), outcome });
        }
        if tables.last().is_none_or(|table| table.title != column.table) {
            tables.push(Table::new(&column.table));
        }
        if let Some(table) = tables.last_mut() {
            table.add(column, cells);
        }
    }
    Ok(tables)
}
