//! Containment of panics in the libraries that parse what strangers wrote.

use std::{
    cell::Cell,
    io,
    panic::{self, AssertUnwindSafe},
    sync::Once,
};

thread_local! {
    /// Whether a panic of this thread is contained.
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Returns what `work` returns; `None` if it panics. The panic hook is not called then, so nothing is printed.
pub(crate) fn without_panic<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !CONTAINED.get() {
                previous(info);
            }
        }));
    });
    let outer = CONTAINED.replace(true);
    // What `work` has borrowed and left half-done is dropped by all callers.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CONTAINED.set(outer);
    result.ok()
}

/// The error for a file that a parser failed on.
pub(crate) fn unreadable() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "it is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_contained_and_the_hook_is_left_alone() {
        assert_eq!(without_panic(|| 1), Some(1));
        assert_eq!(without_panic(|| -> u8 { panic!("contained") }), None);
        assert_eq!(without_panic(|| without_panic(|| -> u8 { panic!("inner") })), Some(None));
        assert!(!CONTAINED.get());
    }
}
