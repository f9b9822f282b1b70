//! The format of valgrind's DHAT: an entry for each call stack, the innermost frame first. As there, a block that is
//! resized ends, and another begins where it was resized.

use std::{collections::HashMap, io::Write};

use anyhow::Result;
use foldhash::fast::FixedState;
use millpond_trace::{Reader, Verb};
use serde::Serialize;

use super::{
    events,
    recording::{Recording, UNKNOWN, labelled, unique},
};
use crate::trace;

/// Average lifetimes up to this many microseconds are short.
const SHORT: u64 = 100;

/// The file, except the table of frames and the entries for call stacks.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    dhat_file_version: u32,
    mode: &'a str,
    verb: &'a str,
    bklt: bool,
    bkacc: bool,
    tu: &'a str,
    #[serde(rename = "Mtu")]
    mtu: &'a str,
    tuth: u64,
    cmd: String,
    pid: u32,
    tg: u64,
    te: u64,
    pps: Vec<Entry>,
    ftbl: Vec<String>,
}

/// What one call stack allocated.
#[derive(Clone, Default, Serialize)]
struct Entry {
    /// Bytes and number of all blocks, and the sum of their lifetimes.
    tb: u64,
    tbk: u64,
    tl: u64,
    /// Max bytes live at once, and the blocks at that time.
    mb: u64,
    mbk: u64,
    /// Bytes and blocks when most bytes of the program are live.
    gb: u64,
    gbk: u64,
    /// Bytes and blocks at the end.
    eb: u64,
    ebk: u64,
    /// The frames, as indices into the table.
    fs: Vec<u32>,
}

impl Entry {
    fn begin(&mut self, size: u64) {
        self.tb = self.tb.saturating_add(size);
        self.tbk += 1;
        self.eb = self.eb.saturating_add(size);
        self.ebk += 1;
        if self.eb > self.mb || self.mbk == 0 {
            (self.mb, self.mbk) = (self.eb, self.ebk);
        }
    }

    fn end(&mut self, size: u64, lifetime: u64) {
        self.eb = self.eb.saturating_sub(size);
        self.ebk -= 1;
        self.tl = self.tl.saturating_add(lifetime);
    }
}

/// The entries while they are counted. Times are in nanoseconds.
struct Entries {
    /// The same number for equal stacks.
    unique: Vec<u32>,
    /// The entry of each stack, by that number.
    numbers: HashMap<u32, usize, FixedState>,
    entries: Vec<Entry>,
    /// The sum of the times at which the live blocks of each entry began.
    begun: Vec<u128>,
    live: u64,
    /// The time of the peak, and how many bytes are live then.
    peak: (u64, u64),
    found: bool,
}

impl Entries {
    fn number(&mut self, stack: u32) -> usize {
        let fresh = self.entries.len();
        let number = *self.numbers.entry(self.unique[stack as usize]).or_insert(fresh);
        if number == fresh {
            self.entries.push(Entry::default());
            self.begun.push(0);
        }
        number
    }

    fn see(&mut self, event: &events::Event) {
        let block = &event.block;
        if event.shape.verb == Verb::Free || event.shape.verb == Verb::Resize {
            let number = self.number(block.stack);
            self.entries[number].end(block.size, event.time - block.sized);
            self.begun[number] -= u128::from(block.sized);
            self.live = self.live.saturating_sub(block.size);
        }
        if event.shape.verb != Verb::Free {
            let number = self.number(event.shape.stack);
            self.entries[number].begin(event.shape.size);
            self.begun[number] += u128::from(event.time);
            self.live = self.live.saturating_add(event.shape.size);
            if !self.found && self.live >= self.peak.1 {
                self.found = true;
                self.peak.0 = event.time;
                self.entries.iter_mut().for_each(|entry| (entry.gb, entry.gbk) = (entry.eb, entry.ebk));
            }
        }
    }

    /// Ends the lifetimes of the live blocks, and converts all to microseconds.
    fn finish(&mut self, end: u64) {
        for (entry, begun) in self.entries.iter_mut().zip(&self.begun) {
            let lived = (u128::from(end) * u128::from(entry.ebk)).saturating_sub(*begun);
            entry.tl = entry.tl.saturating_add(u64::try_from(lived).unwrap_or(u64::MAX)) / 1000;
        }
    }
}

pub(super) fn write(reader: &mut Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let mut entries = Entries {
        unique: unique(&reader.tables().stacks),
        numbers: HashMap::default(),
        entries: Vec::new(),
        begun: Vec::new(),
        live: 0,
        peak: (0, reader.summary().peak_bytes),
        found: false,
    };
    let mut end = reader.summary().wall_ns;
    events::each(reader, |event| {
        end = end.max(event.time);
        entries.see(event);
        Ok(())
    })?;
    entries.finish(end);
    let (first, ftbl) = table(reader, recording);
    let stacks = &reader.tables().stacks;
    let mut pps = entries.entries;
    for (&stack, &number) in &entries.numbers {
        let frames = recording.names.frames_in(stacks, stack);
        pps[number].fs = frames.flat_map(|frame| first[frame as usize]..first[frame as usize + 1]).collect();
        if stack == 0 {
            pps[number].fs.push(1);
        }
    }
    let head = Head {
        dhat_file_version: 2,
        mode: "millpond",
        verb: "Allocated",
        bklt: true,
        bkacc: false,
        tu: "µs",
        mtu: "s",
        tuth: SHORT,
        cmd: trace::command_line(reader),
        pid: reader.start().process,
        tg: entries.peak.0 / 1000,
        te: end.div_ceil(1000),
        pps,
        ftbl,
    };
    serde_json::to_writer(&mut *out, &head)?;
    Ok(writeln!(out)?)
}

/// Returns the table of frames, one for each function of a frame, and where the functions of each frame begin in it.
fn table(reader: &Reader, recording: &Recording) -> (Vec<u32>, Vec<String>) {
    let mut table = vec!["[root]".to_owned(), format!("0x0: {UNKNOWN}")];
    let mut first = vec![table.len() as u32];
    for (number, frame) in (0..).zip(reader.tables().stacks.frames()) {
        let functions = recording.names.of(number).iter().map(|&number| recording.names.function(number));
        table.extend(functions.map(|function| format!("{:#x}: {}", frame.instruction(), labelled(function))));
        first.push(table.len() as u32);
    }
    (first, table)
}
