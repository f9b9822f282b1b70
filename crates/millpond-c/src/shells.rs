//! Pools in shells as C gets them, with the optional operations of each.

use std::{alloc::Layout, ffi::CStr};

use lock_api::RawMutex;
use millpond::{
    AllocError, Blocks, Buddy, Cached, Classes, Inspect, Linear, Local, LockFree, Locked, Magazine, Reclaim,
    SignPost, Stack, Tlsf,
    lock::TicketLock,
    pool::{AddressOrdered, DynSize, FreeList, Hardened, Hardening, QuickList, SizeClasses, Validated},
    raw::{AtFork, Live, RawPool, Reserve},
    shell::AtomicLinear,
};

use crate::{
    abi::*,
    error::MpError,
    exported::{Created, Export, Exported, Make, ReserveFn, Visit},
    options::PoolCommon,
    parent::Parent,
};

/// A shell for one thread or behind a lock, with the operations that only some pools have.
pub(crate) trait PoolShell<P: RawPool> {
    /// Calls `visit` for each live block; returns whether all were visited.
    fn walk(&mut self, visit: Visit<'_>) -> bool
    where
        P: Live;

    /// Reserves room for `count` blocks.
    fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve;
}

impl<P: RawPool> PoolShell<P> for Local<P, Parent> {
    fn walk(&mut self, visit: Visit<'_>) -> bool
    where
        P: Live,
    {
        self.live().all(|block| visit(block.cast(), block.len()))
    }

    fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve,
    {
        self.reserve(layout, count)
    }
}

impl<P: RawPool, L: RawMutex> PoolShell<P> for Locked<P, Parent, L> {
    fn walk(&mut self, visit: Visit<'_>) -> bool
    where
        P: Live,
    {
        self.live().all(|block| visit(block.cast(), block.len()))
    }

    fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError>
    where
        P: Reserve,
    {
        self.reserve(layout, count)
    }
}

/// Visits the live blocks of a pool in its shell.
type WalkIn<P> = fn(&mut dyn PoolShell<P>, Visit<'_>) -> bool;
/// Reserves room in a pool in its shell.
type ReserveIn<P> = fn(&dyn PoolShell<P>, Layout, usize) -> Result<(), AllocError>;

/// A pool, its name in C, and its optional operations in a shell; `None` stands for unsupported operations.
pub(crate) trait ExportedPool: RawPool + Inspect + Sized {
    const NAME: &'static CStr;
    const WALK: Option<WalkIn<Self>> = None;
    const RESERVE: Option<ReserveIn<Self>> = None;
}

impl ExportedPool for Blocks {
    const NAME: &'static CStr = c"blocks";
    const RESERVE: Option<ReserveIn<Self>> = Some(|shell, layout, count| shell.reserve(layout, count));
}

impl ExportedPool for Blocks<(DynSize, Magazine)> {
    const NAME: &'static CStr = c"blocks";
    const RESERVE: Option<ReserveIn<Self>> = Some(|shell, layout, count| shell.reserve(layout, count));
}

impl ExportedPool for Blocks<(DynSize, AddressOrdered)> {
    const NAME: &'static CStr = c"blocks";
    const WALK: Option<WalkIn<Self>> = Some(|shell, visit| shell.walk(visit));
    const RESERVE: Option<ReserveIn<Self>> = Some(|shell, layout, count| shell.reserve(layout, count));
}

impl<T: FreeList> ExportedPool for Blocks<(DynSize, Validated<T>)> {
    const NAME: &'static CStr = c"blocks";
    const WALK: Option<WalkIn<Self>> = Some(|shell, visit| shell.walk(visit));
    const RESERVE: Option<ReserveIn<Self>> = Some(|shell, layout, count| shell.reserve(layout, count));
}

impl<M: Hardening> ExportedPool for Blocks<(DynSize, Hardened<M>)> {
    const NAME: &'static CStr = c"blocks";
    const WALK: Option<WalkIn<Self>> = Some(|shell, visit| shell.walk(visit));
    const RESERVE: Option<ReserveIn<Self>> = Some(|shell, layout, count| shell.reserve(layout, count));
}

impl ExportedPool for Classes {
    const NAME: &'static CStr = c"classes";
    const RESERVE: Option<ReserveIn<Self>> = Some(|shell, layout, count| shell.reserve(layout, count));
}

impl ExportedPool for Linear {
    const NAME: &'static CStr = c"linear";
}

impl ExportedPool for Stack {
    const NAME: &'static CStr = c"stack";
}

impl ExportedPool for SignPost {
    const NAME: &'static CStr = c"sign post";
}

impl<F: QuickList> ExportedPool for Tlsf<F> {
    const NAME: &'static CStr = c"tlsf";
}

impl ExportedPool for Buddy {
    const NAME: &'static CStr = c"buddy";
}

/// Visits the live blocks in a shell, if its pool knows them.
fn walk<P: ExportedPool>(shell: &mut dyn PoolShell<P>, visit: Visit<'_>) -> bool {
    P::WALK.is_none_or(|walk| walk(shell, visit))
}

/// Reserves room in a shell, if its pool supports that.
fn reserve<P: ExportedPool>(
    shell: &dyn PoolShell<P>,
    layout: Layout,
    count: usize,
) -> Result<(), AllocError> {
    P::RESERVE.map_or(Err(AllocError::Unsupported), |reserve| reserve(shell, layout, count))
}

impl<P: ExportedPool> Export for Local<P, Parent> {
    const NAME: &'static CStr = P::NAME;
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|shell| shell);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|shell| shell);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(Self::trim);
    const WALK: Option<fn(&mut Self, Visit<'_>) -> bool> =
        if P::WALK.is_some() { Some(|shell, visit| walk(shell, visit)) } else { None };
    const RESERVE: Option<ReserveFn<Self>> =
        if P::RESERVE.is_some() { Some(|shell, layout, count| reserve(shell, layout, count)) } else { None };
}

impl<P: ExportedPool, L: RawMutex> Export for Locked<P, Parent, L> {
    const NAME: &'static CStr = P::NAME;
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|shell| shell);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|shell| shell);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(Self::trim);
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|shell| shell);
    const WALK: Option<fn(&mut Self, Visit<'_>) -> bool> =
        if P::WALK.is_some() { Some(|shell, visit| walk(shell, visit)) } else { None };
    const RESERVE: Option<ReserveFn<Self>> =
        if P::RESERVE.is_some() { Some(|shell, layout, count| reserve(shell, layout, count)) } else { None };
}

impl<P: ExportedPool + SizeClasses + Reserve> Export for Cached<P, Parent> {
    const NAME: &'static CStr = P::NAME;
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|shell| shell);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|shell| shell);
    const TRIM_SHARED: Option<fn(&Self) -> usize> = Some(Self::trim);
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|shell| shell);
    const RESERVE: Option<ReserveFn<Self>> = Some(Self::reserve);
    const FLUSH: Option<fn(&Self)> = Some(Self::flush);
}

impl Export for LockFree<DynSize, Parent> {
    const NAME: &'static CStr = c"blocks";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|shell| shell);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|shell| shell);
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|shell| shell);
    const RESERVE: Option<ReserveFn<Self>> = Some(|shell, layout, count| {
        let block = shell.block_layout();
        let fits = layout.size() <= block.size() && layout.align() <= block.align();
        if fits { shell.reserve(count) } else { Err(AllocError::Unsupported) }
    });
}

impl Export for AtomicLinear<Parent> {
    const NAME: &'static CStr = c"linear";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|arena| arena);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|arena| arena);
    const AT_FORK: Option<fn(&Self) -> &dyn AtFork> = Some(|arena| arena);
}

/// Returns the error for a sharing that a pool does not support.
pub(crate) fn cannot_share() -> MpError {
    MpError::unsupported(
        "this pool does not support this sharing with these options: the header lists what it supports",
    )
}

/// Creates a pool for one thread or behind a lock.
pub(crate) fn local_or_locked<P: ExportedPool>(
    PoolCommon { parent, sharing, make }: PoolCommon,
    pool: P,
    is_plain: bool,
) -> Created {
    match sharing {
        MP_LOCAL => Exported::make(Local::new_in(pool, parent), Make { is_plain, ..make }),
        MP_LOCKED => Exported::make(Locked::<P, Parent>::new_in(pool, parent), make),
        MP_LOCKED_TICKET => Exported::make(Locked::<P, Parent, TicketLock>::new_in(pool, parent), make),
        _ => Err(cannot_share()),
    }
}
