//! Reads the sections of tables. Nothing in them is trusted.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Change, Frame, FrameKind, Mark, Module, Row, Sample, Symbol, Tables, Thread, module::Mapped};
use crate::file::{
    Summary,
    block::StackNumbers,
    bytes::Bytes,
    section::{Found, Kind},
};

/// The tables of a trace while it is read.
pub(crate) struct TableReader {
    pub(crate) tables: Tables,
    /// Number of sections of each kind that were read in this pass, and of those that are in the tables already.
    passed: [u32; Kind::COUNT],
    taken: [u32; Kind::COUNT],
    /// Sections of kinds that only later versions know.
    unknown: u32,
    /// In a trace of version 1: the stack of each caller, which consists of that frame.
    callers: Option<Callers>,
}

/// The callers of a trace of version 1.
struct Callers {
    stacks: HashMap<u64, u32, RandomState>,
    mapped: Mapped,
}

impl TableReader {
    /// Creates the tables of a trace of this version, before anything was read except these modules.
    pub(crate) fn new(version: u32, modules: Vec<Module>) -> Self {
        let mut mapped = Mapped::default();
        for (number, module) in modules.iter().enumerate() {
            mapped.insert(module, number as u32);
        }
        Self {
            tables: Tables { modules, ..Tables::default() },
            passed: [0; Kind::COUNT],
            taken: [0; Kind::COUNT],
            unknown: 0,
            callers: (version == 1).then(|| Callers { stacks: HashMap::default(), mapped }),
        }
    }

    /// Returns the number of sections read in this pass.
    pub(crate) fn sections(&self) -> u32 {
        self.passed.iter().sum::<u32>() + self.unknown
    }

    /// Begins another pass.
    pub(crate) fn rewind(&mut self) {
        (self.passed, self.unknown) = ([0; Kind::COUNT], 0);
    }

    /// Returns whether all sections were read that the summary counts.
    pub(crate) fn agree(&self, summary: &Summary) -> bool {
        self.callers.is_some()
            || (self.sections() == summary.tables && self.tables.stacks.len() == summary.stacks as usize)
    }

    /// Adds the rows of a section, unless it was read in an earlier pass.
    pub(crate) fn take(&mut self, found: Found, columns: &[Vec<u8>]) -> Result<(), &'static str> {
        let Some(kind) = found.kind else {
            self.unknown = self.unknown.checked_add(1).ok_or("there are too many")?;
            return Ok(());
        };
        let at = kind as usize - 1;
        if found.number != self.passed[at] {
            return Err("another section is in its place");
        }
        if self.passed[at] == self.taken[at] {
            self.rows(kind, found.entries, columns)?;
            self.taken[at] = found.number.checked_add(1).ok_or("there are too many")?;
        }
        self.passed[at] += 1;
        Ok(())
    }

    /// Adds the rows of a section.
    fn rows(&mut self, kind: Kind, count: usize, columns: &[Vec<u8>]) -> Result<(), &'static str> {
        let Tables { stacks, modules, threads, marks, samples, symbols } = &mut self.tables;
        let taken = match kind {
            Kind::Stacks => {
                let before = (stacks.len(), stacks.frames().len());
                let taken = stacks.take(columns, count, modules.len());
                if taken.is_none() {
                    stacks.truncate(before.0, before.1);
                }
                taken
            }
            Kind::Modules => all::<Change>(&columns[0], count)
                .and_then(|changes| changes.into_iter().try_for_each(|change| change.apply(modules))),
            Kind::Threads => all::<Thread>(&columns[0], count).map(|rows| threads.extend(rows)),
            Kind::Marks => all::<Mark>(&columns[0], count).map(|rows| marks.extend(rows)),
            Kind::Samples => all::<Sample>(&columns[0], count).map(|rows| samples.extend(rows)),
            Kind::Symbols => all::<Symbol>(&columns[0], count).map(|rows| symbols.extend(rows)),
            Kind::Start | Kind::Events | Kind::Summary => return Err("another section is in its place"),
        };
        taken.ok_or("it is unreadable")
    }
}

/// Reads `count` rows, which must be all there are.
fn all<R: Row>(column: &[u8], count: usize) -> Option<Vec<R>> {
    let mut bytes = Bytes(column);
    let rows = (0..count).map(|_| R::take(&mut bytes)).collect::<Option<_>>()?;
    bytes.is_empty().then_some(rows)
}

impl StackNumbers for TableReader {
    fn stack(&mut self, number: u64) -> Option<u32> {
        let stacks = &mut self.tables.stacks;
        let Some(callers) = &mut self.callers else {
            return u32::try_from(number).ok().filter(|&stack| (stack as usize) < stacks.len());
        };
        if number == 0 {
            return Some(0);
        }
        if let Some(&stack) = callers.stacks.get(&number) {
            return Some(stack);
        }
        let mut frame = Frame { address: number, module: None, kind: FrameKind::Return };
        frame.module = callers.mapped.find(frame.instruction());
        let stack = stacks.push_caller(frame)?;
        callers.stacks.insert(number, stack);
        Some(stack)
    }
}
