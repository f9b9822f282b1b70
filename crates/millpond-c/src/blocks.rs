//! Pools of blocks of one size, and their fast entry points, which directly call the shell and free list used most.

use std::{alloc::Layout, ffi::c_void, ptr::NonNull};

use millpond::{
    Allocator, Blocks, Cached, Local, LockFree, Magazine,
    observe::Reporter,
    pool::{AddressOrdered, Config, DynSize, FreeList, Full, Hardened, Hardening, Lifo, Light, Validated},
};

use crate::{
    abi::*,
    error::MpError,
    exported::{Created, Exported},
    misuse::{MisuseCallback, no_detection},
    options::{PoolCommon, create, mp_blocks_options},
    parent::Parent,
    pools::{mp_alloc_through_table, mp_free_through_table},
    request::natural_align,
    shells::local_or_locked,
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
        return Err(MpError::invalid("block_size is 0: set it to the size of a block in bytes"));
    }
    let align = if options.block_align == 0 { natural_align(size) } else { options.block_align };
    if !align.is_power_of_two() {
        return Err(MpError::invalid("block_align must be 0 or a power of two"));
    }
    let layout = Layout::from_size_align(size, align).map(|layout| layout.pad_to_align());
    layout
        .map_err(|_| MpError::unsupported("block_size is too large: no object may exceed PTRDIFF_MAX bytes"))
}

/// Applies the options `capacity` and `blocks_per_chunk` to a pool.
pub(crate) fn with_chunk_sizes<C: Config>(pool: Blocks<C>, options: &mp_blocks_options) -> Blocks<C> {
    let pool = if options.capacity == 0 { pool } else { pool.with_capacity(options.capacity) };
    if options.blocks_per_chunk == 0 { pool } else { pool.with_blocks_per_chunk(options.blocks_per_chunk) }
}

fn create_blocks(options: &mp_blocks_options, mut common: PoolCommon) -> Created {
    let shape = shape(options)?;
    common.make.default_align = shape.align();
    if options.checked || matches!(options.free_list, MP_HARDENED_LIGHT | MP_HARDENED) {
        return checked(options, common, shape);
    }
    if options.on_misuse.is_some() {
        return Err(no_detection());
    }
    match (common.sharing, options.free_list) {
        (MP_CACHED, MP_LIFO) => {
            let pool = with_chunk_sizes(Blocks::of(shape), options);
            Exported::make(Cached::<Blocks, Parent>::new_in(pool, common.parent), common.make)
        }
        (MP_LOCK_FREE, MP_LIFO) => {
            if options.blocks_per_chunk != 0 {
                return Err(MpError::unsupported(
                    "blocks_per_chunk must be 0 with MP_LOCK_FREE, whose chunks double in size",
                ));
            }
            let pool = LockFree::of_in(shape, common.parent);
            let pool = if options.capacity == 0 { pool } else { pool.with_capacity(options.capacity) };
            Exported::make(pool, common.make)
        }
        (_, MP_LIFO) => local_or_locked(common, with_chunk_sizes(Blocks::of(shape), options), true),
        (_, MP_MAGAZINE) => {
            let pool = with_chunk_sizes(Blocks::<(DynSize, Magazine)>::with_layout(shape), options);
            local_or_locked(common, pool, false)
        }
        (_, MP_ADDRESS_ORDERED) => {
            let pool = with_chunk_sizes(Blocks::<(DynSize, AddressOrdered)>::with_layout(shape), options);
            local_or_locked(common, pool, false)
        }
        _ => Err(no_such_free_list()),
    }
}

/// Creates a checked or hardened pool, which knows whether each block is live.
fn checked(options: &mp_blocks_options, mut common: PoolCommon, shape: Layout) -> Created {
    // SAFETY: the header requires a C string, and a function that may be called as long as the pool exists.
    let callback =
        unsafe { MisuseCallback::new(options.name, "blocks", options.on_misuse, options.misuse_context) };
    let callback = callback.vetting(true);
    // SAFETY: an exported allocator drops its callback after the inner allocator.
    let reporter = unsafe { callback.reporter() };
    common.make.callback = Some(callback);
    match options.free_list {
        MP_LIFO => validated::<Lifo>(options, common, shape, reporter),
        MP_MAGAZINE => validated::<Magazine>(options, common, shape, reporter),
        MP_ADDRESS_ORDERED => validated::<AddressOrdered>(options, common, shape, reporter),
        MP_HARDENED_LIGHT => hardened::<Light>(options, common, shape, reporter),
        MP_HARDENED => hardened::<Full>(options, common, shape, reporter),
        _ => Err(no_such_free_list()),
    }
}

/// Creates a checked pool with this free list.
fn validated<T: FreeList>(
    options: &mp_blocks_options,
    common: PoolCommon,
    shape: Layout,
    reporter: Reporter,
) -> Created
where
    Validated<T>: FreeList,
{
    let pool = with_chunk_sizes(Blocks::<(DynSize, Validated<T>)>::with_layout(shape), options);
    local_or_locked(common, pool.reporting(reporter), false)
}

/// Creates a hardened pool.
fn hardened<M: Hardening>(
    options: &mp_blocks_options,
    common: PoolCommon,
    shape: Layout,
    reporter: Reporter,
) -> Created {
    let pool = Blocks::<(DynSize, Hardened<M>)>::with_layout(shape).reporting(reporter);
    let pool = with_chunk_sizes(pool, options);
    if common.sharing == MP_CACHED {
        return Exported::make(Cached::<_, Parent>::new_in(pool, common.parent), common.make);
    }
    local_or_locked(common, pool, false)
}

fn no_such_free_list() -> MpError {
    MpError::invalid(
        "free_list is unknown: set it to MP_LIFO, MP_MAGAZINE, MP_ADDRESS_ORDERED, MP_HARDENED_LIGHT or MP_HARDENED",
    )
}

/// Creates a pool of blocks of one size.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_blocks_create(options: *const mp_blocks_options) -> *mut mp_blocks {
    // SAFETY: the callee has the same requirements as this function.
    unsafe { create(options, create_blocks) }.cast()
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
