//! What a pool's shell has to tell a log: growth, exhaustion, trim and misuse. Never on a hot path, never while a pool is
//! borrowed or locked; and nothing at all without the features `log` and `tracing`.

use core::alloc::Layout;

use super::{AllocError, abort_on_unwind};

/// Tells `log` a sentence and `tracing` the same with fields, whichever of the two is there.
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

/// A request failed for good.
pub(crate) fn failed(layout: Layout, error: AllocError) {
    emit!(warn, "a pool had no memory", bytes = layout.size(), align = layout.align(), error = error);
}

/// A trim gave so many bytes back.
pub(crate) fn trimmed(bytes: usize) {
    emit!(debug, "a pool was trimmed", bytes = bytes);
}

/// Somebody misused a pool.
pub(crate) fn misused(misuse: &dyn core::fmt::Display) {
    emit!(error, "a pool was misused", misuse = misuse);
}
