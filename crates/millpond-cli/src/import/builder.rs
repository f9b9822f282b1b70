//! Writes the trace.

use std::collections::{HashMap, HashSet, hash_map::Entry};

use anyhow::{Context, Result};
use foldhash::fast::FixedState;
use millpond_trace::{
    At, FrameKind, Module, Origin, Outcome, Resources, Sample, Start, Summary, Symbol, Writer,
};

use crate::output::Output;

/// A trace while it is made from another file.
pub(super) struct Builder<'a> {
    /// Where the trace goes, until its beginning is written.
    output: Option<&'a mut Output>,
    writer: Option<Writer<&'a mut Output>>,
    pub(super) start: Start,
    pub(super) origin: Origin,
    /// The number of each stack: a frame, called from another stack.
    nodes: HashMap<(u32, u64, bool), u32, FixedState>,
    /// The addresses that have names.
    named: HashSet<u64, FixedState>,
    /// The slots of live blocks, by their address.
    slots: HashMap<u64, u32, FixedState>,
    /// The time of the next event, in nanoseconds since recording began.
    pub(super) time: u64,
    pub(super) outcome: Outcome,
}

impl<'a> Builder<'a> {
    pub(super) fn new(output: &'a mut Output) -> Self {
        Self {
            output: Some(output),
            writer: None,
            start: Start::default(),
            origin: Origin::Recorded,
            nodes: HashMap::default(),
            named: HashSet::default(),
            slots: HashMap::default(),
            time: 0,
            outcome: Outcome::default(),
        }
    }

    /// Returns the writer. What is known about the program must be known at the first call.
    fn writer(&mut self) -> Result<&mut Writer<&'a mut Output>> {
        if let Some(output) = self.output.take() {
            self.writer = Some(Writer::new(output, &self.start)?);
        }
        self.writer.as_mut().context("the trace cannot be written")
    }

    pub(super) fn module(&mut self, module: Module) -> Result<()> {
        self.writer()?.module(module)?;
        Ok(())
    }

    pub(super) fn sample(&mut self, resident: u64) -> Result<()> {
        let time = self.time;
        self.writer()?.sample(Sample { time, resident, ..Sample::default() })?;
        Ok(())
    }

    /// Adds a function that was executing at an address, or that was inlined there; innermost first. Addresses whose
    /// functions are known already keep them.
    pub(super) fn names<'b>(
        &mut self,
        address: u64,
        functions: impl IntoIterator<Item = (&'b str, &'b str, u32)>,
    ) -> Result<()> {
        if !self.named.insert(address) {
            return Ok(());
        }
        for (function, file, line) in functions {
            let (function, file) = (function.to_owned(), file.to_owned());
            self.writer()?.symbol(&Symbol { address, function, file, line })?;
        }
        Ok(())
    }

    /// Returns the number of a stack: the frame at `address`, called from the stack `parent`. The address is a return
    /// address or that of the call.
    pub(super) fn stack(&mut self, parent: u32, address: u64, is_return: bool) -> Result<u32> {
        let key = (parent, address, is_return);
        if let Some(&known) = self.nodes.get(&key) {
            return Ok(known);
        }
        let kind = if is_return { FrameKind::Return } else { FrameKind::Exact };
        let number = self.writer()?.node(parent, address, kind)?;
        self.nodes.insert(key, number);
        Ok(number)
    }

    fn at(&self, stack: u32) -> At {
        At { time: self.time, stack, ..At::default() }
    }

    /// Adds an allocation, and returns its slot.
    pub(super) fn allocate_slot(&mut self, stack: u32, size: u64) -> Result<u32> {
        let at = self.at(stack);
        Ok(self.writer()?.allocate(at, size, 0, false)?)
    }

    /// Adds a free of the block in a slot.
    pub(super) fn free_slot(&mut self, stack: u32, slot: u32) -> Result<()> {
        let at = self.at(stack);
        Ok(self.writer()?.free(at, slot)?)
    }

    /// Adds an allocation of a block at an address. If a block is there already, it is freed.
    pub(super) fn allocate(&mut self, stack: u32, size: u64, address: u64) -> Result<()> {
        if let Some(slot) = self.slots.remove(&address) {
            self.outcome.overlaps += 1;
            self.free_slot(stack, slot)?;
        }
        let slot = self.allocate_slot(stack, size)?;
        self.slots.insert(address, slot);
        Ok(())
    }

    /// Adds a free of the block at an address; if there is none, counts that.
    pub(super) fn free(&mut self, stack: u32, address: u64) -> Result<()> {
        match self.slots.remove(&address) {
            Some(slot) => self.free_slot(stack, slot)?,
            None => self.outcome.unknown_frees += 1,
        }
        Ok(())
    }

    /// Adds a resize of the block at an address, which may have moved; if there is none, counts that, and adds an
    /// allocation.
    pub(super) fn resize(&mut self, stack: u32, old: u64, new: u64, size: u64) -> Result<()> {
        let Some(slot) = self.slots.remove(&old) else {
            self.outcome.unknown_frees += 1;
            return self.allocate(stack, size, new);
        };
        if let Entry::Occupied(other) = self.slots.entry(new) {
            let other = other.remove();
            self.outcome.overlaps += 1;
            self.free_slot(stack, other)?;
        }
        let at = self.at(stack);
        self.writer()?.resize(at, slot, size)?;
        self.slots.insert(new, slot);
        Ok(())
    }

    /// Completes the trace.
    pub(super) fn finish(mut self) -> Result<Summary> {
        self.writer()?;
        let Self { writer, mut outcome, origin, time, .. } = self;
        let writer = writer.context("the trace cannot be written")?;
        outcome.wall_ns = outcome.wall_ns.max(time);
        outcome.resources = Resources { origin: Some(origin.to_number()), ..Resources::default() };
        Ok(writer.finish(outcome)?)
    }
}
