//! The paths in a Rust file, such as `crate::base::AllocError`, with the groups of `use` expanded.

use super::{lexer::Kind, source::Source};

/// A path as written, with the token that it starts at.
pub(super) struct Written<'a> {
    pub(super) at: usize,
    pub(super) parts: Vec<&'a str>,
}

/// Returns every path with at least two components, with the groups of `use` expanded.
pub(super) fn paths<'a>(source: &Source<'a>) -> Vec<Written<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < source.code.len() {
        at = read(source, at, &[], &mut found).max(at + 1);
    }
    found.retain(|written| written.parts.len() > 1);
    found
}

/// Reads the path, or its continuation after `before`, that starts at a token; returns where it ends.
fn read<'a>(source: &Source<'a>, start: usize, before: &[&'a str], found: &mut Vec<Written<'a>>) -> usize {
    let mut parts = before.to_vec();
    let mut at = start;
    loop {
        match (source.text(at), source.code.get(at).map(|token| token.kind)) {
            ("{", _) if !parts.is_empty() => return read_group(source, at, &parts, found),
            ("*", _) if !parts.is_empty() => at += 1,
            (name, Some(Kind::Word)) => {
                parts.push(name);
                at += 1;
                if source.text(at) == "::" {
                    at += 1;
                    continue;
                }
            }
            _ => {}
        }
        found.push(Written { at: start, parts });
        return at;
    }
}

fn read_group<'a>(
    source: &Source<'a>,
    open: usize,
    before: &[&'a str],
    found: &mut Vec<Written<'a>>,
) -> usize {
    let close = source.closing(open);
    let mut at = open + 1;
    while at < close {
        at = match source.text(at) {
            "as" => at + 2,
            "," => at + 1,
            _ => read(source, at, before, found).max(at + 1),
        };
    }
    close + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_expanded() {
        let text =
            "use a::{b, c::{self, d as e}, f::*}; fn g() -> h::i { j::k::<l::m>() } use {n::o, ::p::q};";
        let source = Source::new("a.rs", text);
        let found: Vec<_> = paths(&source).iter().map(|written| written.parts.join("::")).collect();
        assert_eq!(found, ["a::b", "a::c::self", "a::c::d", "a::f", "h::i", "j::k", "l::m", "n::o", "p::q"]);
    }
}
