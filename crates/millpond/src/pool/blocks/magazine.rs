//! The strategy *Magazine*: a small array of free blocks in front, an unrolled list of free blocks behind.
//!
//! Freeing stores the block's address in the array and does not touch the block, which may be cold; allocating takes
//! the last one stored. When the array is full, its older half is spilled onto the list; when it is empty, it is refilled
//! from there, or with fresh blocks, lowest address on top. A node of the list is a free block that carries the link
//! and as many addresses of other free blocks as fit: for blocks of 64 bytes, seven. So of eight blocks that are spilled
//! one is touched, and all eight come back with one cache miss.
//!
//! * Allocate and free: O(1) amortised; a spill or a refill moves half an array.
//! * Overhead: the array, 8 bytes for each of its places, per pool; none per block.
//!
//! Source: Bonwick and Adams, "Magazines and Vmem" (2001), here for one thread; unrolled lists: Shao, Reppy and Appel
//! (1994).

use core::ptr::NonNull;

use super::{Strategy, fresh::Fresh, strategy::Sealed};
use crate::{
    base::address::{WORD, recover},
    pool::chunks::Span,
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
#[derive(Debug)]
pub struct Magazine<const PLACES: usize = 256> {
    /// How many addresses are stored.
    stored: usize,
    /// `places[1..=stored]` are addresses of free blocks; `places[0]` is zero and stops an allocation without a
    /// comparison.
    places: [usize; PLACES],
    spilled: Unrolled,
}

/// A stack of free blocks in an unrolled list.
///
/// # Invariants
///
/// * `head` is the address of a free block that begins with the address of the next node, or zero without any.
/// * Behind the link, the head carries `carried` addresses of free blocks, every other node as many as fit.
#[derive(Debug)]
struct Unrolled {
    head: usize,
    carried: usize,
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
    const EMPTY: Self = Self { head: 0, carried: 0 };

    /// # Safety
    ///
    /// The block is free, and has `size` bytes, as all here have.
    unsafe fn push(&mut self, block: usize, size: usize) {
        if self.head != 0 && self.carried < room(size) {
            // SAFETY: the node is a free block with room for the address.
            unsafe { place(self.head, self.carried).write(block) };
            self.carried += 1;
        } else {
            // SAFETY: the block is free and at least a word long.
            unsafe { recover::<usize>(block).write(self.head) };
            *self = Self { head: block, carried: 0 };
        }
    }

    fn pop(&mut self, size: usize) -> Option<usize> {
        if self.head == 0 {
            return None;
        }
        if self.carried != 0 {
            self.carried -= 1;
            // SAFETY: the head carries that many addresses.
            return Some(unsafe { place(self.head, self.carried).read() });
        }
        let node = self.head;
        // SAFETY: a node begins with the address of the next.
        let next: usize = unsafe { recover::<usize>(node).read() };
        *self = Self { head: next, carried: if next == 0 { 0 } else { room(size) } };
        Some(node)
    }

    /// Pushes many, a node's load at a time.
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push), for each.
    unsafe fn push_all(&mut self, mut blocks: &[usize], size: usize) {
        while let Some((&first, rest)) = blocks.split_first() {
            let free = if self.head == 0 { 0 } else { room(size) - self.carried };
            if free == 0 {
                // SAFETY: the caller's promise; without room in the head, this makes the block the head.
                unsafe { self.push(first, size) };
                blocks = rest;
                continue;
            }
            let (load, rest) = blocks.split_at(free.min(blocks.len()));
            for (number, &block) in load.iter().enumerate() {
                // SAFETY: the node is a free block with room for that many addresses more.
                unsafe { place(self.head, self.carried + number).write(block) };
            }
            self.carried += load.len();
            blocks = rest;
        }
    }

    /// Pops into `places`, a node's load at a time; says how many.
    fn pop_some(&mut self, places: &mut [usize], size: usize) -> usize {
        let mut popped = 0;
        while popped < places.len() {
            let load = self.carried.min(places.len() - popped);
            self.carried -= load;
            for (number, place_for_it) in places[popped..popped + load].iter_mut().enumerate() {
                // SAFETY: the head carried that many addresses.
                *place_for_it = unsafe { place(self.head, self.carried + number).read() };
            }
            popped += load;
            if popped < places.len() {
                let Some(node) = self.pop(size) else { break };
                places[popped] = node;
                popped += 1;
            }
        }
        popped
    }

    fn iter(&self, size: usize) -> impl Iterator<Item = usize> {
        let mut rest = Self { head: self.head, carried: self.carried };
        // Popping from a copy writes nothing.
        core::iter::from_fn(move || rest.pop(size))
    }
}

impl<const PLACES: usize> Magazine<PLACES> {
    const HALF: usize = {
        assert!(PLACES >= 4, "a magazine has at least 4 places: choose more PLACES");
        PLACES / 2
    };

    /// Spills the older half of a full array.
    #[cold]
    #[inline(never)]
    fn spill(&mut self, size: usize) {
        // SAFETY: what is stored is free, and a block of this pool.
        unsafe { self.spilled.push_all(&self.places[1..=Self::HALF], size) };
        self.places.copy_within(1 + Self::HALF..=self.stored, 1);
        self.stored -= Self::HALF;
    }

    /// Fills an empty array by half from the list, or else with fresh blocks; false if there are none.
    #[cold]
    #[inline(never)]
    fn refill(&mut self, fresh: &mut Fresh, size: usize) -> bool {
        debug_assert_eq!(self.stored, 0);
        self.stored = self.spilled.pop_some(&mut self.places[1..=Self::HALF], size);
        if self.stored == 0 {
            let run = fresh.cut_some(size, Self::HALF);
            let mut block = run.end;
            while block > run.start {
                block -= size;
                self.stored += 1;
                self.places[self.stored] = block;
            }
        }
        self.stored != 0
    }
}

impl<const PLACES: usize> Strategy for Magazine<PLACES> {}

impl<const PLACES: usize> Sealed for Magazine<PLACES> {
    const EMPTY: Self = Self { stored: 0, places: [0; PLACES], spilled: Unrolled::EMPTY };

    #[inline(always)]
    fn take_freed(&mut self) -> Option<NonNull<u8>> {
        // SAFETY: `stored` is below `PLACES`: see `put`.
        let block = NonNull::new(recover::<u8>(unsafe { *self.places.get_unchecked(self.stored) }))?;
        self.stored -= 1;
        Some(block)
    }

    #[inline(always)]
    fn take(&mut self, fresh: &mut Fresh, size: usize) -> Option<NonNull<u8>> {
        match self.take_freed() {
            Some(block) => Some(block),
            None if self.refill(fresh, size) => self.take_freed(),
            None => None,
        }
    }

    #[inline(always)]
    unsafe fn put(&mut self, block: NonNull<u8>, size: usize) {
        if self.stored == PLACES - 1 {
            self.spill(size);
        }
        self.stored += 1;
        // SAFETY: `stored` was below `PLACES - 1`.
        unsafe { *self.places.get_unchecked_mut(self.stored) = block.addr().get() };
    }

    fn clear(&mut self) {
        self.stored = 0;
        self.spilled = Unrolled::EMPTY;
    }

    fn free(&self, size: usize) -> impl Iterator<Item = usize> {
        self.places[1..=self.stored].iter().copied().chain(self.spilled.iter(size))
    }

    fn forget(&mut self, span: Span, size: usize) {
        let mut kept = 0;
        for number in 1..=self.stored {
            let block = self.places[number];
            if !span.contains(block) {
                kept += 1;
                self.places[kept] = block;
            }
        }
        self.stored = kept;
        let mut all = core::mem::replace(&mut self.spilled, Unrolled::EMPTY);
        while let Some(block) = all.pop(size) {
            if !span.contains(block) {
                // SAFETY: the block is free, and a node is popped only after everything that it carries.
                unsafe { self.spilled.push(block, size) };
            }
        }
    }
}
