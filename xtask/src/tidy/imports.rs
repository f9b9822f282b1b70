//! The imports within a crate: every path that starts with `crate`, `self` or `super`, made absolute.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    paths::{Written, paths},
    source::Source,
    tree::Tree,
};

/// An import: one module of a crate names an item of another; both are modules directly below the crate's root.
#[derive(Debug)]
pub(super) struct Import<'a> {
    pub(super) path: &'a str,
    pub(super) line: usize,
    pub(super) from: String,
    pub(super) to: String,
}

/// Returns the imports between the top-level modules of the crate with sources in the folder `src`, except those of
/// test code.
pub(super) fn imports<'a>(tree: &Tree<'a>, src: &str) -> Vec<Import<'a>> {
    let sources: Vec<_> = tree.sources.iter().filter(|source| source.path.starts_with(src)).collect();
    let tops: BTreeSet<_> =
        sources.iter().filter_map(|source| file_module(source, src).into_iter().next()).collect();
    let exports: BTreeMap<_, _> =
        sources.iter().filter(|source| is_root(source, src)).flat_map(|root| exports(root)).collect();
    let mut found = Vec::new();
    for source in sources {
        let Some(&from) = file_module(source, src).first() else { continue };
        for written in paths(source).into_iter().filter(|written| !source.in_test(written.at)) {
            let Some(name) = resolve(source, src, &written) else { continue };
            let Some(to) = tops.get(name).or_else(|| exports.get(name)).copied().filter(|&to| to != from)
            else {
                continue;
            };
            let line = source.code[written.at].line;
            found.push(Import { path: source.path, line, from: from.to_owned(), to: to.to_owned() });
        }
    }
    found
}

fn is_root(source: &Source<'_>, src: &str) -> bool {
    file_module(source, src).is_empty()
}

/// Returns the module that a file defines; empty for the root of a crate.
fn file_module<'a>(source: &Source<'a>, src: &str) -> Vec<&'a str> {
    let inner = source.path[src.len()..].trim_start_matches('/').trim_end_matches(".rs");
    let mut parts: Vec<_> = inner.split('/').collect();
    if parts.last() == Some(&"mod") || matches!(parts[..], ["lib" | "main"]) {
        parts.pop();
    }
    parts
}

/// The names that the root of a crate re-exports, each with the module that it comes from.
fn exports<'a>(root: &Source<'a>) -> Vec<(&'a str, &'a str)> {
    paths(root).iter().map(|written| (written.parts[written.parts.len() - 1], written.parts[0])).collect()
}

/// Returns the first name after the crate's root in a path that starts within the crate.
fn resolve<'a>(source: &Source<'a>, src: &str, written: &Written<'a>) -> Option<&'a str> {
    let ups = written.parts.iter().take_while(|&&part| part == "super").count();
    let mut module = match written.parts[0] {
        "crate" => Vec::new(),
        "self" | "super" => {
            let mut module = file_module(source, src);
            module.extend(inline_modules(source, written.at));
            module.truncate(module.len().saturating_sub(ups));
            module
        }
        _ => return None,
    };
    module.extend(&written.parts[ups.max(1)..]);
    module.first().copied()
}

/// Returns the names of the `mod name { … }` around a token, outermost first.
fn inline_modules<'a>(source: &Source<'a>, at: usize) -> Vec<&'a str> {
    (0..at)
        .filter(|&index| source.text(index) == "mod" && source.text(index + 2) == "{")
        .filter(|&index| source.closing(index + 2) > at)
        .map(|index| source.text(index + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn found(files: &[(&str, &str)]) -> Vec<(String, String, usize)> {
        let files = Files::of(files);
        let tree = Tree::new(&files);
        imports(&tree, "c/src/").into_iter().map(|import| (import.from, import.to, import.line)).collect()
    }

    fn pair(from: &str, to: &str, line: usize) -> (String, String, usize) {
        (from.to_owned(), to.to_owned(), line)
    }

    #[test]
    fn all_forms_of_paths() {
        let paths_so_far = [
            ("c/src/b/mod.rs", "use crate::a::X;"),
            ("c/src/b/mod.rs", "use crate::{std::u8, a};"),
            ("c/src/b/mod.rs", "use super::a::X as Y;"),
            ("c/src/b/deep/mod.rs", "fn f() { super::super::a::x() }"),
            ("c/src/b/deep/er.rs", "use super::super::super::{a::*};"),
            ("c/src/b.rs", "mod inner { use super::super::a; }"),
            ("c/src/b.rs", "impl<T: crate::a::Trait> T {}"),
            ("c/src/b.rs", "macro_rules! m { () => { $crate::a::X } }"),
            ("c/src/b.rs", "pub(in crate::a::b) struct X;"),
        ];
        for (path, text) in paths_so_far {
            let root = ("c/src/lib.rs", "mod a; mod b;");
            assert_eq!(found(&[root, ("c/src/a.rs", ""), (path, text)]), [pair("b", "a", 1)], "{text}");
        }
    }

    #[test]
    fn exports_of_the_root_are_traced_to_their_module() {
        let files = [
            ("c/src/lib.rs", "pub use a::{deep::X, Y};"),
            ("c/src/a/mod.rs", ""),
            ("c/src/b.rs", "\nuse crate::X;"),
        ];
        assert_eq!(found(&files), [pair("b", "a", 2)]);
    }

    #[test]
    fn tests_strings_comments_and_own_names_are_ignored() {
        let text = "
            use std::a::X;
            use self::a::X; // crate::a
            #[cfg(test)] mod tests { use crate::a::X; }
            const TEXT: &str = \"crate::a::X\";
            use crate::b::Y;
            use super::b::Y;";
        let files = [("c/src/main.rs", "use a::X;"), ("c/src/a.rs", ""), ("c/src/b.rs", text)];
        assert_eq!(found(&files), []);
    }
}
