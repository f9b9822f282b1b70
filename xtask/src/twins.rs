//! `cargo xtask twins`: compiles each documentation example that must not compile, with its one wrong line replaced.
//!
//! A `compile_fail` example also fails if a name in it is outdated. Its twin shows that only the marked line is wrong:
//! that line ends in `// error`, optionally with a reason, and the hidden line after it is `# // instead: CODE`. The
//! twins of all examples are functions of one crate, which is checked once.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::tidy::tree::Files;

/// Checks all twins; returns whether they compile.
pub(crate) fn run(root: &Path) -> Result<bool, String> {
    let mut twins = String::from("#![allow(warnings)]\n");
    let mut count = 0;
    let files = Files::read(root).map_err(|error| format!("cannot read {}: {error}", root.display()))?;
    for (file, text) in files.ending(".rs") {
        for (line, program) in programs(text) {
            let body = twin(&program).map_err(|reason| format!("{file}:{line}: {reason}"))?;
            let _ = writeln!(twins, "\n// {file}:{line}\nfn twin_{count}() {{\n{body}}}");
            count += 1;
        }
    }
    if count == 0 {
        return Err("found no program that must not compile".into());
    }
    let folder = root.join("target/twins");
    write(&folder, &manifest(root), &twins)
        .map_err(|error| format!("cannot write {}: {error}", folder.display()))?;
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))
        .map_err(|error| format!("cannot copy Cargo.lock: {error}"))?;
    let status = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(root.join("target"))
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if status.success() {
        println!("{count} programs compile with the line that is marked as wrong replaced");
    }
    Ok(status.success())
}

fn manifest(root: &Path) -> String {
    let library = root.join("crates/millpond");
    format!(
        "[package]\nname = \"twins\"\nedition = \"2024\"\n\n[dependencies]\n\
         millpond = {{ path = {library:?}, features = [\"testing\"] }}\n\n[workspace]\n"
    )
}

fn write(folder: &Path, manifest: &str, twins: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("Cargo.toml"), manifest)?;
    fs::write(folder.join("src/lib.rs"), twins)
}

/// Returns the `compile_fail` examples of a file, each with the number of its first line. Hidden lines lose their mark.
fn programs(text: &str) -> Vec<(usize, Vec<&str>)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_start();
        let Some(doc) = line.strip_prefix("///").or(line.strip_prefix("//!")) else { continue };
        let doc = doc.strip_prefix(' ').unwrap_or(doc);
        match &mut open {
            Some(_) if doc.starts_with("```") => found.extend(open.take()),
            Some((_, program)) => program.push(doc.strip_prefix("# ").unwrap_or(doc)),
            None if doc.starts_with("```compile_fail") => open = Some((number, Vec::new())),
            None => {}
        }
    }
    found
}

/// Returns an example with the line after the one marked `// error` in place of the marked line.
fn twin(program: &[&str]) -> Result<String, &'static str> {
    let mut body = String::new();
    let mut lines = program.iter();
    let mut marked = 0;
    while let Some(line) = lines.next() {
        if line.contains("// error") {
            marked += 1;
            let next = lines.next().and_then(|next| next.trim_start().strip_prefix("// instead: "));
            let instead =
                next.ok_or("after the line marked `// error`, a hidden `# // instead: CODE` is missing")?;
            let _ = writeln!(body, "{instead}");
        } else {
            let _ = writeln!(body, "{line}");
        }
    }
    if marked == 1 { Ok(body) } else { Err("exactly one line must be marked `// error`") }
}
