//! The store of the strategy *Magazine*: an unrolled list in the free blocks.
//!
//! A node is a free block that carries a link and as many addresses of other free blocks as fit: for blocks of 64 bytes,
//! seven. So of eight blocks that are spilled one is touched, and all eight come back with one cache miss. No overhead
//! per block. Order: last spilled first.
//!
//! Source: Shao, Reppy and Appel, "Unrolling Lists" (1994).

use super::{
    fresh::Fresh,
    front::{Fronted, Store},
};
use crate::{
    base::address::{WORD, recover},
    contract::Flaw,
    pool::chunks::{Span, chain, link, walk_whole},
};

/// Freed blocks in an array of `PLACES` addresses first, in an unrolled list behind: freed blocks are not touched.
///
/// Better than [`Lifo`](super::Lifo) where many blocks are live and freed in any order; `PLACES` words larger.
///
/// ```
/// use millpond::{Blocks, Fixed, Local, Magazine};
///
/// let pool = Local::new(Blocks::<(Fixed<64>, Magazine)>::new());
/// ```
pub type Magazine<const PLACES: usize = 256> = Fronted<Unrolled, PLACES>;

/// The store of [`Magazine`].
///
/// # Invariants
///
/// * `head` is the address of a free block that begins with the address of the next node, or zero without any.
/// * `nodes` counts the nodes.
/// * Behind the link, the head carries `carried` addresses of free blocks, every other node as many as fit.
#[derive(Debug)]
pub struct Unrolled {
    head: usize,
    carried: usize,
    nodes: usize,
}

/// How many addresses a node of `size` bytes carries beside its link.
fn room(size: usize) -> usize {
    size / WORD - 1
}

/// The place of the address with this number in a node.
fn place(node: usize, number: usize) -> *mut usize {
    recover(node + (1 + number) * WORD)
}

impl Unrolled {
    /// Makes a free block the head.
    ///
    /// # Safety
    ///
    /// The block is free, and the head carries all that fits, or there is none.
    unsafe fn begin_node(&mut self, block: usize) {
        // SAFETY: the block is free and at least a word long.
        unsafe { recover::<usize>(block).write(self.head) };
        *self = Self { head: block, carried: 0, nodes: self.nodes + 1 };
    }

    /// Takes the head itself, which carries nothing any more.
    fn end_node(&mut self, size: usize) -> Option<usize> {
        let node = self.head;
        if node == 0 {
            return None;
        }
        // SAFETY: a node begins with the address of the next.
        let next: usize = unsafe { recover::<usize>(node).read() };
        *self = Self {
            head: next,
            carried: if next == 0 { 0 } else { room(size) },
            nodes: self.nodes.saturating_sub(1),
        };
        Some(node)
    }

    /// How many blocks are here: every node but the head carries as much as fits.
    fn total(&self, size: usize) -> usize {
        self.nodes + self.carried + self.nodes.saturating_sub(1) * room(size)
    }

    fn pop(&mut self, size: usize) -> Option<usize> {
        if self.carried == 0 {
            return self.end_node(size);
        }
        self.carried -= 1;
        // SAFETY: the head carried one more than it does now.
        Some(unsafe { place(self.head, self.carried).read() })
    }
}

/// Pops from a list that may have been overwritten, as long as it leads to blocks.
fn pops(mut list: Unrolled, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize> {
    let (mut is_node, mut is_block) = (fresh.is_block(), fresh.is_block());
    let most = list.total(size);
    core::iter::from_fn(move || {
        let popped = if is_node(list.head) { list.pop(size) } else { None };
        popped.filter(|&block| is_block(block))
    })
    .take(most)
}

impl Store for Unrolled {
    const REGION: usize = 0;
    const EMPTY: Self = Self { head: 0, carried: 0, nodes: 0 };

    unsafe fn spill(&mut self, mut blocks: &[usize], size: usize) {
        while !blocks.is_empty() {
            let free = if self.head == 0 { 0 } else { room(size) - self.carried };
            let (load, rest) = blocks.split_at(free.min(blocks.len()));
            for (number, &block) in load.iter().enumerate() {
                // SAFETY: the node is a free block with room for that many addresses more.
                unsafe { place(self.head, self.carried + number).write(block) };
            }
            self.carried += load.len();
            blocks = rest;
            if let Some((&block, rest)) = blocks.split_first() {
                // SAFETY: the block is free, and the head, if there is one, is full.
                unsafe { self.begin_node(block) };
                blocks = rest;
            }
        }
    }

    fn refill(&mut self, places: &mut [usize], size: usize) -> usize {
        let mut popped = 0;
        while popped < places.len() {
            let load = self.carried.min(places.len() - popped);
            self.carried -= load;
            for (number, place_for_it) in places[popped..popped + load].iter_mut().enumerate() {
                // SAFETY: the head carried that many addresses more than it does now.
                *place_for_it = unsafe { place(self.head, self.carried + number).read() };
            }
            popped += load;
            if popped < places.len() {
                let Some(node) = self.end_node(size) else { break };
                places[popped] = node;
                popped += 1;
            }
        }
        popped
    }

    unsafe fn begin(&mut self, _: Span, _: usize) {}

    fn iter(&self, fresh: &Fresh, size: usize) -> impl Iterator<Item = usize> {
        // Popping from a copy writes nothing.
        pops(Self { ..*self }, fresh, size)
    }

    /// O(1): every node but the head carries as much as fits.
    fn count(&self, _: &Fresh, size: usize) -> usize {
        self.total(size)
    }

    fn settle(&mut self, fresh: &mut Fresh, size: usize) {
        let total = self.total(size);
        if self.iter(fresh, size).count() != total {
            return;
        }
        let mut all = 0;
        // A node is popped after all that it carries, so each block can be linked at once; unless a block is here twice,
        // as a node perhaps, and the chain becomes an endless one. Then all is forgotten, and counts as live.
        pops(core::mem::replace(self, Self::EMPTY), fresh, size).for_each(|block| link(block, &mut all));
        if walk_whole(all, total, fresh.is_block()) != Some(total) {
            return;
        }
        for block in chain(fresh.put_free_ahead(all)) {
            // SAFETY: the block is free, and its link has been read.
            unsafe { self.spill(&[block], size) };
        }
    }

    fn check(&self, fresh: &Fresh, size: usize) -> Result<(), Flaw> {
        if self.carried > room(size) || (self.head == 0 && self.carried != 0) {
            return Err(Flaw("the head of the unrolled list carries more than fits"));
        }
        if self.iter(fresh, size).count() != self.total(size) {
            return Err(Flaw(
                "a free block does not carry the addresses of free blocks any more: it was overwritten",
            ));
        }
        Ok(())
    }
}
