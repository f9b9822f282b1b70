//! `cargo xtask plots`: draws `docs/bench/*.svg` from the results that the benchmarks have left in `benches/results`.

mod draw;
mod results;
mod scale;
mod themes;

use std::{collections::BTreeMap, fs, path::Path, process::Command};

pub(crate) use self::results::Results;

/// The folder of the results, and that of the plots.
pub(crate) const RESULTS: &str = "benches/results";
pub(crate) const PLOTS: &str = "docs/bench";

/// Every plot by its path, drawn from the results; or why it cannot be drawn.
pub(crate) fn drawn(results: &Results) -> BTreeMap<String, Result<String, String>> {
    themes::PLOTS
        .iter()
        .map(|plot| (format!("{PLOTS}/{}.svg", plot.name), draw::draw(plot, results)))
        .collect()
}

/// Draws all plots. With `check`, compares them with the files instead of writing them; whether they agree.
pub(crate) fn run(root: &Path, check: bool) -> Result<bool, String> {
    let results = read(&root.join(RESULTS))?;
    let mut differing = 0;
    fs::create_dir_all(root.join(PLOTS)).map_err(|error| format!("cannot create {PLOTS}: {error}"))?;
    for (path, plot) in drawn(&results) {
        let plot = match plot {
            Ok(plot) => plot,
            Err(why) => {
                differing += 1;
                println!("cannot draw {path}: {why}");
                continue;
            }
        };
        let file = root.join(&path);
        // A file that is not there differs.
        if fs::read_to_string(&file).is_ok_and(|text| text == plot) {
            continue;
        }
        differing += 1;
        if check {
            println!("{path} is not what `cargo xtask plots` draws");
        } else {
            fs::write(&file, plot).map_err(|error| format!("cannot write {path}: {error}"))?;
            println!("{path}");
        }
    }
    Ok(!check || differing == 0)
}

/// Runs benchmarks, keeps their results, and draws the plots.
pub(crate) fn bench(root: &Path, names: &[&str]) -> Result<bool, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--release", "--manifest-path", "benches/Cargo.toml", "--", "--csv", RESULTS]);
    let status = cargo.args(names).current_dir(root).status();
    let status = status.map_err(|error| format!("cannot run cargo: {error}"))?;
    Ok(status.success() && run(root, false)?)
}

fn read(folder: &Path) -> Result<Results, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            let text = fs::read_to_string(&path).map_err(failed)?;
            files.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), text));
        }
    }
    files.sort();
    Results::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
}
