//! The instruction counts stored in the repository, and their comparison with a new measurement.

use std::{collections::BTreeMap, fmt};

/// Counts by name of operation.
pub(super) type Counts = BTreeMap<String, u64>;

const HEADING: &str = "\
# Instructions per operation on the library's hot paths, from the call's first instruction to its `ret`.
# `cargo xtask counts` compares with this file; `cargo xtask counts --bless` updates the compiler and the counts.
# Budgets are chosen by hand; `-` is none.
";

/// The file `xtask/counts.txt`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Baseline {
    /// The compiler that the counts hold for.
    pub(super) compiler: String,
    /// The count of each operation, if it was ever measured, and its budget, if one was set.
    operations: BTreeMap<String, Entry>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    count: Option<u64>,
    budget: Option<u64>,
}

/// The result of comparing one operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) passed: bool,
    pub(super) line: String,
}

impl Baseline {
    /// Parses the text of the file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut baseline = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<_> = line.split_whitespace().collect();
            let number_or_none = |word: &str| match word {
                "-" => Ok(None),
                digits => {
                    digits.parse().map(Some).map_err(|_| format!("line {number}: {digits} is no number"))
                }
            };
            match words[..] {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["compiler", ..] => baseline.compiler = words[1..].join(" "),
                [name, count, budget] => {
                    let entry = Entry { count: number_or_none(count)?, budget: number_or_none(budget)? };
                    baseline.operations.insert(name.to_owned(), entry);
                }
                _ => return Err(format!("line {number}: expected an operation, its count and its budget")),
            }
        }
        Ok(baseline)
    }

    /// Returns the same budgets with new counts.
    pub(super) fn blessed(&self, compiler: &str, measured: &Counts) -> Self {
        let entry = |name: &String| self.operations.get(name).copied().unwrap_or_default();
        let operations = measured
            .iter()
            .map(|(name, &count)| (name.clone(), Entry { count: Some(count), ..entry(name) }))
            .collect();
        Self { compiler: compiler.to_owned(), operations }
    }

    /// Compares each operation, including those that are no longer measured.
    pub(super) fn judge(&self, measured: &Counts) -> Vec<Verdict> {
        let gone = self.operations.keys().filter(|name| !measured.contains_key(*name)).map(|name| Verdict {
            passed: false,
            line: format!("{name:30}       not measured any more: --bless drops it"),
        });
        let known = |name| self.operations.get(name).copied().unwrap_or_default();
        measured.iter().map(|(name, &count)| judge(name, count, known(name))).chain(gone).collect()
    }
}

fn judge(name: &str, count: u64, known: Entry) -> Verdict {
    let budget = known.budget.map_or(String::new(), |budget| format!("budget {budget}, "));
    let over_budget = known.budget.is_some_and(|budget| count > budget);
    let (passed, remark) = match known.count {
        _ if over_budget => (false, "over its budget".to_owned()),
        None => (false, "not in the baseline: --bless adds it".to_owned()),
        Some(before) if count > before => (false, format!("more than the baseline's {before}")),
        Some(before) if count < before => {
            (true, format!("less than the baseline's {before}: --bless keeps that"))
        }
        Some(_) => (true, "as in the baseline".to_owned()),
    };
    Verdict { passed, line: format!("{name:30} {count:4}  {budget}{remark}") }
}

impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
        writeln!(
            f,
            "{HEADING}\ncompiler {}\n\n# {:28} {:>5} {:>6}",
            self.compiler, "operation", "count", "budget"
        )?;
        for (name, entry) in &self.operations {
            writeln!(f, "{name:30} {:>5} {:>6}", or_none(entry.count), or_none(entry.budget))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, u64)]) -> Counts {
        list.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    fn baseline() -> Baseline {
        Baseline::parse("# Comment.\ncompiler rustc 1\n\na 7 8\nb 9 -\nc - 5\n").expect("well formed")
    }

    #[test]
    fn text_round_trips() {
        let text = baseline().to_string();
        assert_eq!(Baseline::parse(&text), Ok(baseline()), "{text}");
        assert_eq!(baseline().compiler, "rustc 1");
    }

    #[test]
    fn invalid_lines_are_refused() {
        for (text, line) in
            [("a 1", "line 1"), ("a 1 2\nb x 3", "line 2"), ("a 1 2 3", "line 1"), ("a 1 -1", "line 1")]
        {
            let error = Baseline::parse(text).expect_err(text);
            assert!(error.starts_with(line), "{text}: {error}");
        }
    }

    #[test]
    fn higher_counts_fail() {
        let passed =
            |list: &[(&str, u64)]| baseline().judge(&counts(list)).iter().all(|verdict| verdict.passed);
        let same = [("a", 7), ("b", 9)];
        let blessed = baseline().blessed("rustc 1", &counts(&same));
        assert!(blessed.judge(&counts(&same)).iter().all(|verdict| verdict.passed));
        assert!(blessed.judge(&counts(&[("a", 6), ("b", 8)])).iter().all(|verdict| verdict.passed));
        assert!(!passed(&[("a", 8), ("b", 9), ("c", 5)]), "more than before");
        assert!(!passed(&same), "an operation is gone");
        assert!(!passed(&[("a", 7), ("b", 9), ("c", 5)]), "never measured before");
        assert!(!passed(&[("a", 7), ("b", 9), ("c", 5), ("d", 1)]), "unknown");
    }

    #[test]
    fn blessing_keeps_budgets() {
        let dear = counts(&[("a", 9)]);
        let verdicts = baseline().blessed("rustc 2", &dear).judge(&dear);
        assert_eq!(verdicts.iter().map(|verdict| verdict.passed).collect::<Vec<_>>(), [false]);
        assert!(verdicts[0].line.contains("over its budget"), "{}", verdicts[0].line);
    }
}
