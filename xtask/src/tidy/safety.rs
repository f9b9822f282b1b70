//! Every `unsafe` block and implementation has a comment with the reason, in macros too (which Clippy does not check).

use super::{
    lexer::Kind,
    source::Source,
    tree::{Finding, Tree},
};

/// A comment with the reason precedes every `unsafe {` and every `unsafe impl`.
pub(super) fn reasons(tree: &Tree<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        for (index, pair) in source.tokens.windows(2).enumerate() {
            let is_unsafe = pair[0].text == "unsafe" && ["{", "impl"].contains(&pair[1].text);
            if is_unsafe && !has_reason(source, index) {
                let message =
                    "unsafe without a reason: add `// SAFETY: …` before it and state why it is sound";
                findings.push(Finding::new(source.path, pair[0].line, message));
            }
        }
    }
    findings
}

/// Returns whether there is a reason between the start of the statement and the token, or right above the token's line.
fn has_reason(source: &Source<'_>, index: usize) -> bool {
    let before = || source.tokens[..index].iter().rev();
    let gives_reason = |text: &str| text.contains("SAFETY:");
    let in_statement = before()
        .take_while(|token| ![";", "{", "}"].contains(&token.text))
        .any(|token| token.kind == Kind::Comment && gives_reason(token.text));
    let line = source.tokens[index].line;
    let above = before()
        .skip_while(|token| token.line == line)
        .scan(line, |line, token| {
            let touches = token.kind == Kind::Comment && token.last_line + 1 == *line;
            *line = token.line;
            touches.then_some(token.text)
        })
        .any(gives_reason);
    in_statement || above
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Files;

    fn lines(text: &str) -> Vec<usize> {
        let files = Files::of(&[("src/a.rs", text)]);
        reasons(&Tree::new(&files)).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn missing_reasons_are_found() {
        assert_eq!(lines("fn f() {\n    unsafe { g() }\n}"), [2]);
        assert_eq!(lines("// Fine.\nunsafe impl Send for X {}"), [2]);
        assert_eq!(lines("macro_rules! m { () => {\n unsafe { g() }\n} }"), [2]);
        assert_eq!(lines("fn f() {\n // SAFETY: one.\n unsafe { g() }\n unsafe { g() }\n}"), [4]);
        assert_eq!(lines("// SAFETY: too far away.\n\nfn f() { unsafe { g() } }"), [3]);
        assert_eq!(lines("// SAFETY: another's.\nfn g() {}\nfn f() {\n unsafe { g() } }"), [4]);
    }

    #[test]
    fn accepted_positions_of_comments() {
        let samples = [
            "fn f() {\n // SAFETY: x.\n unsafe { g() }\n}",
            "// SAFETY: on two\n// lines.\nunsafe impl Send for X {}",
            "// SAFETY: above an attribute.\n#[cfg(unix)]\nunsafe impl Send for X {}",
            "fn f() {\n // SAFETY: above the statement.\n let x = h(\n 1,\n unsafe { g() },\n );\n}",
            "fn f() {\n // SAFETY: above the line.\n if x { y } else { unsafe { g() } }\n}",
            "fn f() { match x {\n Some(_) => // SAFETY: in the arm.\n unsafe { g() }\n} }",
            "fn f() { /* SAFETY: before. */ unsafe { g() } }",
        ];
        for sample in samples {
            assert_eq!(lines(sample), [], "{sample}");
        }
    }

    #[test]
    fn declarations_need_no_comment() {
        let text = "unsafe fn f() {}\nunsafe trait T {}\nunsafe extern \"C\" {}\ntype F = unsafe fn();\n// unsafe { x }";
        assert_eq!(lines(text), []);
    }
}
