//! What is around the code: module docs, manifests, links between pages.

use super::tree::{Finding, Tree};

/// Every Rust file opens with `//!`, or with a page that is its documentation.
pub(super) fn module_docs(tree: &Tree<'_>) -> Vec<Finding> {
    let opens = |text: &str| ["//!", "#![doc = include_str!("].iter().any(|start| text.starts_with(start));
    let message = "this file does not open with `//!`: say in a sentence what it is";
    tree.files
        .ending(".rs")
        .filter(|(_, text)| !opens(text))
        .map(|(path, _)| Finding::new(path, 1, message))
        .collect()
}

/// Every package of the workspace takes the workspace's lints.
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

/// The lines between a heading and the next.
fn section<'a>(manifest: &'a str, heading: &str) -> &'a str {
    let behind = manifest.split_once(&format!("{heading}\n")).map_or("", |(_, behind)| behind);
    behind.split("\n[").next().unwrap_or_default()
}

/// The first line that starts so.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default()
}

/// Every relative link of a page leads to a file or folder that is there.
pub(super) fn links(tree: &Tree<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files.ending(".md") {
        for (line, target) in targets(text) {
            let file = target.split('#').next().unwrap_or_default();
            if is_relative(target) && !resolve(path, file).is_some_and(|file| tree.files.has(&file)) {
                let message = format!("the link to {target} leads nowhere: correct it, or add the file");
                findings.push(Finding::new(path, line, message));
            }
        }
    }
    findings
}

/// The targets of the links outside of code, each with its line.
fn targets(page: &str) -> Vec<(usize, &str)> {
    let mut in_code = false;
    let mut found = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        in_code ^= line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        // Every second piece between backquotes is code.
        let prose = line.split('`').step_by(2);
        for piece in prose.flat_map(|text| text.split("](").skip(1)) {
            found.extend(piece.split([')', ' ']).next().map(|target| (number, target)));
        }
        if let Some((_, target)) = line.split_once("]: ").filter(|_| line.starts_with('[')) {
            found.push((number, target.trim()));
        }
    }
    found
}

/// Whether a link leads to a file. Those to an item of Rust, on pages that become documentation, are rustdoc's to check.
fn is_relative(target: &str) -> bool {
    let is_item = target.contains("::") || target.starts_with("crate#");
    !is_item && !target.starts_with('#') && !target.contains("://") && !target.starts_with("mailto:")
}

/// The path from the root that a link means on a page; none if it leads out of the repository.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn found(rule: fn(&Tree<'_>) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<(String, usize)> {
        let files = Files::of(files);
        rule(&Tree::new(&files)).into_iter().map(|finding| (finding.path, finding.line)).collect()
    }

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
    fn packages_with_lints_of_their_own_are_found() {
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

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page = "[here](b.md) and [there](../c/d.md#part \"title\"), [folder](../c/), [up](../../x)\n\
                    [web](https://example.org) [part](#part) `[code](no.md)`\n\
                    ```text\n[code](no.md)\n```\n\
                    [item](Pool::alloc) [item](crate#part)\n\
                    ![picture](no.png) and `code` [gone](./gone.md#part)\n\
                    [`code`](gone.md) [`code`](b.md)\n\
                    [name]: gone.md\n[name]: b.md\n";
        let files = [("docs/a.md", page), ("docs/b.md", ""), ("c/d.md", "")];
        let lines: Vec<_> = found(links, &files).into_iter().map(|(_, line)| line).collect();
        assert_eq!(lines, [1, 7, 7, 8, 9]);
    }
}
