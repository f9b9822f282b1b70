//! Max length of files, in lines of code: blank lines and comments do not count. Clippy checks functions.

use std::collections::BTreeSet;

use super::{
    lexer::Token,
    source::Source,
    tree::{Finding, Tree},
};

/// Max lines of code.
struct Limits {
    what: &'static str,
    file: usize,
}

/// For programs and libraries.
const CODE: Limits = Limits { what: "code", file: 400 };
/// For tests (those at the end of a file are counted separately), benchmarks, fuzzers and examples.
const TESTS: Limits = Limits { what: "tests", file: 600 };

/// No file exceeds its limit.
pub(super) fn limits(tree: &Tree<'_>) -> Vec<Finding> {
    tree.sources.iter().flat_map(files).collect()
}

fn files(source: &Source<'_>) -> Vec<Finding> {
    let (tests, code): (Vec<_>, Vec<_>) = (0..source.code.len()).partition(|&index| source.in_test(index));
    let mut findings = Vec::new();
    for (part, limits) in [(code, CODE), (tests, TESTS)] {
        let lines = lines(part.iter().map(|&index| &source.code[index]));
        if lines > limits.file {
            let (what, most) = (limits.what, limits.file);
            let message = format!(
                "{lines} lines of {what}, but {most} are the most in a file: split it by what it is about"
            );
            findings.push(Finding::new(source.path, 1, message));
        }
    }
    findings
}

/// Returns the number of lines that the tokens are on.
fn lines<'a>(tokens: impl IntoIterator<Item = &'a Token<'a>>) -> usize {
    tokens.into_iter().flat_map(|token| token.line..=token.last_line).collect::<BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn found(path: &str, text: &str) -> Vec<Finding> {
        let files = Files::of(&[(path, text)]);
        limits(&Tree::new(&files))
    }

    #[test]
    fn long_file_is_found() {
        let (enough, too_much) =
            ("const A: u8 = 1;\n\n// why\n".repeat(400), "const A: u8 = 1;\n".repeat(401));
        assert_eq!(found("src/a.rs", &enough), []);
        assert_eq!(found("src/a.rs", &too_much).len(), 1);
    }

    #[test]
    fn tests_have_their_own_limit() {
        let code = "const A: u8 = 1;\n".repeat(400);
        let tests = |lines: usize| {
            format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "const A: u8 = 1;\n".repeat(lines - 3))
        };
        assert_eq!(found("src/a.rs", &format!("{code}{}", tests(600))), []);
        assert_eq!(found("src/a.rs", &format!("{code}{}", tests(601))).len(), 1);
    }
}
