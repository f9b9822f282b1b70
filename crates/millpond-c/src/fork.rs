//! Forking in a program with threads.

use std::sync::Once;

use millpond::fork::{self, Entry};

use crate::{
    abi::mp_error,
    fault::{Fault, MP_OK},
    misuse::LISTENERS,
};

/// Has every allocator that threads share held still while the process forks.
#[unsafe(no_mangle)]
pub extern "C" fn mp_atfork() -> mp_error {
    static ENTERED: Once = Once::new();
    static PLACE: Entry = Entry::new();
    // SAFETY: both are there for ever, and it is entered once.
    ENTERED.call_once(|| unsafe { PLACE.enter(&LISTENERS) });
    fork::install().map_or_else(|error| Fault::from(error).note(), |()| MP_OK)
}
