//! Tables of comma-separated values, with names in the first row.

use std::io::Write;

use anyhow::Result;
use csv::Writer;
use millpond_trace::{Lack, Reader};
use serde::Serialize;

use super::{
    events,
    recording::{Recording, labelled},
};

/// A row of the table of call stacks.
#[derive(Serialize)]
struct Row<'a> {
    stack: u32,
    allocations: u64,
    resizes: u64,
    frees: Option<u64>,
    bytes: u64,
    live_blocks: u32,
    live_bytes: u64,
    blocks_at_peak: Option<u32>,
    bytes_at_peak: Option<u64>,
    most_live_bytes: Option<u64>,
    temporaries: Option<u64>,
    freed_elsewhere: Option<u64>,
    least_size: Option<u64>,
    most_size: Option<u64>,
    function: &'a str,
    file: &'a str,
    line: Option<u32>,
    callers: String,
}

/// Writes a row for each call stack.
pub(super) fn stacks(reader: &Reader, recording: &Recording, out: &mut dyn Write) -> Result<()> {
    let stacks = &reader.tables().stacks;
    let mut table = Writer::from_writer(out);
    let has = |lack| !recording.origin.has_no(lack);
    let [has_peak, has_threads, has_order] = [Lack::Peak, Lack::Threads, Lack::Order].map(has);
    for site in &recording.analysis.sites {
        let functions = recording.functions(stacks, site.stack);
        let innermost = functions.first();
        let callers: Vec<_> = functions.iter().skip(1).map(|function| labelled(function)).collect();
        let has_blocks = has(Lack::Sizes) && site.sizes.0 <= site.sizes.1;
        table.serialize(Row {
            stack: site.stack,
            allocations: site.allocations,
            resizes: site.resizes,
            frees: has(Lack::FreeSites).then_some(site.frees),
            bytes: site.bytes,
            live_blocks: site.live_blocks,
            live_bytes: site.live_bytes,
            blocks_at_peak: has_peak.then_some(site.peak_blocks),
            bytes_at_peak: has_peak.then_some(site.peak_bytes),
            most_live_bytes: has_order.then_some(site.max_live_bytes),
            temporaries: has_threads.then_some(site.temporaries),
            freed_elsewhere: has_threads.then_some(site.remote_frees),
            least_size: has_blocks.then_some(site.sizes.0),
            most_size: has_blocks.then_some(site.sizes.1),
            function: innermost.map_or("", |function| &function.name),
            file: innermost.map_or("", |function| &function.file),
            line: innermost.map(|function| function.line).filter(|&line| line > 0),
            callers: callers.join(" < "),
        })?;
    }
    Ok(table.flush()?)
}

/// A row of the table of events.
#[derive(Serialize)]
struct EventRow {
    time_ns: Option<u64>,
    thread: Option<u32>,
    operation: &'static str,
    block: u64,
    size: u64,
    old_size: Option<u64>,
    alignment: Option<u32>,
    lifetime_ns: Option<u64>,
    stack: u32,
}

/// Writes a row for each event.
pub(super) fn events(reader: &mut Reader, out: &mut dyn Write) -> Result<()> {
    let mut table = Writer::from_writer(out);
    events::each(reader, |event| {
        let row = EventRow {
            time_ns: event.time_ns(),
            thread: event.thread(),
            operation: event.operation(),
            block: event.block.number,
            size: event.size(),
            old_size: event.old_size(),
            alignment: event.alignment(),
            lifetime_ns: event.lifetime_ns(),
            stack: event.shape.stack,
        };
        Ok(table.serialize(row)?)
    })?;
    Ok(table.flush()?)
}
