//! A value of one type in a pool with one size class, and of another type in a pool with several.

use core::mem;

use crate::pool::ClassMap;

/// `One` if the pool's class map has one class, else `Several`: each pool stores only what it needs.
pub(super) struct ByClassCount<S: ClassMap, One, Several>(S::ByClassCount<One, Several>);

impl<S: ClassMap, One, Several> ByClassCount<S, One, Several> {
    pub(super) const fn new(one: One, several: Several) -> Self {
        // SAFETY: the class map guarantees that the stored type is this one; the original is forgotten.
        let stored = unsafe {
            if S::CLASSES == 1 { mem::transmute_copy(&one) } else { mem::transmute_copy(&several) }
        };
        mem::forget((one, several));
        Self(stored)
    }

    /// Returns the value of a pool with one class.
    #[inline(always)]
    pub(super) const fn one(&self) -> &One {
        assert!(S::CLASSES == 1);
        // SAFETY: the class map guarantees that the stored type is this one.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// Returns the value of a pool with several classes.
    #[inline(always)]
    pub(super) const fn several(&self) -> &Several {
        assert!(S::CLASSES != 1);
        // SAFETY: as above.
        unsafe { &*(&raw const self.0).cast() }
    }

    /// As [`one`](Self::one), mutably.
    pub(super) const fn one_mut(&mut self) -> &mut One {
        assert!(S::CLASSES == 1);
        // SAFETY: as above.
        unsafe { &mut *(&raw mut self.0).cast() }
    }

    /// As [`several`](Self::several), mutably.
    pub(super) const fn several_mut(&mut self) -> &mut Several {
        assert!(S::CLASSES != 1);
        // SAFETY: as above.
        unsafe { &mut *(&raw mut self.0).cast() }
    }
}
