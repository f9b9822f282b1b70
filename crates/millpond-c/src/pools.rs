//! Creation of pools in their shells, and the fast entry points of pools with blocks of any size.

use std::{
    ffi::c_void,
    ptr::{self, NonNull},
};

use millpond::{
    Buddy, Cached, Classes, Inspect, Linear, Local, Locked, Reclaim, SignPost, Stack, Tlsf,
    lock::TicketLock,
    raw::{RawPool, Rewind},
    shell::AtomicLinear,
};

use crate::{
    abi::*,
    error::MpError,
    exported::{Created, Export, Exported, Make},
    options::{
        Options, PoolCommon, create, mp_buddy_options, mp_classes_options, mp_pool_options,
        mp_sign_post_options, mp_tlsf_options,
    },
    outsize::{self, WithOutsize},
    parent::Parent,
    request,
    shells::{cannot_share, local_or_locked},
};

/// The type that the fast entry points of a pool call directly.
trait HasLocalShell {
    type Pool: RawPool;

    fn shell(&self) -> &Local<Self::Pool, Parent>;
}

impl<P: RawPool> HasLocalShell for Local<P, Parent> {
    type Pool = P;

    #[inline(always)]
    fn shell(&self) -> &Self {
        self
    }
}

impl<P: RawPool> HasLocalShell for WithOutsize<Local<P, Parent>> {
    type Pool = P;

    #[inline(always)]
    fn shell(&self) -> &Local<P, Parent> {
        &self.shell
    }
}

/// A pool with blocks of any size, as C sees it.
trait Handle {
    /// The options of the pool.
    type Options: Options<Common = PoolCommon>;
    /// The allocator that the fast entry points call directly.
    type Plain: HasLocalShell;
    /// The alignment that 0 stands for.
    const DEFAULT_ALIGN: usize = MP_DEFAULT_ALIGN;

    /// Creates a pool.
    ///
    /// # Safety
    ///
    /// Arrays in the options must be as long as the options say.
    unsafe fn create(options: &Self::Options, common: PoolCommon) -> Created;
}

/// Allocates a block directly from the shell that is used most, or through the table.
///
/// # Safety
///
/// The pool must be one that [`Handle::create`] has created.
#[inline(always)]
unsafe fn allocate<H: Handle>(pool: *mut H, size: usize, align: usize) -> *mut c_void {
    let plain = pool.cast::<Exported<H::Plain>>();
    // SAFETY: the caller passes a pool of this type, and `is_plain` says whether it has this shell.
    unsafe {
        if (*plain).is_plain
            && let Ok(layout) = request::layout(size, align, H::DEFAULT_ALIGN)
            && let Some(block) = (*plain).inner.shell().allocate_hot(layout)
        {
            return block.as_ptr().cast();
        }
        mp_alloc_through_table(pool.cast(), size, align)
    }
}

/// Frees a block directly to the shell that is used most, or through the table.
///
/// # Safety
///
/// The pool must be one that [`Handle::create`] has created, and the block null, or live and requested from the pool
/// with this size and alignment.
#[inline(always)]
unsafe fn free<H: Handle>(pool: *mut H, block: *mut c_void, size: usize, align: usize) {
    let plain = pool.cast::<Exported<H::Plain>>();
    // SAFETY: as above; the caller passes a live block that was requested with this size and alignment.
    unsafe {
        if (*plain).is_plain
            && let Some(block) = NonNull::new(block.cast::<u8>())
            && let Ok(layout) = request::layout(size, align, H::DEFAULT_ALIGN)
            && (*plain).inner.shell().deallocate_hot(block, layout)
        {
            return;
        }
        mp_free_through_table(pool.cast(), block, size, align);
    }
}

/// Declares the C type of a pool with blocks of any size, and the functions that C calls.
macro_rules! handle {
    ($(#[$doc:meta])* $handle:ident: $create:ident($options:ident), $alloc:ident, $free:ident) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug)]
        #[allow(missing_docs, reason = "documented in include/millpond.h")]
        pub struct $handle {
            pub allocator: mp_allocator,
        }

        /// Creates a pool.
        ///
        /// # Safety
        ///
        /// The requirements in `millpond.h` apply.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $create(options: *const $options) -> *mut $handle {
            // SAFETY: the callees have the same requirements as this function.
            unsafe { create(options, |options, common| $handle::create(options, common)) }.cast()
        }

        /// Allocates a block.
        ///
        /// # Safety
        ///
        /// The requirements in `millpond.h` apply.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $alloc(pool: *mut $handle, size: usize, align: usize) -> *mut c_void {
            // SAFETY: the callee has the same requirements as this function.
            unsafe { allocate(pool, size, align) }
        }

        /// Frees a block.
        ///
        /// # Safety
        ///
        /// The requirements in `millpond.h` apply.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $free(pool: *mut $handle, block: *mut c_void, size: usize, align: usize) {
            // SAFETY: the callee has the same requirements as this function.
            unsafe { free(pool, block, size, align) };
        }
    };
}

/// Allocates from an allocator of this library through its table.
#[inline(always)]
pub(crate) unsafe fn mp_alloc_through_table(
    pool: *mut mp_allocator,
    size: usize,
    align: usize,
) -> *mut c_void {
    // SAFETY: the allocator is one of this library, whose tables have all functions.
    unsafe { (*(*pool).table).alloc.map_or(ptr::null_mut(), |alloc| alloc(pool, size, align, 0)) }
}

/// Frees to an allocator of this library through its table.
#[inline(always)]
pub(crate) unsafe fn mp_free_through_table(
    pool: *mut mp_allocator,
    block: *mut c_void,
    size: usize,
    align: usize,
) {
    // SAFETY: the allocator is one of this library, whose tables have all functions; the caller guarantees a live block
    // with this size and alignment.
    unsafe {
        if let Some(free) = (*(*pool).table).free {
            free(pool, block, size, align);
        }
    }
}

/// Creates a pool with the classes that the caller specifies.
unsafe fn classes(options: &mp_classes_options) -> Result<Classes, MpError> {
    if options.size_count == 0 {
        return Ok(Classes::new());
    }
    if options.sizes.is_null() {
        return Err(MpError::invalid("sizes is NULL, but size_count is not 0: set both or neither"));
    }
    // SAFETY: the caller guarantees that there are `size_count` sizes.
    let sizes = unsafe { std::slice::from_raw_parts(options.sizes, options.size_count) };
    Classes::with_sizes(sizes)
        .map_err(|_| MpError::invalid("sizes must contain 1 to 64 sizes, each from 1 to 32768"))
}

/// Exports a pool of classes in its shell, with the blocks that are too large for the classes.
fn with_outsize<S: Export + Inspect + Reclaim>(
    shell: impl FnOnce(Classes, Parent) -> S,
    pool: Classes,
    PoolCommon { parent, make, .. }: PoolCommon,
    is_plain: bool,
) -> Created {
    let served = outsize::served(&pool);
    let shell = shell(pool, parent.clone());
    let make = Make { default_align: mp_classes::DEFAULT_ALIGN, is_plain, ..make };
    Exported::make(WithOutsize::new(shell, parent, served), make)
}

handle! {
    /// A pool of blocks of several sizes.
    mp_classes: mp_classes_create(mp_classes_options), mp_classes_alloc, mp_classes_free
}

impl Handle for mp_classes {
    type Options = mp_classes_options;
    type Plain = WithOutsize<Local<Classes, Parent>>;
    const DEFAULT_ALIGN: usize = MP_NATURAL_ALIGN;

    unsafe fn create(options: &mp_classes_options, common: PoolCommon) -> Created {
        // SAFETY: the caller guarantees as many sizes as the options say.
        let pool = unsafe { classes(options)? };
        match common.sharing {
            MP_LOCAL => with_outsize(Local::new_in, pool, common, true),
            MP_LOCKED => with_outsize(Locked::<_, _>::new_in, pool, common, false),
            MP_LOCKED_TICKET => with_outsize(Locked::<_, _, TicketLock>::new_in, pool, common, false),
            MP_CACHED => with_outsize(Cached::<_, _>::new_in, pool, common, false),
            _ => Err(cannot_share()),
        }
    }
}

handle! {
    /// A bump arena.
    mp_linear: mp_linear_create(mp_pool_options), mp_linear_alloc, mp_linear_free
}

impl Handle for mp_linear {
    type Options = mp_pool_options;
    type Plain = Local<Linear, Parent>;

    unsafe fn create(options: &mp_pool_options, common: PoolCommon) -> Created {
        let capacity = options.capacity;
        if common.sharing == MP_LOCK_FREE {
            let arena = AtomicLinear::new_in(common.parent);
            let arena = if capacity == 0 { arena } else { arena.with_capacity(capacity) };
            return Exported::make(arena, common.make);
        }
        let pool = if capacity == 0 { Linear::new() } else { Linear::with_capacity(capacity) };
        local_or_locked(common, pool, true)
    }
}

handle! {
    /// A bump arena with marks.
    mp_stack: mp_stack_create(mp_pool_options), mp_stack_alloc, mp_stack_free
}

impl Handle for mp_stack {
    type Options = mp_pool_options;
    type Plain = Local<Stack, Parent>;

    unsafe fn create(options: &mp_pool_options, common: PoolCommon) -> Created {
        let capacity = options.capacity;
        let pool = if capacity == 0 { Stack::new() } else { Stack::with_capacity(capacity) };
        local_or_locked(common, pool, true)
    }
}

type Mark = <Stack as Rewind>::Mark;

const _: () =
    assert!(size_of::<Mark>() <= size_of::<mp_mark>() && align_of::<Mark>() <= align_of::<mp_mark>());

/// Returns the stack behind a pointer, if its sharing is `MP_LOCAL`.
///
/// # Safety
///
/// The pointer must be NULL or to a stack of this library.
unsafe fn local_stack<'a>(pool: *mut mp_stack) -> Result<&'a Local<Stack, Parent>, MpError> {
    let plain = pool.cast::<Exported<Local<Stack, Parent>>>();
    if plain.is_null() {
        return Err(MpError::invalid("pool is NULL: pass a stack"));
    }
    // SAFETY: the caller guarantees a stack of this library; a plain one has this type.
    unsafe {
        if (*plain).is_plain {
            Ok(&(*plain).inner)
        } else {
            Err(MpError::unsupported("marks need a stack that was created with sharing MP_LOCAL"))
        }
    }
}

/// Stores the position of a stack.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_stack_mark(pool: *mut mp_stack, mark: *mut mp_mark) -> mp_error {
    // SAFETY: the header requires a valid stack and a valid pointer to a mark, which has room for one of the library.
    unsafe {
        match local_stack(pool) {
            Ok(_) if mark.is_null() => MpError::invalid("mark is NULL: pass a pointer to an mp_mark").note(),
            Ok(stack) => {
                mark.cast::<Mark>().write(stack.mark());
                MP_OK
            }
            Err(error) => error.note(),
        }
    }
}

/// Frees all blocks allocated since a mark.
///
/// # Safety
///
/// The requirements in `millpond.h` apply.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mp_stack_release(pool: *mut mp_stack, mark: *const mp_mark) -> mp_error {
    // SAFETY: the header requires a mark of this stack, written by `mp_stack_mark`, that is still valid.
    unsafe {
        match local_stack(pool) {
            Ok(_) if mark.is_null() => {
                MpError::invalid("mark is NULL: pass a mark that mp_stack_mark has stored").note()
            }
            Ok(stack) => {
                stack.release(mark.cast::<Mark>().read());
                MP_OK
            }
            Err(error) => error.note(),
        }
    }
}

handle! {
    /// A pool with boundary tags.
    mp_sign_post: mp_sign_post_create(mp_sign_post_options), mp_sign_post_alloc, mp_sign_post_free
}

impl Handle for mp_sign_post {
    type Options = mp_sign_post_options;
    type Plain = Local<SignPost, Parent>;

    unsafe fn create(options: &mp_sign_post_options, common: PoolCommon) -> Created {
        let pool = if options.best_fit { SignPost::best_fit() } else { SignPost::first_fit() };
        local_or_locked(common, if options.wiping { pool.wiping() } else { pool }, true)
    }
}

handle! {
    /// Two-level segregated fit.
    mp_tlsf: mp_tlsf_create(mp_tlsf_options), mp_tlsf_alloc, mp_tlsf_free
}

impl Handle for mp_tlsf {
    type Options = mp_tlsf_options;
    type Plain = Local<Tlsf, Parent>;

    unsafe fn create(options: &mp_tlsf_options, common: PoolCommon) -> Created {
        if options.without_quick_list {
            local_or_locked(common, Tlsf::without_quick_list(), false)
        } else {
            local_or_locked(common, Tlsf::new(), true)
        }
    }
}

handle! {
    /// A buddy allocator.
    mp_buddy: mp_buddy_create(mp_buddy_options), mp_buddy_alloc, mp_buddy_free
}

const BUDDY_SIZES: &str =
    "least and largest must be powers of two: least at least two words, largest at most 2^31 * least";

impl Handle for mp_buddy {
    type Options = mp_buddy_options;
    type Plain = Local<Buddy, Parent>;

    unsafe fn create(options: &mp_buddy_options, common: PoolCommon) -> Created {
        let pool = match (options.least, options.largest) {
            (0, 0) => Buddy::new(),
            (least, largest) => {
                Buddy::with_blocks(least, largest).map_err(|_| MpError::invalid(BUDDY_SIZES))?
            }
        };
        let pool = if options.first_chunk == 0 { pool } else { pool.first_chunk(options.first_chunk) };
        local_or_locked(common, pool, true)
    }
}
