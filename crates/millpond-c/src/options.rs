//! Options of pools: what all have in common, and what each has besides.

use std::ffi::{c_char, c_void};

use crate::{abi::*, error::MpError, exported::Make, out_of_memory::OutOfMemory, parent::Parent};

/// The options that all pools have.
pub(crate) struct Common {
    pub(crate) parent: Parent,
    pub(crate) sharing: u32,
    pub(crate) make: Make,
}

impl Common {
    /// # Safety
    ///
    /// The parent is null, or valid and outlives the pool.
    pub(crate) unsafe fn new(
        parent: *mut mp_allocator,
        sharing: u32,
        out_of_memory: mp_out_of_memory,
    ) -> Result<Self, MpError> {
        let make = Make { out_of_memory: OutOfMemory::new(out_of_memory)?, ..Make::default() };
        // SAFETY: the caller's promise.
        Ok(Self { parent: unsafe { Parent::new(parent)? }, sharing, make })
    }
}

/// A structure with options of a pool: those that all pools have, and its own. Zeros are defaults.
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

        // SAFETY: `repr(C)`, begins with its size, and has integers, flags, and pointers that may be null.
        unsafe impl $crate::versioned_struct::VersionedStruct for $name {}

        impl $name {
            /// What all pools have.
            ///
            /// # Safety
            ///
            /// The parent is null, or valid and outlives the pool.
            pub(crate) unsafe fn common(&self) -> Result<$crate::options::Common, $crate::error::MpError> {
                // SAFETY: the caller's promise.
                unsafe { $crate::options::Common::new(self.parent, self.sharing, self.out_of_memory) }
            }
        }
    };
}

options! {
    /// How a pool of blocks of one size is made.
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
    /// How a pool without options of its own is made.
    mp_pool_options {
        capacity: usize,
    }
}

options! {
    /// How a pool of blocks of several sizes is made.
    mp_classes_options {
        sizes: *const usize,
        size_count: usize,
    }
}

options! {
    /// How a TLSF is made.
    mp_tlsf_options {
        without_quick_list: bool,
    }
}

options! {
    /// How a pool with boundary tags is made.
    mp_sign_post_options {
        best_fit: bool,
        wiping: bool,
    }
}

options! {
    /// How a buddy pool is made.
    mp_buddy_options {
        least: usize,
        largest: usize,
        first_chunk: usize,
    }
}
