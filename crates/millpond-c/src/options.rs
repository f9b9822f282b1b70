//! Options of pools and guards: the members that all have in common, and those of each.

use std::ffi::{c_char, c_void};

use crate::{
    abi::*,
    error::MpError,
    exported::{Created, Make, pointer},
    out_of_memory::OutOfMemory,
    parent::Parent,
    versioned_struct::{VersionedStruct, read},
};

/// Options that begin with the members that all pools, or all guards, have in common.
pub(crate) trait Options: VersionedStruct {
    /// What the common members specify.
    type Common;

    /// Returns what the common members specify.
    ///
    /// # Safety
    ///
    /// The parent or inner allocator must be null, or valid and outlive what is created.
    unsafe fn common(&self) -> Result<Self::Common, MpError>;
}

/// Reads options and creates an allocator from them; if that fails, sets the last error and returns null.
///
/// # Safety
///
/// The options must be null or as long as their first word says, and fulfil the requirements in `millpond.h`.
pub(crate) unsafe fn create<O: Options>(
    options: *const O,
    make: impl FnOnce(&O, O::Common) -> Created,
) -> *mut mp_allocator {
    // SAFETY: the caller guarantees that the options are null or as long as their first word says.
    pointer(unsafe { read(options) }.and_then(|options| {
        // SAFETY: the caller guarantees that the parent or inner allocator is null, or valid and outlives the new one.
        let common = unsafe { options.common()? };
        make(&options, common)
    }))
}

/// What the common options of pools specify.
pub(crate) struct PoolCommon {
    pub(crate) parent: Parent,
    pub(crate) sharing: u32,
    pub(crate) make: Make,
}

impl PoolCommon {
    /// # Safety
    ///
    /// The parent must be null, or valid and outlive the pool.
    unsafe fn new(
        parent: *mut mp_allocator,
        sharing: u32,
        out_of_memory: mp_out_of_memory,
    ) -> Result<Self, MpError> {
        let make = Make { out_of_memory: OutOfMemory::new(out_of_memory)?, ..Make::default() };
        // SAFETY: the caller guarantees that the parent is null, or valid and outlives the pool.
        Ok(Self { parent: unsafe { Parent::new(parent)? }, sharing, make })
    }
}

/// What the common options of guards specify.
pub(crate) struct GuardCommon {
    pub(crate) inner: Parent,
    pub(crate) make: Make,
}

impl GuardCommon {
    /// # Safety
    ///
    /// The inner allocator must be null, or valid and outlive the guard.
    unsafe fn new(inner: *mut mp_allocator, out_of_memory: mp_out_of_memory) -> Result<Self, MpError> {
        // SAFETY: the caller guarantees that it is null, or valid and outlives the guard.
        let inner = unsafe { Parent::new(inner)? };
        let make = Make {
            default_align: inner.default_align(),
            out_of_memory: OutOfMemory::new(out_of_memory)?,
            cannot_reclaim: !inner.can_reset(),
            ..Make::default()
        };
        Ok(Self { inner, make })
    }
}

/// Declares the options of pools or guards: the common members, which come first, and those of each.
macro_rules! options {
    (pool $($rest:tt)*) => {
        options! {
            PoolCommon(parent: *mut mp_allocator, sharing: u32, out_of_memory: mp_out_of_memory) $($rest)*
        }
    };
    (guard $($rest:tt)*) => {
        options! { GuardCommon(inner: *mut mp_allocator, out_of_memory: mp_out_of_memory) $($rest)* }
    };
    (
        $common:ident($($first:ident: $first_type:ty),*)
        $(#[$doc:meta])* $name:ident { $($member:ident: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, reason = "documented in include/millpond.h")]
        pub struct $name {
            pub struct_size: usize,
            $(pub $first: $first_type,)*
            $(pub $member: $type,)*
        }

        // SAFETY: the type is `repr(C)`, begins with its size, and consists of integers, flags and nullable pointers.
        unsafe impl VersionedStruct for $name {}

        impl Options for $name {
            type Common = $common;

            unsafe fn common(&self) -> Result<$common, MpError> {
                // SAFETY: the callee has the same contract as this function.
                unsafe { $common::new($(self.$first),*) }
            }
        }
    };
}

options! {
    pool
    /// Options of a pool of blocks of one size.
    mp_blocks_options {
        block_size: usize,
        block_align: usize,
        free_list: u32,
        capacity: usize,
        blocks_per_chunk: usize,
        checked: bool,
        name: *const c_char,
        on_misuse: Option<mp_misuse_fn>,
        misuse_context: *mut c_void,
    }
}

options! {
    pool
    /// Options of a pool without specific options.
    mp_pool_options {
        capacity: usize,
    }
}

options! {
    pool
    /// Options of a pool of blocks of several sizes.
    mp_classes_options {
        sizes: *const usize,
        size_count: usize,
    }
}

options! {
    pool
    /// Options of a TLSF pool.
    mp_tlsf_options {
        without_quick_list: bool,
    }
}

options! {
    pool
    /// Options of a pool with boundary tags.
    mp_sign_post_options {
        best_fit: bool,
        wiping: bool,
    }
}

options! {
    pool
    /// Options of a buddy pool.
    mp_buddy_options {
        least: usize,
        largest: usize,
        first_chunk: usize,
    }
}

options! {
    guard
    /// Options of guards.
    mp_guard_options {
        name: *const c_char,
        on_misuse: Option<mp_misuse_fn>,
        misuse_context: *mut c_void,
        hold: usize,
    }
}

options! {
    guard
    /// Options of a limiting guard.
    mp_limit_options {
        bytes: usize,
        blocks: usize,
    }
}

options! {
    guard
    /// Options of a guard that makes requests fail.
    mp_fail_nth_options {
        only: usize,
        every: usize,
        after: usize,
    }
}

options! {
    guard
    /// Options of an observing guard.
    mp_observe_options {
        on_event: Option<mp_event_fn>,
        event_context: *mut c_void,
    }
}

options! {
    guard
    /// Options of a guard with two inner allocators.
    mp_pair_options {
        other: *mut mp_allocator,
        largest: usize,
    }
}
