//! The tables of a run: its events, what the processes are, and what the events refer to.

use anyhow::Result;
use millpond_trace::{Lack, Reader};

use super::{
    dataset::Dataset,
    events,
    labels::Labels,
    schema::{self, Schema},
    table::{Cell, Table},
};
use crate::{
    export::recording::{Recording, build_id, kind},
    lacking,
    output::NewFile,
    profile::{self, Sites},
    query::Selection,
    report,
    trace::Process,
};

/// All tables of a run, which are written process by process.
pub(super) struct Tables {
    labels: Labels,
    events: Table,
    sites: Table,
    stacks: Table,
    frames: Table,
    modules: Table,
    threads: Table,
    marks: Table,
    samples: Table,
    processes: Table,
}

impl Tables {
    /// Begins all tables.
    pub(super) fn create(dataset: &Dataset, labels: Labels) -> Result<Self> {
        let about = [("millpond.schema", schema::VERSION.to_string()), ("millpond.run", labels.run.clone())];
        let table = |schema: Schema| Table::new(dataset.file()?, schema.columns, &about);
        Ok(Self {
            events: table(schema::EVENTS)?,
            sites: table(schema::SITES)?,
            stacks: table(schema::STACKS)?,
            frames: table(schema::FRAMES)?,
            modules: table(schema::MODULES)?,
            threads: table(schema::THREADS)?,
            marks: table(schema::MARKS)?,
            samples: table(schema::SAMPLES)?,
            processes: table(schema::PROCESSES)?,
            labels,
        })
    }

    /// Adds a process. `progress` is called with the number of its events that have been written.
    pub(super) fn add(
        &mut self,
        reader: &mut Reader,
        process: &Process,
        recording: &Recording,
        selection: Option<&Selection>,
        progress: impl Fn(u64),
    ) -> Result<()> {
        let place = process.place;
        let found = profile::sites(&recording.analysis.sites, &reader.tables().stacks, &recording.names);
        self.add_sites(place, &found)?;
        self.add_code(place, reader, recording, &found)?;
        self.add_moments(place, reader)?;
        let peak_event = events::write(reader, place, &self.labels, &found, &mut self.events, progress)?;
        self.add_process(reader, process, selection, peak_event)
    }

    /// Completes all files, and returns them with the names of their tables.
    pub(super) fn finish(self) -> Result<Vec<(&'static str, NewFile)>> {
        let Self { events, sites, stacks, frames, modules, threads, marks, samples, processes, .. } = self;
        let tables = [events, sites, stacks, frames, modules, threads, marks, samples, processes];
        schema::ALL.iter().zip(tables).map(|(schema, table)| Ok((schema.name, table.finish()?))).collect()
    }

    fn add_sites(&mut self, process: usize, sites: &Sites) -> Result<()> {
        for (number, site) in (1_usize..).zip(&sites.list) {
            let innermost = site.frames.first();
            let callers: Vec<_> = site.frames.iter().skip(1).map(|caller| caller.to_string()).collect();
            self.sites.row([
                process.into(),
                number.into(),
                innermost.map(|function| function.name.as_str()).into(),
                Cell::known(innermost.map_or("", |function| &function.file)),
                innermost.map(|function| function.line).filter(|&line| line > 0).into(),
                Cell::known(&callers.join(" < ")),
                site.stacks.into(),
            ])?;
        }
        Ok(())
    }

    /// Adds modules, frames and stacks.
    fn add_code(
        &mut self,
        process: usize,
        reader: &Reader,
        recording: &Recording,
        sites: &Sites,
    ) -> Result<()> {
        let tables = reader.tables();
        for (number, module) in tables.modules.iter().enumerate() {
            self.modules.row([
                process.into(),
                number.into(),
                module.path.as_str().into(),
                Cell::known(&build_id(module)),
                address(module.start),
                address(module.end),
                address(module.offset),
                module.loaded.into(),
                module.unloaded.into(),
            ])?;
        }
        for (number, frame) in (0_u32..).zip(tables.stacks.frames()) {
            let offset = frame.place(&tables.modules).map(|(_, offset)| offset);
            for (depth, &function) in recording.names.of(number).iter().enumerate() {
                let function = recording.names.function(function);
                self.frames.row([
                    process.into(),
                    number.into(),
                    depth.into(),
                    function.name.as_str().into(),
                    Cell::known(&function.file),
                    Some(function.line).filter(|&line| line > 0).into(),
                    kind(frame.kind).into(),
                    address(frame.address),
                    frame.module.into(),
                    offset.into(),
                ])?;
            }
        }
        for (number, node) in (0_u32..).zip(tables.stacks.nodes()).skip(1) {
            self.stacks.row([
                process.into(),
                number.into(),
                Some(node.parent).filter(|&parent| parent > 0).into(),
                node.frame.into(),
                sites.of_stack.get(&number).map(|site| site + 1).into(),
            ])?;
        }
        Ok(())
    }

    /// Adds threads, marks and samples.
    fn add_moments(&mut self, process: usize, reader: &Reader) -> Result<()> {
        let tables = reader.tables();
        for thread in &tables.threads {
            self.threads.row([
                process.into(),
                thread.number.into(),
                Cell::known(&thread.name),
                thread.started.into(),
                thread.ended.into(),
            ])?;
        }
        for mark in &tables.marks {
            self.marks.row([process.into(), mark.time.into(), mark.name.as_str().into()])?;
        }
        for sample in &tables.samples {
            self.samples.row([
                process.into(),
                sample.time.into(),
                sample.resident.into(),
                sample.anonymous.into(),
                sample.page_faults.into(),
                sample.cpu_ns.into(),
            ])?;
        }
        Ok(())
    }

    fn add_process(
        &mut self,
        reader: &Reader,
        process: &Process,
        selection: Option<&Selection>,
        peak_event: u64,
    ) -> Result<()> {
        let (start, summary) = (reader.start(), reader.summary());
        let own = reader.tables().modules.iter().find(|module| module.path == start.program);
        let known = |number: u64| Some(number).filter(|&number| number > 0);
        let has_times = !process.origin.has_no(Lack::Times);
        let lacks: Vec<_> = process.origin.lacks().iter().map(|&lack| lacking::word(lack)).collect();
        let [host, service, version] = self.labels.cells();
        self.processes.row([
            schema::VERSION.into(),
            host,
            service,
            version,
            process.place.into(),
            process.name.as_str().into(),
            process.command_line.as_str().into(),
            Cell::known(&own.map(build_id).unwrap_or_default()),
            known(process.process.into()).into(),
            known(process.parent.into()).into(),
            known(process.unix_ns).into(),
            has_times.then_some(summary.wall_ns).into(),
            known(summary.cpu_ns).into(),
            summary.events.into(),
            summary.allocations.into(),
            summary.resizes.into(),
            summary.frees.into(),
            summary.requested.into(),
            summary.peak_bytes.into(),
            summary.peak_blocks.into(),
            peak_event.into(),
            summary.live_at_end.into(),
            report::ending(summary.ending).into(),
            process.status.into(),
            process.origin.program().into(),
            lacks.join(" ").as_str().into(),
            selection.map(|selection| selection.options.as_str()).into(),
        ])
    }
}

/// Returns an address; null for the uppermost ones, which no signed number can have.
fn address(address: u64) -> Cell {
    i64::try_from(address).is_ok().then_some(address).into()
}
