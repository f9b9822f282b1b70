//! What went wrong: codes, their messages, and what this thread was told last.

use std::{
    cell::Cell,
    ffi::{CStr, c_char},
};

use millpond::AllocError;

use crate::abi::mp_error;

macro_rules! errors {
    ($($name:ident = $number:literal, $message:literal;)*) => {
        $(#[doc = concat!("As an error: ", $message, ".")] pub const $name: mp_error = $number;)*

        fn message(error: mp_error) -> &'static CStr {
            const MESSAGES: &[(mp_error, &str)] = &[$(($name, concat!($message, "\0"))),*];
            let text = MESSAGES.iter().find(|(number, _)| *number == error).map(|(_, text)| *text);
            text.and_then(|text| CStr::from_bytes_with_nul(text.as_bytes()).ok()).unwrap_or(c"no such error")
        }
    };
}

errors! {
    MP_OK = 0, "no error";
    MP_ERR_EXHAUSTED = 1, "no memory left in this allocator";
    MP_ERR_LIMIT = 2, "this allocator may give no more";
    MP_ERR_UNSUPPORTED = 3, "this allocator never does that";
    MP_ERR_OS = 4, "the operating system refused";
    MP_ERR_INVALID = 5, "an argument makes no sense";
    MP_ERR_BROKEN = 6, "an invariant of the allocator is broken";
    MP_ERR_STOPPED = 7, "the visitor asked to stop";
}

/// Why a call failed: its code, what the system said, and a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MpError {
    pub(crate) code: mp_error,
    os: i32,
    detail: &'static str,
}

impl MpError {
    const NONE: Self = Self { code: MP_OK, os: 0, detail: "" };

    /// Somebody who was called back has seen enough.
    pub(crate) const STOPPED: Self = Self { code: MP_ERR_STOPPED, os: 0, detail: "" };

    /// [`AllocError::InPlace`], which is told from what is never done by its sentence.
    const IN_PLACE: Self = Self::unsupported("the block cannot have that size or alignment where it is");

    /// An argument makes no sense, for this reason.
    pub(crate) const fn invalid(detail: &'static str) -> Self {
        Self { code: MP_ERR_INVALID, os: 0, detail }
    }

    /// This is never done, for this reason.
    pub(crate) const fn unsupported(detail: &'static str) -> Self {
        Self { code: MP_ERR_UNSUPPORTED, os: 0, detail }
    }

    /// Something else, with a reason.
    pub(crate) const fn new(code: mp_error, detail: &'static str) -> Self {
        Self { code, os: 0, detail }
    }

    /// Lets the thread remember it, and gives its code.
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

/// Bytes of the longest detail, the final zero included.
const LONGEST: usize = 160;

thread_local! {
    static LAST: Cell<MpError> = const { Cell::new(MpError::NONE) };
    /// The detail that the thread has asked for, as C wants it.
    static DETAIL: [Cell<u8>; LONGEST] = const { [const { Cell::new(0) }; LONGEST] };
}

/// What this thread was told last.
pub(crate) fn last() -> MpError {
    LAST.get()
}

/// Asks an allocator on behalf of another one: gives its answer, and what it failed with. Afterwards the thread was told what
/// it was told before, because whether the call fails as a whole is not known yet.
pub(crate) fn aside<T>(ask: impl FnOnce() -> T) -> (T, MpError) {
    let before = LAST.replace(MpError::NONE);
    let answer = ask();
    (answer, LAST.replace(before))
}

impl From<MpError> for AllocError {
    /// What a caller's own table of functions is taken to have meant.
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

/// A message for an error; never NULL. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn mp_strerror(error: mp_error) -> *const c_char {
    message(error).as_ptr()
}

/// What the last call that failed on this thread failed with.
#[unsafe(no_mangle)]
pub extern "C" fn mp_last_error() -> mp_error {
    last().code
}

/// A sentence about it, or its message; never NULL.
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

/// The system's number for it, if the system refused; else 0.
#[unsafe(no_mangle)]
pub extern "C" fn mp_last_os_error() -> i32 {
    last().os
}

/// Lets this thread forget it.
#[unsafe(no_mangle)]
pub extern "C" fn mp_clear_error() {
    LAST.set(MpError::NONE);
}

/// Lets this thread remember an error: for the functions of an allocator of the caller's own.
#[unsafe(no_mangle)]
pub extern "C" fn mp_set_error(error: mp_error) {
    MpError::new(error, "").note();
}
