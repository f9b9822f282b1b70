//! Writing a trace.

use std::{collections::HashMap, fmt, io::Write};

use crate::file::{
    Outcome, Start, Summary, TraceError,
    background::{Background, Columns, Packed},
    block::{Encoder, Shape, Verb},
    format::{END_MARK, EVENTS_PER_BLOCK, MAGIC, VERSION},
    section::{Head, Kind, Packer},
    slots::Slots,
};

/// Writes a trace, event by event in time order, and computes its summary.
///
/// In all methods that take an event, `time` is in nanoseconds since recording began; a time before that of the last
/// event is replaced by it. `thread` is any number that identifies the thread; threads are renumbered in order of
/// appearance. `caller` is a return address, or 0.
///
/// Until [`finish`](Self::finish) has succeeded, the file has no end, and readers report [`TraceError::Truncated`].
/// After [`TraceError::Misuse`], the writer can be used as if the call had not been made; after [`TraceError::Io`], the
/// file is unusable.
///
/// ```
/// use millpond_trace::{Op, Outcome, Reader, Start, Writer};
///
/// let mut file = Vec::new();
/// let mut writer = Writer::new(&mut file, &Start::default())?;
/// let slot = writer.allocate(1_000, 0, 0x40_1234, 32, 0, false)?;
/// writer.free(2_000, 0, 0x40_5678, slot)?;
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
/// # Ok::<(), millpond_trace::TraceError>(())
/// ```
pub struct Writer<W: Write> {
    out: W,
    /// Number of bytes written.
    position: u64,
    /// Number of blocks written.
    blocks: u32,
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
            blocks: 0,
            packer: Packer::new()?,
            background: None,
            spare: Columns::default(),
            encoder: Encoder::new(),
            slots: Slots::new(),
            sizes: Vec::new(),
            threads: HashMap::new(),
            thread: None,
            live_bytes: 0,
            summary: Summary::default(),
        };
        let mut bytes = Vec::new();
        start.put(&mut bytes);
        writer.section(Kind::Start, bytes)?;
        Ok(writer)
    }

    /// Adds an allocation; returns the slot of the block. An `align` that is not a power of two is rounded up to one,
    /// as `memalign` does; 0 is the default alignment of malloc.
    pub fn allocate(
        &mut self,
        time: u64,
        thread: u32,
        caller: u64,
        size: u64,
        align: u32,
        zeroed: bool,
    ) -> Result<u32, TraceError> {
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
        let verb = Verb::Allocate { align, zeroed };
        self.push(time, thread, Shape { caller, verb, size }, None)?;
        Ok(slot)
    }

    /// Adds a free of the block in `slot`.
    pub fn free(&mut self, time: u64, thread: u32, caller: u64, slot: u32) -> Result<(), TraceError> {
        let name = self.slots.name(slot).ok_or(TraceError::Misuse("the free of a block that is not live"))?;
        self.slots.free(slot);
        self.live_bytes = self.live_bytes.saturating_sub(self.sizes[slot as usize]);
        self.summary.frees += 1;
        self.push(time, thread, Shape { caller, verb: Verb::Free, size: 0 }, Some(name))
    }

    /// Adds a resize of the block in `slot`.
    pub fn resize(
        &mut self,
        time: u64,
        thread: u32,
        caller: u64,
        slot: u32,
        size: u64,
    ) -> Result<(), TraceError> {
        let name =
            self.slots.name(slot).ok_or(TraceError::Misuse("the resize of a block that is not live"))?;
        self.slots.touch(slot);
        let before = std::mem::replace(&mut self.sizes[slot as usize], size);
        self.live_bytes = self.live_bytes.saturating_sub(before);
        self.summary.allocations += 1;
        self.summary.resizes += 1;
        self.grown(size);
        self.push(time, thread, Shape { caller, verb: Verb::Resize, size }, Some(name))
    }

    /// Writes the remaining events and the end of the file, and flushes.
    pub fn finish(mut self, outcome: Outcome) -> Result<Summary, TraceError> {
        self.block()?;
        self.settle()?;
        let Outcome {
            wall_ns,
            cpu_ns,
            unknown_frees,
            overlaps,
            failed,
            ending,
            modules,
            stopped,
            allocator,
            resources,
        } = outcome;
        let summary = Summary {
            slots: self.slots.used(),
            threads: self.threads.len() as u32,
            live_at_end: self.live(),
            wall_ns,
            cpu_ns,
            unknown_frees,
            overlaps,
            failed,
            ending,
            modules,
            stopped,
            allocator,
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

    /// Adds an event, and writes a block if it is full.
    fn push(&mut self, time: u64, thread: u32, shape: Shape, name: Option<u64>) -> Result<(), TraceError> {
        let thread = self.number(thread);
        self.summary.events += 1;
        self.encoder.push(time, thread, shape, name);
        if self.encoder.len() == EVENTS_PER_BLOCK { self.block() } else { Ok(()) }
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

    /// Writes the collected events as a block, if there are any. From the second block on, a block is compressed while
    /// more events are collected.
    fn block(&mut self) -> Result<(), TraceError> {
        if self.encoder.len() == 0 {
            return Ok(());
        }
        let head = Head { kind: Kind::Events, number: self.blocks, events: self.encoder.len() as u32 };
        if self.blocks == 1 {
            self.background = Background::start();
        }
        self.blocks += 1;
        let columns = self.encoder.take_columns(std::mem::take(&mut self.spare));
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

    /// Writes a compressed section of events, if there is one.
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
        let head = Head { kind, number: 0, events: 0 };
        self.position += self.packer.write(&mut self.out, head, &[bytes])?;
        Ok(())
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("summary", &self.summary).finish_non_exhaustive()
    }
}
