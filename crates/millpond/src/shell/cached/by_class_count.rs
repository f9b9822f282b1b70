//! What is of one type in a pool of one class of blocks, and of another in a pool of several.

use core::mem;

use crate::pool::ClassMap;

/// `One` if the pool's class_map has one class, else `Several`: each pool has room for what it needs.
pub(super) struct ByClassCount<S: ClassMap, One, Several>(S::ByClassCount<One, Several>);

impl<S: ClassMap, One, Several> ByClassCount<S, One, Several> {
    pub(super) const fn new(one: One, several: Several) -> Self {
        // SAFETY: the class map promises that it is this type which is stored; the original is forgotten.
        let stored = unsafe {
            if S::CLASSES == 1 { mem::transmute_copy(&one) } else { mem::transmute_copy(&several) }
        };
        mem::forget((one, several));
        Self(stored)
    }

    /// For a pool of one class.
    #[inline(always)]
    pub(super) const fn one(&self) -> &One {
        assert!(S::CLASSES == 1);
        // SAFETY: the class map promises that it is this type which is stored.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// For a pool of several classes.
    #[inline(always)]
    pub(super) const fn several(&self) -> &Several {
        assert!(S::CLASSES != 1);
        // SAFETY: as above.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// As [`one`](Self::one).
    pub(super) const fn one_mut(&mut self) -> &mut One {
        assert!(S::CLASSES == 1);
        // SAFETY: as above.
        unsafe { &mut *(&raw mut self.0).cast() }
    }

    /// As [`several`](Self::several).
    pub(super) const fn several_mut(&mut self) -> &mut Several {
        assert!(S::CLASSES != 1);
        // SAFETY: as above.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}
