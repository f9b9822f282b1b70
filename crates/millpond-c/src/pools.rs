//! Creation of pools in their shells, and the fast entry points of pools with blocks of any size.

use std::{ffi::c_void, ptr};

use millpond::{
    Buddy, Cached, Classes, Linear, Local, Locked, SignPost, Stack, Tlsf,
    lock::TicketLock,
    raw::{RawPool, Rewind},
    shell::AtomicLinear,
};

use crate::{
    abi::*,
    error::{MP_OK, MpError},
    exported::{Exported, Make},
    options::{
        Common, mp_buddy_options, mp_classes_options, mp_pool_options, mp_sign_post_options, mp_tlsf_options,
    },
    outsize::{self, WithOutsize},
    parent::Parent,
    request,
    shells::{cannot_share, local_or_locked},
    sources::pointer,
    versioned_struct::read,
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

/// Defines a pool with blocks of any size: its C type, its constructor, and its fast entry points, which directly call
/// the shell that is used most.
macro_rules! pool_of_any_size {
    (
        $(#[$doc:meta])*
        $handle:ident, $plain:ty, $options:ident, $default_align:expr;
        $create:ident = |$read:ident, $common:ident| $make:expr;
        $alloc:ident, $free:ident
    ) => {
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
            // SAFETY: the header requires options that are null or as long as their first word says.
            let made = unsafe { read(options) }.and_then(|$read| {
                // SAFETY: as above.
                let $common = unsafe { $read.common()? };
                $make
            });
            pointer(made).cast()
        }

        /// Allocates a block.
        ///
        /// # Safety
        ///
        /// The requirements in `millpond.h` apply.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $alloc(pool: *mut $handle, size: usize, align: usize) -> *mut c_void {
            let plain = pool.cast::<Exported<$plain>>();
            // SAFETY: the caller passes a pool of this type, and `is_plain` says whether it has this shell.
            unsafe {
                if (*plain).is_plain
                    && let Ok(layout) = request::layout(size, align, $default_align)
                    && let Some(block) = (*plain).inner.shell().allocate_hot(layout)
                {
                    return block.as_ptr().cast();
                }
                mp_alloc_through_table(pool.cast(), size, align)
            }
        }

        /// Frees a block.
        ///
        /// # Safety
        ///
        /// The requirements in `millpond.h` apply.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $free(pool: *mut $handle, block: *mut c_void, size: usize, align: usize) {
            let plain = pool.cast::<Exported<$plain>>();
            // SAFETY: as above; the header requires a live block that was requested with this size and alignment.
            unsafe {
                if (*plain).is_plain
                    && let Some(block) = ptr::NonNull::new(block.cast::<u8>())
                    && let Ok(layout) = request::layout(size, align, $default_align)
                    && (*plain).inner.shell().deallocate_hot(block, layout)
                {
                    return;
                }
                mp_free_through_table(pool.cast(), block, size, align);
            }
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
        return Err(MpError::invalid("sizes is NULL, but size_count is not 0"));
    }
    // SAFETY: the caller guarantees that there are `size_count` sizes.
    let sizes = unsafe { std::slice::from_raw_parts(options.sizes, options.size_count) };
    Classes::with_sizes(sizes)
        .map_err(|_| MpError::invalid("sizes: 1 to 64 of them, each of 1 to 32768 bytes"))
}

pool_of_any_size! {
    /// A pool of blocks of several sizes.
    mp_classes, WithOutsize<Local<Classes, Parent>>, mp_classes_options, MP_NATURAL_ALIGN;
    mp_classes_create = |options, common| {
        // SAFETY: the header requires as many sizes as the options say.
        let pool = unsafe { classes(&options)? };
        let Common { parent, sharing, make } = common;
        let (most, beside) = (outsize::served(&pool), parent.clone());
        let make = Make { default_align: MP_NATURAL_ALIGN, ..make };
        match sharing {
            MP_LOCAL => {
                let shell = Local::new_in(pool, parent);
                Ok(Exported::make(WithOutsize::new(shell, beside, most), Make { is_plain: true, ..make }))
            }
            MP_LOCKED => {
                let shell = Locked::<Classes, Parent>::new_in(pool, parent);
                Ok(Exported::make(WithOutsize::new(shell, beside, most), make))
            }
            MP_LOCKED_TICKET => {
                let shell = Locked::<Classes, Parent, TicketLock>::new_in(pool, parent);
                Ok(Exported::make(WithOutsize::new(shell, beside, most), make))
            }
            MP_CACHED => {
                let shell = Cached::<Classes, Parent>::new_in(pool, parent);
                Ok(Exported::make(WithOutsize::new(shell, beside, most), make))
            }
            _ => Err(cannot_share()),
        }
    };
    mp_classes_alloc, mp_classes_free
}

pool_of_any_size! {
    /// A bump arena.
    mp_linear, Local<Linear, Parent>, mp_pool_options, MP_DEFAULT_ALIGN;
    mp_linear_create = |options, common| match common.sharing {
        MP_LOCK_FREE => {
            let arena = AtomicLinear::new_in(common.parent);
            let arena =
                if options.capacity == 0 { arena } else { arena.with_capacity(options.capacity) };
            Ok(Exported::make(arena, common.make))
        }
        _ => {
            let pool =
                if options.capacity == 0 { Linear::new() } else { Linear::with_capacity(options.capacity) };
            local_or_locked(common, pool, true)
        }
    };
    mp_linear_alloc, mp_linear_free
}

pool_of_any_size! {
    /// A bump arena with marks.
    mp_stack, Local<Stack, Parent>, mp_pool_options, MP_DEFAULT_ALIGN;
    mp_stack_create = |options, common| {
        let pool = if options.capacity == 0 { Stack::new() } else { Stack::with_capacity(options.capacity) };
        local_or_locked(common, pool, true)
    };
    mp_stack_alloc, mp_stack_free
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
        return Err(MpError::invalid("there is no stack"));
    }
    // SAFETY: the caller guarantees a stack of this library; a plain one has this type.
    unsafe {
        if (*plain).is_plain {
            Ok(&(*plain).inner)
        } else {
            Err(MpError::unsupported("only a stack that is MP_LOCAL has marks"))
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
            Ok(_) if mark.is_null() => MpError::invalid("there is no place for the mark").note(),
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
            Ok(_) if mark.is_null() => MpError::invalid("there is no mark").note(),
            Ok(stack) => {
                stack.release(mark.cast::<Mark>().read());
                MP_OK
            }
            Err(error) => error.note(),
        }
    }
}

pool_of_any_size! {
    /// A pool with boundary tags.
    mp_sign_post, Local<SignPost, Parent>, mp_sign_post_options, MP_DEFAULT_ALIGN;
    mp_sign_post_create = |options, common| {
        let pool = if options.best_fit { SignPost::best_fit() } else { SignPost::first_fit() };
        local_or_locked(common, if options.wiping { pool.wiping() } else { pool }, true)
    };
    mp_sign_post_alloc, mp_sign_post_free
}

pool_of_any_size! {
    /// Two-level segregated fit.
    mp_tlsf, Local<Tlsf, Parent>, mp_tlsf_options, MP_DEFAULT_ALIGN;
    mp_tlsf_create = |options, common| {
        if options.without_quick_list {
            local_or_locked(common, Tlsf::without_quick_list(), false)
        } else {
            local_or_locked(common, Tlsf::new(), true)
        }
    };
    mp_tlsf_alloc, mp_tlsf_free
}

pool_of_any_size! {
    /// A buddy allocator.
    mp_buddy, Local<Buddy, Parent>, mp_buddy_options, MP_DEFAULT_ALIGN;
    mp_buddy_create = |options, common| {
        let (least, largest) = (options.least, options.largest);
        let pool = match (least, largest) {
            (0, 0) => Buddy::new(),
            _ => Buddy::with_blocks(least, largest)
                .map_err(|_| MpError::invalid("least and largest: powers of two, see the header"))?,
        };
        let pool = if options.first_chunk == 0 { pool } else { pool.first_chunk(options.first_chunk) };
        local_or_locked(common, pool, true)
    };
    mp_buddy_alloc, mp_buddy_free
}
