//! Splits Rust source text into tokens: enough of the language to tell code from comments and strings.
//!
//! Numbers with a point become several tokens and raw identifiers three; no rule depends on these.

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line or block comment, documentation included.
    Comment,
    /// An identifier, a keyword or a number.
    Word,
    /// A string or a character.
    Text,
    /// A lifetime or a label.
    Lifetime,
    /// One character of punctuation, or `::`.
    Mark,
}

/// A token and the lines that it is on, counted from 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    pub(super) line: usize,
    pub(super) last_line: usize,
}

/// Returns all tokens of a text, including comments.
pub(super) fn tokens(mut rest: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut line = 1;
    loop {
        let trimmed = rest.trim_start();
        line += newlines(&rest[..rest.len() - trimmed.len()]);
        let Some(first) = trimmed.chars().next() else { return found };
        let (kind, length) = measure(trimmed, first);
        let (text, after) = trimmed.split_at(length.min(trimmed.len()));
        let last_line = line + newlines(text);
        found.push(Token { kind, text, line, last_line });
        (rest, line) = (after, last_line);
    }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|&byte| byte == b'\n').count()
}

/// Returns the kind and the length in bytes of the token at the start of `rest`, whose first character is `first`.
fn measure(rest: &str, first: char) -> (Kind, usize) {
    if rest.starts_with("//") {
        (Kind::Comment, rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        (Kind::Comment, block_comment(rest))
    } else if let Some(length) = string(rest) {
        (Kind::Text, length)
    } else if first == '\'' {
        quote(rest)
    } else if is_word(first) {
        (Kind::Word, word(rest))
    } else if rest.starts_with("::") {
        (Kind::Mark, 2)
    } else {
        (Kind::Mark, first.len_utf8())
    }
}

fn is_word(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

fn word(rest: &str) -> usize {
    rest.find(|character| !is_word(character)).unwrap_or(rest.len())
}

/// Returns the length of a block comment; they nest.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Returns the length of a string literal with its prefix, if there is one.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.find(|character| !matches!(character, 'b' | 'c' | 'r' | '#'))?;
    if !rest[prefix..].starts_with('"') {
        return None;
    }
    let marks = rest[..prefix].trim_start_matches(['b', 'c']).strip_prefix('r');
    match marks {
        Some(hashes) if hashes.bytes().all(|byte| byte == b'#') => {
            let end = format!("\"{hashes}");
            let body = prefix + 1;
            Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()))
        }
        None if matches!(&rest[..prefix], "" | "b" | "c") => Some(prefix + closing(&rest[prefix..], b'"')),
        _ => None,
    }
}

/// Returns the length of a literal that starts and ends with `mark`, within which a backslash escapes.
fn closing(rest: &str, mark: u8) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != mark {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Returns the kind and the length of a character or a lifetime: the latter has no second quote after its first
/// character.
fn quote(rest: &str) -> (Kind, usize) {
    let mut characters = rest[1..].chars();
    match (characters.next(), characters.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => (Kind::Text, closing(rest, b'\'')),
        _ => (Kind::Lifetime, 1 + word(&rest[1..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text).iter().map(|token| (token.kind, token.text)).collect()
    }

    #[test]
    fn code_comments_and_strings() {
        use Kind::{Comment, Lifetime, Mark, Text, Word};
        assert_eq!(
            kinds("a::b /* x /* y */ z */ \"q\\\" // no\" r#\"raw \" \"# b\"c\" // end"),
            [
                (Word, "a"),
                (Mark, "::"),
                (Word, "b"),
                (Comment, "/* x /* y */ z */"),
                (Text, "\"q\\\" // no\""),
                (Text, "r#\"raw \" \"#"),
                (Text, "b\"c\""),
                (Comment, "// end"),
            ]
        );
        assert_eq!(
            kinds("'a' 'b '\\'' '{' b'x'"),
            [(Text, "'a'"), (Lifetime, "'b"), (Text, "'\\''"), (Text, "'{'"), (Word, "b"), (Text, "'x'")]
        );
    }

    #[test]
    fn lines_of_long_tokens() {
        let found = tokens("one\n\"two\nthree\"\n/* four\n */ five");
        let lines: Vec<_> = found.iter().map(|token| (token.line, token.last_line)).collect();
        assert_eq!(lines, [(1, 1), (2, 3), (4, 5), (5, 5)]);
    }

    #[test]
    fn unterminated_text_is_one_token() {
        for text in ["\"open", "/* open", "r#\"open\"", "'\\", "\"\\"] {
            assert_eq!(tokens(text).len(), 1, "{text}");
        }
    }
}
