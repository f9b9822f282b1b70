//! A list of free blocks, linked both ways through the blocks: push, pop and unlink are O(1).

use super::Tag;

/// The free blocks of one list, last pushed first.
///
/// # Invariants
///
/// * Following next links from `first` visits each block once and ends at zero; `prev` leads back.
/// * The first block's older link means nothing: it is neither kept nor read.
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
        // SAFETY: what is on a list is a free block.
        (self.first != 0).then(|| unsafe { Tag::at(self.first) })
    }

    /// Takes the first block off; `tag` must be that. Whether the list is empty now.
    #[inline(always)]
    pub(in crate::pool) fn pop(&mut self, tag: Tag) -> bool {
        self.first = tag.next();
        self.first == 0
    }

    /// Puts a block on. Whether the list was empty.
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

    /// Takes a block off that is on this list. Whether the list is empty now.
    #[inline(always)]
    pub(in crate::pool) fn unlink(&mut self, tag: Tag) -> bool {
        if self.first == tag.block() {
            return self.pop(tag);
        }
        let (next, prev) = (tag.next(), tag.prev());
        // SAFETY: both links of a block on a list lead to blocks on it, and this one has an older one.
        unsafe {
            Tag::at(prev).set_next(next);
            if next != 0 {
                Tag::at(next).set_prev(prev);
            }
        }
        false
    }

    pub(in crate::pool) fn tags(&self) -> impl Iterator<Item = Tag> {
        core::iter::successors(self.first(), |tag| {
            let next = tag.next();
            // SAFETY: what is on a list is a free block.
            (next != 0).then(|| unsafe { Tag::at(next) })
        })
    }

    /// The same, as far as it is said of each address that it may be looked at.
    pub(in crate::pool) fn posts_while(
        &self,
        mut may: impl FnMut(usize) -> bool,
    ) -> impl Iterator<Item = Tag> {
        let mut at = self.first;
        core::iter::from_fn(move || {
            if at == 0 || !may(at) {
                return None;
            }
            // SAFETY: the address may be looked at.
            let tag = unsafe { Tag::at(at) };
            at = tag.next();
            Some(tag)
        })
    }

    /// Whether the links of a block, which is free and on this list, lead to blocks that lead back, so that it can be
    /// unlinked. `owned` says whether an address may be looked at.
    pub(in crate::pool) fn is_linked(&self, tag: Tag, owned: &dyn Fn(usize) -> bool) -> bool {
        // SAFETY: only where the address may be looked at.
        let leads =
            |to: usize, back: fn(Tag) -> usize| owned(to) && back(unsafe { Tag::at(to) }) == tag.block();
        let next = tag.next();
        let is_first = self.first == tag.block();
        (next == 0 || leads(next, Tag::prev)) && (is_first || leads(tag.prev(), Tag::next))
    }

    /// Whether a block can be put on: the first one is none or may be written to.
    pub(in crate::pool) fn can_push(&self, owned: &dyn Fn(usize) -> bool) -> bool {
        self.first == 0 || owned(self.first)
    }

    /// Counts the blocks, and verifies links, posts and what else is asked of each block; stops beyond `most`. `owned`
    /// says whether an address may be looked at.
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
            // SAFETY: the address lies in a chunk, and the caller has verified the chunk's posts.
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
