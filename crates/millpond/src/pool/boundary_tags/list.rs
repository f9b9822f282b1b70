//! A doubly linked list of free blocks, with the links in the blocks: push, pop and unlink are O(1).

use super::Tag;

/// The free blocks of one list, last pushed first.
///
/// # Invariants
///
/// * Following next links from `first` visits each block once and ends at zero; `prev` leads back.
/// * The `prev` link of the first block is meaningless: it is neither updated nor read.
pub(in crate::pool) struct List {
    first: usize,
}

impl List {
    pub(in crate::pool) const EMPTY: Self = Self { first: 0 };

    #[inline(always)]
    pub(in crate::pool) fn is_empty(&self) -> bool {
        self.first == 0
    }

    #[inline(always)]
    pub(in crate::pool) fn first(&self) -> Option<Tag> {
        // SAFETY: a block on a list is free.
        (self.first != 0).then(|| unsafe { Tag::at(self.first) })
    }

    /// Removes the first block, which must be `tag`. Returns whether the list is empty now. If the link of the block was
    /// overwritten, so that it does not lead to a block that links back, the list ends there.
    #[inline(always)]
    pub(in crate::pool) fn pop(&mut self, tag: Tag) -> bool {
        let next = tag.next();
        // SAFETY: a link leads to a block on the list. One that was overwritten is only followed to read a word.
        let is_right = next == 0 || unsafe { Tag::at(next) }.prev() == tag.block();
        self.first = if is_right { next } else { 0 };
        self.first == 0
    }

    /// Adds a block. Returns whether the list was empty.
    #[inline(always)]
    pub(in crate::pool) fn push(&mut self, tag: Tag) -> bool {
        let second = self.first();
        tag.set_next(self.first);
        self.first = tag.block();
        if let Some(second) = second {
            second.set_prev(tag.block());
        }
        second.is_none()
    }

    /// Removes a block that is on this list. Returns whether the list is empty now; `None` if the block was overwritten,
    /// so that those to which its links lead do not link back: nothing is changed then.
    #[inline(always)]
    pub(in crate::pool) fn unlink(&mut self, tag: Tag) -> Option<bool> {
        if self.first == tag.block() {
            return Some(self.pop(tag));
        }
        let (next, prev) = (tag.next(), tag.prev());
        // SAFETY: both links of a block on a list lead to blocks on it, and this one is not the first. Links that were
        // overwritten are only followed to read a word.
        unsafe {
            if Tag::at(prev).next() != tag.block() || next != 0 && Tag::at(next).prev() != tag.block() {
                return None;
            }
            Tag::at(prev).set_next(next);
            if next != 0 {
                Tag::at(next).set_prev(prev);
            }
        }
        Some(false)
    }

    pub(in crate::pool) fn tags(&self) -> impl Iterator<Item = Tag> {
        core::iter::successors(self.first(), |tag| {
            let next = tag.next();
            // SAFETY: a block on a list is free.
            (next != 0).then(|| unsafe { Tag::at(next) })
        })
    }

    /// The same, while each address may be read.
    pub(in crate::pool) fn posts_while(
        &self,
        mut may: impl FnMut(usize) -> bool,
    ) -> impl Iterator<Item = Tag> {
        let mut at = self.first;
        core::iter::from_fn(move || {
            if at == 0 || !may(at) {
                return None;
            }
            // SAFETY: the address may be read.
            let tag = unsafe { Tag::at(at) };
            at = tag.next();
            Some(tag)
        })
    }

    /// Returns whether the links of a block, which is free and on this list, lead to blocks that link back, so that it
    /// can be unlinked. `owned` returns whether an address may be read.
    pub(in crate::pool) fn is_linked(&self, tag: Tag, owned: &dyn Fn(usize) -> bool) -> bool {
        // SAFETY: `owned` is checked first, so the address may be read.
        let leads =
            |to: usize, back: fn(Tag) -> usize| owned(to) && back(unsafe { Tag::at(to) }) == tag.block();
        let next = tag.next();
        let is_first = self.first == tag.block();
        (next == 0 || leads(next, Tag::prev)) && (is_first || leads(tag.prev(), Tag::next))
    }

    /// Returns whether a block can be pushed: there is no first block, or it may be written to.
    pub(in crate::pool) fn can_push(&self, owned: &dyn Fn(usize) -> bool) -> bool {
        self.first == 0 || owned(self.first)
    }

    /// Counts the blocks, and checks the links, the headers and the given condition of each block; stops after `most`
    /// blocks. `owned` returns whether an address may be read.
    pub(in crate::pool) fn check(
        &self,
        most: usize,
        owned: &dyn Fn(usize) -> bool,
        right: impl Fn(Tag) -> bool,
    ) -> Result<usize, &'static str> {
        let mut prev = 0;
        let mut count = 0;
        let mut at = self.first;
        while at != 0 {
            if !owned(at) {
                return Err("a link in a free block leads to no block: it was overwritten");
            }
            // SAFETY: the address lies in a chunk, and the caller has checked the headers of the chunk.
            let tag = unsafe { Tag::at(at) };
            if !tag.header().is_free() {
                return Err("a block on a list is not free");
            }
            if count != 0 && tag.prev() != prev {
                return Err("a link back in a free block does not lead back: it was overwritten");
            }
            if !right(tag) {
                return Err("a free block is on the list of another size");
            }
            count += 1;
            if count > most {
                return Err("there are more blocks on the lists than are free");
            }
            (prev, at) = (at, tag.next());
        }
        Ok(count)
    }
}
