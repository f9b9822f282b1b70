//! Call stacks in one line.

use std::{fmt::Write as _, rc::Rc};

use super::about::shortened;
use crate::symbols::Function;

/// How many frames of a stack are shown, from the site outwards, and max characters of each name.
const FRAMES: usize = 4;
const NAME: usize = 60;

/// Formats a site: its function, those that called it, and the outermost of those through which it allocates.
pub(super) fn chain(frames: &[Rc<Function>], through: &[Rc<Function>]) -> String {
    let shown: Vec<_> = frames.iter().take(FRAMES).map(|function| frame(function)).collect();
    let mut text = if shown.is_empty() { "unknown callers".into() } else { shown.join(" < ") };
    if frames.len() > FRAMES {
        text.push_str(" < ...");
    }
    if let Some(through) = through.last() {
        let _ = write!(text, ", through {}", brief(&through.name));
    }
    text
}

/// Formats a function with the name of its file and the line.
pub(super) fn frame(function: &Function) -> String {
    Function { name: brief(&function.name), ..function.clone() }.to_string()
}

/// Shortens a name, if it is long, by what is between brackets, and after that at its end.
fn brief(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let mut depth = 0_i32;
    // The brackets of `<Type as Trait>::method` are part of the path.
    let (mut brief, rest) = match name.strip_prefix('<') {
        Some(rest) => (String::from("<"), rest),
        None => (String::new(), name),
    };
    for letter in rest.chars() {
        depth -= i32::from(matches!(letter, '>' | ')') && depth > 0);
        if depth == 0 {
            brief.push(letter);
        }
        if matches!(letter, '<' | '(') {
            brief.push_str(if depth == 0 { "..." } else { "" });
            depth += 1;
        }
    }
    shortened(&brief, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_shortened_inside_of_brackets() {
        assert_eq!(brief("operator new(unsigned long)"), "operator new(unsigned long)");
        let name =
            "std::vector<std::pair<int, char>, std::allocator<int> >::_M_default_append(unsigned long)";
        assert_eq!(brief(name), "std::vector<...>::_M_default_append(...)");
        let name = "<program::Item<alloc::string::String> as core::convert::From<program::Other>>::from";
        assert_eq!(brief(name), "<program::Item<...> as core::convert::From<...>>::from");
        assert_eq!(brief(&"x".repeat(100)), format!("{}...", "x".repeat(NAME)));
    }
}
