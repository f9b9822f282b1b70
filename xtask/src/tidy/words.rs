//! What is never written: unfinished code anywhere, and code that panics or prints in the libraries.

use super::{
    lexer::Kind,
    source::Source,
    tree::{Finding, Tree},
};

/// Tokens, separated by spaces, that are refused, and what to do about them.
struct Ban {
    code: &'static str,
    instead: &'static str,
}

/// Refused everywhere, tests included.
const EVERYWHERE: &[Ban] = &[
    Ban { code: "todo !", instead: "write the code, or leave it out" },
    Ban { code: "unimplemented !", instead: "write the code, or leave it out" },
    Ban { code: "dbg !", instead: "remove it" },
    Ban { code: "# [ ignore", instead: "let the test run, or skip itself and say why" },
    Ban { code: ", ignore ) ]", instead: "let the test run, or skip itself and say why" },
    Ban { code: "dead_code", instead: "remove the code that nobody uses" },
];

/// Refused in the libraries, which never panic and never print; their tests may.
const IN_LIBRARIES: &[Ban] = &[
    Ban { code: ". unwrap (", instead: "return an error, or let a type rule it out" },
    Ban { code: ". expect (", instead: "return an error, or let a type rule it out" },
    Ban { code: "panic !", instead: "return an error, or let a type rule it out" },
    Ban { code: "unreachable !", instead: "return an error, or let a type rule it out" },
    Ban { code: "print !", instead: "return what is to be said" },
    Ban { code: "println !", instead: "return what is to be said" },
    Ban { code: "eprint !", instead: "return what is to be said" },
    Ban { code: "eprintln !", instead: "return what is to be said" },
];

/// Where the libraries lie.
const LIBRARIES: &[&str] = &["crates/millpond/src/", "crates/millpond-trace/src/"];

/// A library's tests of its users' code, which panic like all tests.
const TESTS_FOR_USERS: &str = "crates/millpond/src/testing/";

/// What a file of a library may write all the same: the file, the code, the reason.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("crates/millpond/src/pool/blocks/config.rs", "panic !", "evaluated at compile time, in a constant"),
    (
        "crates/millpond/src/contract/misuse.rs",
        "panic !",
        "ends the program, as its user has not chosen otherwise",
    ),
    (
        "crates/millpond/src/face/slots/index.rs",
        "panic !",
        "what indexing by a stale key does, and says that it does; there is `get`",
    ),
    ("crates/millpond/src/share/policy.rs", "panic !", "ends the program, as its user has chosen"),
];

/// Words in comments that promise work.
const PROMISES: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// Nothing refused is written, and every exception is needed.
pub(super) fn refused(tree: &Tree<'_>) -> Vec<Finding> {
    let in_sources = tree.sources.iter().flat_map(|source| [code(source), comments(source)].concat());
    in_sources.chain(needless(tree)).collect()
}

fn code(source: &Source<'_>) -> Vec<Finding> {
    let is_library = LIBRARIES.iter().any(|library| source.path.starts_with(library))
        && !source.path.starts_with(TESTS_FOR_USERS);
    let mut findings = Vec::new();
    for (index, token) in source.code.iter().enumerate() {
        let in_library = IN_LIBRARIES
            .iter()
            .filter(|ban| is_library && !source.in_test(index) && !excepted(source.path, ban));
        for ban in EVERYWHERE.iter().chain(in_library).filter(|ban| source.reads(index, ban.code)) {
            let message = format!("`{}` is not for here: {}", ban.code.replace(' ', ""), ban.instead);
            findings.push(Finding::new(source.path, token.line, message));
        }
    }
    findings
}

fn excepted(path: &str, ban: &Ban) -> bool {
    EXCEPTIONS.iter().any(|&(file, code, _)| file == path && code == ban.code)
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
            if text.trim_start_matches(['/', '!', '*', ' ']).starts_with("```ignore") {
                let message =
                    "an example that is not compiled: mark it `no_run` or `compile_fail`, or `text`";
                findings.push(Finding::new(source.path, line, message));
            }
        }
    }
    findings
}

/// Exceptions for code that is not there any more.
fn needless(tree: &Tree<'_>) -> Vec<Finding> {
    let is_used = |path: &str, code: &str| {
        let source = tree.sources.iter().find(|source| source.path == path);
        source.is_none_or(|source| (0..source.code.len()).any(|index| source.reads(index, code)))
    };
    let needless = EXCEPTIONS.iter().filter(|(path, code, _)| !is_used(path, code));
    let message = "the exception for this file in xtask/src/tidy/words.rs is not needed any more: remove it";
    needless.map(|(path, ..)| Finding::new(path, 1, message)).collect()
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
    fn unfinished_code_is_found_anywhere() {
        let samples = [
            "fn f() { todo!() }",
            "fn f() { unimplemented!(\"later\") }",
            "fn f() { dbg!(1); }",
            "#[test] #[ignore = \"slow\"] fn f() {}",
            "#[test] #[cfg_attr(miri, ignore)] fn f() {}",
            "#[allow(unused, dead_code)] fn f() {}",
            "#![expect(dead_code)]",
            "// FIXME: later",
            "/* x\n XXX\n */",
            "fn f() {} // HACK",
            "//! (TODO)",
            "/// ```ignore\n/// x\n/// ```",
        ];
        for path in ["crates/millpond-cli/src/a.rs", "crates/millpond/tests/it/main.rs"] {
            for sample in samples {
                assert_eq!(lines(path, sample).len(), 1, "{sample}");
            }
        }
    }

    #[test]
    fn panics_and_prints_are_found_in_the_libraries() {
        let samples = [
            "x.unwrap()",
            "x\n.expect(\"y\")",
            "panic!()",
            "unreachable!()",
            "print!(\"\")",
            "println!(\"\")",
            "eprint!(\"\")",
            "eprintln!(\"\")",
        ];
        for sample in samples {
            let code = format!("fn f() {{ {sample} }}");
            let test = format!("#[cfg(test)] mod tests {{ {code} }}");
            assert_eq!(lines("crates/millpond/src/pool/a.rs", &code).len(), 1, "{sample}");
            assert_eq!(lines("crates/millpond-trace/src/a.rs", &code).len(), 1, "{sample}");
            assert_eq!(lines("crates/millpond/src/pool/a.rs", &test), [], "{sample}");
            assert_eq!(lines("crates/millpond-cli/src/a.rs", &code), [], "{sample}");
        }
    }

    #[test]
    fn strings_comments_and_likenesses_do_not_count() {
        let text = "/// Calls `x.unwrap()`; a hack, with ignore.\nfn f() { x.unwrap_or(\"panic!()\"); core::panic::f() }";
        assert_eq!(lines("crates/millpond/src/pool/a.rs", text), []);
    }

    #[test]
    fn exceptions_hold_and_must_be_needed() {
        let (path, code, _) = EXCEPTIONS[0];
        assert_eq!(lines(path, &format!("const X: () = {}();", code.replace(' ', ""))), []);
        assert_eq!(lines(path, "const X: () = ();"), [1]);
    }
}
