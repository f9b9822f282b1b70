//! A list of free blocks, linked both ways through the blocks: push, pop and unlink are O(1).

use super::Post;

/// The free blocks of one list, last pushed first.
///
/// # Invariants
///
/// * Following next links from `first` visits each block once and ends at zero; `older` leads back.
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
    pub(in crate::pool) fn first(&self) -> Option<Post> {
        // SAFETY: what is on a list is a free block.
        (self.first != 0).then(|| unsafe { Post::at(self.first) })
    }

    /// Takes the first block off; `post` must be that. Whether the list is empty now.
    #[inline(always)]
    pub(in crate::pool) fn pop(&mut self, post: Post) -> bool {
        self.first = post.next();
        self.first == 0
    }

    /// Puts a block on. Whether the list was empty.
    #[inline(always)]
    pub(in crate::pool) fn push(&mut self, post: Post) -> bool {
        let second = self.first();
        post.set_next(self.first);
        self.first = post.block();
        if let Some(second) = second {
            second.set_older(post.block());
        }
        second.is_none()
    }

    /// Takes a block off that is on this list. Whether the list is empty now.
    #[inline(always)]
    pub(in crate::pool) fn unlink(&mut self, post: Post) -> bool {
        if self.first == post.block() {
            return self.pop(post);
        }
        let (next, older) = (post.next(), post.older());
        // SAFETY: both links of a block on a list lead to blocks on it, and this one has an older one.
        unsafe {
            Post::at(older).set_next(next);
            if next != 0 {
                Post::at(next).set_older(older);
            }
        }
        false
    }

    pub(in crate::pool) fn posts(&self) -> impl Iterator<Item = Post> {
        core::iter::successors(self.first(), |post| {
            let next = post.next();
            // SAFETY: what is on a list is a free block.
            (next != 0).then(|| unsafe { Post::at(next) })
        })
    }

    /// The same, as far as it is said of each address that it may be looked at.
    pub(in crate::pool) fn posts_while(
        &self,
        mut may: impl FnMut(usize) -> bool,
    ) -> impl Iterator<Item = Post> {
        let mut at = self.first;
        core::iter::from_fn(move || {
            if at == 0 || !may(at) {
                return None;
            }
            // SAFETY: the address may be looked at.
            let post = unsafe { Post::at(at) };
            at = post.next();
            Some(post)
        })
    }

    /// Whether the links of a block, which is free and on this list, lead to blocks that lead back, so that it can be
    /// unlinked. `owned` says whether an address may be looked at.
    pub(in crate::pool) fn is_linked(&self, post: Post, owned: &dyn Fn(usize) -> bool) -> bool {
        // SAFETY: only where the address may be looked at.
        let leads =
            |to: usize, back: fn(Post) -> usize| owned(to) && back(unsafe { Post::at(to) }) == post.block();
        let next = post.next();
        let is_first = self.first == post.block();
        (next == 0 || leads(next, Post::older)) && (is_first || leads(post.older(), Post::next))
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
        right: impl Fn(Post) -> bool,
    ) -> Result<usize, &'static str> {
        let mut older = 0;
        let mut count = 0;
        let mut at = self.first;
        while at != 0 {
            if !owned(at) {
                return Err("a link in a free block leads to no block: it was overwritten");
            }
            // SAFETY: the address lies in a chunk, and the caller has verified the chunk's posts.
            let post = unsafe { Post::at(at) };
            if !post.sign().is_free() {
                return Err("a block on a list is not free");
            }
            if count != 0 && post.older() != older {
                return Err("a link back in a free block does not lead back: it was overwritten");
            }
            if !right(post) {
                return Err("a free block is on the list of another size");
            }
            count += 1;
            if count > most {
                return Err("there are more blocks on the lists than are free");
            }
            (older, at) = (at, post.next());
        }
        Ok(count)
    }
}
