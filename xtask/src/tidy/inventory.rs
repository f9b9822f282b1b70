//! The unsafe inventory: the counts of unsafe code in SAFETY.md are up to date.

use std::{collections::BTreeMap, fs, path::Path};

use super::{
    source::Source,
    tree::{Files, Finding, Tree},
};

const PAGE: &str = "SAFETY.md";
/// The text before and after the table.
const MARKS: [&str; 2] = ["<!-- written by `cargo xtask unsafe` -->\n", "<!-- end -->\n"];

/// The table in SAFETY.md matches the source tree.
pub(super) fn is_true(tree: &Tree<'_>) -> Vec<Finding> {
    let page = tree.files.ending(PAGE).find(|(path, _)| *path == PAGE).map_or("", |(_, text)| text);
    let message = match split(page) {
        None => "there is no unsafe inventory between its two marks: see xtask/src/tidy/inventory.rs",
        Some([_, written, _]) if written == table(tree) => return Vec::new(),
        Some(_) => "the unsafe inventory is out of date: run `cargo xtask unsafe`",
    };
    vec![Finding::new(PAGE, 1, message)]
}

/// Writes the table.
pub(crate) fn write(root: &Path) -> Result<bool, String> {
    let wrong = |error| format!("{}: {error}", root.join(PAGE).display());
    let files = Files::read(root).map_err(wrong)?;
    let table = table(&Tree::new(&files));
    let page = fs::read_to_string(root.join(PAGE)).map_err(wrong)?;
    let [before, _, behind] = split(&page).ok_or("SAFETY.md has no marks around its table")?;
    let page = [before, MARKS[0], &table, MARKS[1], behind].concat();
    fs::write(root.join(PAGE), page).map_err(wrong)?;
    print!("{table}");
    Ok(true)
}

/// Splits a page into the text before, between and after the marks.
fn split(page: &str) -> Option<[&str; 3]> {
    let (before, rest) = page.split_once(MARKS[0])?;
    let (between, behind) = rest.split_once(MARKS[1])?;
    Some([before, between, behind])
}

/// Counts of blocks, implementations and functions.
type Counts = [usize; 3];

fn table(tree: &Tree<'_>) -> String {
    let mut rows = BTreeMap::<String, Counts>::new();
    for source in tree.sources.iter().filter(|source| !source.is_test) {
        let row = rows.entry(place(source.path)).or_default();
        for (sum, count) in row.iter_mut().zip(counts(source)) {
            *sum += count;
        }
    }
    rows.retain(|_, counts| *counts != [0; 3]);
    let sum = rows.values().fold([0; 3], |sum: Counts, row| std::array::from_fn(|i| sum[i] + row[i]));
    let line =
        |place: &str, [blocks, impls, fns]: Counts| format!("| {place} | {blocks} | {impls} | {fns} |\n");
    let rows: String = rows.iter().map(|(place, &counts)| line(&format!("`{place}`"), counts)).collect();
    let head = "| where | blocks | implementations | functions |\n|---|---|---|---|\n";
    format!("{head}{rows}{}", line("all", sum))
}

/// Returns the layer of the library, or the crate.
fn place(path: &str) -> String {
    let parts: Vec<_> = path.split('/').collect();
    match parts[..] {
        ["crates", "millpond", "src", layer, _, ..] => format!("millpond: {layer}"),
        ["crates", name, ..] => name.to_owned(),
        _ => parts[0].to_owned(),
    }
}

fn counts(source: &Source<'_>) -> Counts {
    let mut counts = [0; 3];
    for index in
        (0..source.code.len()).filter(|&index| source.text(index) == "unsafe" && !source.in_test(index))
    {
        let is_function = (1..4).find(|&ahead| source.text(index + ahead) == "fn");
        match source.text(index + 1) {
            "{" => counts[0] += 1,
            "impl" => counts[1] += 1,
            // A function has a name; a function pointer type has none.
            "fn" | "extern" if is_function.is_some_and(|at| source.text(index + at + 1) != "(") => {
                counts[2] += 1
            }
            _ => {}
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "
        unsafe impl Send for X {}
        unsafe fn f(g: unsafe fn()) { unsafe { g() } }
        unsafe extern \"C\" fn h() {}
        unsafe extern \"C\" { fn i(); }
        fn j() { unsafe { f(k) } /* unsafe { } */ }
        #[cfg(test)] mod tests { fn l() { unsafe { f(k) } } }";

    fn complaints(page: &str) -> usize {
        let files = [("crates/millpond/src/pool/a.rs", CODE), ("crates/b/src/lib.rs", "unsafe trait T {}")];
        let files = Files::of(&[&files[..], &[(PAGE, page)]].concat());
        is_true(&Tree::new(&files)).len()
    }

    #[test]
    fn outdated_inventory_is_found() {
        let table = "| where | blocks | implementations | functions |\n|---|---|---|---|\n\
            | `millpond: pool` | 2 | 1 | 2 |\n| all | 2 | 1 | 2 |\n";
        let page = |table: &str| ["# Safety\n", MARKS[0], table, MARKS[1], "The end.\n"].concat();
        assert_eq!(complaints(&page(table)), 0);
        assert_eq!(complaints(&page(&table.replace("| 2 | 1 | 2 |\n| all", "| 3 | 1 | 2 |\n| all"))), 1);
        assert_eq!(complaints("# Safety\n"), 1, "no table at all");
    }
}
