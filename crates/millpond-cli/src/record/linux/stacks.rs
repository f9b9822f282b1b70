//! Call stacks: the recorder's nodes become those of the trace, as events need them.

use std::{collections::HashMap, io::Write};

use foldhash::fast::FixedState;
use millpond_trace::{
    FrameKind, TraceError, Writer,
    raw::{CUT, GUESSED, INTERRUPTED, Node, stack_of_caller},
};

/// What takes the stacks.
pub(super) trait Nodes {
    /// Adds a stack, a frame called from another stack; returns its number.
    fn node(&mut self, caller: u32, address: u64, kind: FrameKind) -> Result<u32, TraceError>;
}

impl<W: Write> Nodes for Writer<W> {
    fn node(&mut self, caller: u32, address: u64, kind: FrameKind) -> Result<u32, TraceError> {
        Self::node(self, caller, address, kind)
    }
}

/// The stacks of a process image.
#[derive(Default)]
pub(super) struct Stacks {
    /// The nodes, by number.
    nodes: Vec<Node>,
    /// The stack in the trace for each node; 0: none yet.
    known: Vec<u32>,
    /// The stack in the trace by that of the caller and by the address with its marks: the recorder may give a stack two
    /// numbers.
    shared: HashMap<(u32, u64), u32, FixedState>,
    /// Nodes on the way from a stack to one that is known.
    path: Vec<(u32, u64)>,
}

impl Stacks {
    pub(super) fn new(nodes: Vec<Node>) -> Self {
        Self { known: vec![0; nodes.len()], nodes, ..Self::default() }
    }

    /// Replaces the nodes by more of them.
    pub(super) fn extend(&mut self, nodes: Vec<Node>) {
        self.known.resize(nodes.len().max(self.known.len()), 0);
        self.nodes = nodes;
    }

    /// Returns the stack in the trace for what was logged as the caller of an event.
    pub(super) fn of(&mut self, caller: u64, writer: &mut impl Nodes) -> Result<u32, TraceError> {
        match stack_of_caller(caller) {
            Some(stack) => self.of_node(stack, writer),
            None if caller == 0 => Ok(0),
            None => self.shared(0, caller, writer),
        }
    }

    /// Forgets which stacks are in the trace, because addresses may have a new meaning.
    pub(super) fn forget(&mut self) {
        self.known.fill(0);
        self.shared.clear();
    }

    fn of_node(&mut self, stack: u32, writer: &mut impl Nodes) -> Result<u32, TraceError> {
        let mut id = stack;
        let mut base = loop {
            match self.known.get(id as usize) {
                _ if id == CUT => break self.shared(0, CUT_OFF, writer)?,
                Some(&known) if known != 0 => break known,
                _ => {}
            }
            // The caller's node is always the older one; anything else is damage.
            match self.node(id).filter(|node| node.parent < id) {
                Some(node) => {
                    self.path.push((id, node.address));
                    id = node.parent;
                }
                None => break 0,
            }
        };
        while let Some((id, address)) = self.path.pop() {
            base = self.shared(base, address, writer)?;
            self.known[id as usize] = base;
        }
        Ok(base)
    }

    fn node(&self, id: u32) -> Option<Node> {
        self.nodes.get(id as usize).copied().filter(|node| node.address != 0)
    }

    /// Returns the stack with this caller and address, which is added to the trace if it is new.
    fn shared(&mut self, caller: u32, address: u64, writer: &mut impl Nodes) -> Result<u32, TraceError> {
        if let Some(&stack) = self.shared.get(&(caller, address)) {
            return Ok(stack);
        }
        let kind = match address {
            CUT_OFF => FrameKind::Cut,
            _ if address & GUESSED != 0 => FrameKind::Guessed,
            _ if address & INTERRUPTED != 0 => FrameKind::Exact,
            _ => FrameKind::Return,
        };
        let place = if kind == FrameKind::Cut { 0 } else { address & !(GUESSED | INTERRUPTED) };
        let stack = writer.node(caller, place, kind)?;
        self.shared.insert((caller, address), stack);
        Ok(stack)
    }
}

/// Stands for the address of the frame in the trace that says that outer frames are missing.
const CUT_OFF: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use millpond_trace::{Outcome, Reader, Start, raw::caller_of_stack};

    /// Returns the frames of the stacks for these callers, from the innermost.
    fn frames(nodes: &[(u64, u32)], callers: &[usize]) -> Vec<Vec<(u64, FrameKind)>> {
        let node = |&(address, parent): &(u64, u32)| Node { address, parent, reserved: 0 };
        let mut stacks = Stacks::new(nodes.iter().map(node).collect());
        let mut file = Vec::new();
        let mut writer = Writer::new(&mut file, &Start::default()).unwrap();
        let found: Vec<_> =
            callers.iter().map(|&caller| stacks.of(caller as u64, &mut writer).unwrap()).collect();
        writer.finish(Outcome::default()).unwrap();
        let mut reader = Reader::from_bytes(file).unwrap();
        while reader.read(&mut Vec::new()).unwrap() {}
        let stacks = &reader.tables().stacks;
        let frames = |stack| stacks.frames_of(stack).map(|frame| (frame.address, frame.kind)).collect();
        found.into_iter().map(frames).collect()
    }

    #[test]
    fn nodes_become_stacks() {
        use FrameKind::{Cut, Exact, Guessed, Return};
        let nodes = [
            (0, 0),
            (0, 0),
            (0x10, 0),
            (0x20, 2),
            (0x30, 3),
            (0x40, CUT),
            (0x50 | GUESSED, 3),
            (0x60 | INTERRUPTED, 3),
        ];
        let stack = caller_of_stack;
        let found = frames(&nodes, &[stack(4), stack(3), stack(5), stack(6), stack(7), 0x77, 0, stack(4)]);
        let outer = [(0x20, Return), (0x10, Return)];
        let with = |frame| [&[frame], &outer[..]].concat();
        assert_eq!(found[..3], [with((0x30, Return)), outer.to_vec(), vec![(0x40, Return), (0, Cut)]]);
        assert_eq!(found[3..6], [with((0x50, Guessed)), with((0x60, Exact)), vec![(0x77, Return)]]);
        assert_eq!((found[6].len(), &found[7]), (0, &found[0]));
    }

    #[test]
    fn damaged_nodes_are_no_frames() {
        let nodes = [(0, 0), (0, 0), (0x10, 3), (0x20, 2), (0, 0), (0x30, 4)];
        let found = frames(&nodes, &[3, 2, 4, 5, 6, u32::MAX].map(caller_of_stack));
        let addresses: Vec<Vec<u64>> =
            found.iter().map(|frames| frames.iter().map(|frame| frame.0).collect()).collect();
        assert_eq!(addresses, [vec![0x20], vec![], vec![], vec![0x30], vec![], vec![]]);
    }
}
