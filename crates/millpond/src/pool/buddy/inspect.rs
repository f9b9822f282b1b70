//! Inspection of a [`Buddy`].

use core::alloc::Layout;

use super::{Buddy, scale::TOP};
use crate::traits::{HeapMapBuilder, Holes, Inspect, InvariantError, PoolStats};

impl Inspect for Buddy {
    /// Returns the statistics. O(chunks).
    fn stats(&self) -> PoolStats {
        self.chunks.iter().fold(PoolStats::default(), |sum, footer| {
            let live = footer.room().saturating_sub(footer.free);
            sum.plus(PoolStats { chunks: 1, held: footer.size, live, free: footer.free })
        })
    }

    fn largest_free(&self) -> Option<usize> {
        Some(Self::largest_free(self))
    }

    /// Returns the free blocks. Two of them may be adjacent if they are not buddies. O(free blocks).
    fn holes(&self) -> Option<Holes> {
        let orders =
            self.free.orders().map(|order| (self.free_blocks(order).count(), self.scale.size(order)));
        let holes = orders.map(|(count, size)| Holes { count, bytes: count * size, largest: size });
        Some(holes.fold(Holes::default(), Holes::plus))
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        for footer in self.chunks.iter() {
            builder.chunk(footer.start..footer.start + footer.size, footer.first..footer.end, None);
            builder.live(footer.first..footer.end);
        }
        for order in self.free.orders() {
            let size = self.scale.size(order);
            self.free_blocks(order).for_each(|(block, _)| builder.free(block..block + size));
        }
    }

    /// Returns whether the pool owns an address. Expected O(log chunks).
    fn owns(&self, address: *const u8) -> bool {
        self.chunks.holds(address.addr())
    }

    fn check(&self) -> Result<(), InvariantError> {
        if !self.chunks.is_ordered() {
            return Err(InvariantError(
                "a chunk's footer was overwritten, or is in the wrong place of the search tree",
            ));
        }
        if !self.free.mask_is_right() {
            return Err(InvariantError("the mask of the free lists disagrees with them"));
        }
        self.free.orders().try_for_each(|order| self.check_list(order))?;
        self.check_chunks()
    }
}

impl Buddy {
    /// Returns an overwritten address that is followed when this block, of the layout, is freed or resized.
    pub(super) fn damage_around(&self, block: usize, layout: Layout) -> Option<usize> {
        let (order, scale) = (self.scale.order(layout.size()), self.scale);
        if !self.is_block(order, block) {
            return Some(block);
        }
        let is_linked = |order, block| {
            self.is_block(order, block)
                && self.free.is_linked(order, block, |other| self.is_block(order, other))
        };
        let footer = self.chunks.around(block)?;
        let mut free = 0;
        // Growing uses the free memory behind the block; freeing uses that on both sides.
        for order in order..TOP {
            let right = block | scale.size(order);
            if block == right || right >= footer.end || !footer.one_is_free(right, scale) {
                break;
            }
            free += scale.size(order);
            if !is_linked(order, right) || free > footer.free {
                return Some(right);
            }
        }
        let (mut order, mut whole) = (order, block);
        while order < TOP {
            let right = whole | scale.size(order);
            if right >= footer.end || !footer.one_is_free(right, scale) {
                break;
            }
            if !is_linked(order, whole ^ scale.size(order)) {
                return Some(whole ^ scale.size(order));
            }
            whole &= !scale.size(order);
            order += 1;
        }
        self.damage_of_heads(order)
    }

    /// Returns an overwritten address that is followed when a block is handed out.
    pub(super) fn damage_ahead(&self, layout: Layout) -> Option<usize> {
        let (order, aligned) = self.orders(layout)?;
        let found = self.free.lowest_from(aligned)?;
        let block = self.free.head(found);
        let footer = self.chunks.around(block);
        let is_there =
            self.is_block(found, block) && footer.is_some_and(|footer| footer.free >= self.scale.size(found));
        if !is_there || !self.free.is_linked(found, block, |other| self.is_block(found, other)) {
            return Some(block);
        }
        (order..found).find_map(|order| self.damage_of_heads(order))
    }

    /// Returns the first free block of an order if its address is not that of a block: freeing another one would write
    /// to it.
    fn damage_of_heads(&self, order: usize) -> Option<usize> {
        Some(self.free.head(order)).filter(|&head| head != 0 && !self.is_block(order, head))
    }

    /// Returns whether a block of this order may begin at an address, which is never dereferenced.
    pub(super) fn is_block(&self, order: usize, address: usize) -> bool {
        let size = self.scale.size(order);
        let ends = |end: usize| end - address >= size;
        address.is_multiple_of(size) && self.chunks.around(address).is_some_and(|footer| ends(footer.end))
    }

    /// Returns the maximum number of blocks of this order.
    fn most(&self, order: usize) -> usize {
        self.chunks.iter().map(|footer| footer.room() >> self.scale.size(order).trailing_zeros()).sum()
    }

    /// Returns the free blocks of an order, as far as they can be found: each address is checked before it is followed,
    /// and there are at most as many as possible.
    fn free_blocks(&self, order: usize) -> impl Iterator<Item = (usize, usize)> {
        self.free.blocks(order, move |block| self.is_block(order, block)).take(self.most(order))
    }

    /// Checks that every block on the list is where a block of its order may be, and that the links in both directions
    /// agree.
    fn check_list(&self, order: usize) -> Result<(), InvariantError> {
        let most = self.most(order);
        let (mut before, mut lost) = (0, false);
        let is_block = |block| {
            lost = !self.is_block(order, block);
            !lost
        };
        for (count, (block, previous)) in self.free.blocks(order, is_block).enumerate() {
            if count == most {
                return Err(InvariantError(
                    "a free list has more blocks than there are: one was freed twice",
                ));
            }
            if before != 0 && previous != before {
                return Err(InvariantError(
                    "a link back in a free block does not lead back: it was overwritten",
                ));
            }
            before = block;
        }
        if lost {
            Err(InvariantError("a link in a free block leads to no block: it was overwritten"))
        } else {
            Ok(())
        }
    }

    /// Checks that the free blocks of each chunk agree with its bits and its sum.
    fn check_chunks(&self) -> Result<(), InvariantError> {
        for footer in self.chunks.iter() {
            let (mut bytes, mut pairs) = (0, 0);
            for order in self.free.orders() {
                let size = self.scale.size(order);
                let ours = |&block: &usize| footer.first <= block && block < footer.end;
                for block in self.free_blocks(order).map(|(block, _)| block).filter(ours) {
                    bytes += size;
                    let right = block | size;
                    if order == TOP || right >= footer.end {
                        continue;
                    }
                    pairs += 1;
                    if !footer.one_is_free(right, self.scale) {
                        return Err(InvariantError(
                            "a block is free, but its pair's bit says that none is, or both are",
                        ));
                    }
                }
            }
            if bytes != footer.free {
                return Err(InvariantError(
                    "the free blocks of a chunk do not add up to what it says is free",
                ));
            }
            // Every free block has a set bit; if there are as many bits as blocks, each block has its own.
            if pairs != footer.pairs_with_one_free(self.scale) {
                return Err(InvariantError(
                    "a pair's bit is set without a free block, or two buddies are not joined",
                ));
            }
        }
        Ok(())
    }
}
