//! Events that a shell logs: growth, exhaustion, trim and misuse. They are never emitted on a hot path, or while a pool
//! is borrowed or locked; without the features `log` and `tracing` there are none.

use core::alloc::Layout;

use super::{AllocError, abort_on_unwind};

/// Emits a sentence to `log` and the same with fields to `tracing`, depending on the features.
macro_rules! emit {
    ($level:ident, $what:literal $(, $name:ident = $value:expr)*) => {
        abort_on_unwind(|| {
            $(let $name = &$value;)*
            #[cfg(feature = "log")]
            log::$level!(target: "millpond", concat!($what $(, ", ", stringify!($name), " {}")*) $(, $name)*);
            #[cfg(feature = "tracing")]
            tracing::$level!(target: "millpond" $(, $name = %$name)*, $what);
            $(let _ = $name;)*
        })
    };
}

/// A pool got a chunk.
pub(crate) fn grew(bytes: usize) {
    emit!(debug, "a pool grew", bytes = bytes);
}

/// A request failed, after all retries.
pub(crate) fn failed(layout: Layout, error: AllocError) {
    emit!(warn, "a pool had no memory", bytes = layout.size(), align = layout.align(), error = error);
}

/// A trim returned `bytes` bytes.
pub(crate) fn trimmed(bytes: usize) {
    emit!(debug, "a pool was trimmed", bytes = bytes);
}

/// A pool was misused.
pub(crate) fn misused(misuse: &dyn core::fmt::Display) {
    emit!(error, "a pool was misused", misuse = misuse);
}
