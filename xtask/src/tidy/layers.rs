//! The order of the library's layers, and the one module for atomics.

use super::{
    imports::imports,
    paths::{Written, paths},
    tree::{Finding, Tree},
};

/// The folder whose layers are ordered.
pub(super) const LIBRARY: &str = "crates/millpond/src/";

/// Each layer with the layers that it may import. Test code and `lib.rs` may import any layer.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("traits", &["base"]),
    ("sync", &["base", "traits"]),
    ("source", &["base", "traits", "sync"]),
    ("pool", &["base", "traits", "sync"]),
    ("guard", &["base", "traits", "sync", "source", "pool"]),
    ("shell", &["base", "traits", "sync", "source", "pool", "guard"]),
    ("typed", &["base", "traits", "sync", "source", "pool", "guard", "shell"]),
    ("arena", &["base", "traits", "sync", "source", "pool", "guard", "shell", "typed"]),
    ("slots", &["base", "traits", "sync", "source", "pool", "guard", "shell", "typed"]),
    ("interop", &["base", "traits", "sync", "source", "pool", "guard", "shell"]),
    ("observe", &["base", "traits", "sync"]),
    (
        "testing",
        &[
            "base", "traits", "sync", "source", "pool", "guard", "shell", "typed", "arena", "slots",
            "interop", "observe",
        ],
    ),
];

/// The only file of the library that names atomics.
const ATOMICS_FILE: &str = "crates/millpond/src/base/atomic.rs";

/// Every file belongs to a layer, and every import leads to a layer that the table allows.
pub(super) fn order(tree: &Tree<'_>) -> Vec<Finding> {
    let mut findings = unassigned(tree);
    for import in imports(tree, LIBRARY) {
        if let Some((layer, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == import.from)
            && !allowed.contains(&import.to.as_str())
        {
            let to = &import.to;
            let may = if allowed.is_empty() { "no other layer".to_owned() } else { allowed.join(", ") };
            let message = format!(
                "{layer} imports {to}, but may import {may}: move the code to the layer where it belongs"
            );
            findings.push(Finding::new(import.path, import.line, message));
        }
    }
    findings
}

/// Returns the files of the library outside of all layers.
fn unassigned(tree: &Tree<'_>) -> Vec<Finding> {
    let in_a_layer = |path: &str| {
        path.strip_prefix(LIBRARY).is_none_or(|inner| {
            inner == "lib.rs"
                || inner
                    .split_once('/')
                    .is_some_and(|(folder, _)| LAYERS.iter().any(|(layer, _)| *layer == folder))
        })
    };
    let message = "this file lies in no layer: move it into one, or add its folder to the table in xtask/src/tidy/layers.rs";
    tree.sources
        .iter()
        .filter(|source| !in_a_layer(source.path))
        .map(|source| Finding::new(source.path, 1, message))
        .collect()
}

/// Atomics, including those of a model checker, are named only in one file of the library.
pub(super) fn atomics(tree: &Tree<'_>) -> Vec<Finding> {
    let names_them = |written: &&Written<'_>| {
        written.parts[0] == "loom" || written.parts.windows(2).any(|pair| pair == ["sync", "atomic"])
    };
    let mut findings = Vec::new();
    for source in
        tree.sources.iter().filter(|source| source.path.starts_with(LIBRARY) && source.path != ATOMICS_FILE)
    {
        for written in paths(source).iter().filter(names_them) {
            let line = source.code[written.at].line;
            let message = format!(
                "atomics come through crate::base::atomic: import them from there, and let {ATOMICS_FILE} name them"
            );
            findings.push(Finding::new(source.path, line, message));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn lines(rule: fn(&Tree<'_>) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        let layers = LAYERS.iter().map(|(layer, _)| format!("{LIBRARY}{layer}/mod.rs")).collect::<Vec<_>>();
        let mut files: Vec<_> = layers.iter().map(|layer| (layer.as_str(), "")).collect();
        files.push((path, text));
        let files = Files::of(&files);
        rule(&Tree::new(&files)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn imports_against_the_order_are_found() {
        let pool = "crates/millpond/src/pool/blocks/mod.rs";
        assert_eq!(lines(order, pool, "use crate::base::X;\nuse crate::source::Pages;"), [2]);
        assert_eq!(lines(order, pool, "use super::super::shell::Local;"), [1]);
        assert_eq!(lines(order, "crates/millpond/src/base/a.rs", "use crate::{traits::Pool};"), [1]);
        assert_eq!(lines(order, "crates/millpond/src/source/a.rs", "use crate::pool::Linear;"), [1]);
        assert_eq!(lines(order, "crates/millpond/src/shell/a.rs", "use crate::{source::X, pool::Y};"), []);
        assert_eq!(lines(order, "crates/millpond/src/lib.rs", "use crate::shell::X;"), []);
        assert_eq!(lines(order, pool, "#[cfg(test)] mod tests { use crate::shell::Owned; }"), []);
    }

    #[test]
    fn files_outside_of_layers_are_found() {
        assert_eq!(lines(order, "crates/millpond/src/helpers.rs", ""), [1]);
        assert_eq!(lines(order, "crates/millpond/src/attic/mod.rs", ""), [1]);
        assert_eq!(lines(order, "crates/millpond-trace/src/helpers.rs", ""), []);
    }

    #[test]
    fn direct_use_of_atomics_is_found() {
        let shell = "crates/millpond/src/shell/a.rs";
        assert_eq!(
            lines(atomics, shell, "use core::{cell::Cell,\nsync::atomic::{AtomicBool, Ordering}};"),
            [2, 2]
        );
        assert_eq!(lines(atomics, shell, "static X: std::sync::atomic::AtomicU8 = x;"), [1]);
        assert_eq!(lines(atomics, shell, "use std::sync::{self, atomic};"), [1]);
        assert_eq!(lines(atomics, shell, "use loom::thread;"), [1]);
        assert_eq!(lines(atomics, ATOMICS_FILE, "use core::sync::atomic::AtomicBool;"), []);
        assert_eq!(lines(atomics, shell, "use crate::base::atomic::AtomicBool; // core::sync::atomic"), []);
        assert_eq!(lines(atomics, "crates/millpond-record/src/lib.rs", "use std::sync::atomic::X;"), []);
    }
}
