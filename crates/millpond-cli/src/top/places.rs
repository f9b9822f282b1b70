//! Which stacks belong to which call site, as other commands have it.

use std::{
    collections::HashMap,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Result;
use foldhash::fast::FixedState;

use super::{cpu_time, source::Source};
use crate::{
    cli, profile,
    symbols::{Function, Names},
};

/// Call sites are looked up again after at least this multiple of the CPU time that it took last, or this time.
const PAUSE: u32 = 50;
const LONGEST: Duration = Duration::from_secs(60);

/// The call sites of a program, as far as they were looked up.
pub(crate) struct Places {
    options: cli::Places,
    names: Option<Names>,
    sites: Vec<Place>,
    /// The site of each stack of the model.
    of_stack: Vec<u32>,
    /// When they may be looked up again.
    next: Instant,
}

/// A call site.
pub(crate) struct Place {
    /// Its function, and those that had called it in the stack that asked for most bytes, up to the outermost.
    pub(crate) frames: Vec<Rc<Function>>,
    /// The functions through which it allocates in that stack, innermost first.
    pub(crate) through: Vec<Rc<Function>>,
}

impl Places {
    pub(crate) fn new(options: cli::Places) -> Self {
        Self { options, names: None, sites: Vec::new(), of_stack: Vec::new(), next: Instant::now() }
    }

    /// Returns the call sites.
    pub(crate) fn sites(&self) -> &[Place] {
        &self.sites
    }

    /// Returns the site of a stack of the model; `None` if it is not known yet.
    pub(crate) fn of(&self, stack: usize) -> Option<u32> {
        self.of_stack.get(stack).copied()
    }

    /// Returns what stood in the way of more names, in words.
    pub(crate) fn notes(&self) -> &[String] {
        self.names.as_ref().map_or(&[], |names| &names.notes)
    }

    /// Returns whether there are stacks whose site is not known, and they may be looked up now.
    pub(crate) fn are_due(&self, source: &dyn Source) -> bool {
        self.of_stack.len() < source.model().asked().len() && Instant::now() >= self.next
    }

    /// Looks up the sites of all stacks.
    pub(crate) fn look_up(&mut self, source: &mut dyn Source) -> Result<()> {
        let begin = cpu_time();
        let tables = source.tables()?;
        match &mut self.names {
            Some(names) => names.extend(tables),
            None => self.names = Some(Names::new(tables, &self.options)),
        }
        self.group(source)?;
        let spent = cpu_time().saturating_sub(begin);
        self.next = Instant::now() + (spent * PAUSE).min(LONGEST);
        Ok(())
    }

    fn group(&mut self, source: &mut dyn Source) -> Result<()> {
        let Some(names) = &self.names else { return Ok(()) };
        let asked = source.model().asked().to_vec();
        let known = source.stacks().to_vec();
        let stacks = &source.tables()?.stacks;
        // Different stacks of the model may be the same in the tables.
        let calls = known.iter().zip(&asked).map(|(&stack, asked)| (stack, asked.calls));
        let found = profile::places(calls.collect(), stacks, names);
        let mut numbers: HashMap<Option<u32>, u32, FixedState> = HashMap::default();
        // The stack with the most bytes of each site, and how many of its functions are skipped.
        let mut largest: Vec<(u64, u32, usize)> = Vec::new();
        self.of_stack.clear();
        for ((place, &stack), asked) in found.iter().zip(&known).zip(&asked) {
            let fresh = largest.len() as u32;
            let number = *numbers.entry(place.map(|(_, function)| function)).or_insert(fresh);
            let skipped = place.map_or(0, |(skipped, _)| skipped);
            if number == fresh {
                largest.push((asked.bytes, stack, skipped));
            } else if asked.bytes > largest[number as usize].0 {
                largest[number as usize] = (asked.bytes, stack, skipped);
            }
            self.of_stack.push(number);
        }
        let place = |&(_, stack, skipped): &(u64, u32, usize)| {
            let all = names.functions();
            let mut functions = names.in_stack(stacks, stack).map(|number| Rc::clone(&all[number as usize]));
            let through = functions.by_ref().take(skipped).collect();
            Place { through, frames: functions.collect() }
        };
        self.sites = largest.iter().map(place).collect();
        Ok(())
    }
}
