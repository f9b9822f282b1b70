//! Profiles for pprof: `profile.proto`, which the caller compresses.

use std::{collections::HashMap, io::Write};

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Lack, Reader, analysis::Site};

use super::{
    protobuf::{Message, write_bytes},
    recording::{Recording, UNKNOWN, build_id},
};
use crate::trace;

/// Fields of `Profile`.
const SAMPLE_TYPE: u64 = 1;
const SAMPLE: u64 = 2;
const MAPPING: u64 = 3;
const LOCATION: u64 = 4;
const FUNCTION: u64 = 5;
const STRING: u64 = 6;
const TIME_NS: u64 = 9;
const DURATION_NS: u64 = 10;
const PERIOD_TYPE: u64 = 11;
const PERIOD: u64 = 12;
const COMMENT: u64 = 13;
const DEFAULT_SAMPLE_TYPE: u64 = 14;

/// The values of each sample, with their units; the names of the first four are those of heap profiles.
static VALUES: [(&str, &str); 6] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
    ("peak_objects", "count"),
    ("peak_space", "bytes"),
];

pub(super) fn write(reader: &Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let mut profile = Profile { out, texts: HashMap::default() };
    profile.text("")?;
    profile.head(reader, known(recording))?;
    profile.mappings(reader)?;
    profile.functions(recording)?;
    profile.locations(reader, recording)?;
    let stacks = &reader.tables().stacks;
    let unknown = stacks.frames().len() as u64 + 1;
    let bytes = profile.text("bytes")?;
    for site in recording.used() {
        let mut locations: Vec<_> =
            recording.names.frames_in(stacks, site.stack).map(|frame| u64::from(frame) + 1).collect();
        if locations.is_empty() {
            locations.push(unknown);
        }
        let values = values(site).into_iter().take(known(recording).len());
        let mut sample = Message::default().numbers(1, locations).numbers(2, values);
        if site.sizes.0 == site.sizes.1 {
            sample = sample
                .message(3, &Message::default().number(1, bytes).number(3, site.sizes.0).number(4, bytes));
        }
        sample.write(SAMPLE, profile.out)?;
    }
    Ok(())
}

/// Returns the values that a trace does not lack.
fn known(recording: &Recording) -> &'static [(&'static str, &'static str)] {
    if recording.origin.has_no(Lack::Peak) { &VALUES[..4] } else { &VALUES }
}

/// Returns the values of a sample.
fn values(site: &Site) -> [u64; 6] {
    [
        site.allocations + site.resizes,
        site.bytes,
        u64::from(site.live_blocks),
        site.live_bytes,
        u64::from(site.peak_blocks),
        site.peak_bytes,
    ]
}

/// A profile that is being written.
struct Profile<'a> {
    out: &'a mut dyn Write,
    /// The numbers of the texts.
    texts: HashMap<String, u64, FixedState>,
}

impl Profile<'_> {
    /// Returns the number of a text, which is written if it is new.
    fn text(&mut self, text: &str) -> Result<u64> {
        if let Some(&number) = self.texts.get(text) {
            return Ok(number);
        }
        let number = self.texts.len() as u64;
        write_bytes(STRING, text.as_bytes(), self.out)?;
        self.texts.insert(text.to_owned(), number);
        Ok(number)
    }

    /// Writes everything that is there once.
    fn head(&mut self, reader: &Reader, values: &[(&str, &str)]) -> Result<()> {
        for (name, unit) in values {
            let (name, unit) = (self.text(name)?, self.text(unit)?);
            Message::default().number(1, name).number(2, unit).write(SAMPLE_TYPE, self.out)?;
        }
        let (space, bytes, default) = (self.text("space")?, self.text("bytes")?, self.text("alloc_space")?);
        let comment = self.text(&trace::command_line(reader))?;
        let period_type = Message::default().number(1, space).number(2, bytes);
        // Every byte was counted: the period is 1.
        Message::default()
            .number(TIME_NS, reader.start().unix_ns)
            .number(DURATION_NS, reader.summary().wall_ns)
            .message(PERIOD_TYPE, &period_type)
            .number(PERIOD, 1)
            .number(COMMENT, comment)
            .number(DEFAULT_SAMPLE_TYPE, default)
            .write_fields(self.out)?;
        Ok(())
    }

    /// Writes the modules, numbered from 1.
    fn mappings(&mut self, reader: &Reader) -> Result<()> {
        for (number, module) in (1..).zip(&reader.tables().modules) {
            let (path, build) = (self.text(&module.path)?, self.text(&build_id(module))?);
            let mapping = Message::default()
                .number(1, number)
                .number(2, module.start)
                .number(3, module.end)
                .number(4, module.offset)
                .number(5, path)
                .number(6, build);
            // Names, files, lines and inlined functions are there as far as they are known: pprof need not search.
            (7..=10).fold(mapping, |mapping, field| mapping.number(field, 1)).write(MAPPING, self.out)?;
        }
        Ok(())
    }

    /// Writes the functions, numbered from 1, and one for unknown callers after them.
    fn functions(&mut self, recording: &Recording) -> Result<()> {
        let functions = recording.names.functions();
        let known = functions.iter().map(|function| (function.name.as_str(), function.file.as_str()));
        for (number, (name, file)) in (1..).zip(known.chain([(UNKNOWN, "")])) {
            let (name, file) = (self.text(name)?, self.text(file)?);
            let function = Message::default().number(1, number).number(2, name).number(3, name);
            function.number(4, file).write(FUNCTION, self.out)?;
        }
        Ok(())
    }

    /// Writes the frames, numbered from 1, and one for unknown callers after them.
    fn locations(&mut self, reader: &Reader, recording: &Recording) -> Result<()> {
        let line = |number: u32, line: u32| {
            Message::default().number(1, u64::from(number) + 1).number(2, u64::from(line))
        };
        let frames = reader.tables().stacks.frames();
        for (number, frame) in (0..).zip(frames) {
            let location = Message::default()
                .number(1, u64::from(number) + 1)
                .number(2, frame.module.map_or(0, |module| u64::from(module) + 1))
                .number(3, frame.instruction());
            let functions = recording.names.of(number).iter();
            let lines = functions.map(|&number| line(number, recording.names.function(number).line));
            lines.fold(location, |location, line| location.message(4, &line)).write(LOCATION, self.out)?;
        }
        let unknown = line(recording.names.functions().len() as u32, 0);
        Message::default()
            .number(1, frames.len() as u64 + 1)
            .message(4, &unknown)
            .write(LOCATION, self.out)?;
        Ok(())
    }
}
