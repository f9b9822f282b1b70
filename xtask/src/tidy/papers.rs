//! What accompanies code: module docs and manifests.

use super::tree::{Finding, Tree};

/// Every Rust file starts with `//!`, or with a page that is its documentation.
pub(super) fn module_docs(tree: &Tree<'_>) -> Vec<Finding> {
    let opens = |text: &str| ["//!", "#![doc = include_str!("].iter().any(|start| text.starts_with(start));
    let message = "this file does not start with `//!`: describe it in a sentence";
    tree.files
        .ending(".rs")
        .filter(|(_, text)| !opens(text))
        .map(|(path, _)| Finding::new(path, 1, message))
        .collect()
}

/// Every package of the workspace uses the workspace's lints.
pub(super) fn lints(tree: &Tree<'_>) -> Vec<Finding> {
    let manifests = || tree.files.ending("Cargo.toml");
    let excluded =
        manifests().find(|(path, _)| *path == "Cargo.toml").map_or("", |(_, text)| line(text, "exclude"));
    let in_workspace = |path: &str| {
        let folder = path.split('/').next().unwrap_or_default();
        !excluded.contains(&format!("\"{folder}\""))
    };
    let message = "this package has lints of its own: write `[lints]` and under it `workspace = true`";
    manifests()
        .filter(|(path, text)| in_workspace(path) && text.contains("[package]"))
        .filter(|(_, text)| line(section(text, "[lints]"), "workspace") != "workspace = true")
        .map(|(path, _)| Finding::new(path, 1, message))
        .collect()
}

/// Returns the lines between a heading and the next.
fn section<'a>(manifest: &'a str, heading: &str) -> &'a str {
    let behind = manifest.split_once(&format!("{heading}\n")).map_or("", |(_, behind)| behind);
    behind.split("\n[").next().unwrap_or_default()
}

/// Returns the first line with this start.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn files_without_docs_are_found() {
        let files = [
            ("a.rs", "//! Docs.\n"),
            ("a/b.rs", "#![doc = include_str!(\"B.md\")]"),
            ("b.rs", "#![no_std]\n//! Late."),
            ("c.rs", ""),
            ("d.rs", "// Plain.\n"),
        ];
        let expected = ["b.rs", "c.rs", "d.rs"].map(|path| (path.to_owned(), 1));
        assert_eq!(found(module_docs, &files), expected);
    }

    #[test]
    fn packages_with_their_own_lints_are_found() {
        let files = [
            ("Cargo.toml", "[workspace]\nexclude = [\"benches\"]\n[workspace.lints.rust]\n"),
            ("crates/a/Cargo.toml", "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[package]\nname = \"b\"\n\n[lints.rust]\nmissing_docs = \"allow\"\n"),
            ("crates/c/Cargo.toml", "[package]\nname = \"c\"\n[lints]\n\n[dependencies]\nworkspace = true\n"),
            ("benches/Cargo.toml", "[package]\nname = \"benches\"\n"),
        ];
        let expected = ["crates/b/Cargo.toml", "crates/c/Cargo.toml"].map(|path| (path.to_owned(), 1));
        assert_eq!(found(lints, &files), expected);
    }
}
