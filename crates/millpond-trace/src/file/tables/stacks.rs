//! Call stacks as a tree: a stack is a node that consists of its innermost frame and the stack of the caller.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{Module, module::Mapped};
use crate::file::bytes::{Bytes, fold, put, unfold};

/// A place in the code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// An address in the process; see [`kind`](Self::kind).
    pub address: u64,
    /// The module that contained this address when the frame was seen, an index into
    /// [`Tables::modules`](crate::Tables::modules).
    pub module: Option<u32>,
    /// What the address is.
    pub kind: FrameKind,
}

/// What the address of a [`Frame`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// A return address: the call is the instruction before it.
    #[default]
    Return,
    /// The address of an instruction, at which a signal interrupted the program.
    Exact,
    /// A return address that was found without unwinding information and may be wrong.
    Guessed,
    /// Not an address: the outer frames are missing.
    Cut,
}

impl FrameKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Return, Self::Exact, Self::Guessed, Self::Cut].into_iter().find(|&kind| kind as u8 == byte)
    }
}

impl Frame {
    /// Returns an address within the instruction that the frame was executing, for looking up symbols and lines.
    pub fn instruction(&self) -> u64 {
        match self.kind {
            FrameKind::Return | FrameKind::Guessed => self.address.saturating_sub(1),
            FrameKind::Exact | FrameKind::Cut => self.address,
        }
    }

    /// Returns the module that contains the frame, and the offset of [`instruction`](Self::instruction) in its file.
    pub fn place<'a>(&self, modules: &'a [Module]) -> Option<(&'a Module, u64)> {
        let module = modules.get(self.module? as usize)?;
        Some((module, self.instruction().wrapping_sub(module.start).wrapping_add(module.offset)))
    }
}

/// A call stack: its innermost frame, and the stack from which that was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The stack of the caller; 0 if there is none.
    pub parent: u32,
    /// The frame, an index into [`Stacks::frames`].
    pub frame: u32,
}

/// The call stacks of a trace, numbered from 1. Number 0 is the empty stack, which stands for an unknown one.
///
/// Invariants: the parent of a node has a smaller number, and its frame exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stacks {
    nodes: Vec<Node>,
    frames: Vec<Frame>,
}

impl Default for Stacks {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], frames: Vec::new() }
    }
}

impl Stacks {
    /// Returns the number of stacks, including the empty one: all stacks are below it.
    #[expect(clippy::len_without_is_empty, reason = "there is always the empty stack")]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the nodes in the order of their numbers. The first one, of the empty stack, has no frame.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns all frames.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Iterates over the frames of a stack, beginning with the innermost one. Empty if there is no such stack.
    pub fn frames_of(&self, stack: u32) -> impl Iterator<Item = &Frame> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let node = self.nodes.get(at as usize).filter(|_| at != 0)?;
            at = node.parent;
            self.frames.get(node.frame as usize)
        })
    }

    /// Adds a stack of one frame and returns its number; `None` if there are too many.
    pub(crate) fn push_caller(&mut self, frame: Frame) -> Option<u32> {
        let frames = u32::try_from(self.frames.len()).ok()?;
        let number = self.push(0, frames)?;
        self.push_frame(frame);
        Some(number)
    }

    /// Adds a frame.
    pub(crate) fn push_frame(&mut self, frame: Frame) {
        self.frames.push(frame);
    }

    /// Adds a stack of a recording that is in progress: a frame, which may be a new one, called from the stack `parent`.
    /// `frame` is its number. Returns the number of the stack; `None` if there is no such parent, or if `frame` is above the
    /// number of frames.
    pub fn add(&mut self, parent: u32, number: u32, frame: Frame) -> Option<u32> {
        if parent as usize >= self.nodes.len() || number as usize > self.frames.len() {
            return None;
        }
        if number as usize == self.frames.len() {
            self.push_frame(frame);
        }
        self.push(parent, number)
    }

    /// Adds a stack: a frame, which may be the next to be added, called from the stack `parent`. Returns its number;
    /// `None` if there are too many.
    pub(crate) fn push(&mut self, parent: u32, frame: u32) -> Option<u32> {
        let number = u32::try_from(self.nodes.len()).ok()?;
        self.nodes.push(Node { parent, frame });
        Some(number)
    }

    /// Reads `count` nodes from the columns of a section. After a failure, some of them may have been added.
    pub(crate) fn take(&mut self, columns: &[Vec<u8>], count: usize, modules: usize) -> Option<()> {
        let [mut distances, mut frames, mut addresses, mut owners, mut kinds] =
            [0, 1, 2, 3, 4].map(|column: usize| Bytes(&columns[column]));
        let mut address = self.frames.last().map_or(0, |frame| frame.address);
        self.nodes.reserve(count);
        for _ in 0..count {
            let number = u32::try_from(self.nodes.len()).ok()?;
            let distance = distances.small().filter(|&distance| 0 < distance && distance <= number)?;
            let frame = frames.small()?;
            if frame as usize >= self.frames.len() {
                if frame as usize > self.frames.len() {
                    return None;
                }
                address = address.wrapping_add(unfold(addresses.number()?) as u64);
                let module = owners.small()?.checked_sub(1);
                if module.is_some_and(|module| module as usize >= modules) {
                    return None;
                }
                self.frames.push(Frame { address, module, kind: FrameKind::from_byte(kinds.byte()?)? });
            }
            self.nodes.push(Node { parent: number - distance, frame });
        }
        [distances, frames, addresses, owners, kinds].iter().all(|column| column.is_empty()).then_some(())
    }

    /// Removes the nodes and frames after these numbers of them.
    pub(crate) fn truncate(&mut self, nodes: usize, frames: usize) {
        self.nodes.truncate(nodes);
        self.frames.truncate(frames);
    }
}

/// Stacks that have not been written yet.
type StackColumns = [Vec<u8>; 5];

/// The writer's knowledge of the stacks: numbers of nodes and frames.
pub(crate) struct NodeWriter {
    /// Number of stacks, including the empty one.
    nodes: u32,
    frames: HashMap<Frame, u32, FixedState>,
    /// The address of the newest frame.
    address: u64,
    pub(crate) mapped: Mapped,
    /// The nodes that have not been written.
    pub(crate) pending: u32,
    pub(crate) columns: StackColumns,
}

impl NodeWriter {
    pub(crate) fn new() -> Self {
        Self {
            nodes: 1,
            frames: HashMap::default(),
            address: 0,
            mapped: Mapped::default(),
            pending: 0,
            columns: Default::default(),
        }
    }

    /// Returns the number of stacks, including the empty one.
    pub(crate) fn len(&self) -> u32 {
        self.nodes
    }

    /// Adds a node, and returns its number; `None` if there is no such parent, or if there are too many nodes.
    pub(crate) fn push(&mut self, parent: u32, address: u64, kind: FrameKind) -> Option<u32> {
        let number = self.nodes;
        if parent >= number || number == u32::MAX {
            return None;
        }
        let mut frame = Frame { address, module: None, kind };
        frame.module = self.mapped.find(frame.instruction()).filter(|_| kind != FrameKind::Cut);
        let fresh = self.frames.len() as u32;
        let known = *self.frames.entry(frame).or_insert(fresh);
        let [distances, frames, addresses, owners, kinds] = &mut self.columns;
        put(distances, u64::from(number - parent));
        put(frames, u64::from(known));
        if known == fresh {
            put(addresses, fold(address.wrapping_sub(self.address) as i64));
            put(owners, frame.module.map_or(0, |module| u64::from(module) + 1));
            kinds.push(kind as u8);
            self.address = address;
        }
        self.nodes += 1;
        self.pending += 1;
        Some(number)
    }
}
