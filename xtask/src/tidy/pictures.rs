//! Plots and the page that shows them: the plots are drawn from the stored results, and the commands on the page can be
//! run.

use super::tree::{Finding, Tree};
use crate::plots::{self, PLOTS, RESULTS, Results};

/// The page with the plots and a command for each.
const PAGE: &str = "BENCHMARKS.md";
const COMMAND: &str = "cargo xtask bench ";
/// Results written by the scripts in `crates/millpond-c/benches`.
const OF_SCRIPTS: [&str; 2] = ["c", "cpp"];

/// Every plot is what `cargo xtask plots` draws, and there are no other plots.
pub(super) fn are_drawn(tree: &Tree<'_>) -> Vec<Finding> {
    let results = match results(tree) {
        Ok(results) => results,
        Err(why) => return vec![Finding::new(RESULTS, 1, why)],
    };
    let mut plots = plots::drawn(&results);
    let mut findings = Vec::new();
    for (path, text) in tree.files.ending(".svg").filter(|(path, _)| path.starts_with(PLOTS)) {
        let why = match plots.remove(path) {
            Some(Ok(plot)) if plot == text => continue,
            Some(Ok(_)) => "this plot is out of date: run `cargo xtask plots`".to_owned(),
            Some(Err(why)) => why,
            None => "no plot has this name: delete the file, or add the plot to xtask/src/plots/themes.rs"
                .to_owned(),
        };
        findings.push(Finding::new(path, 1, why));
    }
    // A tree without results has nothing to draw from.
    let missing = plots.keys().filter(|_| results.mixes().next().is_some());
    findings
        .extend(missing.map(|path| Finding::new(path, 1, "this plot is missing: run `cargo xtask plots`")));
    findings
}

/// Every mix and theme in the page's commands belongs to a benchmark, and so does every mix with results.
pub(super) fn mixes_exist(tree: &Tree<'_>) -> Vec<Finding> {
    let sources = || tree.files.ending(".rs").filter(|(path, _)| path.starts_with("benches/src/"));
    let is_known = |name: &str| sources().any(|(_, text)| text.contains(&format!("name: \"{name}\"")));
    let mut findings = Vec::new();
    let page = tree.files.ending(".md").find(|(path, _)| *path == PAGE).map_or("", |(_, text)| text);
    for (number, line) in (1..).zip(page.lines()) {
        let names = line.split_once(COMMAND).map_or("", |(_, names)| names);
        let names = names.split(['`', '#']).next().unwrap_or_default().split_whitespace();
        for name in names.filter(|name| !is_known(name) && !name.ends_with(".mpt")) {
            findings.push(Finding::new(PAGE, number, format!("no theme and no mix is called {name}")));
        }
    }
    for (path, _) in tree.files.ending(".csv").filter(|(path, _)| path.starts_with(RESULTS)) {
        let mix = path.trim_start_matches(RESULTS).trim_matches('/').trim_end_matches(".csv");
        if !mix.starts_with("trace-") && !OF_SCRIPTS.contains(&mix) && !is_known(mix) {
            findings.push(Finding::new(path, 1, "no mix has this name: delete the file"));
        }
    }
    findings
}

fn results(tree: &Tree<'_>) -> Result<Results, String> {
    Results::parse(
        tree.files
            .ending(".csv")
            .filter_map(|(path, text)| Some((path.strip_prefix(RESULTS)?.trim_start_matches('/'), text))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn unknown_mixes_are_found() {
        let files = [
            ("BENCHMARKS.md", "text\n`cargo xtask bench pair lifo`\ncargo xtask bench pair jq.mpt # gone\n"),
            ("benches/results/gone.csv", ""),
            ("benches/results/pair.csv", ""),
            ("benches/results/trace-jq.csv", ""),
            ("benches/src/mixes.rs", "Mix { name: \"pair\", what: \"…\" }"),
        ];
        let expected = [("BENCHMARKS.md", 2), ("benches/results/gone.csv", 1)];
        assert_eq!(found(mixes_exist, &files), expected.map(|(path, line)| (path.to_owned(), line)));
    }

    #[test]
    fn undrawn_plots_are_found() {
        let files = [("docs/bench/stray.svg", "<svg/>"), ("docs/other.svg", "<svg/>")];
        assert_eq!(found(are_drawn, &files), [("docs/bench/stray.svg".to_owned(), 1)]);
    }
}
