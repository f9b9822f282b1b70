//! Pools of blocks of one size, and their fast entry points, which directly call the shell and free list used most.

use std::{alloc::Layout, ffi::c_void, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Cached, Local, LockFree, Magazine,
    pool::{AddressOrdered, DynSize, Lifo, Validated},
};

use crate::{
    abi::*,
    error::MpError,
    exported::Exported,
    misuse::{MisuseCallback, no_detection},
    options::{Common, mp_blocks_options},
    parent::Parent,
    pools::{mp_alloc_through_table, mp_free_through_table},
    request::natural_align,
    shells::{cannot_share, local_or_locked},
    sources::pointer,
    versioned_struct::read,
};

/// The pool type that the fast entry points call directly.
type Plain = Exported<Local<Blocks, Parent>>;

/// A pool of blocks of one size.
#[repr(C)]
#[derive(Debug)]
#[allow(missing_docs, reason = "documented in include/millpond.h")]
pub struct mp_blocks {
    pub allocator: mp_allocator,
}

/// Returns the layout of the blocks that the options specify.
pub(crate) fn shape(options: &mp_blocks_options) -> Result<Layout, MpError> {
    let size = options.block_size;
    if size == 0 {
        return Err(MpError::invalid("block_size is not set"));
    }
    let align = if options.block_align == 0 { natural_align(size) } else { options.block_align };
    if !align.is_power_of_two() {
        return Err(MpError::invalid("block_align is a power of two"));
    }
    let layout = Layout::from_size_align(size, align).map(|layout| layout.pad_to_align());
    layout.map_err(|_| MpError::unsupported("block_size: no object can be so large"))
}

/// Applies the options `capacity` and `blocks_per_chunk` to a pool.
macro_rules! grown {
    ($pool:expr, $options:expr) => {{
        let pool = $pool;
        let pool = if $options.capacity == 0 { pool } else { pool.with_capacity($options.capacity) };
        let each = $options.blocks_per_chunk;
        if each == 0 { pool } else { pool.with_blocks_per_chunk(each) }
    }};
}

pub(crate) use grown;

fn create(options: &mp_blocks_options, mut common: Common) -> Result<*mut mp_allocator, MpError> {
    let shape = shape(options)?;
    common.make.default_align = shape.align();
    if options.checked {
        return checked(options, common, shape);
    }
    if options.on_misuse.is_some() {
        return Err(no_detection());
    }
    match (common.sharing, options.free_list) {
        (MP_CACHED, MP_LIFO) => {
            let pool = grown!(Blocks::of(shape), options);
            Ok(Exported::make(Cached::<Blocks, Parent>::new_in(pool, common.parent), common.make))
        }
        (MP_LOCK_FREE, MP_LIFO) => {
            if options.blocks_per_chunk != 0 {
                return Err(MpError::unsupported("blocks_per_chunk: lock-free blocks double their chunks"));
            }
            let pool = LockFree::of_in(shape, common.parent);
            let pool = if options.capacity == 0 { pool } else { pool.with_capacity(options.capacity) };
            Ok(Exported::make(pool, common.make))
        }
        (MP_LOCAL | MP_LOCKED | MP_LOCKED_TICKET, MP_LIFO) => {
            local_or_locked(common, grown!(Blocks::of(shape), options), true)
        }
        (MP_LOCAL | MP_LOCKED | MP_LOCKED_TICKET, MP_MAGAZINE) => {
            let pool = grown!(Blocks::<(DynSize, Magazine)>::with_layout(shape), options);
            local_or_locked(common, pool, false)
        }
        (MP_LOCAL | MP_LOCKED | MP_LOCKED_TICKET, MP_ADDRESS_ORDERED) => {
            let pool = grown!(Blocks::<(DynSize, AddressOrdered)>::with_layout(shape), options);
            local_or_locked(common, pool, false)
        }
        _ => Err(no_such(options)),
    }
}

/// Creates a checked pool, which knows whether each block is live.
fn checked(
    options: &mp_blocks_options,
    mut common: Common,
    shape: Layout,
) -> Result<*mut mp_allocator, MpError> {
    // SAFETY: the header requires a C string, and a function that may be called as long as the pool exists.
    let callback =
        unsafe { MisuseCallback::new(options.name, "blocks", options.on_misuse, options.misuse_context) };
    let callback = callback.vetting(true);
    // SAFETY: an exported allocator drops its callback after the inner allocator.
    let reporter = unsafe { callback.reporter() };
    common.make.callback = Some(callback);
    match options.free_list {
        MP_LIFO => {
            let pool = grown!(Blocks::<(DynSize, Validated<Lifo>)>::with_layout(shape), options);
            local_or_locked(common, pool.reporting(reporter), false)
        }
        MP_MAGAZINE => {
            let pool = grown!(Blocks::<(DynSize, Validated<Magazine>)>::with_layout(shape), options);
            local_or_locked(common, pool.reporting(reporter), false)
        }
        MP_ADDRESS_ORDERED => {
            let pool = grown!(Blocks::<(DynSize, Validated<AddressOrdered>)>::with_layout(shape), options);
            local_or_locked(common, pool.reporting(reporter), false)
        }
        _ => Err(no_such(options)),
    }
}

fn no_such(options: &mp_blocks_options) -> MpError {
    match options.free_list {
        MP_LIFO | MP_MAGAZINE | MP_ADDRESS_ORDERED => cannot_share(),
        _ => MpError::invalid("strategy is none that there is"),
    }
}

/// Creates a pool of blocks of one size.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_blocks_create(options: *const mp_blocks_options) -> *mut mp_blocks {
    // SAFETY: the header requires options that are null or as long as their first word says.
    let made = unsafe { read(options) }.and_then(|options| {
        // SAFETY: as above.
        let common = unsafe { options.common()? };
        create(&options, common)
    });
    pointer(made).cast()
}

/// The smallest layout: any block serves it, so no size needs to be compared.
pub(crate) const ANY: Layout = Layout::new::<u8>();

/// Allocates a block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_blocks_alloc(pool: *mut mp_blocks) -> *mut c_void {
    let plain = pool.cast::<Plain>();
    // SAFETY: the caller passes a pool of blocks, and `is_plain` says whether it has this type.
    unsafe {
        if (*plain).is_plain
            && let Some(block) = (*plain).inner.allocate_hot(ANY)
        {
            return block.as_ptr().cast();
        }
        alloc_cold(pool.cast())
    }
}

/// Allocates a block from a pool that has no free block, or that is not of the type of the fast entry point.
///
/// # Safety
///
/// The allocator must be one of this library.
#[cold]
#[inline(never)]
unsafe extern "C" fn alloc_cold(pool: *mut mp_allocator) -> *mut c_void {
    // SAFETY: the caller guarantees that the allocator is one of this library.
    unsafe { mp_alloc_through_table(pool, ANY.size(), ANY.align()) }
}

/// Frees a block.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_blocks_free(pool: *mut mp_blocks, block: *mut c_void) {
    let plain = pool.cast::<Plain>();
    let Some(live) = NonNull::new(block.cast::<u8>()) else { return };
    // SAFETY: as above; the header requires a live block of this pool.
    unsafe {
        if (*plain).is_plain {
            (*plain).inner.deallocate(live, ANY);
        } else {
            mp_free_through_table(pool.cast(), block, ANY.size(), ANY.align());
        }
    }
}
