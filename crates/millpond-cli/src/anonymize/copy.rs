//! Copies a trace, with other texts and addresses.

use std::io::Write;

use anyhow::Result;
use millpond_trace::{
    At, Detail, FrameKind, Mark, Module, Outcome, Reader, Shape, Start, Summary, TraceError, Verb, Visitor,
    Writer,
};

use super::{secret::Secret, texts::is_library};

/// The first address of the first module, and the distance between modules. The program's own addresses, which differ
/// from run to run, are not in the new trace.
const FIRST: u64 = 1 << 32;
const GAP: u64 = 1 << 12;

/// Writes a trace that says the same, except names, addresses, and these numbers of the process and its parent.
pub(super) fn copy(
    reader: &mut Reader,
    secret: &Secret<'_>,
    (process, parent): (u32, u32),
    out: impl Write,
) -> Result<Summary> {
    let old = reader.start();
    let start = Start {
        program: secret.text(&old.program),
        arguments: old.arguments.iter().map(|argument| secret.text(argument)).collect(),
        process,
        parent,
        unix_ns: 0,
    };
    let mut writer = Writer::new(out, &start)?;
    let starts = modules(reader, secret, &mut writer)?;
    stacks(reader, secret, &mut writer, &starts)?;
    let mut events = Events { writer, secret, shapes: Vec::new(), details: Vec::new(), at: 0, error: None };
    reader.visit(&mut events)?;
    let Events { mut writer, error, .. } = events;
    if let Some(error) = error {
        return Err(error.into());
    }
    let tables = reader.tables();
    for thread in &tables.threads {
        writer.thread(millpond_trace::Thread { name: secret.text(&thread.name), ..thread.clone() });
    }
    for mark in &tables.marks {
        writer.mark(&Mark { time: mark.time, name: secret.text(&mark.name) })?;
    }
    for &sample in &tables.samples {
        writer.sample(sample)?;
    }
    for (number, module) in (0..).zip(&tables.modules) {
        if let Some(time) = module.unloaded {
            writer.unload(number, time)?;
        }
    }
    Ok(writer.finish(outcome(reader.summary(), secret))?)
}

/// Adds the modules, each at addresses of its own; returns the first address of each. They were mapped at different
/// times, perhaps at the same addresses, and each frame belongs to one of them.
fn modules(reader: &Reader, secret: &Secret<'_>, writer: &mut Writer<impl Write>) -> Result<Vec<u64>> {
    let mut next = FIRST;
    let mut starts = Vec::new();
    for module in &reader.tables().modules {
        let length = module.end.saturating_sub(module.start);
        let build_id = if is_library(&module.path) { module.build_id.clone() } else { Vec::new() };
        writer.module(Module {
            start: next,
            end: next.saturating_add(length),
            path: secret.text(&module.path),
            build_id,
            unloaded: None,
            ..module.clone()
        })?;
        starts.push(next);
        next = next.saturating_add(length).saturating_add(GAP);
    }
    Ok(starts)
}

/// Adds the stacks, which keep their numbers.
fn stacks(
    reader: &Reader,
    secret: &Secret<'_>,
    writer: &mut Writer<impl Write>,
    starts: &[u64],
) -> Result<()> {
    let tables = reader.tables();
    for node in tables.stacks.nodes().iter().skip(1) {
        let frame = &tables.stacks.frames()[node.frame as usize];
        let address = match frame.module {
            _ if frame.kind == FrameKind::Cut => 0,
            Some(module) => {
                let module = module as usize;
                frame.address.wrapping_sub(tables.modules[module].start).wrapping_add(starts[module])
            }
            None => secret.code_address(frame.address),
        };
        writer.node(node.parent, address, frame.kind)?;
    }
    Ok(())
}

fn outcome(summary: &Summary, secret: &Secret<'_>) -> Outcome {
    Outcome {
        wall_ns: summary.wall_ns,
        cpu_ns: summary.cpu_ns,
        unknown_frees: summary.unknown_frees,
        overlaps: summary.overlaps,
        failed: summary.failed,
        ending: summary.ending,
        // The reason may contain names, and a hash of it would be no reason.
        stopped: String::new(),
        allocator: secret.text(&summary.allocator),
        served_by: secret.text(&summary.served_by),
        resources: summary.resources,
    }
}

/// Copies events. Blocks keep their slots, because writers assign them as the format prescribes.
struct Events<'a, W: Write> {
    writer: Writer<W>,
    secret: &'a Secret<'a>,
    shapes: Vec<Shape>,
    /// Facts about the allocations of the current block of events, and the number of allocations so far.
    details: Vec<Detail>,
    at: usize,
    /// The first error.
    error: Option<TraceError>,
}

impl<W: Write> Events<'_, W> {
    fn copy(&mut self, time: u64, thread: u32, shape: Shape, slot: u32) -> Result<(), TraceError> {
        let at = At { time, thread, stack: shape.stack, call: shape.call };
        match shape.verb {
            Verb::Free => return self.writer.free(at, slot),
            Verb::Resize => self.writer.resize(at, slot, shape.size)?,
            Verb::Allocate { align, zeroed } => _ = self.writer.allocate(at, shape.size, align, zeroed)?,
        }
        if let Some(&detail) = self.details.get(self.at) {
            let address = detail.address.map(|address| self.secret.block_address(address));
            self.writer.detail(Detail { address, ..detail })?;
        }
        self.at += 1;
        Ok(())
    }
}

impl<W: Write> Visitor for Events<'_, W> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
        self.details.clear();
        self.at = 0;
    }

    fn details(&mut self, details: &[Detail]) {
        self.details.extend_from_slice(details);
    }

    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        if self.error.is_none() {
            self.error = self.copy(time, thread, self.shapes[shape], slot).err();
        }
    }
}
