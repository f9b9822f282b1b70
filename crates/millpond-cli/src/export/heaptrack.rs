//! The format of heaptrack, as its interpreter writes it: a line for each event, with numbers in hexadecimal. As there, a
//! block that is resized is freed, and another is allocated where it was resized.

use std::{collections::HashMap, io::Write};

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Sample, Verb};

use super::{
    events,
    recording::{Recording, UNKNOWN},
};
use crate::trace;

/// The version of heaptrack whose files these are, and the version of the format.
const VERSION: &str = "v 10400 3";
/// The page size, the unit of samples of resident memory.
const PAGE: u64 = 4096;

pub(super) fn write(reader: &mut Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let samples = head(reader, recording, out)?;
    let mut lines = Lines {
        infos: HashMap::default(),
        unknown: reader.tables().stacks.len() as u32,
        samples: samples.into_iter().peekable(),
        clock: 0,
        out,
    };
    let wall = reader.summary().wall_ns;
    events::each(reader, |event| lines.event(event))?;
    lines.until(wall)
}

/// Writes everything but the events. Returns the samples of resident memory, in order of time.
fn head(reader: &Reader, recording: &Recording, out: &mut dyn Write) -> Result<Vec<Sample>> {
    let tables = reader.tables();
    writeln!(out, "{VERSION}\nX {}\nI {PAGE:x} 0", trace::command_line(reader))?;
    let mut texts = Texts { numbers: HashMap::default(), out };
    let modules: Vec<_> =
        tables.modules.iter().map(|module| texts.number(&module.path)).collect::<Result<_>>()?;
    for (number, frame) in (0..).zip(tables.stacks.frames()) {
        let module = frame.module.map_or(0, |module| modules[module as usize]);
        let mut line = format!("i {:x} {module:x}", frame.instruction());
        for &function in recording.names.of(number) {
            let function = recording.names.function(function);
            let (name, file) = (texts.number(&function.name)?, texts.number(&function.file)?);
            line.push_str(&format!(" {name:x} {file:x} {:x}", function.line));
        }
        writeln!(texts.out, "{line}")?;
    }
    let unknown = texts.number(UNKNOWN)?;
    writeln!(texts.out, "i 0 0 {unknown:x}")?;
    for node in tables.stacks.nodes().iter().skip(1) {
        writeln!(texts.out, "t {:x} {:x}", node.frame + 1, node.parent)?;
    }
    writeln!(texts.out, "t {:x} 0", tables.stacks.frames().len() + 1)?;
    let mut samples = tables.samples.clone();
    samples.sort_by_key(|sample| sample.time);
    Ok(samples)
}

/// Texts, which are numbered from 1.
struct Texts<'a, 'b> {
    numbers: HashMap<&'a str, usize, FixedState>,
    out: &'b mut dyn Write,
}

impl<'a> Texts<'a, '_> {
    /// Returns the number of a text, which is written if it is new; 0 for an empty one.
    fn number(&mut self, text: &'a str) -> Result<usize> {
        if text.is_empty() {
            return Ok(0);
        }
        let fresh = self.numbers.len() + 1;
        let number = *self.numbers.entry(text).or_insert(fresh);
        if number == fresh {
            let text = trace::printable(text);
            writeln!(self.out, "s {:x} {text}", text.len())?;
        }
        Ok(number)
    }
}

/// The lines of events.
struct Lines<'a> {
    /// The number of each combination of a size and a call stack, in order of appearance.
    infos: HashMap<(u64, u32), usize, FixedState>,
    /// The number of the call stack that stands for an unknown one.
    unknown: u32,
    samples: std::iter::Peekable<std::vec::IntoIter<Sample>>,
    /// Milliseconds up to which time was written.
    clock: u64,
    out: &'a mut dyn Write,
}

impl Lines<'_> {
    fn event(&mut self, event: &events::Event) -> Result<()> {
        self.until(event.time)?;
        let verb = event.shape.verb;
        if verb == Verb::Free || verb == Verb::Resize {
            self.block('-', event.block.size, event.block.stack)?;
        }
        if verb != Verb::Free {
            self.block('+', event.shape.size, event.shape.stack)?;
        }
        Ok(())
    }

    fn block(&mut self, sign: char, size: u64, stack: u32) -> Result<()> {
        let fresh = self.infos.len();
        let number = *self.infos.entry((size, stack)).or_insert(fresh);
        if number == fresh {
            let stack = if stack == 0 { self.unknown } else { stack };
            writeln!(self.out, "a {size:x} {stack:x}")?;
        }
        Ok(writeln!(self.out, "{sign} {number:x}")?)
    }

    /// Writes the time, and the samples up to it.
    fn until(&mut self, time: u64) -> Result<()> {
        while let Some(sample) = self.samples.next_if(|sample| sample.time <= time) {
            self.clock(sample.time)?;
            writeln!(self.out, "R {:x}", sample.resident / PAGE)?;
        }
        self.clock(time)
    }

    fn clock(&mut self, time: u64) -> Result<()> {
        let clock = time / 1_000_000;
        if clock > self.clock {
            self.clock = clock;
            writeln!(self.out, "c {clock:x}")?;
        }
        Ok(())
    }
}
