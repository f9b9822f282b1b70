//! Forking in a program with threads.

use std::sync::Once;

use millpond::shell::fork::{self, Registration};

use crate::{
    abi::{MP_OK, mp_error},
    error::MpError,
    misuse::LISTENERS,
};

/// Locks every shared allocator while the process forks.
#[unsafe(no_mangle)]
pub extern "C" fn mp_atfork() -> mp_error {
    static REGISTERED: Once = Once::new();
    static REGISTRATION: Registration = Registration::new();
    // SAFETY: both are statics, and `call_once` registers only once.
    REGISTERED.call_once(|| unsafe { REGISTRATION.register(&LISTENERS) });
    fork::install().map_or_else(|error| MpError::from(error).note(), |()| MP_OK)
}
