//! Every attack of `programs/attacks` in every mode, each in a process of its own, held against `attacks.txt`.
//!
//! A misuse is caught if the program dies or ends without having got what it wanted; a correct program must end well.
//! What is caught in each of several runs when the table is written must be caught each time.
//! `MILLPOND_ATTACKS=write cargo test -p millpond-malloc-preload --test it attacks` writes the table, and that in
//! SECURITY.md.

use std::{
    fmt::Write as _,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::preload::{compile_source, library};

/// The columns of the table: a name, a mode, and whether the program is compiled with `millpond_guard.h`.
const COLUMNS: [(&str, &str, bool); 5] = [
    ("fast", "fast", false),
    ("checked", "checked", false),
    ("light", "light", false),
    ("full", "full", false),
    ("full+header", "full", true),
];
/// Runs of each program when the table is written.
const RUNS: usize = 10;
/// The least that each list must have in the modes for which there is a goal: list, column, programs.
const GOALS: [(char, &str, usize); 5] =
    [('A', "light", 85), ('A', "full", 93), ('A', "full+header", 108), ('B', "full", 55), ('C', "full", 6)];

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/attacks.txt");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../SECURITY.md");
const MARKS: [&str; 2] = ["<!-- attacks on the malloc: begin -->\n", "<!-- attacks on the malloc: end -->\n"];

/// Sources, the list that each belongs to, and the sizes that its programs receive.
const SOURCES: [(char, &str, &[&str]); 5] = [
    ('A', "attacks/a.c", &["8", "4096", "262144"]),
    ('A', "attacks/a.cc", &["0"]),
    ('B', "attacks/b.c", &["0"]),
    ('B', "attacks/b.cc", &["0"]),
    ('C', "attacks/c.c", &["0"]),
];

/// A program with its arguments.
struct Attack {
    list: char,
    name: String,
    size: &'static str,
    correct: bool,
    plain: PathBuf,
    with_header: PathBuf,
}

fn attacks() -> Vec<Attack> {
    let include = concat!("-I", env!("CARGO_MANIFEST_DIR"), "/include");
    let plain = ["-O0", "-fno-builtin", "-w"];
    let mut attacks = Vec::new();
    for (list, source, sizes) in SOURCES {
        let program = compile_source(source, &plain, &[]);
        let header = ["-include", "string.h", "-include", "millpond_guard.h", include];
        let with_header = compile_source(source, &[&plain[..], &header].concat(), &[]);
        let names = Command::new(&program).output().expect("the program").stdout;
        for line in String::from_utf8(names).expect("names").lines() {
            let (name, kind) = line.split_once(' ').expect("a name and a kind");
            attacks.extend(sizes.iter().map(|size| Attack {
                list,
                name: name.to_owned(),
                size,
                correct: kind == "correct",
                plain: program.clone(),
                with_header: with_header.clone(),
            }));
        }
    }
    attacks
}

impl Attack {
    /// Runs the program; returns whether the misuse was caught, or the correct program ended well.
    fn is_caught(&self, mode: &str, with_header: bool) -> bool {
        let program = if with_header { &self.with_header } else { &self.plain };
        let output = Command::new(program)
            .args([&self.name, self.size])
            .env("LD_PRELOAD", library())
            .env("MILLPOND_MALLOC", mode)
            .output()
            .expect("the program");
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        // In the other modes the C library ends some.
        if output.status.signal() == Some(6) && ["light", "full"].contains(&mode) {
            assert!(errors.contains("millpond-malloc: "), "{}: {errors}", self.name);
        }
        !said.contains("NOT_CAUGHT") && (!self.correct || output.status.success())
    }

    /// The first words of the program's line in the table.
    fn key(&self) -> String {
        format!("{} {} {}", self.list, self.name, self.size)
    }
}

/// Runs all attacks, with the number of runs of each; returns the number of runs in which each was caught, by column.
fn run_all(attacks: &[Attack], runs: usize) -> Vec<[usize; COLUMNS.len()]> {
    attacks
        .iter()
        .map(|attack| {
            COLUMNS.map(|(_, mode, header)| (0..runs).filter(|_| attack.is_caught(mode, header)).count())
        })
        .collect()
}

/// Returns the word of the table for a number of caught runs.
fn word(caught: usize) -> &'static str {
    match caught {
        0 => "missed",
        RUNS => "caught",
        _ => "at-times",
    }
}

/// Returns the table as rows of words.
fn rows(table: &str) -> Vec<Vec<&str>> {
    table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect())
        .collect()
}

/// Returns how many programs of a list a column catches, and how many there are.
fn total(rows: &[Vec<&str>], list: &str, column: usize) -> (usize, usize) {
    let of_list = rows.iter().filter(|row| row[0] == list);
    (of_list.clone().filter(|row| row[3 + column] == "caught").count(), of_list.count())
}

/// Writes the tables for SECURITY.md: totals, and by program.
fn page(rows: &[Vec<&str>]) -> String {
    let mut page = String::from("| list |");
    COLUMNS.iter().for_each(|(name, ..)| write!(page, " {name} |").expect("text"));
    page += "\n|---|";
    COLUMNS.iter().for_each(|_| page += "---|");
    for list in ["A", "B", "C"] {
        write!(page, "\n| {list}, {} programs |", total(rows, list, 0).1).expect("text");
        (0..COLUMNS.len())
            .for_each(|column| write!(page, " {} |", total(rows, list, column).0).expect("text"));
    }
    page += "\n\nWhat each mode misses, always or at times (in parentheses), with the sizes for which it does:\n\n";
    for (column, (name, ..)) in COLUMNS.iter().enumerate().skip(2) {
        let mut missed: Vec<(String, String)> = Vec::new();
        for row in rows.iter().filter(|row| row[3 + column] != "caught") {
            let size = if row[3 + column] == "missed" { row[2].to_owned() } else { format!("({})", row[2]) };
            let key = format!("{} `{}`", row[0], row[1]);
            match missed.last_mut() {
                Some((last, sizes)) if *last == key => *sizes = format!("{sizes}, {size}"),
                _ => missed.push((key, size)),
            }
        }
        let items: Vec<String> = missed
            .into_iter()
            .map(|(key, sizes)| if sizes == "0" { key } else { format!("{key} {sizes}") })
            .collect();
        writeln!(page, "* {name}: {}.", if items.is_empty() { "nothing".into() } else { items.join("; ") })
            .expect("text");
    }
    page
}

/// Replaces the tables in SECURITY.md.
fn replaced(document: &str, tables: &str) -> String {
    let (before, rest) = document.split_once(MARKS[0]).expect("the mark where the tables begin");
    let (_, after) = rest.split_once(MARKS[1]).expect("the mark where they end");
    format!("{before}{}{tables}{}{after}", MARKS[0], MARKS[1])
}

fn write_table(attacks: &[Attack]) {
    let mut table = String::from(
        "# list, program, size, and what each mode does: caught, missed, or caught at times\n# ",
    );
    COLUMNS.iter().for_each(|(name, ..)| write!(table, " {name}").expect("text"));
    table += "\n";
    for (attack, caught) in attacks.iter().zip(run_all(attacks, RUNS)) {
        writeln!(table, "{} {}", attack.key(), caught.map(word).join(" ")).expect("text");
    }
    std::fs::write(TABLE, &table).expect("the table");
    let document = std::fs::read_to_string(PAGE).expect("SECURITY.md");
    std::fs::write(PAGE, replaced(&document, &page(&rows(&table)))).expect("SECURITY.md");
}

#[test]
fn no_attack_succeeds_that_failed_before() {
    let attacks = attacks();
    if std::env::var_os("MILLPOND_ATTACKS").is_some_and(|value| value == "write") {
        write_table(&attacks);
    }
    let table = std::fs::read_to_string(TABLE).expect("the table");
    let rows = rows(&table);
    let mut worse = Vec::new();
    for (attack, caught) in attacks.iter().zip(run_all(&attacks, 1)) {
        let row = rows.iter().find(|row| row[..3].join(" ") == attack.key());
        let row = row.unwrap_or_else(|| panic!("{} is not in {TABLE}", attack.key()));
        for (column, caught) in caught.into_iter().enumerate() {
            if row[3 + column] == "caught" && caught == 0 {
                worse.push(format!("{} in {}", attack.key(), COLUMNS[column].0));
            }
        }
    }
    assert!(worse.is_empty(), "these were caught before: {worse:#?}");
}

#[test]
fn the_goals_are_reached_and_the_page_says_what_the_table_says() {
    let table = std::fs::read_to_string(TABLE).expect("the table");
    let rows = rows(&table);
    for (list, name, least) in GOALS {
        let column = COLUMNS.iter().position(|(other, ..)| *other == name).expect("a column");
        let (caught, _) = total(&rows, &list.to_string(), column);
        assert!(caught >= least, "list {list}, {name}: {caught} of at least {least}");
    }
    assert_eq!(["A", "B", "C"].map(|list| total(&rows, list, 0).1), [116, 55, 6]);
    let document = std::fs::read_to_string(Path::new(PAGE)).expect("SECURITY.md");
    assert_eq!(document, replaced(&document, &page(&rows)), "SECURITY.md has another table: write it anew");
}
