//! The number of live blocks in shells whose blocks are all of one size.

use lock_api::RawMutex;

use super::{Local, Locked, generic::PoolCell, oom::OomPolicy};
use crate::{
    pool::{BlockLayout, ClassMap, SingleClass, SizeClasses},
    traits::{Allocator, Inspect},
};

/// A shell whose blocks are all of one size.
pub trait SingleSize: Inspect {
    /// Returns the size of the layout.
    fn block_size(&self) -> usize;

    /// Returns the number of live blocks. Costs as much as [`Inspect::stats`], unless a guard counts them.
    fn live_blocks(&self) -> usize {
        self.report().live_blocks.unwrap_or_else(|| self.stats().live / self.block_size())
    }
}

impl<P: SizeClasses<ClassMap = SingleClass<S>> + Inspect, A: Allocator, O: OomPolicy, S: BlockLayout>
    SingleSize for Local<P, A, O>
{
    fn block_size(&self) -> usize {
        self.0.cell.with(|pool| pool.class_map().layout(0).size())
    }
}

impl<
    P: SizeClasses<ClassMap = SingleClass<S>> + Inspect,
    A: Allocator,
    L: RawMutex,
    O: OomPolicy,
    S: BlockLayout,
> SingleSize for Locked<P, A, L, O>
{
    fn block_size(&self) -> usize {
        self.0.cell.with(|pool| pool.class_map().layout(0).size())
    }
}
