//! The metadata that a crate needs to be published.

use super::tree::{Finding, Tree};

/// The placeholder for the repository's address.
const PLACEHOLDER: &str = "https://repository.invalid/millpond";

/// The entries in the manifest of each published crate: its own, or those of the workspace.
const FIELDS: &[&str] = &[
    "description = ",
    "version.workspace = true",
    "license.workspace = true",
    "repository.workspace = true",
    "readme = \"README.md\"",
    "categories = [",
    "keywords = [",
    "rust-version",
];

/// The files beside the manifest.
const FILES: &[&str] = &["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Every crate in `crates/` that is published has what a registry requires, and the repository's address is written in
/// one place, so that only one line changes when the placeholder is replaced.
pub(super) fn can_be_published(tree: &Tree<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let crates = tree.files.ending("Cargo.toml").filter(|(path, _)| path.starts_with("crates/"));
    for (path, text) in crates.filter(|(_, text)| !text.contains("\npublish = false\n")) {
        let lacks = |what: &str| Finding::new(path, 1, format!("a crate is published with {what}: add it"));
        let fields = FIELDS.iter().filter(|field| !text.lines().any(|line| line.starts_with(**field)));
        findings.extend(fields.map(|field| lacks(&format!("`{}`", field.trim_end_matches([' ', '=', '['])))));
        let folder = path.trim_end_matches("Cargo.toml");
        let files = FILES.iter().filter(|file| !tree.files.has(&format!("{folder}{file}")));
        findings.extend(files.map(|file| lacks(&format!("the file {file}"))));
    }
    for (path, text) in tree.files.ending("Cargo.toml").filter(|(path, _)| *path != "Cargo.toml") {
        if text.contains(PLACEHOLDER) {
            let message = "the repository's address stands in the root's Cargo.toml alone: inherit it";
            findings.push(Finding::new(path, 1, message));
        }
    }
    if !tree
        .files
        .ending("Cargo.toml")
        .any(|(path, text)| path == "Cargo.toml" && text.contains("\nrepository = \""))
    {
        findings.push(Finding::new("Cargo.toml", 1, "the workspace names no repository: add one"));
    }
    findings
}

/// The Rust code in the repository's README, which is not compiled, is that of the library's README.
pub(super) fn readmes_agree(tree: &Tree<'_>) -> Vec<Finding> {
    let code = |wanted: &str| {
        let text =
            tree.files.ending("README.md").find(|(path, _)| *path == wanted).map_or("", |(_, text)| text);
        let blocks = text.split("```rust\n").skip(1).filter_map(|block| block.split("```").next());
        // Comments may differ.
        let lines =
            blocks.flat_map(str::lines).map(|line| line.split("//").next().unwrap_or(line).trim_end());
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    if code("README.md") == code("crates/millpond/README.md") {
        Vec::new()
    } else {
        let message = "its Rust is not that of crates/millpond/README.md, which is compiled: make them agree";
        vec![Finding::new("README.md", 1, message)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn messages(rule: fn(&Tree<'_>) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
        let files = Files::of(files);
        rule(&Tree::new(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn incomplete_manifests_are_found() {
        let whole = "[package]\ndescription = \"\"\nversion.workspace = true\nlicense.workspace = true\n\
                     repository.workspace = true\nreadme = \"README.md\"\ncategories = []\nkeywords = []\n\
                     rust-version = \"1.88\"\n";
        let gaps = whole.replace("keywords = []\n", "repository = \"https://repository.invalid/millpond\"\n");
        let root = "[workspace.package]\nrepository = \"https://repository.invalid/millpond\"\n";
        let files = [
            ("Cargo.toml", root),
            ("crates/a/Cargo.toml", whole),
            ("crates/a/README.md", ""),
            ("crates/a/LICENSE-MIT", ""),
            ("crates/a/LICENSE-APACHE", ""),
            ("crates/b/Cargo.toml", &gaps),
            ("crates/b/README.md", ""),
            ("crates/b/LICENSE-MIT", ""),
        ];
        assert_eq!(
            messages(can_be_published, &files),
            [
                "crates/b/Cargo.toml:1: a crate is published with `keywords`: add it",
                "crates/b/Cargo.toml:1: a crate is published with the file LICENSE-APACHE: add it",
                "crates/b/Cargo.toml:1: the repository's address stands in the root's Cargo.toml alone: inherit it",
            ]
        );
        assert_eq!(messages(can_be_published, &files[1..5]).len(), 1, "there is no repository");
    }

    #[test]
    fn different_readmes_are_found() {
        let page = "Words.\n```rust\nlet a = 1; // one\n```\n```sh\nls\n```\n";
        let same = page.replace("Words", "Others").replace("// one", " // 1");
        assert!(
            messages(readmes_agree, &[("README.md", page), ("crates/millpond/README.md", &same)]).is_empty()
        );
        let other = page.replace("= 1", "= 2");
        assert_eq!(
            messages(readmes_agree, &[("README.md", page), ("crates/millpond/README.md", &other)]).len(),
            1
        );
    }
}
