//! Lines no wider than the terminal. If the output is not a terminal, lines are unchanged, because programs read them.

use console::{Term, measure_text_width};

/// Returns the width of the terminal; `None` if the stream is not a terminal.
pub(super) fn width(term: &Term) -> Option<usize> {
    term.is_term().then(|| usize::from(term.size().1)).filter(|&width| width >= 20)
}

/// Wraps lines between words that are wider than `width`. Lines that start with a space are tables or code, and are
/// kept.
pub(super) fn wrap(text: &str, width: usize) -> String {
    let mut wrapped = String::new();
    for line in text.split_inclusive('\n') {
        if line.starts_with(' ') || measure_text_width(line.trim_end()) <= width {
            wrapped.push_str(line);
            continue;
        }
        let mut used = 0;
        for word in line.split(' ') {
            let length = measure_text_width(word.trim_end_matches('\n'));
            if used > 0 && used + 1 + length > width {
                wrapped.push('\n');
                used = 0;
            } else if used > 0 {
                wrapped.push(' ');
                used += 1;
            }
            wrapped.push_str(word);
            used += length;
        }
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_and_tables_are_not() {
        let text = "one two three four\n  a table that is wide\nshort\n\x1b[1mbold and long\x1b[0m\n";
        let expected = "one two\nthree four\n  a table that is wide\nshort\n\x1b[1mbold and\nlong\x1b[0m\n";
        assert_eq!(wrap(text, 10), expected);
        assert_eq!(wrap("unbreakable-word-here x", 10), "unbreakable-word-here\nx");
        assert_eq!(wrap(text, 100), text);
    }
}
