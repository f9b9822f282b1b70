//! Reading a trace.

use std::{
    fmt,
    fs::File,
    io::{Cursor, Read, Seek, SeekFrom},
    path::Path,
};

use crate::file::{
    Archive, Event, Module, Shape, Start, Summary, Tables, TraceError, Visitor,
    block::{Bounds, Decoder},
    bytes::Bytes,
    error::Place,
    format::{END_MARK, EVENTS_PER_BLOCK, MAGIC, VERSION},
    narrow::Narrowed,
    section::{Found, HEAD, Kind, Unpacker, read_exactly, word},
    tables::TableReader,
};

/// Bytes in the header, and in the footer, of a file.
pub(crate) const EDGE: u64 = 16;

/// An input from which a trace can be read.
pub(crate) trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// Reads a trace, one block of events at a time. Of a file with several traces, it reads the largest; see
/// [`Archive`] for the others, and for files that were cut off.
///
/// The memory used is bounded by the max number of blocks live at the same time (8 bytes each), the tables and one block
/// of events, however long the trace is. Damage is detected when the damaged block is read. All events that
/// [`visit`](Self::visit) and [`read`](Self::read) have passed on satisfy the following: every slot freed or resized is
/// live, slots are below [`Summary::slots`], threads are below [`Summary::threads`] and numbered in order of
/// appearance, stacks are in [`Tables::stacks`], alignments are 0 or powers of two, and times never decrease.
pub struct Reader {
    input: Box<dyn Source>,
    unpacker: Unpacker,
    start: Start,
    summary: Summary,
    /// Positions of the first section after the start, and of the summary.
    first: u64,
    last: u64,
    /// Position of the next section.
    position: u64,
    /// Number of blocks and events read.
    blocks: u32,
    events: u64,
    decoder: Decoder,
    tables: TableReader,
    /// What the trace is narrowed to, if it is.
    narrowed: Option<Box<Narrowed>>,
}

impl Reader {
    /// Opens a trace file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        Self::new(File::open(path)?)
    }

    /// Reads a trace from memory.
    pub fn from_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Result<Self, TraceError> {
        Self::new(Cursor::new(bytes))
    }

    /// Reads a trace from any seekable input; the trace begins at position 0.
    pub fn new(input: impl Read + Seek + Send + 'static) -> Result<Self, TraceError> {
        let archive = Archive::new(input)?;
        if archive.is_complete() { archive.largest() } else { Err(TraceError::Truncated) }
    }

    /// Reads the only trace in an input.
    pub(crate) fn alone(mut input: Box<dyn Source>) -> Result<Self, TraceError> {
        let length = input.seek(SeekFrom::End(0))?;
        let version = check_header(&mut *input, length)?;
        let last = find_summary(&mut *input, length)?;

        let mut unpacker = Unpacker::new(version)?;
        input.seek(SeekFrom::Start(EDGE))?;
        let size = unpacker.read(&mut *input, Kind::Start, Place::Start, last - EDGE)?;
        let start =
            Start::take(Bytes(&unpacker.columns[0])).ok_or(Place::Start.corrupt("it is unreadable"))?;
        let first = EDGE + size;

        input.seek(SeekFrom::Start(last))?;
        let (summary, modules) = read_summary(&mut *input, &mut unpacker, length - EDGE - last, version)?;
        let blocks = (last - first) / HEAD as u64;
        if summary.events > blocks.saturating_mul(EVENTS_PER_BLOCK as u64) {
            return Err(Place::Summary.corrupt("it says there are more events than the file can hold"));
        }
        input.seek(SeekFrom::Start(first))?;
        let decoder = Decoder::new(bounds(&summary));
        Ok(Self {
            input,
            unpacker,
            start,
            summary,
            first,
            last,
            position: first,
            blocks: 0,
            events: 0,
            decoder,
            tables: TableReader::new(version, modules),
            narrowed: None,
        })
    }

    /// Returns what was known when recording began.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// Returns what was known when recording had ended. If the trace is [narrowed](Self::narrow), the counts are those of
    /// what is left.
    pub fn summary(&self) -> &Summary {
        self.narrowed.as_ref().map_or(&self.summary, |narrowed| &narrowed.summary)
    }

    /// Returns the tables as far as they have been read. After all events, they are complete.
    pub fn tables(&self) -> &Tables {
        &self.tables.tables
    }

    /// Passes all events to `visitor`, from the first to the last. After an error, only [`rewind`](Self::rewind) and
    /// this may be called.
    pub fn visit(&mut self, visitor: &mut impl Visitor) -> Result<(), TraceError> {
        self.rewind()?;
        while self.visit_block(visitor)? {}
        Ok(())
    }

    /// Passes the next block of at most 65,536 events to `visitor`. Returns `false` after the last block. After an
    /// error, only [`rewind`](Self::rewind) may be called.
    pub fn visit_block(&mut self, visitor: &mut impl Visitor) -> Result<bool, TraceError> {
        while self.position != self.last {
            let place = Place::Block(self.blocks);
            let found = self.unpacker.head(&mut *self.input, place, self.last - self.position)?;
            self.position += found.length();
            if found.kind == Some(Kind::Events) {
                self.block_or_part(found, place, visitor)?;
                return Ok(true);
            }
            self.table(found)?;
        }
        if self.events != self.summary.events
            || !self.decoder.reached_bounds()
            || !self.tables.agree(&self.summary)
        {
            let what = "it says there are more events, slots, threads or rows of tables than there are";
            return Err(Place::Summary.corrupt(what));
        }
        Ok(false)
    }

    /// Clears `events` and fills it with the next block of at most 65,536 events, in time order. Returns `false` after
    /// the last block. After an error, the contents of `events` are unspecified, and only [`rewind`](Self::rewind) may
    /// be called. [`visit`](Self::visit) does the same in less time.
    pub fn read(&mut self, events: &mut Vec<Event>) -> Result<bool, TraceError> {
        events.clear();
        self.visit_block(&mut Collect { shapes: Vec::new(), events })
    }

    /// Passes the contents of all sections to `visit`, decompressed, in the order of the file, except sections of kinds
    /// that only later versions know. Everything else in a trace is fixed by the format. Afterwards, the next event to be
    /// read is the first.
    pub fn visit_bytes(&mut self, visit: &mut dyn FnMut(&[u8])) -> Result<(), TraceError> {
        self.input.seek(SeekFrom::Start(EDGE))?;
        let mut position = EDGE;
        for number in 0.. {
            let place = match position {
                EDGE => Place::Start,
                at if at == self.last => Place::Summary,
                _ => Place::Table(number),
            };
            let found = self.unpacker.head(&mut *self.input, place, u64::MAX)?;
            self.unpacker.body(&mut *self.input, place, found)?;
            if found.kind.is_some() {
                self.unpacker.columns.iter().for_each(|column| visit(column));
            }
            if position == self.last {
                break;
            }
            position += found.length();
        }
        self.rewind()
    }

    /// Goes back to the first event. The tables remain.
    pub fn rewind(&mut self) -> Result<(), TraceError> {
        self.input.seek(SeekFrom::Start(self.first))?;
        self.position = self.first;
        (self.blocks, self.events) = (0, 0);
        self.decoder = Decoder::new(bounds(&self.summary));
        self.tables.rewind();
        if let Some(narrowed) = &mut self.narrowed {
            narrowed.rewind();
        }
        Ok(())
    }

    /// Sets what the trace is narrowed to.
    pub(crate) fn set_narrowed(&mut self, narrowed: Option<Box<Narrowed>>) {
        self.narrowed = narrowed;
    }

    pub(crate) fn narrowed_mut(&mut self) -> Option<&mut Narrowed> {
        self.narrowed.as_deref_mut()
    }

    /// Returns the number of events read since the first one, those that are left out included.
    pub(crate) fn events_read(&self) -> u64 {
        self.events
    }

    /// Reads the rest of a block of events, and passes on what the trace is narrowed to.
    fn block_or_part(
        &mut self,
        found: Found,
        place: Place,
        visitor: &mut impl Visitor,
    ) -> Result<(), TraceError> {
        let Some(mut narrowed) = self.narrowed.take() else { return self.block(found, place, visitor) };
        let read = self.block(found, place, &mut *narrowed);
        if read.is_ok() {
            narrowed.pass_on(visitor);
        }
        self.narrowed = Some(narrowed);
        read
    }

    /// Reads the rest of a block of events.
    fn block(&mut self, found: Found, place: Place, visitor: &mut impl Visitor) -> Result<(), TraceError> {
        if found.number != self.blocks {
            return Err(place.corrupt("another section is in its place"));
        }
        self.unpacker.body(&mut *self.input, place, found)?;
        self.blocks = self.blocks.checked_add(1).ok_or(place.corrupt("there are too many"))?;
        self.events += found.entries as u64;
        if self.events > self.summary.events {
            return Err(place.corrupt("the number of events is wrong"));
        }
        let decoded = self.decoder.decode(&self.unpacker.columns, found.entries, &mut self.tables, visitor);
        decoded.map_err(|what| place.corrupt(what))
    }

    /// Reads the rest of a section with rows of a table.
    fn table(&mut self, found: Found) -> Result<(), TraceError> {
        let place = Place::Table(self.tables.sections());
        self.unpacker.body(&mut *self.input, place, found)?;
        let taken = self.tables.take(found, &self.unpacker.columns);
        taken.map_err(|what| place.corrupt(what))
    }
}

/// Collects events.
struct Collect<'a> {
    shapes: Vec<Shape>,
    events: &'a mut Vec<Event>,
}

impl Visitor for Collect<'_> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
    }

    #[inline]
    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        let shape = &self.shapes[shape];
        let (stack, call, op) = (shape.stack, shape.call, shape.op(slot));
        self.events.push(Event { time, thread, stack, call, op });
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("start", &self.start)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}

/// Returns the bounds that the decoder must enforce.
fn bounds(summary: &Summary) -> Bounds {
    Bounds { slots: summary.slots, threads: summary.threads }
}

/// Checks magic number and version; returns the version.
pub(crate) fn check_header(input: &mut dyn Source, length: u64) -> Result<u32, TraceError> {
    let mut header = [0; EDGE as usize];
    let known = &mut header[..length.min(EDGE) as usize];
    input.seek(SeekFrom::Start(0))?;
    read_exactly(input, known)?;
    if !known.starts_with(&MAGIC) {
        return Err(TraceError::NotATrace);
    }
    if length < EDGE {
        return Err(TraceError::Truncated);
    }
    if crc32fast::hash(&header[..12]) != word(&header, 12) {
        return Err(Place::Header.corrupt("the checksum differs"));
    }
    match word(&header, 8) {
        found @ 1..=VERSION => Ok(found),
        found if found > VERSION => Err(TraceError::Newer { found, supported: VERSION }),
        _ => Err(Place::Header.corrupt("there is no such version")),
    }
}

/// Reads the last bytes of a trace or archive of this length; `None` if it is too short for a header and a footer.
pub(crate) fn footer(input: &mut dyn Source, length: u64) -> Result<Option<[u8; EDGE as usize]>, TraceError> {
    if length < 2 * EDGE {
        return Ok(None);
    }
    let mut footer = [0; EDGE as usize];
    input.seek(SeekFrom::Start(length - EDGE))?;
    read_exactly(input, &mut footer)?;
    Ok(Some(footer))
}

/// Returns the position in a footer with this end mark; `None` if it has another, or is damaged.
pub(crate) fn place_in(footer: &[u8; EDGE as usize], mark: [u8; 4]) -> Option<u64> {
    let is_valid = footer[12..] == mark && crc32fast::hash(&footer[..8]) == word(footer, 8);
    is_valid.then(|| u64::from(word(footer, 4)) << 32 | u64::from(word(footer, 0)))
}

/// Reads the position of the summary from the footer.
fn find_summary(input: &mut dyn Source, length: u64) -> Result<u64, TraceError> {
    let footer = footer(input, length)?.filter(|footer| footer[12..] == END_MARK);
    let place = place_in(&footer.ok_or(TraceError::Truncated)?, END_MARK);
    let place = place.ok_or(Place::Footer.corrupt("the checksum differs"))?;
    if place < EDGE || place > length - EDGE {
        return Err(Place::Footer.corrupt("it points outside the file"));
    }
    Ok(place)
}

/// Reads the summary section, which must extend to the footer. In version 1, the modules are in it.
fn read_summary(
    input: &mut dyn Source,
    unpacker: &mut Unpacker,
    room: u64,
    version: u32,
) -> Result<(Summary, Vec<Module>), TraceError> {
    let place = Place::Summary;
    let size = unpacker.read(input, Kind::Summary, place, room)?;
    if size != room {
        return Err(place.corrupt("it does not reach to the footer"));
    }
    Summary::take(Bytes(&unpacker.columns[0]), version).ok_or(place.corrupt("it is unreadable"))
}
