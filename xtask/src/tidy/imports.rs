//! The imports within a crate: every path that starts with `crate`, `self` or `super`, made absolute.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    paths::{Written, paths},
    source::Source,
    tree::Tree,
};

/// An import: one module of a crate names an item of another; both are directly below the same module.
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
    let modules = Modules::new(tree, src);
    modules.imports_below(&modules.paths(), &[])
}

/// The same for each module of the crate that has modules of its own: the imports between these.
pub(super) fn imports_by_module<'a>(tree: &Tree<'a>, src: &str) -> Vec<Vec<Import<'a>>> {
    let modules = Modules::new(tree, src);
    let paths = modules.paths();
    modules.children.keys().map(|module| modules.imports_below(&paths, module)).collect()
}

/// The modules of a crate.
struct Modules<'s, 'a> {
    /// The file of each module.
    sources: Vec<(Vec<&'a str>, &'s Source<'a>)>,
    /// The modules directly below each module that has any.
    children: BTreeMap<Vec<&'a str>, BTreeSet<&'a str>>,
    /// The names in each of these modules that come from modules below it, with where they come from.
    exports: BTreeMap<Vec<&'a str>, BTreeMap<&'a str, Vec<&'a str>>>,
}

/// A path in a file, from the root of the crate to the item that it names.
struct Absolute<'s, 'a> {
    source: &'s Source<'a>,
    from: Vec<&'a str>,
    line: usize,
    to: Vec<&'a str>,
}

impl<'s, 'a> Modules<'s, 'a> {
    fn new(tree: &'s Tree<'a>, src: &str) -> Self {
        let sources: Vec<_> = tree
            .sources
            .iter()
            .filter(|source| source.path.starts_with(src))
            .map(|source| (file_module(source, src), source))
            .collect();
        let mut children = BTreeMap::<_, BTreeSet<_>>::new();
        for (module, _) in &sources {
            for depth in 0..module.len() {
                children.entry(module[..depth].to_vec()).or_default().insert(module[depth]);
            }
        }
        let mut exports = BTreeMap::<_, BTreeMap<_, _>>::new();
        for (module, source) in &sources {
            let Some(children) = children.get(module) else { continue };
            exports.entry(module.clone()).or_default().extend(exported(source, children));
        }
        Self { sources, children, exports }
    }

    /// Returns every path that starts within the crate and is not in test code, with re-exports followed.
    fn paths(&self) -> Vec<Absolute<'s, 'a>> {
        let mut found = Vec::new();
        for (from, source) in &self.sources {
            for written in paths(source).into_iter().filter(|written| !source.in_test(written.at)) {
                let Some(to) = resolve(source, from, &written) else { continue };
                let line = source.code[written.at].line;
                found.push(Absolute { source, from: from.clone(), line, to: self.followed(to) });
            }
        }
        found
    }

    /// Replaces a name that a module re-exports by where it comes from.
    fn followed(&self, mut path: Vec<&'a str>) -> Vec<&'a str> {
        let mut depth = 0;
        while depth < path.len() {
            let Some(exports) = self.exports.get(&path[..depth]) else { break };
            if !self.children[&path[..depth]].contains(path[depth]) {
                let Some(origin) = exports.get(path[depth]) else { break };
                path.splice(depth..=depth, origin.iter().copied());
            }
            depth += 1;
        }
        path
    }

    /// Returns the imports between the modules directly below `module`.
    fn imports_below(&self, paths: &[Absolute<'s, 'a>], module: &[&str]) -> Vec<Import<'a>> {
        let depth = module.len();
        let Some(children) = self.children.get(module) else { return Vec::new() };
        let is_below = |path: &[&str]| path.len() > depth && path.starts_with(module);
        paths
            .iter()
            .filter(|path| is_below(&path.from) && is_below(&path.to) && path.from[depth] != path.to[depth])
            .filter(|path| children.contains(path.to[depth]))
            .map(|path| Import {
                path: path.source.path,
                line: path.line,
                from: path.from[depth].to_owned(),
                to: path.to[depth].to_owned(),
            })
            .collect()
    }
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

/// Returns the names in a file that come from modules below it, with where they come from.
fn exported<'a>(source: &Source<'a>, children: &BTreeSet<&'a str>) -> Vec<(&'a str, Vec<&'a str>)> {
    let from_child = |mut written: Written<'a>| {
        if written.parts[0] == "self" {
            written.parts.remove(0);
        }
        let is_one = written.parts.len() > 1 && children.contains(written.parts[0]);
        is_one.then(|| (written.parts[written.parts.len() - 1], written.parts))
    };
    paths(source).into_iter().filter_map(from_child).collect()
}

/// Returns a path that starts within the crate as one from its root.
fn resolve<'a>(source: &Source<'a>, file: &[&'a str], written: &Written<'a>) -> Option<Vec<&'a str>> {
    let ups = written.parts.iter().take_while(|&&part| part == "super").count();
    let mut module = match written.parts[0] {
        "crate" => Vec::new(),
        "self" | "super" => {
            let mut module = file.to_vec();
            module.extend(inline_modules(source, written.at));
            module.truncate(module.len().saturating_sub(ups));
            module
        }
        _ => return None,
    };
    module.extend(&written.parts[ups.max(1)..]);
    Some(module)
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
