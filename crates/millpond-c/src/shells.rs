//! Pools in shells as C gets them, with the optional operations of each.

use std::{alloc::Layout, ffi::CStr, ptr::NonNull};

use lock_api::RawMutex;
use millpond::{
    AllocError, Blocks, Buddy, Cached, Classes, Inspect, Linear, Local, LockFree, Locked, Magazine, SignPost,
    Stack, Tlsf,
    lock::TicketLock,
    pool::{AddressOrdered, DynSize, Lifo, NoQuickList, SizeClasses, Validated},
    raw::{RawPool, Reserve},
    shell::AtomicLinear,
};

use crate::{
    abi::*,
    array::Places,
    error::MpError,
    exported::{Exported, Make, Visit},
    options::Common,
    parent::Parent,
};

/// A pool, its name in C, and its optional operations in a shell. The defaults stand for unsupported operations.
pub(crate) trait ExportedPool: RawPool + Inspect + Sized {
    const NAME: &'static CStr;
    /// Whether the pool knows its live blocks.
    const WALKS: bool = false;
    /// Whether the pool supports `reserve`.
    const RESERVES: bool = false;

    fn walk_local(shell: &mut Local<Self, Parent>, visit: Visit<'_>) -> bool {
        let _ = (shell, visit);
        true
    }

    fn walk_locked<L: RawMutex>(shell: &mut Locked<Self, Parent, L>, visit: Visit<'_>) -> bool {
        let _ = (shell, visit);
        true
    }

    fn reserve_local(shell: &Local<Self, Parent>, layout: Layout, count: usize) -> Result<(), AllocError> {
        let _ = (shell, layout, count);
        Err(AllocError::Unsupported)
    }

    fn reserve_locked<L: RawMutex>(
        shell: &Locked<Self, Parent, L>,
        layout: Layout,
        count: usize,
    ) -> Result<(), AllocError> {
        let _ = (shell, layout, count);
        Err(AllocError::Unsupported)
    }
}

/// Implements the optional operations of a pool in its shells.
macro_rules! ability {
    (walks) => {
        const WALKS: bool = true;

        fn walk_local(shell: &mut Local<Self, Parent>, visit: Visit<'_>) -> bool {
            shell.live().all(|block| visit(block.cast(), block.len()))
        }

        fn walk_locked<L: RawMutex>(shell: &mut Locked<Self, Parent, L>, visit: Visit<'_>) -> bool {
            shell.live().all(|block| visit(block.cast(), block.len()))
        }
    };
    (reserves) => {
        const RESERVES: bool = true;

        fn reserve_local(
            shell: &Local<Self, Parent>,
            layout: Layout,
            count: usize,
        ) -> Result<(), AllocError> {
            shell.reserve(layout, count)
        }

        fn reserve_locked<L: RawMutex>(
            shell: &Locked<Self, Parent, L>,
            layout: Layout,
            count: usize,
        ) -> Result<(), AllocError> {
            shell.reserve(layout, count)
        }
    };
}

macro_rules! named {
    ($($pool:ty = $name:literal $($ability:ident)*;)*) => {
        $(impl ExportedPool for $pool {
            const NAME: &'static CStr = $name;
            $(ability!($ability);)*
        })*
    };
}

named! {
    Blocks = c"blocks" reserves;
    Blocks<(DynSize, Magazine)> = c"blocks" reserves;
    Blocks<(DynSize, AddressOrdered)> = c"blocks" reserves walks;
    Blocks<(DynSize, Validated<Lifo>)> = c"blocks" reserves walks;
    Blocks<(DynSize, Validated<Magazine>)> = c"blocks" reserves walks;
    Blocks<(DynSize, Validated<AddressOrdered>)> = c"blocks" reserves walks;
    Classes = c"classes" reserves;
    Linear = c"linear";
    Stack = c"stack";
    SignPost = c"sign post";
    Tlsf = c"tlsf";
    Tlsf<NoQuickList> = c"tlsf";
    Buddy = c"buddy";
}

/// Implements allocating and freeing many blocks with the methods of the shell.
macro_rules! many {
    () => {
        fn allocate_many(&self, layout: Layout, places: &mut Places) -> Result<(), AllocError> {
            Self::allocate_many(self, layout, places)
        }

        unsafe fn deallocate_many(&self, blocks: &[NonNull<u8>], layout: Layout) {
            // SAFETY: the caller upholds the contract of `deallocate_many`, which is the same.
            unsafe { Self::deallocate_many(self, blocks, layout) };
        }
    };
}

/// Implements that an allocator has locks to be held while the process forks.
macro_rules! held {
    () => {
        const FORKS: bool = true;

        fn at_fork(&self) -> Option<&dyn millpond::raw::AtFork> {
            Some(self)
        }
    };
}
pub(crate) use held;

/// Implements [`Export`] for an allocator that can be inspected and reset, with its other optional operations.
macro_rules! offer {
    ($(($($generics:tt)*) $shell:ty = $name:expr; { $($more:tt)* })*) => {
        $(impl<$($generics)*> $crate::exported::Export for $shell {
            const NAME: &'static std::ffi::CStr = $name;
            const INSPECTS: bool = true;
            const RECLAIMS: bool = true;

            fn inspect(&self) -> Option<&dyn millpond::Inspect> {
                Some(self)
            }

            fn reclaim(&mut self) -> Option<&mut dyn millpond::Reclaim> {
                Some(self)
            }

            $($more)*
        })*
    };
}
pub(crate) use offer;

offer! {
    (P: ExportedPool) Local<P, Parent> = P::NAME; {
        const WALKS: bool = P::WALKS;
        const RESERVES: bool = P::RESERVES;

        many!();

        fn trim_shared(&self) -> Option<usize> {
            Some(Self::trim(self))
        }

        fn walk(&mut self, visit: Visit<'_>) -> bool {
            P::walk_local(self, visit)
        }

        fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError> {
            P::reserve_local(self, layout, count)
        }
    }
    (P: ExportedPool, L: RawMutex) Locked<P, Parent, L> = P::NAME; {
        const WALKS: bool = P::WALKS;
        const RESERVES: bool = P::RESERVES;

        held!();
        many!();

        fn trim_shared(&self) -> Option<usize> {
            Some(Self::trim(self))
        }

        fn walk(&mut self, visit: Visit<'_>) -> bool {
            P::walk_locked(self, visit)
        }

        fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError> {
            P::reserve_locked(self, layout, count)
        }
    }
    (P: ExportedPool + SizeClasses + Reserve) Cached<P, Parent> = P::NAME; {
        const RESERVES: bool = true;
        const FLUSHES: bool = true;

        held!();
        many!();

        fn trim_shared(&self) -> Option<usize> {
            Some(Self::trim(self))
        }

        fn flush(&self) {
            Self::flush(self);
        }

        fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError> {
            Self::reserve(self, layout, count)
        }
    }
    () LockFree<DynSize, Parent> = c"blocks"; {
        const RESERVES: bool = true;

        held!();
        many!();

        fn reserve(&self, layout: Layout, count: usize) -> Result<(), AllocError> {
            let fits = layout.size() <= self.block_layout().size() && layout.align() <= self.block_layout().align();
            if fits { Self::reserve(self, count) } else { Err(AllocError::Unsupported) }
        }
    }
    () AtomicLinear<Parent> = c"linear"; {
        held!();
    }
}

/// Returns the error for a sharing that a pool does not support.
pub(crate) fn cannot_share() -> MpError {
    MpError::unsupported("sharing: this pool is not shared in that way")
}

/// Creates a pool for one thread or behind a lock.
pub(crate) fn local_or_locked<P: ExportedPool>(
    Common { parent, sharing, make }: Common,
    pool: P,
    is_plain: bool,
) -> Result<*mut mp_allocator, MpError> {
    match sharing {
        MP_LOCAL => Ok(Exported::make(Local::new_in(pool, parent), Make { is_plain, ..make })),
        MP_LOCKED => Ok(Exported::make(Locked::<P, Parent>::new_in(pool, parent), make)),
        MP_LOCKED_TICKET => Ok(Exported::make(Locked::<P, Parent, TicketLock>::new_in(pool, parent), make)),
        _ => Err(cannot_share()),
    }
}
