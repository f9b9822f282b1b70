//! Pools from which one thread allocates blocks and to which any thread frees them.

use std::{
    alloc::Layout,
    ffi::{CStr, c_void},
    mem::ManuallyDrop,
    ptr::NonNull,
};

use millpond::{
    AllocError, Allocator, Blocks, Inspect, Reclaim,
    observe::{HeapMapBuilder, InvariantError, PoolStats},
    pool::DynSize,
    raw::Allocation,
    shell::{OwnerHandle, RemoteFree},
};

use crate::{
    abi::*,
    blocks::{ANY, shape, with_chunk_sizes},
    error::MpError,
    exported::{Created, Export, Exported},
    misuse::no_detection,
    options::{PoolCommon, create, mp_blocks_options},
    parent::Parent,
};

/// A pool and its one owner.
///
/// # Invariants
///
/// * `owner` borrows the pool behind `remote_free`, which belongs only to this value; so the owner is dropped first.
pub(crate) struct OwnedPool {
    owner: ManuallyDrop<OwnerHandle<'static, DynSize, Parent>>,
    remote_free: NonNull<RemoteFree<DynSize, Parent>>,
}

impl OwnedPool {
    fn new(pool: Blocks, parent: Parent) -> Option<Self> {
        let remote_free = NonNull::from(Box::leak(Box::new(RemoteFree::new_in(pool, parent))));
        // SAFETY: the pool lives until `drop`, and is only accessed by shared references from now on.
        let owner = unsafe { remote_free.as_ref() }.try_own()?;
        Some(Self { owner: ManuallyDrop::new(owner), remote_free })
    }

    /// Runs `task` on the pool while it has no owner.
    fn alone<R>(&mut self, task: impl FnOnce(&mut RemoteFree<DynSize, Parent>) -> R) -> R {
        // SAFETY: the owner is dropped once and replaced before it can be used again; meanwhile, nothing borrows the
        // pool.
        unsafe {
            ManuallyDrop::drop(&mut self.owner);
            let done = task(self.remote_free.as_mut());
            if let Some(owner) = self.remote_free.as_ref().try_own() {
                std::ptr::write(&raw mut self.owner, ManuallyDrop::new(owner));
            }
            done
        }
    }
}

impl Drop for OwnedPool {
    fn drop(&mut self) {
        // SAFETY: the owner is dropped once and not used afterwards; then nothing borrows the pool, which was leaked by
        // `new`.
        unsafe {
            ManuallyDrop::drop(&mut self.owner);
            drop(Box::from_raw(self.remote_free.as_ptr()));
        }
    }
}

// SAFETY: all blocks come from the pool through its owner handle, which fulfils the contract.
unsafe impl Allocator for OwnedPool {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.owner.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller upholds the contract of `deallocate`, which is the same.
        unsafe { self.owner.deallocate(block, layout) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.owner.may_deallocate(block, layout)
    }
}

impl Inspect for OwnedPool {
    fn stats(&self) -> PoolStats {
        self.owner.stats()
    }

    fn owns(&self, address: *const u8) -> bool {
        self.owner.owns(address)
    }

    fn check(&self) -> Result<(), InvariantError> {
        self.owner.check()
    }

    fn render(&self, builder: &mut HeapMapBuilder<'_>) {
        self.owner.render(builder);
    }
}

impl Reclaim for OwnedPool {
    fn reset(&mut self) {
        self.alone(Reclaim::reset);
    }

    fn trim(&mut self) -> usize {
        self.alone(Reclaim::trim)
    }
}

impl Export for OwnedPool {
    const NAME: &'static CStr = c"remote free";
    const INSPECT: Option<fn(&Self) -> &dyn Inspect> = Some(|pool| pool);
    const RECLAIM: Option<fn(&mut Self) -> &mut dyn Reclaim> = Some(|pool| pool);
}

/// A pool of blocks of one size with one owner.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "documented in include/millpond.h")]
pub struct mp_remote_free {
    pub allocator: mp_allocator,
}

/// Creates a pool that is owned by one thread at a time.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_remote_free_create(options: *const mp_blocks_options) -> *mut mp_remote_free {
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, create_owned) }.cast()
}

fn create_owned(options: &mp_blocks_options, mut common: PoolCommon) -> Created {
    if options.sharing != MP_LOCAL || options.free_list != MP_LIFO || options.checked {
        return Err(MpError::unsupported(
            "mp_remote_free does not support sharing, free_list and checked: leave them 0",
        ));
    }
    if options.on_misuse.is_some() {
        return Err(no_detection());
    }
    let shape = shape(options)?;
    common.make.default_align = shape.align();
    let pool = OwnedPool::new(with_chunk_sizes(Blocks::of(shape), options), common.parent);
    Exported::make(pool.ok_or(AllocError::Exhausted)?, common.make)
}

/// Frees a block, from any thread.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_remote_free_return(pool: *mut mp_remote_free, block: *mut c_void) {
    if let Some(block) = NonNull::new(block.cast::<u8>()) {
        // SAFETY: the header requires such a pool, and a live block of it. The shared part is accessed without touching
        // the owner handle, which the owner may be using.
        unsafe {
            let remote_free = (*pool.cast::<Exported<OwnedPool>>()).inner.remote_free;
            remote_free.as_ref().deallocate(block, ANY);
        }
    }
}
