//! Writing a trace.

use std::{collections::HashMap, fmt, io::Write};

use crate::file::{
    At, Detail, FrameKind, Mark, Module, Outcome, Sample, Shape, Start, Summary, Symbol, Thread, TraceError,
    Verb,
    background::{Background, Columns, Packed},
    block::Encoder,
    format::{END_MARK, EVENTS_PER_BLOCK, MAGIC, VERSION},
    section::{Head, Kind, Packer},
    slots::Slots,
    tables::{Change, NodeWriter, ROWS, Row, Rows},
};

/// Writes a trace, event by event in time order, and computes its summary.
///
/// A time before that of the last event is replaced by it. Threads are renumbered in order of appearance. Alignments
/// that are not powers of two are rounded up to one, as `memalign` does; 0 is the default alignment of malloc.
///
/// A call stack is described by [`node`](Self::node) before the first event that refers to it, and a module by
/// [`module`](Self::module) before the first node that lies in it. Everything else may be added at any time.
///
/// Until [`finish`](Self::finish) has succeeded, the file has no end, and readers report [`TraceError::Truncated`].
/// After [`TraceError::Misuse`], the writer can be used as if the call had not been made; after [`TraceError::Io`], the
/// file is unusable.
///
/// ```
/// use millpond_trace::{At, FrameKind, Op, Outcome, Reader, Start, Writer};
///
/// let mut file = Vec::new();
/// let mut writer = Writer::new(&mut file, &Start::default())?;
/// let main = writer.node(0, 0x40_1234, FrameKind::Return)?;
/// let stack = writer.node(main, 0x40_5678, FrameKind::Return)?;
/// let slot = writer.allocate(At { time: 1_000, stack, ..At::default() }, 32, 0, false)?;
/// writer.free(At { time: 2_000, stack: main, ..At::default() }, slot)?;
/// let summary = writer.finish(Outcome::default())?;
/// assert_eq!((summary.events, summary.peak_bytes), (2, 32));
///
/// let mut reader = Reader::from_bytes(file)?;
/// let mut events = Vec::new();
/// while reader.read(&mut events)? {
///     for event in &events {
///         assert!(matches!(event.op, Op::Allocate { slot: 0, size: 32, .. } | Op::Free { slot: 0 }));
///     }
/// }
/// let frames = reader.tables().stacks.frames_of(stack);
/// assert!(frames.map(|frame| frame.address).eq([0x40_5678, 0x40_1234]));
/// # Ok::<(), millpond_trace::TraceError>(())
/// ```
pub struct Writer<W: Write> {
    out: W,
    /// Number of bytes written.
    position: u64,
    /// Number of sections of each kind.
    sections: [u32; Kind::COUNT],
    packer: Packer,
    background: Option<Background>,
    /// Buffers for the columns of the next block.
    spare: Columns,
    encoder: Encoder,
    slots: Slots,
    /// The size of the block in each slot.
    sizes: Vec<u64>,
    /// The numbers of the threads so far, and the thread of the last event with its number.
    threads: HashMap<u32, u32>,
    thread: Option<(u32, u32)>,
    /// What is known about threads, with the caller's numbers.
    about_threads: Vec<Thread>,
    nodes: NodeWriter,
    /// Number of modules.
    modules: u32,
    /// Rows of tables that have not been written, by the kind of their sections.
    rows: [Rows; Kind::COUNT],
    /// Requested bytes that are live.
    live_bytes: u64,
    /// The summary so far.
    summary: Summary,
}

impl<W: Write> Writer<W> {
    /// Begins a trace.
    pub fn new(mut out: W, start: &Start) -> Result<Self, TraceError> {
        let mut header = [0; 16];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        let checksum = crc32fast::hash(&header[..12]);
        header[12..].copy_from_slice(&checksum.to_le_bytes());
        out.write_all(&header)?;
        let mut writer = Self {
            out,
            position: header.len() as u64,
            sections: [0; Kind::COUNT],
            packer: Packer::new()?,
            background: None,
            spare: Columns::default(),
            encoder: Encoder::new(),
            slots: Slots::new(),
            sizes: Vec::new(),
            threads: HashMap::new(),
            thread: None,
            about_threads: Vec::new(),
            nodes: NodeWriter::new(),
            modules: 0,
            rows: Default::default(),
            live_bytes: 0,
            summary: Summary::default(),
        };
        let mut bytes = Vec::new();
        start.put(&mut bytes);
        writer.section(Kind::Start, bytes)?;
        Ok(writer)
    }

    /// Adds an executable mapping, which replaces others at its addresses; returns its number.
    pub fn module(&mut self, module: Module) -> Result<u32, TraceError> {
        let number = self.modules;
        let next = number.checked_add(1).ok_or(TraceError::Misuse("more than 4,294,967,295 modules"))?;
        let row = Change::Load(module);
        self.row(&row)?;
        self.modules = next;
        if let Change::Load(module) = row
            && module.unloaded.is_none()
        {
            self.nodes.mapped.insert(&module, number);
        }
        Ok(number)
    }

    /// Notes that a mapping has been removed.
    pub fn unload(&mut self, module: u32, time: u64) -> Result<(), TraceError> {
        if module >= self.modules {
            return Err(TraceError::Misuse("the end of a module that was never added"));
        }
        self.nodes.mapped.remove(module);
        self.row(&Change::Unload { module, time })
    }

    /// Adds a call stack: the frame at `address`, called from the stack `parent`, which is 0 for the outermost frame.
    /// Returns the number of the stack; the first has number 1. Stacks that are added twice get two numbers. The frame
    /// belongs to the module that contains its address at this moment.
    pub fn node(&mut self, parent: u32, address: u64, kind: FrameKind) -> Result<u32, TraceError> {
        let number = self.nodes.push(parent, address, kind);
        let number = number.ok_or(TraceError::Misuse("a stack on one that was never added, or too many"))?;
        if self.nodes.pending as usize == EVENTS_PER_BLOCK {
            self.stacks()?;
        }
        Ok(number)
    }

    /// Adds what is known about a thread, whose number is that of [`At::thread`].
    pub fn thread(&mut self, thread: Thread) {
        self.about_threads.push(thread);
    }

    /// Adds a mark.
    pub fn mark(&mut self, mark: &Mark) -> Result<(), TraceError> {
        self.row(mark)
    }

    /// Adds a sample.
    pub fn sample(&mut self, sample: Sample) -> Result<(), TraceError> {
        self.row(&sample)
    }

    /// Adds a function at an address.
    pub fn symbol(&mut self, symbol: &Symbol) -> Result<(), TraceError> {
        self.row(symbol)
    }

    /// Adds an allocation; returns the slot of the block.
    pub fn allocate(&mut self, at: At, size: u64, align: u32, zeroed: bool) -> Result<u32, TraceError> {
        self.check(at)?;
        let slot = self
            .slots
            .allocate(u32::MAX)
            .ok_or(TraceError::Misuse("more than 4,294,967,294 blocks live at once"))?;
        if slot as usize == self.sizes.len() {
            self.sizes.push(0);
        }
        self.sizes[slot as usize] = size;
        self.summary.allocations += 1;
        self.grown(size);
        let align = if align == 0 { 0 } else { align.checked_next_power_of_two().unwrap_or(1 << 31) };
        self.push(at, Verb::Allocate { align, zeroed }, size, None)?;
        Ok(slot)
    }

    /// Adds a free of the block in `slot`.
    pub fn free(&mut self, at: At, slot: u32) -> Result<(), TraceError> {
        self.check(at)?;
        let name = self.slots.name(slot).ok_or(TraceError::Misuse("the free of a block that is not live"))?;
        self.slots.free(slot);
        self.live_bytes = self.live_bytes.saturating_sub(self.sizes[slot as usize]);
        self.summary.frees += 1;
        self.push(at, Verb::Free, 0, Some(name))
    }

    /// Adds a resize of the block in `slot`.
    pub fn resize(&mut self, at: At, slot: u32, size: u64) -> Result<(), TraceError> {
        self.check(at)?;
        let name =
            self.slots.name(slot).ok_or(TraceError::Misuse("the resize of a block that is not live"))?;
        self.slots.touch(slot);
        let before = std::mem::replace(&mut self.sizes[slot as usize], size);
        self.live_bytes = self.live_bytes.saturating_sub(before);
        self.summary.allocations += 1;
        self.summary.resizes += 1;
        self.grown(size);
        self.push(at, Verb::Resize, size, Some(name))
    }

    /// Adds facts about the allocation or resize that was added last.
    pub fn detail(&mut self, detail: Detail) -> Result<(), TraceError> {
        if self.encoder.detail(detail) {
            Ok(())
        } else {
            Err(TraceError::Misuse("a detail of an event that does not allocate"))
        }
    }

    /// Writes the remaining events and the end of the file, and flushes.
    pub fn finish(mut self, outcome: Outcome) -> Result<Summary, TraceError> {
        self.block()?;
        self.summary.threads = self.threads.len() as u32;
        for mut thread in std::mem::take(&mut self.about_threads) {
            let fresh = self.threads.len() as u32;
            thread.number = *self.threads.entry(thread.number).or_insert(fresh);
            self.row(&thread)?;
        }
        self.tables()?;
        self.settle()?;
        let events = Kind::Events as usize - 1;
        let tables = self.sections.iter().sum::<u32>() - self.sections[events] - 1;
        let Outcome {
            wall_ns,
            cpu_ns,
            unknown_frees,
            overlaps,
            failed,
            ending,
            stopped,
            allocator,
            served_by,
            resources,
        } = outcome;
        let summary = Summary {
            slots: self.slots.used(),
            live_at_end: self.live(),
            wall_ns,
            cpu_ns,
            unknown_frees,
            overlaps,
            failed,
            ending,
            stacks: self.nodes.len(),
            tables,
            stopped,
            allocator,
            served_by,
            resources,
            ..std::mem::take(&mut self.summary)
        };
        let place = self.position.to_le_bytes();
        let mut bytes = Vec::new();
        summary.put(&mut bytes);
        self.section(Kind::Summary, bytes)?;
        self.out.write_all(&place)?;
        self.out.write_all(&crc32fast::hash(&place).to_le_bytes())?;
        self.out.write_all(&END_MARK)?;
        self.out.flush()?;
        Ok(summary)
    }

    /// Returns the number of live blocks.
    fn live(&self) -> u64 {
        self.summary.allocations - self.summary.resizes - self.summary.frees
    }

    /// Adds `size` to the requested bytes.
    fn grown(&mut self, size: u64) {
        self.summary.requested = self.summary.requested.saturating_add(size);
        self.live_bytes = self.live_bytes.saturating_add(size);
        if self.live_bytes > self.summary.peak_bytes {
            self.summary.peak_bytes = self.live_bytes;
            self.summary.peak_blocks = self.live();
        }
    }

    /// Checks that the stack exists.
    fn check(&self, at: At) -> Result<(), TraceError> {
        if at.stack < self.nodes.len() {
            Ok(())
        } else {
            Err(TraceError::Misuse("a stack that was never added"))
        }
    }

    /// Adds an event. If the block is full, writes it first.
    fn push(&mut self, at: At, verb: Verb, size: u64, name: Option<u64>) -> Result<(), TraceError> {
        if self.encoder.len() == EVENTS_PER_BLOCK {
            self.block()?;
        }
        let thread = self.number(at.thread);
        self.summary.events += 1;
        self.encoder.push(at.time, thread, Shape { stack: at.stack, verb, call: at.call, size }, name);
        Ok(())
    }

    /// Returns the number of a thread in the trace.
    fn number(&mut self, thread: u32) -> u32 {
        match self.thread {
            Some((last, number)) if last == thread => number,
            _ => {
                let fresh = self.threads.len() as u32;
                let number = *self.threads.entry(thread).or_insert(fresh);
                self.thread = Some((thread, number));
                number
            }
        }
    }

    /// Writes the collected events as a block, if there are any, and before it all rows of tables.
    fn block(&mut self) -> Result<(), TraceError> {
        if self.encoder.len() == 0 {
            return Ok(());
        }
        self.tables()?;
        if self.sections[Kind::Events as usize - 1] == 1 {
            self.background = Background::start();
        }
        let events = self.encoder.len() as u32;
        let columns = self.encoder.take_columns(std::mem::take(&mut self.spare));
        self.emit(Kind::Events, events, columns)
    }

    /// Writes all rows of tables that have been collected.
    fn tables(&mut self) -> Result<(), TraceError> {
        for kind in [Kind::Modules, Kind::Threads, Kind::Marks, Kind::Samples, Kind::Symbols] {
            self.emit_rows(kind)?;
        }
        self.stacks()
    }

    /// Writes the stacks that have been collected, and before them the modules, to which they refer.
    fn stacks(&mut self) -> Result<(), TraceError> {
        if self.nodes.pending == 0 {
            return Ok(());
        }
        self.emit_rows(Kind::Modules)?;
        let count = std::mem::take(&mut self.nodes.pending);
        let columns = std::mem::take(&mut self.nodes.columns);
        self.emit(Kind::Stacks, count, columns.into())
    }

    /// Adds a row to a table.
    fn row<R: Row>(&mut self, row: &R) -> Result<(), TraceError> {
        let rows = &mut self.rows[R::KIND as usize - 1];
        if !rows.push(row) {
            return Err(TraceError::Misuse("texts of more than 7 MiB in a row of a table"));
        }
        if rows.bytes.len() >= ROWS || rows.count as usize == EVENTS_PER_BLOCK {
            return self.emit_rows(R::KIND);
        }
        Ok(())
    }

    /// Writes the rows of one kind that have been collected, if there are any.
    fn emit_rows(&mut self, kind: Kind) -> Result<(), TraceError> {
        let Rows { count, bytes } = std::mem::take(&mut self.rows[kind as usize - 1]);
        if count == 0 { Ok(()) } else { self.emit(kind, count, vec![bytes]) }
    }

    /// Writes a section of events or rows. From the second block of events on, sections are compressed while more
    /// events are collected.
    fn emit(&mut self, kind: Kind, entries: u32, columns: Columns) -> Result<(), TraceError> {
        let number = &mut self.sections[kind as usize - 1];
        let head = Head { kind, number: *number, entries };
        *number = number.checked_add(1).ok_or(TraceError::Misuse("more sections than a file can have"))?;
        match &mut self.background {
            Some(background) => {
                let packed = background.push(head, columns)?;
                self.write(packed)
            }
            None => {
                self.position += self.packer.write(&mut self.out, head, &columns)?;
                self.spare = columns;
                Ok(())
            }
        }
    }

    /// Writes a compressed section, if there is one.
    fn write(&mut self, packed: Option<Packed>) -> Result<(), TraceError> {
        let Some(Packed { section, columns }) = packed else { return Ok(()) };
        self.out.write_all(&section)?;
        self.position += section.len() as u64;
        self.spare = columns;
        Ok(())
    }

    /// Writes all sections that are still being compressed.
    fn settle(&mut self) -> Result<(), TraceError> {
        while let Some(packed) = self.background.as_mut().map_or(Ok(None), Background::pop)? {
            self.write(Some(packed))?;
        }
        Ok(())
    }

    /// Writes a section of one column.
    fn section(&mut self, kind: Kind, bytes: Vec<u8>) -> Result<(), TraceError> {
        let head = Head { kind, number: 0, entries: 0 };
        self.sections[kind as usize - 1] = 1;
        self.position += self.packer.write(&mut self.out, head, &[bytes])?;
        Ok(())
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("summary", &self.summary).finish_non_exhaustive()
    }
}
