//! Blocks that one thread allocates and any thread gives back.

use std::{alloc::Layout, ffi::c_void, mem::ManuallyDrop, ptr::NonNull};

use millpond::{
    AllocError, Allocation, Allocator, Blocks, DynSize, HeapMapBuilder, Inbox, Inspect, InvariantError,
    Owner, PoolStats, Reclaim,
};

use crate::{
    abi::*,
    blocks::{ANY, grown, shape},
    exported::Exported,
    extensible::read,
    fault::Fault,
    options::mp_blocks_options,
    parent::Parent,
    shells::offer,
    sources::pointer,
};

/// A pool and its one owner.
///
/// # Invariants
///
/// * `owner` borrows the pool behind `inbox`, which is this one's alone; so the owner goes first.
pub(crate) struct Home {
    owner: ManuallyDrop<Owner<'static, DynSize, Parent>>,
    inbox: NonNull<Inbox<DynSize, Parent>>,
}

impl Home {
    fn new(pool: Blocks, parent: Parent) -> Option<Self> {
        let inbox = NonNull::from(Box::leak(Box::new(Inbox::new_in(pool, parent))));
        // SAFETY: it lives until `drop`, and is shared from now on.
        let owner = unsafe { inbox.as_ref() }.own()?;
        Some(Self { owner: ManuallyDrop::new(owner), inbox })
    }

    /// Does something to the pool while it has no owner.
    fn alone<R>(&mut self, task: impl FnOnce(&mut Inbox<DynSize, Parent>) -> R) -> R {
        // SAFETY: the owner is dropped once, and there is a new one before anybody can use it: the pool is not owned now.
        unsafe {
            ManuallyDrop::drop(&mut self.owner);
            let done = task(self.inbox.as_mut());
            if let Some(owner) = self.inbox.as_ref().own() {
                std::ptr::write(&raw mut self.owner, ManuallyDrop::new(owner));
            }
            done
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: the owner is dropped once, and used no more; then nobody borrows the pool, which was leaked by `new`.
        unsafe {
            ManuallyDrop::drop(&mut self.owner);
            drop(Box::from_raw(self.inbox.as_ptr()));
        }
    }
}

// SAFETY: all blocks are the pool's, through its one owner, which keeps the contract.
unsafe impl Allocator for Home {
    fn allocate(&self, layout: Layout) -> Allocation {
        self.owner.allocate(layout)
    }

    unsafe fn deallocate(&self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { self.owner.deallocate(block, layout) };
    }

    fn may_deallocate(&self, block: NonNull<u8>, layout: Layout) -> bool {
        self.owner.may_deallocate(block, layout)
    }
}

impl Inspect for Home {
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

impl Reclaim for Home {
    fn reset(&mut self) {
        self.alone(Reclaim::reset);
    }

    fn trim(&mut self) -> usize {
        self.alone(Reclaim::trim)
    }
}

offer! {
    () Home = c"inbox"; {}
}

/// Blocks of one size with one owner.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "documented in include/millpond.h")]
pub struct mp_inbox {
    pub allocator: mp_allocator,
}

/// Makes a pool whose owner is one thread at a time.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_inbox_create(options: *const mp_blocks_options) -> *mut mp_inbox {
    // SAFETY: the caller's promises are passed on.
    let made = unsafe { read(options) }.and_then(|options| {
        // SAFETY: as above.
        let mut common = unsafe { options.common()? };
        if options.sharing != MP_LOCAL || options.free_list != MP_LIFO || options.checked {
            return Err(Fault::unsupported("sharing, strategy and checked: an inbox has none of these"));
        }
        let shape = shape(&options)?;
        common.make.default_align = shape.align();
        let home = Home::new(grown!(Blocks::of(shape), options), common.parent);
        let home = home.ok_or(Fault::from(AllocError::Exhausted))?;
        Ok(Exported::make(home, common.make))
    });
    pointer(made).cast()
}

/// Gives a block back, from any thread.
///
/// # Safety
///
/// As the header says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_inbox_return(pool: *mut mp_inbox, block: *mut c_void) {
    if let Some(block) = NonNull::new(block.cast::<u8>()) {
        // SAFETY: the caller passes such a pool, and a block that is live and of this pool. What threads share is reached
        // without touching the owner, who may be at work.
        unsafe {
            let inbox = (*pool.cast::<Exported<Home>>()).inner.inbox;
            inbox.as_ref().deallocate(block, ANY);
        }
    }
}
