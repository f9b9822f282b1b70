//! Compresses sections on another thread while the next block is being filled. Compression is 40 % of the work.

use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use crate::file::{
    TraceError,
    section::{Head, Packer},
};

/// The columns of a section.
pub(crate) type Columns = Vec<Vec<u8>>;

/// A section, and the columns from which it was made, for reuse.
pub(crate) struct Packed {
    pub(crate) section: Vec<u8>,
    pub(crate) columns: Columns,
}

/// Max blocks in flight to the compressing thread. More would only take memory.
const AHEAD: usize = 1;

/// A thread that compresses blocks. It ends when this is dropped.
pub(crate) struct Background {
    blocks: SyncSender<(Head, Columns)>,
    packed: Receiver<Result<Packed, TraceError>>,
    /// Number of blocks sent and not yet received.
    under_way: usize,
}

impl Background {
    /// Starts the thread; returns `None` if that fails.
    pub(crate) fn start() -> Option<Self> {
        let (blocks, taken) = sync_channel::<(Head, Columns)>(AHEAD);
        let (given, packed) = sync_channel(AHEAD + 1);
        let work = move || {
            let mut packer = Packer::new();
            for (head, columns) in taken {
                let section =
                    packer.as_mut().map_err(|error| TraceError::from(std::io::Error::from(error.kind())));
                let section = section.and_then(|packer| packer.pack(head, &columns));
                let section = section.map(|(head, payload)| [&head[..], payload].concat());
                let packed = section.map(|section| Packed { section, columns });
                if given.send(packed).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("compress".into()).spawn(work).ok()?;
        Some(Self { blocks, packed, under_way: 0 })
    }

    /// Sends a block to the thread. Returns the section of an earlier block if the max number is in flight.
    pub(crate) fn push(&mut self, head: Head, columns: Columns) -> Result<Option<Packed>, TraceError> {
        self.blocks.send((head, columns)).map_err(|_| lost())?;
        self.under_way += 1;
        if self.under_way > AHEAD { self.pop() } else { Ok(None) }
    }

    /// Waits for the oldest block in flight and returns its section; `None` if there is none.
    pub(crate) fn pop(&mut self) -> Result<Option<Packed>, TraceError> {
        if self.under_way == 0 {
            return Ok(None);
        }
        self.under_way -= 1;
        self.packed.recv().map_err(|_| lost())?.map(Some)
    }
}

/// Returns the error for a thread that has ended too early.
fn lost() -> TraceError {
    std::io::Error::other("the thread that compresses has ended").into()
}
