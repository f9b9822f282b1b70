//! Conditions on blocks.

use std::ops::RangeInclusive;

use crate::file::Shape;

/// Which blocks of a trace count: those that meet all conditions. A block counts with all of its events, from its
/// allocation to its free, or with none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The sizes in bytes with which blocks are allocated; later resizes do not matter.
    pub sizes: Option<RangeInclusive<u64>>,
    /// The times at which blocks are allocated, in nanoseconds since recording began.
    pub times: Option<RangeInclusive<u64>>,
    /// The threads that allocate.
    pub threads: Option<Vec<u32>>,
    /// The stacks that allocate: whether each of them does, by its number. Stacks beyond the end do not.
    pub stacks: Option<Vec<bool>>,
    /// What becomes of the blocks.
    pub lifetimes: Option<Lifetimes>,
}

/// What becomes of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifetimes {
    /// They are freed after a time in this range, in nanoseconds.
    Freed(RangeInclusive<u64>),
    /// They are live at the end of the recording.
    Kept,
}

impl Filter {
    /// Returns whether a block counts as far as its allocation tells.
    pub(super) fn is_met_by(&self, time: u64, thread: u32, shape: &Shape) -> bool {
        let is_stack = |stacks: &Vec<bool>| stacks.get(shape.stack as usize).is_some_and(|&is| is);
        self.sizes.as_ref().is_none_or(|sizes| sizes.contains(&shape.size))
            && self.times.as_ref().is_none_or(|times| times.contains(&time))
            && self.threads.as_ref().is_none_or(|threads| threads.contains(&thread))
            && self.stacks.as_ref().is_none_or(is_stack)
    }

    /// Returns whether a block counts that lived for this time, or that is live at the end.
    pub(super) fn is_met_by_lifetime(&self, lifetime: Option<u64>) -> bool {
        match (&self.lifetimes, lifetime) {
            (None, _) | (Some(Lifetimes::Kept), None) => true,
            (Some(Lifetimes::Freed(range)), Some(lifetime)) => range.contains(&lifetime),
            _ => false,
        }
    }
}
