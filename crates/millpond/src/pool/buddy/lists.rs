//! The free blocks of a [`Buddy`](super::Buddy): one doubly linked list per order, in the blocks themselves.
//!
//! A mask records which lists have a block, so the smallest block that is large enough is found without a search.
//! Pushing, popping and removing from the middle are O(1).

use crate::base::address::{WORD, recover};

/// The number of orders: a block of the highest order is 2³¹ times as large as one of the lowest.
pub(super) const ORDERS: usize = u32::BITS as usize;

/// The two links with which a free block begins.
#[repr(C)]
struct Links {
    /// The address of the next free block of the same order, or zero.
    next: usize,
    /// The address of the previous one. Meaningless in the first block of a list, so that popping accesses only one
    /// block.
    previous: usize,
}

/// The size of the smallest block that has room for the links, in bytes.
pub(super) const LINKS: usize = 2 * WORD;
const _: () =
    assert!(size_of::<Links>() == LINKS && align_of::<Links>() <= LINKS, "links fill the smallest block");

/// The free blocks, by order. Every order is less than [`ORDERS`]; taking the remainder tells the compiler so.
///
/// # Invariants
///
/// * Bit `order` of `occupied` is set if and only if `heads[order]` is not zero.
/// * Following `next` from `heads[order]` visits every free block of that order once and ends at zero; `previous` of
///   every block except the first leads back.
pub(super) struct Lists {
    occupied: u32,
    heads: [usize; ORDERS],
}

impl Lists {
    pub(super) const EMPTY: Self = Self { occupied: 0, heads: [0; ORDERS] };

    pub(super) fn is_empty(&self) -> bool {
        self.occupied == 0
    }

    /// Returns the lowest order that has a free block, starting at `order`.
    #[inline(always)]
    pub(super) fn lowest_from(&self, order: usize) -> Option<usize> {
        let candidates = self.occupied & u32::MAX.wrapping_shl(order as u32);
        (candidates != 0).then(|| candidates.trailing_zeros() as usize)
    }

    /// Returns the highest order that has a free block.
    pub(super) fn highest(&self) -> Option<usize> {
        self.occupied.checked_ilog2().map(|order| order as usize)
    }

    /// Returns the first block of an order, or zero.
    pub(super) fn head(&self, order: usize) -> usize {
        self.heads[order % ORDERS]
    }

    /// Adds a block.
    ///
    /// # Safety
    ///
    /// The block is free, of this order, and on no list.
    #[inline(always)]
    pub(super) unsafe fn push(&mut self, order: usize, block: usize) {
        let next = self.heads[order % ORDERS];
        // SAFETY: the caller no longer uses the block, which has the size and alignment of its links.
        unsafe { (*recover::<Links>(block)).next = next };
        if next != 0 {
            // SAFETY: a block on a list is free and begins with links.
            unsafe { (*recover::<Links>(next)).previous = block };
        }
        self.heads[order % ORDERS] = block;
        self.occupied |= 1 << order;
    }

    /// Takes the first block of an order; returns zero if there is none.
    #[inline(always)]
    pub(super) fn pop(&mut self, order: usize) -> usize {
        let block = self.heads[order % ORDERS];
        if block != 0 {
            self.behead(order, block);
        }
        block
    }

    #[inline(always)]
    fn behead(&mut self, order: usize, head: usize) {
        // SAFETY: a block on a list is free and begins with links.
        let next = unsafe { (*recover::<Links>(head)).next };
        self.heads[order % ORDERS] = next;
        if next == 0 {
            self.occupied &= !(1 << order);
        }
    }

    /// Removes a block, wherever it is in its list.
    ///
    /// # Safety
    ///
    /// The block is on the list of this order.
    #[inline(always)]
    pub(super) unsafe fn remove(&mut self, order: usize, block: usize) {
        if self.heads[order % ORDERS] == block {
            return self.behead(order, block);
        }
        // SAFETY: the block is on the list and not the first, so both links are valid, and so are those of the blocks
        // to which they lead.
        unsafe {
            let Links { next, previous } = recover::<Links>(block).read();
            (*recover::<Links>(previous)).next = next;
            if next != 0 {
                (*recover::<Links>(next)).previous = previous;
            }
        }
    }

    /// Returns the orders that have a free block, lowest first.
    pub(super) fn orders(&self) -> impl Iterator<Item = usize> {
        (0..ORDERS).filter(|&order| self.heads[order % ORDERS] != 0)
    }

    /// Returns whether the links of a block, which is free and of this order, lead to blocks that link back, so that it
    /// can be removed. `is_block` returns whether an address may be read.
    pub(super) fn is_linked(&self, order: usize, block: usize, is_block: impl Fn(usize) -> bool) -> bool {
        // SAFETY: the block is free, and others are only read at addresses where blocks may be.
        let links = |block: usize| unsafe { recover::<Links>(block).read() };
        let Links { next, previous } = links(block);
        let is_first = self.heads[order % ORDERS] == block;
        (next == 0 || (is_block(next) && links(next).previous == block))
            && (is_first || (is_block(previous) && links(previous).next == block))
    }

    /// Returns the free blocks of an order, each with the block that it has as its previous one: zero for the first,
    /// whose link may never have been written. It ends at a link to an address that is not a block according to
    /// `is_block`.
    pub(super) fn blocks(
        &self,
        order: usize,
        mut is_block: impl FnMut(usize) -> bool,
    ) -> impl Iterator<Item = (usize, usize)> {
        let head = self.heads[order % ORDERS];
        let mut block = head;
        core::iter::from_fn(move || {
            if block == 0 || !is_block(block) {
                return None;
            }
            let links = recover::<Links>(block);
            // SAFETY: a block on a list is free and begins with links, and all except the first have both written.
            let this = (block, if block == head { 0 } else { unsafe { (*links).previous } });
            // SAFETY: as above.
            block = unsafe { (*links).next };
            Some(this)
        })
    }

    /// Returns whether the mask agrees with the lists.
    pub(super) fn mask_is_right(&self) -> bool {
        (0..ORDERS).all(|order| (self.heads[order % ORDERS] != 0) == (self.occupied >> order & 1 != 0))
    }
}
