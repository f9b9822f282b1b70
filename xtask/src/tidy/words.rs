//! Text that is refused in addition to what Clippy refuses (see `[workspace.lints]`): tests that do not run, unused
//! code, comments that promise work, and phrases of old prose in comments.

use super::{
    lexer::Kind,
    source::Source,
    tree::{Finding, Tree},
};

/// Tokens, separated by spaces, that are refused, and what to do instead.
struct Ban {
    code: &'static str,
    instead: &'static str,
}

/// Tokens refused everywhere, including in tests.
const EVERYWHERE: &[Ban] = &[
    Ban { code: "# [ ignore", instead: "let the test run, or let it skip itself with a message" },
    Ban { code: ", ignore ) ]", instead: "let the test run, or let it skip itself with a message" },
    Ban { code: "dead_code", instead: "remove the unused code" },
];

/// Words in comments that promise work.
const PROMISES: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// Phrases that comments do not contain, and what to write instead.
const OLD_PROSE: &[(&str, &str)] = &[
    ("so many", "name the number"),
    ("nobody", "name the subject, and say `not`"),
    ("whoever", "name the subject"),
    ("for ever", "say what never ends"),
    ("hence", "say `so`"),
];

/// The source tree contains no refused text.
pub(super) fn refused(tree: &Tree<'_>) -> Vec<Finding> {
    tree.sources.iter().flat_map(|source| [code(source), comments(source)].concat()).collect()
}

fn code(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, token) in source.code.iter().enumerate() {
        for ban in EVERYWHERE.iter().filter(|ban| source.reads(index, ban.code)) {
            let message = format!("`{}` is not allowed here: {}", ban.code.replace(' ', ""), ban.instead);
            findings.push(Finding::new(source.path, token.line, message));
        }
    }
    findings
}

fn comments(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for token in source.tokens.iter().filter(|token| token.kind == Kind::Comment) {
        for (line, text) in (token.line..).zip(token.text.lines()) {
            let mut words = text.split(|character: char| !character.is_alphanumeric());
            if let Some(word) = words.find(|word| PROMISES.contains(word)) {
                let message = format!("{word} in a comment: do it, or file an issue");
                findings.push(Finding::new(source.path, line, message));
            }
            let plain = text.to_lowercase();
            let words =
                |phrase: &str| plain.match_indices(phrase).any(|(at, _)| is_whole(&plain, at, phrase.len()));
            for (phrase, instead) in OLD_PROSE.iter().filter(|(phrase, _)| words(phrase)) {
                let message = format!("\"{phrase}\" in a comment: {instead}");
                findings.push(Finding::new(source.path, line, message));
            }
            if text.trim_start_matches(['/', '!', '*', ' ']).starts_with("```ignore") {
                let message =
                    "an example that is not compiled: mark it `no_run` or `compile_fail`, or `text`";
                findings.push(Finding::new(source.path, line, message));
            }
        }
    }
    findings
}

/// Returns whether a phrase in a text does not continue a word or continue in one.
fn is_whole(text: &str, at: usize, length: usize) -> bool {
    let (before, after) = (text[..at].chars().next_back(), text[at + length..].chars().next());
    ![before, after].into_iter().flatten().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let files = Files::of(&[(path, text)]);
        refused(&Tree::new(&files)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn unfinished_code_is_found() {
        let samples = [
            "#[test] #[ignore = \"slow\"] fn f() {}",
            "#[test] #[cfg_attr(miri, ignore)] fn f() {}",
            "#[allow(unused, dead_code)] fn f() {}",
            "#![expect(dead_code)]",
            "// FIXME: later",
            "/* x\n XXX\n */",
            "fn f() {} // HACK",
            "//! (TODO)",
            "/// ```ignore\n/// x\n/// ```",
            "/// So many blocks.",
            "fn f() {} // nobody waits",
        ];
        for path in ["crates/millpond-cli/src/a.rs", "crates/millpond/tests/it/main.rs"] {
            for sample in samples {
                assert_eq!(lines(path, sample).len(), 1, "{sample}");
            }
        }
    }

    #[test]
    fn strings_and_similar_words_are_ignored() {
        let text = "/// Is dead_code; a hack, with ignore, thence.\nfn f() { x.unwrap_or(\"dead_code\") }";
        assert_eq!(lines("crates/millpond/src/pool/a.rs", text), []);
    }
}
