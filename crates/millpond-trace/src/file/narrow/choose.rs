//! The first pass: which allocations count.

use super::Filter;
use crate::file::{Shape, Verb, Visitor};

/// A bit for each allocation of a trace, in the order of the allocations.
#[derive(Default)]
pub(super) struct Chosen {
    words: Vec<u64>,
    length: usize,
}

impl Chosen {
    /// Returns whether the allocation with this number counts.
    pub(super) fn has(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn push(&mut self, counts: bool) {
        if self.length.is_multiple_of(64) {
            self.words.push(0);
        }
        self.length += 1;
        self.words[(self.length - 1) / 64] |= u64::from(counts) << ((self.length - 1) % 64);
    }

    fn remove(&mut self, number: usize) {
        self.words[number / 64] &= !(1 << (number % 64));
    }
}

/// The live block in a slot: the number of its allocation, and when that was.
#[derive(Clone, Copy)]
struct Block {
    number: usize,
    time: u64,
}

/// Decides about each allocation.
pub(super) struct Chooser<'a> {
    filter: &'a Filter,
    shapes: Vec<Shape>,
    /// The live blocks by slot.
    blocks: Vec<Option<Block>>,
    chosen: Chosen,
}

impl<'a> Chooser<'a> {
    pub(super) fn new(filter: &'a Filter) -> Self {
        Self { filter, shapes: Vec::new(), blocks: Vec::new(), chosen: Chosen::default() }
    }

    /// Returns the decisions after the last event.
    pub(super) fn finish(mut self) -> Chosen {
        for block in std::mem::take(&mut self.blocks).into_iter().flatten() {
            self.end(block, None);
        }
        self.chosen
    }

    fn end(&mut self, block: Block, lifetime: Option<u64>) {
        if !self.filter.is_met_by_lifetime(lifetime) {
            self.chosen.remove(block.number);
        }
    }
}

impl Visitor for Chooser<'_> {
    fn shapes(&mut self, shapes: &[Shape]) {
        self.shapes.clear();
        self.shapes.extend_from_slice(shapes);
    }

    fn event(&mut self, time: u64, thread: u32, shape: usize, slot: u32) {
        let (shape, slot) = (&self.shapes[shape], slot as usize);
        match shape.verb {
            Verb::Allocate { .. } => {
                let block = Some(Block { number: self.chosen.length, time });
                self.chosen.push(self.filter.is_met_by(time, thread, shape));
                match self.blocks.get_mut(slot) {
                    Some(place) => *place = block,
                    None => self.blocks.push(block),
                }
            }
            Verb::Resize => {}
            Verb::Free => {
                if let Some(block) = self.blocks[slot].take() {
                    self.end(block, Some(time - block.time));
                }
            }
        }
    }
}
