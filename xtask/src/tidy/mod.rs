//! `cargo xtask tidy`: checks of the source tree that neither the compiler nor Clippy makes.
//!
//! Each rule is a function from the tree to findings. Its file documents what it refuses, and its tests show that it
//! does.

mod cycles;
mod imports;
pub(crate) mod inventory;
mod layers;
mod lexer;
mod manifests;
mod names;
mod papers;
mod paths;
mod pictures;
mod safety;
mod sizes;
mod source;
mod traits;
pub(crate) mod tree;
mod words;

use std::path::Path;

use self::tree::{Files, Finding, Tree};

/// All rules.
const RULES: &[fn(&Tree<'_>) -> Vec<Finding>] = &[
    layers::order,
    layers::atomics,
    cycles::cycles,
    names::are_known,
    sizes::limits,
    words::refused,
    safety::reasons,
    inventory::is_true,
    traits::are_judged,
    papers::module_docs,
    papers::lints,
    pictures::are_drawn,
    pictures::mixes_exist,
    manifests::can_be_published,
    manifests::readmes_agree,
];

/// Prints the findings below `root`, one per line; returns whether there are none.
pub(crate) fn run(root: &Path) -> Result<bool, String> {
    let findings = findings(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => println!("tidy: no findings"),
        1 => println!("tidy: 1 finding"),
        many => println!("tidy: {many} findings"),
    }
    Ok(findings.is_empty())
}

fn findings(root: &Path) -> Result<Vec<Finding>, String> {
    let files = Files::read(root)
        .map_err(|error| format!("cannot read the source tree in {}: {error}", root.display()))?;
    let tree = Tree::new(&files);
    let mut findings: Vec<_> = RULES.iter().flat_map(|rule| rule(&tree)).collect();
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_tidy() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder");
        let complaints: Vec<_> = findings(root).expect("readable").iter().map(ToString::to_string).collect();
        assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
    }
}
