//! Names of functions and files, each once.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::symbols::Function;

/// The texts that a page refers to by number, and the functions made from them.
pub(super) struct Texts {
    /// Max characters of a text.
    length: usize,
    numbers: HashMap<String, u32, FixedState>,
    pub(super) texts: Vec<String>,
    functions_known: HashMap<(u32, u32, u32), u32, FixedState>,
    /// Name, file and line of each function.
    pub(super) functions: Vec<(u32, u32, u32)>,
    /// Whether a text was shortened.
    pub(super) shortened: bool,
}

impl Texts {
    pub(super) fn new(length: usize) -> Self {
        Self {
            length,
            numbers: HashMap::default(),
            texts: Vec::new(),
            functions_known: HashMap::default(),
            functions: Vec::new(),
            shortened: false,
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        if let Some(&known) = self.numbers.get(text) {
            return known;
        }
        let number = self.texts.len() as u32;
        let short = middle_out(text, self.length);
        self.shortened |= short != text;
        self.texts.push(short);
        // Names that differ stay different, even if they are the same when shortened.
        self.numbers.insert(text.to_owned(), number);
        number
    }

    /// Returns the number of a function.
    pub(super) fn function(&mut self, function: &Function) -> u32 {
        let function = (self.text(&function.name), self.text(&function.file), function.line);
        let fresh = self.functions.len() as u32;
        *self.functions_known.entry(function).or_insert_with(|| {
            self.functions.push(function);
            fresh
        })
    }
}

/// Shortens a text to at most `most` characters and three dots, at the expense of its middle.
fn middle_out(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let end = most / 3;
    let begin = text.chars().take(most - end);
    begin.chain("...".chars()).chain(text.chars().skip(length - end)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_stay_different() {
        let mut texts = Texts::new(6);
        let numbers = ["abcdef", "abcd1efgh", "abcd2efgh", "abcdef"].map(|text| texts.text(text));
        assert_eq!(numbers, [0, 1, 2, 0]);
        assert_eq!(texts.texts, ["abcdef", "abcd...gh", "abcd...gh"]);
        assert!(texts.shortened);
    }
}
