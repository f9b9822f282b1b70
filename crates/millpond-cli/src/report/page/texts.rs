//! Names of functions and files, each once.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::{report::about::shortened, symbols::Function};

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
        let short = shortened(text, self.length);
        self.shortened |= short.len() != text.len();
        let fresh = self.texts.len() as u32;
        *self.numbers.entry(short).or_insert_with_key(|text| {
            self.texts.push(text.clone());
            fresh
        })
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
