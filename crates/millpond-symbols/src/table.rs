//! The frames of the addresses of one module, with each text once.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use serde::{Deserialize, Serialize};

use crate::demangle::demangle;

/// A function that was executing at an address, or that was inlined there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame<'a> {
    /// The function's name, demangled; empty if unknown.
    pub function: &'a str,
    /// The path of the source file; empty if unknown.
    pub file: &'a str,
    /// The line in it; 0 if unknown.
    pub line: u32,
}

/// Frames of many addresses.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Table {
    /// All names and paths; the first is empty.
    texts: Vec<String>,
    frames: Vec<Entry>,
    /// Ascending by offset.
    places: Vec<Place>,
}

/// A frame, with the positions of its texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    function: u32,
    file: u32,
    line: u32,
}

/// An address, as an offset in the module's file, and its frames, innermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    offset: u64,
    first: u32,
    count: u32,
}

impl Table {
    /// Returns the frames at an offset, innermost first.
    pub(crate) fn frames(&self, offset: u64) -> Frames<'_> {
        let place = self.places.binary_search_by_key(&offset, |place| place.offset).ok();
        let range = place.map_or(0..0, |place| {
            let Place { first, count, .. } = self.places[place];
            first as usize..(first + count) as usize
        });
        Frames { table: self, entries: self.frames[range].iter() }
    }

    /// Returns the offsets that were looked up.
    pub(crate) fn offsets(&self) -> impl Iterator<Item = u64> + '_ {
        self.places.iter().map(|place| place.offset)
    }

    /// Returns whether an offset was looked up.
    pub(crate) fn has(&self, offset: u64) -> bool {
        self.places.binary_search_by_key(&offset, |place| place.offset).is_ok()
    }

    /// Returns whether all positions in it exist and places are in order, which is not so in a file that was tampered
    /// with.
    pub(crate) fn is_sound(&self) -> bool {
        let is_text = |text: u32| (text as usize) < self.texts.len();
        let holds = |place: &Place| {
            place.first.checked_add(place.count).is_some_and(|end| end as usize <= self.frames.len())
        };
        self.frames.iter().all(|frame| is_text(frame.function) && is_text(frame.file))
            && self.places.iter().all(holds)
            && self.places.is_sorted_by(|left, right| left.offset < right.offset)
    }
}

/// The frames of an address, innermost first: inlined functions before the function that they were inlined into.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    table: &'a Table,
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    fn next(&mut self) -> Option<Frame<'a>> {
        let entry = self.entries.next()?;
        let text = |text: u32| self.table.texts[text as usize].as_str();
        Some(Frame { function: text(entry.function), file: text(entry.file), line: entry.line })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Frames<'_> {}

/// Builds a [`Table`].
pub(crate) struct Builder {
    table: Table,
    /// The position of the text for each mangled name, and of each path.
    names: HashMap<Box<str>, u32, FixedState>,
    paths: HashMap<Box<str>, u32, FixedState>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let table = Table { texts: vec![String::new()], ..Table::default() };
        let (mut names, mut paths) = (HashMap::default(), HashMap::default());
        names.insert("".into(), 0);
        paths.insert("".into(), 0);
        Self { table, names, paths }
    }

    /// Starts the next place, whose offset must be above all before.
    pub(crate) fn place(&mut self, offset: u64) {
        let first = self.table.frames.len() as u32;
        self.table.places.push(Place { offset, first, count: 0 });
    }

    /// Adds the next frame of the last place: a mangled name, a path, and a line.
    pub(crate) fn frame(&mut self, function: &str, file: &str, line: u32) {
        let Some(place) = self.table.places.last_mut() else { return };
        place.count += 1;
        let texts = &mut self.table.texts;
        let function = position(&mut self.names, texts, function, |name| demangle(name).into_owned());
        let file = position(&mut self.paths, texts, file, str::to_owned);
        self.table.frames.push(Entry { function, file, line });
    }

    /// Returns the table.
    pub(crate) fn finish(self) -> Table {
        self.table
    }
}

/// Returns the position of the text for a key, which is made if it is new.
fn position(
    known: &mut HashMap<Box<str>, u32, FixedState>,
    texts: &mut Vec<String>,
    key: &str,
    text: impl FnOnce(&str) -> String,
) -> u32 {
    if let Some(&position) = known.get(key) {
        return position;
    }
    let position = texts.len() as u32;
    texts.push(text(key));
    known.insert(key.into(), position);
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_as_they_were_put_in() {
        let mut builder = Builder::new();
        builder.place(5);
        builder.frame("_ZN3foo3barEv", "a.cc", 3);
        builder.frame("main", "a.cc", 9);
        builder.place(7);
        builder.place(9);
        builder.frame("main", "", 0);
        let table = builder.finish();
        assert!(table.is_sound());
        let frames = |offset| table.frames(offset).map(|frame| (frame.function, frame.file, frame.line));
        assert_eq!(frames(5).collect::<Vec<_>>(), [("foo::bar()", "a.cc", 3), ("main", "a.cc", 9)]);
        assert_eq!(frames(9).collect::<Vec<_>>(), [("main", "", 0)]);
        assert_eq!((frames(7).len(), frames(6).len()), (0, 0));
        assert!(table.has(7) && !table.has(6));
    }

    #[test]
    fn tables_with_wrong_positions_are_unsound() {
        let place = |offset, first, count| Place { offset, first, count };
        let entry = Entry { function: 0, file: 0, line: 1 };
        let table = |frames: &[Entry], places: &[Place]| Table {
            texts: vec![String::new()],
            frames: frames.to_vec(),
            places: places.to_vec(),
        };
        assert!(table(&[entry], &[place(1, 0, 1), place(2, 0, 0)]).is_sound());
        assert!(!table(&[entry], &[place(1, 0, 2)]).is_sound());
        assert!(!table(&[entry], &[place(1, u32::MAX, 2)]).is_sound());
        assert!(!table(&[entry], &[place(2, 0, 1), place(2, 0, 1)]).is_sound());
        assert!(!table(&[Entry { function: 1, ..entry }], &[]).is_sound());
        assert!(!table(&[Entry { file: 7, ..entry }], &[]).is_sound());
    }
}
