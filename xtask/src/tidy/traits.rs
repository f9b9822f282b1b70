//! Traits that unsafe code trusts: SAFETY.md has a row for each, which states correctly whether it is `unsafe`.

use std::collections::BTreeMap;

use super::tree::{Finding, Tree};

const PAGE: &str = "SAFETY.md";

/// The heading of the table.
const HEADING: &str = "## Which traits are trusted\n";

/// Every `pub trait` of the crates is in the table with the right classification, and the table has no other names.
pub(super) fn are_judged(tree: &Tree<'_>) -> Vec<Finding> {
    let page = tree.files.ending(PAGE).find(|(path, _)| *path == PAGE).map_or("", |(_, text)| text);
    let mut judged = judged(page);
    let mut findings = Vec::new();
    let sources = tree.sources.iter().filter(|source| source.path.starts_with("crates/"));
    for (source, index) in sources.flat_map(|source| (0..source.code.len()).map(move |index| (source, index)))
    {
        let is_unsafe = source.reads(index, "pub unsafe trait");
        if (!is_unsafe && !source.reads(index, "pub trait")) || source.in_test(index) {
            continue;
        }
        let name = source.text(index + if is_unsafe { 3 } else { 2 });
        let word = if is_unsafe { "unsafe" } else { "safe" };
        match judged.get_mut(name) {
            Some((said, found)) if *said == word => *found = true,
            _ => {
                let message = format!(
                    "SAFETY.md does not say that {name} is {word} to implement: decide, and write why in its table of traits"
                );
                findings.push(Finding::new(source.path, source.code[index].line, message));
            }
        }
    }
    let gone = judged.iter().filter(|(_, (_, found))| !found).map(|(name, _)| {
        Finding::new(PAGE, 1, format!("the table of traits has {name}, which is no `pub trait`: remove it"))
    });
    findings.extend(gone);
    findings
}

/// Returns, for each name in the first column, the text of the second one, and that it was not found yet.
fn judged(page: &str) -> BTreeMap<&str, (&str, bool)> {
    let table = page.split_once(HEADING).map_or("", |(_, behind)| behind);
    let table = table.split("\n## ").next().unwrap_or_default();
    let rows = table.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        Some((cells.next()?, cells.next()?))
    });
    rows.flat_map(|(names, said)| names.split('`').skip(1).step_by(2).map(move |name| (name, (said, false))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn complaints(code: &str, rows: &str) -> Vec<String> {
        let page = format!(
            "# Safety\n\n{HEADING}\n| trait | implementing it is | because |\n|---|---|---|\n{rows}\n## Next\n| `X` | safe | no |\n"
        );
        let files = Files::of(&[("crates/a/src/lib.rs", code), (PAGE, &page)]);
        are_judged(&Tree::new(&files)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn classification_is_checked() {
        let rows = "| `A`, `B` | safe | untrusted |\n| `C` | unsafe | trusted |\n";
        assert!(
            complaints("pub trait A {} pub trait B: A {} pub unsafe trait C {} trait D {}", rows).is_empty()
        );
        assert_eq!(
            complaints("pub trait A {} pub trait C {}", rows).len(),
            3,
            "B is gone, C is called the wrong thing"
        );
        assert_eq!(
            complaints("pub trait A {} pub trait B {} pub unsafe trait C {} pub trait E {}", rows).len(),
            1
        );
        assert!(complaints("#[cfg(test)] mod tests { pub trait E {} }", "").is_empty());
    }
}
