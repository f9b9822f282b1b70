//! Out-of-memory policy, implemented once for all allocators, around any request.

use std::{alloc::Layout, ffi::c_void, process};

use millpond::AllocError;

use crate::{abi::*, error::MpError};

/// What is done when a request fails for lack of memory.
#[derive(Clone, Copy, Default)]
pub(crate) enum OutOfMemory {
    #[default]
    ReturnNull,
    Retry(mp_make_room_fn, *mut c_void),
    Abort,
}

impl OutOfMemory {
    pub(crate) const RETURN_NULL: Self = Self::ReturnNull;

    pub(crate) fn new(options: mp_out_of_memory) -> Result<Self, MpError> {
        match (options.action, options.make_room) {
            (MP_RETURN_NULL, _) => Ok(Self::ReturnNull),
            (MP_ABORT, _) => Ok(Self::Abort),
            (MP_RETRY, Some(make_room)) => Ok(Self::Retry(make_room, options.context)),
            (MP_RETRY, None) => {
                Err(MpError::invalid("out_of_memory.action is MP_RETRY, so make_room must be set"))
            }
            _ => Err(MpError::invalid(
                "out_of_memory.action is unknown: set it to MP_RETURN_NULL, MP_RETRY or MP_ABORT",
            )),
        }
    }

    /// Returns whether to retry the request.
    pub(crate) fn makes_room(&self, layout: Layout, error: AllocError) -> bool {
        if error == AllocError::Unsupported {
            return false;
        }
        match *self {
            Self::ReturnNull => false,
            // SAFETY: the header requires a function with this signature that may be called with this context.
            Self::Retry(make_room, context) => unsafe { make_room(context, layout.size(), layout.align()) },
            Self::Abort => {
                let size = layout.size();
                eprintln!(
                    "millpond: {error}; the program ends, because a request of {size} bytes has MP_ABORT"
                );
                process::abort()
            }
        }
    }
}
