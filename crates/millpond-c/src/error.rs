//! Errors: codes, their messages, and the last error of each thread.

use std::{
    cell::Cell,
    ffi::{CStr, c_char},
};

use millpond::AllocError;

use crate::abi::*;

/// Returns the message for an error, which says what to do about it.
fn message(error: mp_error) -> &'static CStr {
    match error {
        MP_OK => c"no error",
        MP_ERR_EXHAUSTED => c"no memory left in this allocator and its parent: free blocks, or give it a larger parent",
        MP_ERR_LIMIT => c"a configured limit was reached: free blocks, or raise the limit",
        MP_ERR_UNSUPPORTED => c"this allocator does not support this size, alignment or operation",
        MP_ERR_OS => c"the operating system refused the request: see mp_last_os_error()",
        MP_ERR_INVALID => c"an argument is invalid: mp_last_detail() says which, right after the call",
        MP_ERR_BROKEN => c"the memory of the allocator was overwritten: find the write with a checked pool, guards or a sanitizer",
        MP_ERR_STOPPED => c"the callback returned false, so the call stopped early",
        _ => c"unknown error code",
    }
}

/// Why a call failed: the error code, the operating system's error number, and a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MpError {
    pub(crate) code: mp_error,
    os: i32,
    detail: &'static str,
}

impl MpError {
    const NONE: Self = Self { code: MP_OK, os: 0, detail: "" };

    /// A callback asked to stop.
    pub(crate) const STOPPED: Self = Self { code: MP_ERR_STOPPED, os: 0, detail: "" };

    /// Stands for [`AllocError::InPlace`]; differs from other unsupported operations only in its sentence.
    const IN_PLACE: Self =
        Self::unsupported("the block cannot be resized where it is: call mp_realloc without MP_IN_PLACE");

    /// Returns the error for an invalid argument.
    pub(crate) const fn invalid(detail: &'static str) -> Self {
        Self { code: MP_ERR_INVALID, os: 0, detail }
    }

    /// Returns the error for an unsupported operation.
    pub(crate) const fn unsupported(detail: &'static str) -> Self {
        Self { code: MP_ERR_UNSUPPORTED, os: 0, detail }
    }

    /// Returns an error with a code and a sentence.
    pub(crate) const fn new(code: mp_error, detail: &'static str) -> Self {
        Self { code, os: 0, detail }
    }

    /// Makes this the thread's last error, and returns its code.
    #[cold]
    pub(crate) fn note(self) -> mp_error {
        LAST.set(self);
        self.code
    }
}

impl From<AllocError> for MpError {
    fn from(error: AllocError) -> Self {
        let (code, os) = match error {
            AllocError::Exhausted => (MP_ERR_EXHAUSTED, 0),
            AllocError::Limit => (MP_ERR_LIMIT, 0),
            AllocError::Os(number) => (MP_ERR_OS, number),
            AllocError::InPlace => return Self::IN_PLACE,
            _ => (MP_ERR_UNSUPPORTED, 0),
        };
        Self { code, os, detail: "" }
    }
}

/// Max bytes in a detail, including the final zero.
const LONGEST: usize = 160;

thread_local! {
    static LAST: Cell<MpError> = const { Cell::new(MpError::NONE) };
    /// The detail that the thread requested last, as a C string.
    static DETAIL: [Cell<u8>; LONGEST] = const { [const { Cell::new(0) }; LONGEST] };
}

/// Returns this thread's last error.
pub(crate) fn last() -> MpError {
    LAST.get()
}

/// Calls an allocator on behalf of another one; returns its result and its error. Restores the thread's last error,
/// because it is not known yet whether the outer call fails.
pub(crate) fn aside<T>(ask: impl FnOnce() -> T) -> (T, MpError) {
    let before = LAST.replace(MpError::NONE);
    let answer = ask();
    (answer, LAST.replace(before))
}

impl From<MpError> for AllocError {
    /// Converts the error that a custom allocator has set.
    fn from(error: MpError) -> Self {
        match error.code {
            MP_ERR_LIMIT => Self::Limit,
            MP_ERR_UNSUPPORTED if error.detail == MpError::IN_PLACE.detail => Self::InPlace,
            MP_ERR_UNSUPPORTED | MP_ERR_INVALID => Self::Unsupported,
            MP_ERR_OS => Self::Os(error.os),
            _ => Self::Exhausted,
        }
    }
}

/// Returns the message for an error; never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mp_strerror(error: mp_error) -> *const c_char {
    message(error).as_ptr()
}

/// Returns the error of the last failed call on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn mp_last_error() -> mp_error {
    last().code
}

/// Returns a sentence about the last error, or its message; never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn mp_last_detail() -> *const c_char {
    let MpError { code, detail, .. } = last();
    if detail.is_empty() {
        return message(code).as_ptr();
    }
    DETAIL.with(|buffer| {
        let length = detail.len().min(LONGEST - 1);
        for (place, byte) in buffer.iter().zip(detail.bytes().take(length).chain([0])) {
            place.set(byte);
        }
        buffer.as_ptr().cast()
    })
}

/// Returns the operating system's error number if the operating system refused; otherwise 0.
#[unsafe(no_mangle)]
pub extern "C" fn mp_last_os_error() -> i32 {
    last().os
}

/// Clears this thread's last error.
#[unsafe(no_mangle)]
pub extern "C" fn mp_clear_error() {
    LAST.set(MpError::NONE);
}

/// Sets this thread's last error. Meant for the functions of custom allocators.
#[unsafe(no_mangle)]
pub extern "C" fn mp_set_error(error: mp_error) {
    MpError::new(error, "").note();
}
