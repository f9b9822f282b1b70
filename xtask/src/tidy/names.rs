//! The names that users of the library see: each consists of words that are common in the field or explained in
//! GLOSSARY.md.

use std::collections::BTreeSet;

use super::{
    layers::LIBRARY,
    lexer::Kind,
    source::Source,
    tree::{Finding, Tree},
};

const PAGE: &str = "GLOSSARY.md";

/// Words of the field, of Rust and of the platforms, which need no explanation.
const FIELD: &str = "accounted alloc allocation allocator arc arena at box buddy buffer builder call checked coerce config \
    conformance const count counted default delta drain drop duplicate dyn entry error event ext fallback \
    fixed for fork global hole inner inspect instrumented interval into invariant iter key kind layout limit \
    limited mapped metric mut name no nth null numa observe observer option oracle page parking poison pooled \
    prometheus publisher raw rc ref region registry reporter request reserve reserved rewind routed scope segregator \
    shared site spin stat static stress text thin ticket tracked tracking try tuned unlimited unsize unsized \
    usage vacant view violation wasm weak with zeroed";

/// Names that are not made of such words: each is what its type is called in this project.
const PROPER: &[&str] = &["SignPost"];

/// Every name that the root of the library and its public modules re-export consists of known words.
pub(super) fn are_known(tree: &Tree<'_>) -> Vec<Finding> {
    let glossary = tree.files.ending(PAGE).find(|(path, _)| *path == PAGE).map_or("", |(_, text)| text);
    let known: BTreeSet<_> = FIELD.split_whitespace().map(str::to_owned).chain(explained(glossary)).collect();
    let is_known = |word: &String| {
        let singular = ["s", "es"].iter().filter_map(|end| word.strip_suffix(end));
        known.contains(word) || singular.into_iter().any(|word| known.contains(word))
    };
    let mut findings = Vec::new();
    for source in &public_modules(tree) {
        for (name, line) in exported(source) {
            if let Some(word) = words(name).iter().find(|word| !is_known(word))
                && !PROPER.contains(&name)
            {
                let message = format!(
                    "`{word}` in `{name}` is not a known word: choose one of the field's, explain it in {PAGE}, or \
                     add it to xtask/src/tidy/names.rs if the field uses it"
                );
                findings.push(Finding::new(source.path, line, message));
            }
        }
    }
    findings
}

/// Returns the words that the glossary explains: those in the first column, and the parts of names in code.
fn explained(glossary: &str) -> Vec<String> {
    let rows = glossary.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | "));
    rows.flat_map(|(term, meaning)| {
        let code = meaning.split('`').skip(1).step_by(2);
        code.chain([term]).flat_map(words).collect::<Vec<_>>()
    })
    .collect()
}

/// Returns the words of a text or of a name in camel case, in lower case.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for char in text.chars() {
        if !char.is_ascii_alphabetic() || char.is_ascii_uppercase() {
            words.push(String::new());
        }
        if char.is_ascii_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.push(char.to_ascii_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Returns the root of the library and the files of its public modules.
fn public_modules<'t, 'a>(tree: &'t Tree<'a>) -> Vec<&'t Source<'a>> {
    let file = |path: String| tree.sources.iter().find(move |source| source.path == path);
    let Some(root) = file(format!("{LIBRARY}lib.rs")) else { return Vec::new() };
    let modules = (0..root.code.len())
        .filter(|&index| root.reads(index, "pub mod") && root.text(index + 3) == ";")
        .filter_map(|index| file(format!("{LIBRARY}{}/mod.rs", root.text(index + 2))));
    modules.chain([root]).collect()
}

/// Returns the names of types and traits in the `pub use` of a file, except hidden ones, with their lines.
fn exported<'a>(source: &Source<'a>) -> Vec<(&'a str, usize)> {
    let is_hidden = |index: usize| index >= 7 && source.reads(index - 7, "# [ doc ( hidden ) ]");
    let mut names = Vec::new();
    for start in (0..source.code.len()).filter(|&index| source.reads(index, "pub use") && !is_hidden(index)) {
        let statement = (start..source.code.len()).take_while(|&index| source.text(index) != ";");
        let is_name = |&index: &usize| {
            let token = source.code[index];
            token.kind == Kind::Word && token.text.starts_with(|char: char| char.is_ascii_uppercase())
        };
        names.extend(statement.filter(is_name).map(|index| (source.text(index), source.code[index].line)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::found;

    #[test]
    fn names_of_unknown_words_are_found() {
        let files = [
            ("GLOSSARY.md", "| term | meaning |\n|---|---|\n| quick list | As `FastBin`. |\n"),
            (
                "crates/millpond/src/lib.rs",
                "pub mod pool;\nmod hidden;\npub use pool::{Arena, Frobber};\n#[doc(hidden)] pub use pool::Odd;",
            ),
            ("crates/millpond/src/pool/mod.rs", "pub use lists::{QuickLists, FastBin,\nSlowBin};"),
            ("crates/millpond/src/hidden/mod.rs", "pub use x::Whatsit;"),
        ];
        let expected = [("crates/millpond/src/pool/mod.rs", 2), ("crates/millpond/src/lib.rs", 3)]
            .map(|(path, line)| (path.to_owned(), line));
        assert_eq!(found(are_known, &files), expected);
    }
}
