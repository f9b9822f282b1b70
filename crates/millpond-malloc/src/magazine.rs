//! Magazines: arrays of free blocks of one class (Bonwick, Adams 2001).
//!
//! ```text
//! word   0      1        …  bottom   bottom+1 … top … 63
//!        link   bottom      0        blocks
//! ```
//!
//! A magazine is aligned to its size. A thread knows it by the place of its last block, its *top*: if the word there is
//! 0, the magazine is empty; if the next word begins another magazine, it is full. So neither test needs a counter or
//! the magazine's bounds. [`vacant`] is empty and full at once; it stands where a thread has no magazine.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering::*},
};

use crate::{os, shared::Shared};

/// Words in a magazine.
pub(crate) const WORDS: usize = 64;
/// Bytes in a magazine, to which it is aligned.
pub(crate) const BYTES: usize = WORDS * 8;
/// Blocks in the largest magazine: the words but the link, the bottom and one word 0 below the blocks.
pub(crate) const MOST: usize = WORDS - 3;

/// Magazines that are mapped at once.
const BATCH: usize = 128;

/// A magazine, by its address.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Magazine(*mut usize);

/// The magazine that is empty and full.
#[repr(C, align(512))]
pub(crate) struct Vacant([usize; WORDS]);

pub(crate) static VACANT: Vacant = Vacant([0; WORDS]);

/// Returns the top of the vacant magazine.
#[inline]
pub(crate) fn vacant() -> *mut usize {
    (&raw const VACANT.0[WORDS - 1]).cast_mut()
}

/// # Safety
///
/// All methods: the magazine must belong to the caller and not be the vacant one, unless stated otherwise.
impl Magazine {
    pub(crate) const NONE: Self = Self(null_mut());

    pub(crate) fn is_none(self) -> bool {
        self.0.is_null()
    }

    /// Returns the magazine in which a top lies, or `None` for the vacant one.
    #[inline]
    pub(crate) fn of(top: *mut usize) -> Option<Self> {
        let start = top.map_addr(|address| address & !(BYTES - 1));
        (!core::ptr::eq(start, VACANT.0.as_ptr())).then_some(Self(start))
    }

    /// Returns the link to another magazine.
    pub(crate) unsafe fn link(self) -> Self {
        // SAFETY: the caller owns the magazine.
        Self(unsafe { self.0.cast::<*mut usize>().read() })
    }

    pub(crate) unsafe fn set_link(self, next: Self) {
        // SAFETY: the caller owns the magazine.
        unsafe { self.0.cast::<*mut usize>().write(next.0) };
    }

    /// Returns the top of the magazine if it is full.
    pub(crate) unsafe fn full_top(self) -> *mut usize {
        self.0.wrapping_add(WORDS - 1)
    }

    /// Makes the magazine an empty one for `limit` blocks; returns its top.
    pub(crate) unsafe fn clear(self, limit: usize) -> *mut usize {
        debug_assert!((1..=MOST).contains(&limit));
        let bottom = WORDS - 1 - limit;
        // SAFETY: the caller owns the magazine; the bottom lies within it.
        unsafe {
            self.0.add(1).write(bottom);
            let top = self.0.add(bottom);
            top.write(0);
            top
        }
    }

    /// Moves the bottom up, so that the magazine is full with the first `count` blocks, which move to the top.
    pub(crate) unsafe fn shrink(self, count: usize) {
        // SAFETY: the caller owns the magazine, whose first `count` places hold blocks.
        unsafe {
            let bottom = self.0.add(1).read();
            let new = WORDS - 1 - count;
            core::ptr::copy(self.0.add(bottom + 1), self.0.add(new + 1), count);
            self.0.add(new).write(0);
            self.0.add(1).write(new);
        }
    }

    /// Returns the number of blocks in the magazine if it is full.
    pub(crate) unsafe fn limit(self) -> usize {
        // SAFETY: the caller owns the magazine.
        WORDS - 1 - unsafe { self.0.add(1).read() }
    }

    /// Returns the blocks up to a top.
    pub(crate) unsafe fn blocks<'a>(self, top: *mut usize) -> &'a mut [usize] {
        // SAFETY: the caller owns the magazine, and the top is its own: at or above the bottom.
        unsafe {
            let bottom = self.0.add(1).read();
            let count = (top.addr() - self.0.addr()) / 8 - bottom;
            core::slice::from_raw_parts_mut(self.0.add(bottom + 1), count)
        }
    }
}

/// A place for a magazine, or none, of which any thread can take it.
pub(crate) struct Place(AtomicPtr<usize>);

impl Place {
    pub(crate) const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// Puts a magazine, or none, here, and returns what was here before. The thread that takes it sees its contents.
    pub(crate) fn replace(&self, magazine: Magazine) -> Magazine {
        Magazine(self.0.swap(magazine.0, AcqRel))
    }

    /// Takes what is here, without an exchange if there is nothing.
    pub(crate) fn take(&self) -> Magazine {
        if self.0.load(Relaxed).is_null() { Magazine::NONE } else { self.replace(Magazine::NONE) }
    }
}

/// Magazines that no thread and no depot uses, linked.
pub(crate) static SPARES: Shared<Magazine> =
    // SAFETY: unused magazines are reached only from here.
    unsafe { Shared::new(Magazine::NONE) };

/// Takes a magazine with arbitrary contents; returns `None` if there is no memory.
pub(crate) fn take() -> Option<Magazine> {
    let mut spares = SPARES.lock();
    if spares.is_none() {
        let memory = os::map(BATCH * BYTES)?.as_ptr();
        for index in 0..BATCH {
            let magazine = Magazine(memory.wrapping_add(index * BYTES).cast());
            // SAFETY: the memory is new, and aligned to a page.
            unsafe { magazine.set_link(*spares) };
            *spares = magazine;
        }
    }
    let magazine = *spares;
    // SAFETY: the magazine was a spare, so it belongs to the holder of the lock.
    *spares = unsafe { magazine.link() };
    Some(magazine)
}

/// Returns a magazine without blocks.
///
/// # Safety
///
/// The magazine must belong to the caller, who must not use it any more.
pub(crate) unsafe fn give_back(magazine: Magazine) {
    let mut spares = SPARES.lock();
    // SAFETY: the caller owned the magazine.
    unsafe { magazine.set_link(*spares) };
    *spares = magazine;
}
