//! What is of one type in a pool of one kind of blocks, and of another in a pool of several.

use core::mem;

use crate::pool::Sorter;

/// `One` if the pool's sorter has one kind, else `Several`: each pool has room for what it needs.
pub(super) struct ByKinds<S: Sorter, One, Several>(S::ByKinds<One, Several>);

impl<S: Sorter, One, Several> ByKinds<S, One, Several> {
    pub(super) const fn new(one: One, several: Several) -> Self {
        // SAFETY: the sorter promises that it is this type which is stored; the original is forgotten.
        let stored =
            unsafe { if S::KINDS == 1 { mem::transmute_copy(&one) } else { mem::transmute_copy(&several) } };
        mem::forget((one, several));
        Self(stored)
    }

    /// For a pool of one kind.
    #[inline(always)]
    pub(super) const fn one(&self) -> &One {
        assert!(S::KINDS == 1);
        // SAFETY: the sorter promises that it is this type which is stored.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// For a pool of several kinds.
    #[inline(always)]
    pub(super) const fn several(&self) -> &Several {
        assert!(S::KINDS != 1);
        // SAFETY: as above.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// As [`one`](Self::one).
    pub(super) const fn one_mut(&mut self) -> &mut One {
        assert!(S::KINDS == 1);
        // SAFETY: as above.
        unsafe { &mut *(&raw mut self.0).cast() }
    }

    /// As [`several`](Self::several).
    pub(super) const fn several_mut(&mut self) -> &mut Several {
        assert!(S::KINDS != 1);
        // SAFETY: as above.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}
