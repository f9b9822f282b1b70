//! Events that a shell logs: growth, exhaustion, trim and misuse. They are never emitted on a hot path, or while a pool
//! is borrowed or locked; without the features `log` and `tracing` there are none.
//!
//! A logger is foreign code: if it panics, the program ends.
#![cfg_attr(
    not(any(feature = "log", feature = "tracing")),
    expect(unused_variables, reason = "nothing is logged")
)]

use core::alloc::Layout;

use super::{AllocError, abort_on_unwind};

/// A pool got a chunk.
pub(crate) fn grew(bytes: usize) {
    abort_on_unwind(|| {
        #[cfg(feature = "log")]
        log::debug!(target: "millpond", "a pool grew, bytes {bytes}");
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "millpond", bytes = %bytes, "a pool grew");
    });
}

/// A request failed, after all retries.
pub(crate) fn failed(layout: Layout, error: AllocError) {
    abort_on_unwind(|| {
        let (bytes, align) = (layout.size(), layout.align());
        #[cfg(feature = "log")]
        log::warn!(target: "millpond", "a pool had no memory, bytes {bytes}, align {align}, error {error}");
        #[cfg(feature = "tracing")]
        tracing::warn!(target: "millpond", bytes = %bytes, align = %align, error = %error, "a pool had no memory");
    });
}

/// A trim returned `bytes` bytes.
pub(crate) fn trimmed(bytes: usize) {
    abort_on_unwind(|| {
        #[cfg(feature = "log")]
        log::debug!(target: "millpond", "a pool was trimmed, bytes {bytes}");
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "millpond", bytes = %bytes, "a pool was trimmed");
    });
}

/// A pool was misused.
pub(crate) fn misused(misuse: &dyn core::fmt::Display) {
    abort_on_unwind(|| {
        #[cfg(feature = "log")]
        log::error!(target: "millpond", "a pool was misused, misuse {misuse}");
        #[cfg(feature = "tracing")]
        tracing::error!(target: "millpond", misuse = %misuse, "a pool was misused");
    });
}
