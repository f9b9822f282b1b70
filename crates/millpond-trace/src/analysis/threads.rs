//! Which threads free blocks of which threads.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Max number of threads with a cell for each pair. More threads are few pairs compared with their square.
const MATRIX: u32 = 64;

/// Blocks that one thread allocated and one thread freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flow {
    /// The thread that allocated. Threads from number 65,535 on are counted as this number.
    pub from: u16,
    /// The thread that freed.
    pub to: u16,
    /// Number of blocks.
    pub blocks: u64,
    /// Their bytes when they were freed.
    pub bytes: u64,
}

/// Number and bytes of the blocks for each pair of an allocating and a freeing thread that occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flows(Vec<Flow>);

impl Flows {
    /// Iterates over the pairs, ordered by the allocating and then the freeing thread.
    pub fn iter(&self) -> impl Iterator<Item = &Flow> {
        self.0.iter()
    }
}

/// The pairs while they are counted.
pub(super) struct Matrix {
    /// The cells of all pairs, if there are not too many threads.
    cells: Vec<(u64, u64)>,
    width: usize,
    others: HashMap<(u16, u16), (u64, u64), RandomState>,
}

impl Matrix {
    pub(super) fn new(threads: u32) -> Self {
        let width = if threads <= MATRIX { threads as usize } else { 0 };
        Self { cells: vec![(0, 0); width * width], width, others: HashMap::default() }
    }

    #[inline]
    pub(super) fn note(&mut self, from: u16, to: u16, size: u64) {
        let at = usize::from(from) * self.width + usize::from(to);
        let cell = match self.cells.get_mut(at) {
            Some(cell) => cell,
            None => self.others.entry((from, to)).or_default(),
        };
        cell.0 += 1;
        cell.1 = cell.1.saturating_add(size);
    }

    pub(super) fn finish(self) -> Flows {
        let flow = |(from, to), (blocks, bytes)| Flow { from, to, blocks, bytes };
        let pair = |at: usize| ((at / self.width) as u16, (at % self.width) as u16);
        let cells = self.cells.iter().enumerate().filter(|(_, (blocks, _))| *blocks > 0);
        let mut flows: Vec<_> = cells.map(|(at, &cell)| flow(pair(at), cell)).collect();
        flows.extend(self.others.into_iter().map(|(pair, cell)| flow(pair, cell)));
        flows.sort_unstable();
        Flows(flows)
    }
}
