//! A Rust file as the rules see it: its code without comments, and which parts of it are test code.

use std::ops::RangeInclusive;

use super::lexer::{Kind, Token, tokens};

/// A Rust file, split into tokens.
pub(super) struct Source<'a> {
    /// The path relative to the repository's root, with `/`.
    pub(super) path: &'a str,
    /// All tokens, including comments.
    pub(super) tokens: Vec<Token<'a>>,
    /// The tokens that are code.
    pub(super) code: Vec<Token<'a>>,
    /// The ranges of `code` that are compiled only for tests.
    tests: Vec<RangeInclusive<usize>>,
    /// Whether the whole file is a test, benchmark or example.
    pub(super) is_test: bool,
}

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a str, text: &'a str) -> Self {
        let tokens = tokens(text);
        let code: Vec<_> = tokens.iter().copied().filter(|token| token.kind != Kind::Comment).collect();
        let tests = test_items(&code);
        let folders = ["tests", "models", "benches", "examples", "fuzz"];
        let is_test = path.ends_with("/tests.rs") || path.split('/').any(|part| folders.contains(&part));
        Self { path, tokens, code, tests, is_test }
    }

    /// Returns whether the token at `index` of `code` is compiled only for tests.
    pub(super) fn in_test(&self, index: usize) -> bool {
        self.is_test || self.tests.iter().any(|range| range.contains(&index))
    }

    /// Returns the text of the token at `index` of `code`; empty past the end.
    pub(super) fn text(&self, index: usize) -> &'a str {
        text(&self.code, index)
    }

    /// Returns whether the code from `index` on reads as `pattern`, whose tokens are separated by spaces.
    pub(super) fn reads(&self, index: usize, pattern: &str) -> bool {
        pattern.split(' ').enumerate().all(|(offset, word)| self.text(index + offset) == word)
    }

    /// Returns where the bracket that opens at `index` closes.
    pub(super) fn closing(&self, index: usize) -> usize {
        closing(&self.code, index)
    }
}

fn text<'a>(code: &[Token<'a>], index: usize) -> &'a str {
    code.get(index).map_or("", |token| token.text)
}

fn closing(code: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (index, token) in code.iter().enumerate().skip(open).filter(|(_, token)| token.kind == Kind::Mark) {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    code.len().saturating_sub(1)
}

/// Returns the end of an item: the end of its braces, or the first semicolon outside of all brackets.
fn item_end(code: &[Token<'_>], start: usize) -> usize {
    let mut index = start;
    while index < code.len() {
        match text(code, index) {
            ";" => return index,
            "{" => return closing(code, index),
            "(" | "[" => index = closing(code, index),
            _ => {}
        }
        index += 1;
    }
    code.len().saturating_sub(1)
}

/// Returns the items after `#[cfg(test)]` or `#[cfg(all(test, …))]`.
fn test_items(code: &[Token<'_>]) -> Vec<RangeInclusive<usize>> {
    let starts_with =
        |at: usize, words: &[&str]| (0..).zip(words).all(|(i, word)| text(code, at + i) == *word);
    let for_tests = |at| {
        starts_with(at, &["#", "[", "cfg", "(", "test"])
            || starts_with(at, &["#", "[", "cfg", "(", "all", "(", "test"])
    };
    let item = |at| {
        let mut start = at;
        while text(code, start) == "#" {
            start = closing(code, start + 1) + 1;
        }
        at..=item_end(code, start)
    };
    (0..code.len()).filter(|&at| for_tests(at)).map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_items() {
        let text = "
            fn program() {}
            #[cfg(any(test, unix))] fn both() {}
            #[cfg(test)] #[allow(clippy::all)] mod tests { fn first(array: [u8; 3]) {} }
            #[cfg(all(test, unix))] use a::b;
            fn last() {}";
        let source = Source::new("src/a.rs", text);
        let functions: Vec<_> = (0..source.code.len())
            .filter(|&index| source.text(index) == "fn")
            .map(|index| (source.text(index + 1), source.in_test(index)))
            .collect();
        assert_eq!(functions, [("program", false), ("both", false), ("first", true), ("last", false)]);
        assert!((0..source.code.len()).any(|index| source.text(index) == "use" && source.in_test(index)));
    }

    #[test]
    fn test_files() {
        let paths = [
            "tests/it/main.rs",
            "crates/a/src/tests.rs",
            "crates/a/src/b/models/c.rs",
            "benches/b.rs",
            "fuzz/fuzz_targets/f.rs",
        ];
        for path in paths {
            assert!(Source::new(path, "").is_test, "{path}");
        }
        assert!(!Source::new("crates/a/src/contests.rs", "").is_test);
    }
}
