//! The files that results are kept in: a CSV file for each mix, which says where it was measured.

use std::{fs, io, path::Path, thread};

use crate::report::Case;

/// Writes the results of a mix to `FOLDER/MIX.csv`.
pub fn write(folder: &Path, theme: &str, mix: &str, what: &str, cases: &[Case]) -> io::Result<()> {
    let rows: String = cases.iter().map(|case| case.csv(theme, mix)).collect();
    if rows.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let text = format!("# {mix}: {what}\n# {}\n{}\n{rows}", machine(), Case::COLUMNS);
    fs::write(folder.join(format!("{mix}.csv")), text)
}

/// The compiler and the machine.
fn machine() -> String {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let compiler = env!("COMPILER").split(' ').take(2).collect::<Vec<_>>().join(" ");
    format!("{compiler}, {}, {threads} threads, {}", processor(), std::env::consts::OS)
}

/// The name of the processor, where Linux says it.
fn processor() -> String {
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = known.lines().find(|line| line.starts_with("model name"));
    name.and_then(|line| line.split(": ").nth(1)).unwrap_or(std::env::consts::ARCH).to_owned()
}
