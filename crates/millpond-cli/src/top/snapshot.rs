//! A program at one moment: what is shown.

use std::{fmt::Write as _, rc::Rc};

use anyhow::{Result, bail};
use millpond_trace::Mark;

use super::{
    column::Column,
    held::{Held, Unseen},
    model::{Asked, Model},
    places::Places,
    source::{Source, State},
};
use crate::{estimate::Estimate, symbols::Function};

/// What is selected by marks: blocks that were allocated from one mark on, or from one to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generation {
    /// The number of the mark, from 1; 0: all blocks.
    pub(crate) mark: usize,
    /// Whether blocks that were allocated after the next mark are left out.
    pub(crate) is_closed: bool,
}

/// What is shown.
pub(crate) struct Snapshot {
    /// Nanoseconds since the beginning of the recording.
    pub(crate) time: u64,
    pub(crate) state: State,
    /// The rows of all sites, in no order.
    pub(crate) rows: Vec<Row>,
    /// The sums of all.
    pub(crate) all: Figures,
    /// Nanoseconds over which rates are taken, and growth.
    pub(crate) rate_ns: u64,
    pub(crate) growth_ns: u64,
    /// Of the blocks below `large` bytes, one in this many is followed.
    pub(crate) factor: u64,
    pub(crate) large: u64,
    pub(crate) marks: Vec<Mark>,
    pub(crate) generation: Generation,
    /// What stood in the way of more names.
    pub(crate) notes: Vec<String>,
}

/// A call site.
pub(crate) struct Row {
    pub(crate) figures: Figures,
    /// The function of the site, and its callers; empty if its stack is not known, or not looked up yet.
    pub(crate) frames: Vec<Rc<Function>>,
    pub(crate) through: Vec<Rc<Function>>,
    /// Whether these are the stacks whose functions were not looked up yet.
    pub(crate) is_pending: bool,
}

/// What a site has done. Estimates have a range if only a sample of the blocks is followed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Calls that allocated or resized, and the bytes requested by them, since the beginning.
    pub(crate) calls: u64,
    pub(crate) bytes: u64,
    /// The same per second, of late.
    pub(crate) calls_rate: f64,
    pub(crate) bytes_rate: f64,
    /// Live blocks and their bytes.
    pub(crate) live_blocks: Estimate,
    pub(crate) live_bytes: Estimate,
    /// Bytes by which that has grown per second, and whether that changed it by less than a twentieth.
    pub(crate) growth: Estimate,
    pub(crate) is_steady: bool,
    /// The mean age of the live blocks in nanoseconds; `None` if there are none, or too few are followed.
    pub(crate) age: Option<Estimate>,
    /// Live blocks of the selected generation, and their bytes.
    pub(crate) selected_blocks: Estimate,
    pub(crate) selected_bytes: Estimate,
}

/// What the stacks of a site add up to.
#[derive(Clone, Default)]
struct Sums {
    asked: Asked,
    earlier: Asked,
    held: Held,
    before: Held,
    /// Live blocks that have been allocated since then; only if there is a sample.
    new: Held,
    selected: Held,
}

impl Generation {
    /// Finds the mark that a user means: its number, or the last one of this name.
    pub(crate) fn of(mark: Option<&str>, marks: &[Mark]) -> Result<Self> {
        let Some(wanted) = mark else { return Ok(Self::default()) };
        let by_name = marks.iter().rposition(|mark| mark.name == wanted).map(|at| at + 1);
        let by_number = wanted.parse().ok().filter(|number| (1..=marks.len()).contains(number));
        let Some(mark) = by_name.or(by_number) else {
            let mut names = String::new();
            for (number, mark) in (1..).zip(marks) {
                // A string takes all that is written to it.
                let _ = write!(names, "{}{number} {}", if names.is_empty() { "" } else { ", " }, mark.name);
            }
            match names.is_empty() {
                true => bail!("there is no mark {wanted}: no mark has been set so far"),
                false => bail!("there is no mark {wanted}; the marks so far are {names}"),
            }
        };
        Ok(Self { mark, is_closed: false })
    }

    /// Returns the period in which the selected blocks were allocated.
    pub(crate) fn born(self, marks: &[Mark]) -> std::ops::Range<u64> {
        let time = |number: usize| number.checked_sub(1).and_then(|at| marks.get(at)).map(|mark| mark.time);
        let end = if self.is_closed { time(self.mark + 1) } else { None };
        time(self.mark).unwrap_or(0)..end.unwrap_or(u64::MAX)
    }
}

impl Sums {
    fn add(&mut self, other: &Self) {
        for (asked, more) in [(&mut self.asked, &other.asked), (&mut self.earlier, &other.earlier)] {
            asked.calls += more.calls;
            asked.bytes = asked.bytes.saturating_add(more.bytes);
            asked.largest = asked.largest.max(more.largest);
        }
        self.held.add(&other.held);
        self.before.add(&other.before);
        self.new.add(&other.new);
        self.selected.add(&other.selected);
    }

    fn figures(&self, model: &Model, rate_ns: u64, growth_ns: u64) -> Figures {
        let unseen = model.unseen(self.asked.largest);
        let second = |ns: u64| ns.max(1) as f64 / 1e9;
        let live_bytes = self.held.bytes(unseen);
        let sample = model.before().map(|before| before.sample);
        let growth = match sample {
            Some((factor, large)) if (factor, large) != (model.sample.factor(), model.sample.large()) => {
                difference(live_bytes, self.before.bytes(Unseen { factor, ..unseen }))
            }
            _ => self.held.growth(&self.before, &self.new, unseen),
        };
        let is_steady = growth.least.abs().max(growth.most.abs()) * STEADY < live_bytes.least;
        Figures {
            calls: self.asked.calls,
            bytes: self.asked.bytes,
            calls_rate: (self.asked.calls - self.earlier.calls) as f64 / second(rate_ns),
            bytes_rate: (self.asked.bytes - self.earlier.bytes) as f64 / second(rate_ns),
            live_blocks: self.held.blocks(unseen),
            live_bytes,
            growth: growth.over(second(growth_ns)),
            is_steady,
            age: self.held.age(unseen),
            selected_blocks: self.selected.blocks(unseen),
            selected_bytes: self.selected.bytes(unseen),
        }
    }
}

/// A change by less than the whole divided by this is called none.
const STEADY: f64 = 20.0;

/// Returns the difference of two estimates whose errors are not of opposite sign more often than not.
fn difference(now: Estimate, before: Estimate) -> Estimate {
    let median = now.median - before.median;
    let down = (now.median - now.least).hypot(before.most - before.median);
    let up = (now.most - now.median).hypot(before.median - before.least);
    Estimate { median, least: median - down, most: median + up }
}

impl Snapshot {
    /// Takes a snapshot, with further marks besides those of the program.
    pub(crate) fn take(
        source: &dyn Source,
        places: &Places,
        state: State,
        generation: Generation,
        own: &[Mark],
    ) -> Self {
        let (model, mut marks) = (source.model(), [source.marks(), own].concat());
        marks.sort_by_key(|mark| mark.time);
        let now = model.now();
        let earlier = model.earlier();
        let (rate_ns, growth_ns) = (now - earlier.time, now - model.before().map_or(0, |before| before.time));
        let mut sums = vec![Sums::default(); places.sites().len() + 1];
        let pending = places.sites().len();
        visit_parts(model, generation.born(&marks), |stack, part| {
            sums[places.of(stack).map_or(pending, |site| site as usize)].add(part);
        });
        let mut all = Sums::default();
        sums.iter().for_each(|sums| all.add(sums));
        let row = |(number, sums): (usize, &Sums)| {
            let site = places.sites().get(number);
            Row {
                figures: sums.figures(model, rate_ns, growth_ns),
                frames: site.map_or_else(Vec::new, |site| site.frames.clone()),
                through: site.map_or_else(Vec::new, |site| site.through.clone()),
                is_pending: site.is_none(),
            }
        };
        let rows = sums.iter().enumerate().filter(|(_, sums)| sums.asked.calls > 0).map(row).collect();
        Self {
            time: now,
            state,
            rows,
            all: all.figures(model, rate_ns, growth_ns),
            rate_ns,
            growth_ns,
            factor: model.sample.factor(),
            large: model.sample.large(),
            marks,
            generation,
            notes: places.notes().to_vec(),
        }
    }
}

impl Snapshot {
    /// Returns the rows of which a function has this text in its name, whatever the case of its letters, the largest first.
    pub(crate) fn sorted(&self, column: Column, filter: &str) -> Vec<&Row> {
        let filter = filter.to_lowercase();
        let mut rows: Vec<_> = self.rows.iter().filter(|row| row.has(&filter)).collect();
        let key = |row: &Row| column.of(&row.figures);
        rows.sort_by(|left, right| key(right).total_cmp(&key(left)));
        rows
    }
}

impl Row {
    /// Returns whether a function of the stack has this text, in small letters, in its name.
    fn has(&self, text: &str) -> bool {
        let mut functions = self.frames.iter().chain(&self.through);
        text.is_empty() || functions.any(|function| function.name.to_lowercase().contains(text))
    }
}

/// Passes what each stack adds to `visit`, with the number of the stack.
fn visit_parts(model: &Model, born: std::ops::Range<u64>, mut visit: impl FnMut(usize, &Sums)) {
    let held = model.held(0..u64::MAX);
    let selected = if born == (0..u64::MAX) { None } else { Some(model.held(born)) };
    let since = model.before().map_or(0, |before| before.time);
    let new = if model.sample.is_everything() { Vec::new() } else { model.held(since..u64::MAX) };
    for (stack, &asked) in model.asked().iter().enumerate() {
        let before = model.before().and_then(|before| before.held.get(stack));
        let sums = Sums {
            asked,
            earlier: model.earlier().asked.get(stack).copied().unwrap_or_default(),
            held: held[stack],
            before: before.copied().unwrap_or_default(),
            new: new.get(stack).copied().unwrap_or_default(),
            selected: selected.as_ref().map_or(held[stack], |selected| selected[stack]),
        };
        visit(stack, &sums);
    }
}
