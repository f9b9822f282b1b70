//! All tables and events of a trace, as JSON: an object in each line, whose field `type` says what it is. `JSON.md` describes them;
//! a test compares the two.

use std::io::Write;

use anyhow::Result;
use millpond_trace::{Family, Reader, Verb};
use serde::Serialize;

use super::{
    events,
    recording::{Recording, build_id, kind},
};
use crate::report;

/// The first line.
#[derive(Serialize)]
struct Head<'a> {
    r#type: &'static str,
    version: u32,
    #[serde(flatten)]
    trace: report::Trace<'a>,
}

/// Any other line.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Module {
        module: usize,
        path: &'a str,
        build_id: Option<String>,
        start: u64,
        end: u64,
        offset: u64,
        loaded_ns: u64,
        unloaded_ns: Option<u64>,
    },
    Function {
        number: usize,
        function: &'a str,
        file: Option<&'a str>,
        line: Option<u32>,
    },
    Frame {
        frame: usize,
        kind: &'static str,
        address: u64,
        module: Option<u32>,
        functions: &'a [u32],
    },
    Stack {
        stack: usize,
        parent: u32,
        frame: u32,
    },
    Thread {
        thread: u32,
        name: Option<&'a str>,
        from_ns: u64,
        to_ns: Option<u64>,
    },
    Mark {
        time_ns: u64,
        name: &'a str,
    },
    Sample {
        time_ns: u64,
        resident_bytes: u64,
        anonymous_bytes: u64,
        page_faults: u64,
        cpu_ns: u64,
    },
    Event {
        time_ns: Option<u64>,
        thread: Option<u32>,
        operation: &'static str,
        family: &'static str,
        block: u64,
        size: u64,
        old_size: Option<u64>,
        alignment: Option<u32>,
        zeroed: bool,
        lifetime_ns: Option<u64>,
        stack: u32,
        block_stack: u32,
        block_thread: Option<u32>,
        temporary: Option<bool>,
    },
}

pub(super) fn write(reader: &mut Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let trace = report::trace_json(reader.start(), reader.summary(), None);
    put(out, &Head { r#type: "trace", version: report::VERSION, trace })?;
    tables(reader, recording, out)?;
    events::each(reader, |event| {
        let shape = &event.shape;
        let line = Line::Event {
            time_ns: event.time_ns(),
            thread: event.thread(),
            operation: event.operation(),
            family: match shape.call.family {
                Family::C => "c",
                Family::New => "new",
                Family::NewArray => "new[]",
            },
            block: event.block.number,
            size: event.size(),
            old_size: event.old_size(),
            alignment: event.alignment(),
            zeroed: matches!(shape.verb, Verb::Allocate { zeroed: true, .. }),
            lifetime_ns: event.lifetime_ns(),
            stack: shape.stack,
            block_stack: event.block.origin,
            block_thread: event.block_thread(),
            temporary: event.is_temporary(),
        };
        put(out, &line)
    })
}

/// Writes the tables of the trace, in an order in which every line refers to earlier ones only.
fn tables(reader: &Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let tables = reader.tables();
    let known = |text| Some(text).filter(|text: &&str| !text.is_empty());
    for (number, module) in tables.modules.iter().enumerate() {
        let build_id = build_id(module);
        let line = Line::Module {
            module: number,
            path: &module.path,
            build_id: Some(build_id).filter(|build_id| !build_id.is_empty()),
            start: module.start,
            end: module.end,
            offset: module.offset,
            loaded_ns: module.loaded,
            unloaded_ns: module.unloaded,
        };
        put(out, &line)?;
    }
    for (number, function) in recording.names.functions().iter().enumerate() {
        let line = Some(function.line).filter(|&line| line > 0);
        let file = known(&function.file);
        put(out, &Line::Function { number, function: &function.name, file, line })?;
    }
    for (frame, at) in tables.stacks.frames().iter().enumerate() {
        let kind = kind(at.kind);
        let functions = recording.names.of(frame as u32);
        put(out, &Line::Frame { frame, kind, address: at.address, module: at.module, functions })?;
    }
    for (stack, node) in tables.stacks.nodes().iter().enumerate().skip(1) {
        put(out, &Line::Stack { stack, parent: node.parent, frame: node.frame })?;
    }
    for thread in &tables.threads {
        let name = known(&thread.name);
        let (thread, from_ns, to_ns) = (thread.number, thread.started, thread.ended);
        put(out, &Line::Thread { thread, name, from_ns, to_ns })?;
    }
    for mark in &tables.marks {
        put(out, &Line::Mark { time_ns: mark.time, name: &mark.name })?;
    }
    for sample in &tables.samples {
        let line = Line::Sample {
            time_ns: sample.time,
            resident_bytes: sample.resident,
            anonymous_bytes: sample.anonymous,
            page_faults: sample.page_faults,
            cpu_ns: sample.cpu_ns,
        };
        put(out, &line)?;
    }
    Ok(())
}

fn put(out: &mut dyn Write, line: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    Ok(writeln!(out)?)
}
