//! Options of pools: those that all have in common, and those of each.

use std::ffi::{c_char, c_void};

use crate::{abi::*, error::MpError, exported::Make, out_of_memory::OutOfMemory, parent::Parent};

/// The options that all pools have in common.
pub(crate) struct Common {
    pub(crate) parent: Parent,
    pub(crate) sharing: u32,
    pub(crate) make: Make,
}

impl Common {
    /// # Safety
    ///
    /// The parent must be null, or valid and outlive the pool.
    pub(crate) unsafe fn new(
        parent: *mut mp_allocator,
        sharing: u32,
        out_of_memory: mp_out_of_memory,
    ) -> Result<Self, MpError> {
        let make = Make { out_of_memory: OutOfMemory::new(out_of_memory)?, ..Make::default() };
        // SAFETY: the caller guarantees that the parent is null, or valid and outlives the pool.
        Ok(Self { parent: unsafe { Parent::new(parent)? }, sharing, make })
    }
}

/// Declares the options of a pool: common ones and its own. Zeros are defaults.
macro_rules! options {
    ($(#[$doc:meta])* $name:ident { $($member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs, reason = "documented in include/millpond.h")]
        pub struct $name {
            pub struct_size: usize,
            pub parent: *mut $crate::abi::mp_allocator,
            pub sharing: u32,
            pub out_of_memory: $crate::abi::mp_out_of_memory,
            $(pub $member: $type,)*
        }

        // SAFETY: the type is `repr(C)`, begins with its size, and consists of integers, flags and nullable pointers.
        unsafe impl $crate::versioned_struct::VersionedStruct for $name {}

        impl $name {
            /// Returns the options that all pools have in common.
            ///
            /// # Safety
            ///
            /// The parent must be null, or valid and outlive the pool.
            pub(crate) unsafe fn common(&self) -> Result<$crate::options::Common, $crate::error::MpError> {
                // SAFETY: the caller guarantees that the parent is null, or valid and outlives the pool.
                unsafe { $crate::options::Common::new(self.parent, self.sharing, self.out_of_memory) }
            }
        }
    };
}

options! {
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
    /// Options of a pool without specific options.
    mp_pool_options {
        capacity: usize,
    }
}

options! {
    /// Options of a pool of blocks of several sizes.
    mp_classes_options {
        sizes: *const usize,
        size_count: usize,
    }
}

options! {
    /// Options of a TLSF pool.
    mp_tlsf_options {
        without_quick_list: bool,
    }
}

options! {
    /// Options of a pool with boundary tags.
    mp_sign_post_options {
        best_fit: bool,
        wiping: bool,
    }
}

options! {
    /// Options of a buddy pool.
    mp_buddy_options {
        least: usize,
        largest: usize,
        first_chunk: usize,
    }
}
