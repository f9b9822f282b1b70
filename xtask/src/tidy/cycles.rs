//! No two modules of a crate import each other, directly or in a cycle. In the library, this holds for the modules below
//! each module too: what two files need lies in a third, or in the module around them.

use std::collections::BTreeSet;

use super::{
    imports::{Import, imports, imports_by_module},
    layers::LIBRARY,
    tree::{Finding, Tree},
};

/// Modules that may be imported by modules that they import: those of the command line.
const EXCEPTIONS: &[&str] = &["cli"];

/// Returns one finding per module on a cycle of imports.
pub(super) fn cycles(tree: &Tree<'_>) -> Vec<Finding> {
    let roots = ["/src/lib.rs", "/src/main.rs"].into_iter().flat_map(|root| tree.files.ending(root));
    let folders: BTreeSet<_> =
        roots.filter_map(|(path, _)| path.rsplit_once('/')).map(|(folder, _)| folder).collect();
    let cycles_of = |folder: &&str| {
        let src = format!("{folder}/");
        let imports = if src == LIBRARY { imports_by_module(tree, &src) } else { vec![imports(tree, &src)] };
        imports.iter().flat_map(|imports| cycles_in(imports)).collect::<Vec<_>>()
    };
    folders.iter().flat_map(cycles_of).collect()
}

fn cycles_in(imports: &[Import<'_>]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for import in imports.iter().filter(|import| !exempt(import)) {
        let Some(path_between) = path_between(imports, &import.to, &import.from) else { continue };
        let is_new = path_between.iter().all(|module| !told.contains(module));
        if is_new {
            let cycle = path_between.join(" -> ");
            let message = format!(
                "{} -> {cycle} is a cycle of imports: move what both need into a module of its own",
                import.from
            );
            findings.push(Finding::new(import.path, import.line, message));
            told.extend(path_between);
        }
    }
    findings
}

fn exempt(import: &Import<'_>) -> bool {
    EXCEPTIONS.contains(&import.from.as_str()) || EXCEPTIONS.contains(&import.to.as_str())
}

/// Returns the modules on a shortest path of imports, including both ends.
fn path_between<'a>(imports: &'a [Import<'_>], from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut paths_so_far = vec![vec![from]];
    let mut seen = BTreeSet::from([from]);
    let mut next = 0;
    while next < paths_so_far.len() {
        let path_between = paths_so_far[next].clone();
        let end = path_between[path_between.len() - 1];
        if end == to {
            return Some(path_between);
        }
        for import in imports.iter().filter(|import| import.from == end && !exempt(import)) {
            if seen.insert(&import.to) {
                paths_so_far.push([path_between.as_slice(), &[import.to.as_str()]].concat());
            }
        }
        next += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = Files::of(files);
        cycles(&Tree::new(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cycle_is_reported_once() {
        let files = [
            ("c/src/main.rs", "mod a; mod b; mod d;"),
            ("c/src/a/mod.rs", "\nuse crate::b::X;"),
            ("c/src/b/mod.rs", "use crate::{d::X, cli::Y};"),
            ("c/src/d.rs", "use crate::a::X;"),
            ("c/src/cli.rs", "use crate::a::X;"),
        ];
        let found = found(&files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("c/src/a/mod.rs:2: a -> b -> d -> a is a cycle"), "{found:?}");
    }

    #[test]
    fn cycles_below_a_module_are_found() {
        let of = |sibling: &str, module: &str| {
            let files = [
                ("crates/millpond/src/lib.rs", "mod a; pub use a::B;"),
                ("crates/millpond/src/a/mod.rs", module),
                ("crates/millpond/src/a/b.rs", "use super::C; pub struct B;"),
                ("crates/millpond/src/a/c/mod.rs", "mod d; pub struct C;"),
                ("crates/millpond/src/a/c/d.rs", sibling),
            ];
            found(&files).len()
        };
        let module = "mod b; mod c; pub use {b::B, c::C};";
        assert_eq!(of("use crate::B;", module), 1);
        assert_eq!(of("use super::super::b::B;", module), 1);
        assert_eq!(of("use super::C;", module), 0);
        assert_eq!(of("use super::super::X;", "mod b; mod c; pub use {b::B, c::C}; struct X;"), 0);
    }

    #[test]
    fn tree_of_imports_is_no_cycle() {
        let files = [
            ("c/src/lib.rs", "mod a; mod b; pub use a::X; pub use b::Y;"),
            ("c/src/a.rs", "use crate::b::X; use crate::d::X;"),
            ("c/src/b.rs", "use crate::d::X;"),
            ("c/src/d.rs", "#[cfg(test)] mod tests { use crate::a::X; }"),
        ];
        assert_eq!(found(&files), [""; 0]);
    }
}
