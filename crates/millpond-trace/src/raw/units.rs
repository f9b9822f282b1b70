//! Finds the units of all streams in the files of a process.

use std::{
    collections::BTreeMap, fs::File, io, os::unix::fs::FileExt, path::Path, rc::Rc,
    sync::atomic::Ordering::Relaxed,
};

use super::{
    FromBytes, HEADER_FOLLOWS, Header, MAGIC, MEMORY_FOLLOWS, NODE_UNITS, NODES, NODES_FOLLOW, Node, RECORDS,
    RECORDS_FOLLOW, Record, StreamReader, TEXT_FOLLOWS, UNIT, Unit, Window,
};

/// The units of all streams of a process, by stream and sequence number.
#[derive(Clone, Debug, Default)]
pub struct Units {
    streams: BTreeMap<u32, BTreeMap<u32, Unit>>,
}

impl Units {
    /// Adds the units of a file, from offset `first`. Of two units with the same number, the one with more records is
    /// complete: the other was being written, or had been written and not yet restarted, when the process was killed.
    ///
    /// Files of windows must be added before the files to which windows are written out, so that no unit is missed if
    /// the process still runs.
    pub fn add(&mut self, path: &Path, first: u64) -> io::Result<()> {
        heads(path, first, |file, offset, window| {
            if window.valid.load(Relaxed) == RECORDS_FOLLOW {
                self.add_unit(file, offset, window)?;
            }
            Ok(())
        })
    }

    fn add_unit(&mut self, file: &Rc<File>, offset: u64, window: &Window) -> io::Result<()> {
        let there = (file.metadata()?.len() - offset) as usize - size_of::<Window>();
        let used = (window.used.load(Relaxed) as usize).min(RECORDS).min(there / size_of::<Record>());
        let (stream, sequence) = (window.stream.load(Relaxed), window.sequence.load(Relaxed));
        let known = self.streams.entry(stream).or_default();
        if known.get(&sequence).is_none_or(|other| other.used < used) {
            known.insert(sequence, Unit { file: file.clone(), offset, used });
        }
        Ok(())
    }

    /// Returns the streams with all their units in order.
    pub fn into_streams(self) -> Vec<StreamReader> {
        self.streams.into_values().map(|units| StreamReader::new(units.into_values().collect())).collect()
    }
}

/// Where the nodes of a process are.
#[derive(Clone, Debug, Default)]
pub struct NodeUnits(Vec<(u32, Rc<File>, u64)>);

impl NodeUnits {
    /// Adds the units of a file.
    pub fn add(&mut self, path: &Path) -> io::Result<()> {
        heads(path, 0, |file, offset, window| {
            if window.valid.load(Relaxed) == NODES_FOLLOW {
                self.add_unit(file, offset, window);
            }
            Ok(())
        })
    }

    fn add_unit(&mut self, file: &Rc<File>, offset: u64, window: &Window) {
        let number = window.sequence.load(Relaxed);
        if number < NODE_UNITS {
            self.0.push((number, file.clone(), offset + size_of::<Window>() as u64));
        }
    }

    /// Reads the nodes, by number. There may be two units of the same number, one of which is empty.
    pub fn read(&self) -> io::Result<Vec<Node>> {
        let count = self.0.iter().map(|(number, ..)| number + 1).max().unwrap_or(0);
        let mut nodes = vec![Node::default(); count as usize * NODES];
        let mut bytes = vec![0; UNIT - size_of::<Window>()];
        for (number, file, offset) in &self.0 {
            file.read_exact_at(&mut bytes, *offset)?;
            let places = nodes.iter_mut().skip(*number as usize * NODES);
            for (place, node) in places.zip(Node::all(&bytes)).filter(|(_, node)| node.address != 0) {
                *place = node;
            }
        }
        Ok(nodes)
    }
}

/// What is in the file `reserve`, by process image.
#[derive(Debug, Default)]
pub struct Reserve {
    /// The headers of processes that could not create a file.
    pub headers: BTreeMap<u32, Rc<Header>>,
    /// The units of records.
    pub units: BTreeMap<u32, Units>,
    /// The units of nodes.
    pub nodes: BTreeMap<u32, NodeUnits>,
    /// Texts about processes, by image and place in [`TEXTS`](super::TEXTS), in parts.
    texts: BTreeMap<(u32, u32), BTreeMap<u32, Vec<u8>>>,
}

impl Reserve {
    /// Returns a text about a process image.
    pub fn text(&self, image: u32, which: u32) -> Vec<u8> {
        self.texts.get(&(image, which)).into_iter().flat_map(BTreeMap::values).flatten().copied().collect()
    }

    /// Reads the heads of all units, and texts.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut reserve = Self::default();
        heads(path, 0, |file, offset, window| {
            let image = window.image.load(Relaxed);
            match window.valid.load(Relaxed) {
                RECORDS_FOLLOW => reserve.units.entry(image).or_default().add_unit(file, offset, window)?,
                TEXT_FOLLOWS => {
                    let length = (window.used.load(Relaxed) as usize).min(UNIT - size_of::<Window>());
                    let mut text = vec![0; length];
                    file.read_exact_at(&mut text, offset + size_of::<Window>() as u64)?;
                    let whole = (image, window.stream.load(Relaxed));
                    reserve.texts.entry(whole).or_default().insert(window.sequence.load(Relaxed), text);
                }
                NODES_FOLLOW => reserve.nodes.entry(image).or_default().add_unit(file, offset, window),
                HEADER_FOLLOWS => {
                    let mut bytes = [0; size_of::<Header>()];
                    file.read_exact_at(&mut bytes, offset + size_of::<Window>() as u64)?;
                    let header = Header::from_bytes(&bytes);
                    let header = header.filter(|header| header.magic.load(Relaxed) == MAGIC);
                    reserve.headers.extend(header.map(|header| (image, Rc::new(header))));
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(reserve)
    }
}

/// Passes the head of each unit of a file to `visit`, from offset `first`. Units that continue another have no head.
fn heads(
    path: &Path,
    first: u64,
    mut visit: impl FnMut(&Rc<File>, u64, &Window) -> io::Result<()>,
) -> io::Result<()> {
    let file = Rc::new(File::open(path)?);
    let length = file.metadata()?.len();
    let mut offset = first;
    while offset + (size_of::<Window>() as u64) <= length {
        let mut head = [0; size_of::<Window>()];
        file.read_exact_at(&mut head, offset)?;
        let Some(window) = Window::from_bytes(&head) else { break };
        visit(&file, offset, &window)?;
        let is_memory = window.valid.load(Relaxed) == MEMORY_FOLLOWS;
        let units = if is_memory { window.used.load(Relaxed).max(1) } else { 1 };
        offset += UNIT as u64 * u64::from(units);
    }
    Ok(())
}
